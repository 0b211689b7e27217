"""Inboxes: which questions are whose, the most urgent first, by keyset pages. Nothing here writes or takes a lock."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from orchestrations.access.permissions import Action, can, group_names, may_see_task
from orchestrations.conf import get_config
from orchestrations.limits import LIST_PAGE
from orchestrations.models import HumanAudience, HumanComment, HumanFollowUp, HumanTask, HumanVote, Instance
from orchestrations.models.human import LEFT_OUT
from orchestrations.reading.paging import Page, keyset_page

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person

AUDIENCE = HumanAudience.objects.filter(
    instance=OuterRef("instance"), execution=OuterRef("execution"), wait_id=OuterRef("wait_id")
)
COLUMNS = (
    "hub", "name", "title", "form", "form_version", "schema", "assignment", "quorum_approve", "quorum_reject",
    "approvals", "rejections", "priority", "asked_at", "due_at", "urgent_at", "state", "assignee__username",
    "escalated_at", "escalation", "closed_at", "answered_by", "outcome", "on_timeout", "row_version", "execution",
    "wait_id", "instance__name", "instance__instance_id", "instance__hub", "instance__status",
)  # fmt: skip


class Tab(StrEnum):
    """The parts of an inbox."""

    MINE = "mine"
    GROUPS = "groups"
    ASKED = "asked"
    DONE = "done"


def questions(user: Person, hub: str, tab: Tab | str) -> QuerySet[HumanTask]:
    """The questions of a part of the inbox, in no order.

    ``mine`` are put to or assigned to the person by name, ``groups`` to them among others; both without what they have
    answered, put off, or must not answer. ``asked`` are questions that they are left out of, because they asked, and
    ``done`` those that they answered; both whatever has become of them.

    Each condition on the audience stands by itself, so that the database may begin with the few rows of one person
    instead of walking all that is open: a union, and no OR.
    """
    rows = HumanTask.objects.using(get_config().database).filter(hub=hub)
    if tab == Tab.DONE:
        return rows.filter(_voted(user))
    if tab == Tab.ASKED:
        return rows.filter(_left_out(user, hub))
    rows = rows.filter(state__in=HumanTask.LIVE)
    parts = _parts(user, hub, tab, rows)
    found = parts[0] if len(parts) == 1 else rows.filter(pk__in=_keys_of(*parts))
    return _to_do(found, user, hub)


def most_urgent(user: Person, hub: str, *, but: int) -> int | None:
    """The key of the most urgent question in time that the person may answer, other than ``but``."""
    rows = HumanTask.objects.using(get_config().database).filter(hub=hub, state__in=HumanTask.LIVE)
    firsts = []
    for part in [*_parts(user, hub, Tab.MINE, rows), *_parts(user, hub, Tab.GROUPS, rows)]:
        in_time = _to_do(part, user, hub).filter(urgent_at__gt=timezone.now()).exclude(pk=but)
        firsts.append(rows.filter(pk__in=in_time.order_by("urgent_at", "pk").values("pk")[:1]))
    first, *others = (one.values_list("urgent_at", "pk") for one in firsts)
    return min(first.union(*others), default=(None, None))[1]


def _parts(user: Person, hub: str, tab: Tab | str, rows: QuerySet[HumanTask]) -> list[QuerySet[HumanTask]]:
    """By whom the person is asked: assigned, by name, among others. Each by itself finds its rows quickly."""
    audience = AUDIENCE.filter(hub=hub)  # its index begins with the hub
    by_name = Exists(audience.filter(key=f"user:{user.get_username()}"))
    is_free = Q(assignee=None) | Q(quorum_approve__gt=1)
    mine = [rows.filter(assignee_id=user.pk), rows.filter(by_name, is_free)]
    groups = rows if user.is_superuser else rows.filter(Exists(audience.filter(key__in=_keys(user))))
    groups = groups.filter(is_free).exclude(assignee_id=user.pk).exclude(by_name)
    return {Tab.MINE: mine, Tab.GROUPS: [groups]}[Tab(tab)]


def _to_do(rows: QuerySet[HumanTask], user: Person, hub: str) -> QuerySet[HumanTask]:
    """Without what the person must not answer, has put off, or has answered."""
    put_off = Exists(HumanFollowUp.objects.filter(task=OuterRef("pk"), user=user.pk, until__gt=timezone.now()))
    return rows.exclude(_left_out(user, hub)).exclude(put_off).exclude(_voted(user))


def _left_out(user: Person, hub: str) -> Exists:
    return Exists(AUDIENCE.filter(hub=hub, key=f"{LEFT_OUT}{user.get_username()}"))


def _voted(user: Person) -> Exists:
    return Exists(HumanVote.objects.filter(task=OuterRef("pk"), username=user.get_username()))


def _keys_of(first: QuerySet[HumanTask], *others: QuerySet[HumanTask]) -> QuerySet[HumanTask, Any]:
    keys: QuerySet[HumanTask, Any] = first.values("pk")
    return keys.union(*(other.values("pk") for other in others))


def page(
    user: Person, hub: str, tab: Tab | str, *, cursor: str | None = None, limit: int = LIST_PAGE
) -> Page[HumanTask]:
    """A page: what is due first comes first, but the newest of what is asked or done. Raises InvalidCursor."""
    rows = shown(questions(user, hub, tab))
    if tab in (Tab.ASKED, Tab.DONE):
        return keyset_page(rows, None, cursor=cursor, limit=limit)
    return keyset_page(rows, "urgent_at", cursor=cursor, limit=limit, oldest_first=True)


def shown(rows: QuerySet[HumanTask]) -> QuerySet[HumanTask]:
    """These questions with what lists show of them and of their instances, and no more."""
    return rows.select_related("instance", "assignee").only(*COLUMNS)


def find(user: Person, hub: str, task_id: int) -> HumanTask | None:
    """That question with its instance, or None where there is none that the person may know of."""
    rows = HumanTask.objects.using(get_config().database).filter(hub=hub, pk=task_id)
    task = rows.select_related("instance", "assignee").first()
    return task if task is not None and may_see_task(user, task) else None


def open_of(instance: Instance, *, cursor: str | None = None, limit: int = LIST_PAGE) -> Page[HumanTask]:
    """A page of the questions that the instance puts to people now, whoever they are, in the order of asking.

    Raises InvalidCursor.
    """
    rows = HumanTask.objects.using(get_config().database).filter(instance=instance.pk, execution=instance.execution)
    rows = rows.filter(state__in=HumanTask.LIVE).select_related("assignee")
    return keyset_page(rows, None, cursor=cursor, limit=limit, oldest_first=True)


def question_of(instance: Instance, task_id: int) -> HumanTask | None:
    """That question of the instance, open or not; None where it has none of that number."""
    rows = HumanTask.objects.using(get_config().database).filter(instance=instance.pk, pk=task_id)
    return rows.first()


def votes(task: HumanTask) -> list[HumanVote]:
    """Everybody's, in order."""
    return list(HumanVote.objects.using(task._state.db).filter(task_id=task.pk).order_by("at", "pk"))


def thread(task: HumanTask, limit: int = LIST_PAGE) -> list[HumanComment]:
    """What was said and done about it beside answering, in order; of a long one the newest."""
    rows = HumanComment.objects.using(task._state.db).filter(task_id=task.pk).order_by("-pk")[:limit]
    return list(reversed(rows))


def _keys(user: Person) -> list[str]:
    """The keys of the audiences that a person belongs to, but for the one of the own name."""
    keys = [f"group:{name}" for name in group_names(user)]
    keys += [f"permission:{permission}" for permission in user.get_all_permissions()]
    return [*keys, "anyone"] if can(user, Action.ANSWER) else keys
