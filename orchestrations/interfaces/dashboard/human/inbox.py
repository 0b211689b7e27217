"""The inbox: whose questions are in which tab, the most urgent first, by keyset pages and capped counts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils import timezone

from orchestrations.access.permissions import may_see_task
from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.human import words
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


def counts(user: Person, hub: str) -> dict[str, CappedCount]:
    """How many open questions there are in each tab, in one query."""
    still_open = {tab: inbox.questions(user, hub, tab).filter(state__in=HumanTask.LIVE) for tab in OPEN_TABS}
    counted = {tab: CountOf(rows.order_by().values("pk")[: COUNTED + 1]) for tab, rows in still_open.items()}
    carrier = HumanTask.objects.using(get_config().database).filter(hub=hub).order_by("pk")
    row = carrier.annotate(**{f"count_{tab}": count for tab, count in counted.items()}).values_list(
        *(f"count_{tab}" for tab in OPEN_TABS)
    )
    found = row.first() or (0, 0, 0)
    return {tab: CappedCount.of(count, COUNTED) for tab, count in zip(OPEN_TABS, found, strict=True)}


def newer_than(user: Person, hub: str, tab: str, newest: int) -> CappedCount:
    """How many questions of the tab were asked after the one with that key."""
    rows = inbox.questions(user, hub, tab).filter(pk__gt=newest).order_by().values("pk")
    return CappedCount.of(rows[: COUNTED + 1].count(), COUNTED)


def next_after(user: Person, task: HumanTask) -> int | None:
    """The most urgent other question that this person may answer now."""
    rows = inbox.questions(user, task.hub, inbox.ANY).exclude(pk=task.pk).filter(urgent_at__gt=timezone.now())
    return rows.order_by("urgent_at", "pk").values_list("pk", flat=True).first()


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
