"""The filter as links: chips of statuses and marks, windows of time, and a way to take each term away.

The query box and these links are two views of one query; each link is the address of the list with a changed query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta, tzinfo

from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.asked import Asked
from orchestrations.interfaces.dashboard.counting import Counts
from orchestrations.interfaces.dashboard.presentation.statuses import BADGES, MARK_BADGES, WAITING_FOR_HUMAN, Badge
from orchestrations.reading.paging import CappedCount
from orchestrations.search.language import Mark, Query, write
from orchestrations.search.marks import LIVE
from orchestrations.search.moments import ANY_TIME, Ago, Span

WINDOWS = (
    ("Any time", ANY_TIME),
    ("1 hour", Span(Ago(timedelta(hours=1)))),
    ("24 hours", Span(Ago(timedelta(hours=24)))),
    ("7 days", Span(Ago(timedelta(days=7)))),
    ("30 days", Span(Ago(timedelta(days=30)))),
)
ALWAYS_SHOWN = (*LIVE[:3], RuntimeStatus.COMPLETED, RuntimeStatus.FAILED)
"""Statuses whose chips are there also where nothing has them, so that a chip does not jump away as its count sinks."""


@dataclass(frozen=True, slots=True)
class Link:
    """A chip: its words, its address, and whether the query says so already."""

    label: str
    url: str
    is_current: bool = False
    badge: Badge | None = None
    count: CappedCount | str | None = None


def status_links(asked: Asked, counts: Counts) -> list[Link]:
    """All, then each status that occurs, with how many there are; who waits for a person has a chip among them."""
    query = asked.query
    rest = tuple(mark for mark in query.marks if mark is not Mark.WAITING_FOR_HUMAN)
    asks_person = Mark.WAITING_FOR_HUMAN in query.marks
    no_status = asked.with_query(statuses=(), marks=rest)
    links = [Link("All", no_status.url(), not query.statuses and not asks_person, count=counts.total)]
    for status in RuntimeStatus:
        number = counts.by_status[status] if counts.by_status else None
        is_current = status in query.statuses
        if is_current or status in ALWAYS_SHOWN or (number and number.value):
            url = asked.with_query(statuses=(status,), marks=rest).url()
            links.append(Link(BADGES[status].label, url, is_current, BADGES[status], number))
        if status is RuntimeStatus.RUNNING:
            url = asked.with_query(statuses=(), marks=(Mark.WAITING_FOR_HUMAN, *rest)).url()
            links.append(Link(WAITING_FOR_HUMAN.label, url, asks_person, WAITING_FOR_HUMAN, counts.waiting_for_human))
    return links


def mark_links(asked: Asked) -> list[Link]:
    """A switch for each mark beside the statuses; pressed again it is off."""
    return [_switch(asked, mark, badge) for mark, badge in MARK_BADGES.items()]


def window_links(asked: Asked) -> list[Link]:
    """When it was created: the windows that people want most."""
    current = asked.query.created
    return [Link(label, asked.with_query(created=span).url(), span == current) for label, span in WINDOWS]


def children_link(asked: Asked) -> Link:
    """The switch for sub-orchestrations."""
    shown = asked.query.children
    return Link("Sub-orchestrations", asked.with_query(children=not shown).url(), shown)


def term_links(asked: Asked, zone: tzinfo) -> list[Link]:
    """Each term that has no chip of its own, with the address of the list without it."""
    return [
        Link(write(alone, zone), asked.with_query(**{field: empty}).url())
        for field, alone, empty in _terms(asked.query)
    ]


def _terms(query: Query) -> Iterator[tuple[str, Query, object]]:
    for name in ("name", "id", "version", "parent", "error", "fingerprint"):
        value = getattr(query, name)
        if value is not None:
            yield name, _alone(name, value), None
    for tag in query.tags:
        yield "tags", Query(tags=(tag,)), tuple(other for other in query.tags if other != tag)
    if query.created and query.created not in {span for _, span in WINDOWS}:
        yield "created", Query(created=query.created), ANY_TIME
    if query.completed:
        yield "completed", Query(completed=query.completed), ANY_TIME


def _alone(name: str, value: object) -> Query:
    changes: dict[str, object] = {name: value}
    return Query(**changes)  # type: ignore[arg-type]


def _switch(asked: Asked, mark: Mark, badge: Badge) -> Link:
    marks = asked.query.marks
    is_on = mark in marks
    changed = tuple(other for other in marks if other is not mark) if is_on else (*marks, mark)
    url = asked.with_query(marks=tuple(other for other in Mark if other in changed)).url()
    return Link(badge.label, url, is_on, badge)
