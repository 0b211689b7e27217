"""The inbox: whose questions are in which tab, the most urgent first, by keyset pages and capped counts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.human import words
from orchestrations.limits import LIST_PAGE
from orchestrations.models import HumanAudience, HumanFollowUp, HumanTask, HumanVote
from orchestrations.paging import CappedCount, CountOf, Page, keyset_page
from orchestrations.permissions import Action, can, group_names, may_see_task

if TYPE_CHECKING:
    from orchestrations.permissions import Person

TABS = {"mine": "Mine", "groups": "My groups", "asked": "Asked by me", "done": "Done"}
ICONS = {"completed": "check", "failed": "crossed", "canceled": "clock", "pending": "octagon"}
ANY = "any"  # of mine and of my groups'
OPEN_TABS = ("mine", "groups", "asked")
COUNTED = 99  # questions of a tab that are counted; more are "99+"
COLUMNS = (
    "hub", "name", "title", "form", "form_version", "schema", "assignment", "quorum_approve", "quorum_reject",
    "approvals", "rejections", "priority", "asked_at", "due_at", "urgent_at", "state", "assignee", "escalated_at",
    "escalation", "closed_at", "answered_by", "outcome", "on_timeout", "row_version", "instance__name",
    "instance__instance_id", "instance__hub", "instance__status",
)  # fmt: skip
AUDIENCE = HumanAudience.objects.filter(
    instance=OuterRef("instance"), execution=OuterRef("execution"), wait_id=OuterRef("wait_id")
)


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


def questions(user: Person, hub: str, tab: str) -> QuerySet[HumanTask]:
    """The questions in a tab, or in the first two (ANY), in no order.

    Each condition on the audience stands by itself, so that the database may begin with the few rows of one person
    instead of walking all that is open: a union, and no OR.
    """
    rows = HumanTask.objects.using(get_config().database).filter(hub=hub)
    name = user.get_username()
    if tab == "done":
        return rows.filter(Exists(HumanVote.objects.filter(task=OuterRef("pk"), username=name)))
    rows = rows.filter(state__in=HumanTask.LIVE)
    audience = AUDIENCE.filter(hub=hub)  # its index begins with the hub
    left_out = Exists(audience.filter(key=f"excluded:{name}"))
    if tab == "asked":
        return rows.filter(left_out)
    put_off = HumanFollowUp.objects.filter(task=OuterRef("pk"), user=user.pk, until__gt=timezone.now())
    voted = HumanVote.objects.filter(task=OuterRef("pk"), username=name)
    mine = [
        rows.filter(assignee_id=user.pk),
        rows.filter(Exists(audience.filter(key=f"user:{name}")), assignee=None),
    ]
    groups = rows if user.is_superuser else rows.filter(Exists(audience.filter(key__in=_keys(user))))
    groups = groups.filter(Q(assignee=None) | Q(quorum_approve__gt=1))
    found = rows.exclude(left_out).exclude(Exists(put_off)).exclude(Exists(voted))
    if tab == "mine":
        return found.filter(pk__in=_keys_of(*mine))
    if tab == ANY:
        return found.filter(pk__in=_keys_of(*mine, groups))
    return found.filter(pk__in=_keys_of(groups)).exclude(pk__in=_keys_of(*mine))


def _keys_of(first: QuerySet[HumanTask], *others: QuerySet[HumanTask]) -> QuerySet[HumanTask, Any]:
    keys: QuerySet[HumanTask, Any] = first.values("pk")
    return keys.union(*(other.values("pk") for other in others)) if others else keys


def page_of(user: Person, hub: str, tab: str, cursor: str | None) -> Page[HumanTask]:
    """One page of a tab: what is due first comes first, and in Done what was closed last. Raises InvalidCursor."""
    rows = questions(user, hub, tab).select_related("instance").only(*COLUMNS)
    if tab == "done":
        return keyset_page(rows, None, cursor=cursor, limit=LIST_PAGE)
    return keyset_page(rows, "urgent_at", cursor=cursor, limit=LIST_PAGE, oldest_first=True)


def rows_again(user: Person, hub: str, tab: str, pks: Collection[int]) -> list[HumanTask]:
    """The questions that a page of the tab shows, as they stand now, in the page's order.

    One that has left the tab stays where it is for whoever reads there, unless the person may know of it no more.
    """
    rows = HumanTask.objects.using(get_config().database).filter(hub=hub, pk__in=pks)
    found = {row.pk: row for row in rows.select_related("instance").only(*COLUMNS)}
    return [found[pk] for pk in pks if pk in found and may_see_task(user, found[pk])]


def counts(user: Person, hub: str) -> dict[str, CappedCount]:
    """How many open questions there are in each tab, in one query."""
    counted = {tab: CountOf(questions(user, hub, tab).order_by().values("pk")[: COUNTED + 1]) for tab in OPEN_TABS}
    carrier = HumanTask.objects.using(get_config().database).filter(hub=hub).order_by("pk")
    row = carrier.annotate(**{f"count_{tab}": count for tab, count in counted.items()}).values_list(
        *(f"count_{tab}" for tab in OPEN_TABS)
    )
    found = row.first() or (0, 0, 0)
    return {tab: CappedCount.of(count, COUNTED) for tab, count in zip(OPEN_TABS, found, strict=True)}


def newer_than(user: Person, hub: str, tab: str, newest: int) -> CappedCount:
    """How many questions of the tab were asked after the one with that key."""
    rows = questions(user, hub, tab).filter(pk__gt=newest).order_by().values("pk")
    return CappedCount.of(rows[: COUNTED + 1].count(), COUNTED)


def next_after(user: Person, task: HumanTask) -> int | None:
    """The most urgent other question that this person may answer now."""
    rows = questions(user, task.hub, ANY).exclude(pk=task.pk).filter(urgent_at__gt=timezone.now())
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
        is_bulk=form.bulk and task.is_live,
    )


def _keys(user: Person) -> list[str]:
    """The keys of the audiences that a person belongs to, but for the one of the own name."""
    keys = [f"group:{name}" for name in group_names(user)]
    keys += [f"permission:{permission}" for permission in user.get_all_permissions()]
    return [*keys, "anyone"] if can(user, Action.ANSWER) else keys
