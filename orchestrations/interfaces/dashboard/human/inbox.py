"""The inbox: whose questions are in which tab, the most urgent first, by keyset pages and capped counts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import QuerySet, Subquery

from orchestrations.access.permissions import may_see_task
from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.human import words
from orchestrations.interfaces.dashboard.versions import approvals_pulse
from orchestrations.limits import LIST_PAGE
from orchestrations.models import HumanTask
from orchestrations.reading import inbox
from orchestrations.reading.paging import CappedCount, CountOf, Page

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person

TABS = {"mine": "Mine", "groups": "My groups", "asked": "Asked by me", "done": "Done"}
ICONS = {"completed": "check", "failed": "crossed", "canceled": "clock", "pending": "octagon"}
OPEN_TABS = ("mine", "groups", "asked")
COUNTED = 99  # questions of a tab that are counted; more are "99+"


@dataclass(frozen=True, slots=True)
class Row:
    """One question as the inbox shows it."""

    task: HumanTask
    asked_by: str
    progress: str
    is_overdue: bool
    closing: words.Closing | None
    closing_icon: str
    closing_words: str
    is_bulk: bool


def page_of(user: Person, hub: str, tab: str, cursor: str | None) -> Page[HumanTask]:
    """One page of a tab. Raises InvalidCursor."""
    return inbox.page(user, hub, tab, cursor=cursor, limit=LIST_PAGE)


def rows_again(user: Person, hub: str, tab: str, pks: Collection[int]) -> list[HumanTask]:
    """The questions that a page of the tab shows, as they stand now, in the page's order.

    One that has left the tab stays where it is for whoever reads there, unless the person may know of it no more.
    """
    rows = HumanTask.objects.using(get_config().database).filter(hub=hub, pk__in=pks)
    found = {row.pk: row for row in inbox.shown(rows)}
    return [found[pk] for pk in pks if pk in found and may_see_task(user, found[pk])]


@dataclass(frozen=True, slots=True)
class Overview:
    """How an inbox stands: what changes with it, how many open questions each tab has, and what is new."""

    version: str
    counts: dict[str, CappedCount]
    newest: int
    """The key of the hub's newest question; 0 where there is none."""
    newer: CappedCount
    """How many questions of the tab were asked after the one that was named."""


def overview(user: Person, hub: str, tab: str = "mine", newest: int | None = None) -> Overview:
    """All of it in one query. ``newest`` is the newest question that a page of the tab knew of."""
    newer = HumanTask.objects.none() if newest is None else inbox.questions(user, hub, tab).filter(pk__gt=newest)
    still_open = {one: inbox.questions(user, hub, one).filter(state__in=HumanTask.LIVE) for one in OPEN_TABS}
    pulse = approvals_pulse(
        hub,
        newest=Subquery(HumanTask.objects.filter(hub=hub).order_by("-pk").values("pk")[:1]),
        newer=_count(newer),
        **{one: _count(rows) for one, rows in still_open.items()},
    )
    counted = pulse.beside
    return Overview(
        pulse.version,
        counts={one: CappedCount.of(counted[one], COUNTED) for one in OPEN_TABS},
        newest=counted["newest"],
        newer=CappedCount.of(counted["newer"], COUNTED),
    )


def _count(rows: QuerySet[HumanTask]) -> CountOf:
    return CountOf(rows.order_by().values("pk")[: COUNTED + 1])


def next_after(user: Person, task: HumanTask) -> int | None:
    """The most urgent other question that this person may answer now."""
    return inbox.most_urgent(user, task.hub, but=task.pk)


def first_of(hub: str, instance_id: str) -> int | None:
    """The most urgent question that an instance asks."""
    rows = HumanTask.objects.using(get_config().database).filter(
        hub=hub, instance__instance_id=instance_id, state__in=HumanTask.LIVE
    )
    return rows.order_by("urgent_at", "pk").values_list("pk", flat=True).first()


def shown(task: HumanTask, now: datetime) -> Row:
    """What the inbox shows of a question."""
    form = words.form_of(task)
    closing = words.closing_of(task, ())
    return Row(
        task=task,
        asked_by=", ".join(words.excluded_from(task)),
        progress=words.progress(task),
        is_overdue=words.is_overdue(task, now),
        closing=closing,
        closing_icon=ICONS[closing.kind] if closing is not None else "",
        closing_words=f"{closing.who} {closing.did}".strip().partition(":")[0] if closing is not None else "",
        is_bulk=form.bulk and words.is_open(task, now),
    )
