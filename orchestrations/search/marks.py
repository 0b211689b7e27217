"""What is said of a live instance beyond its status: that it waits for a person, retries, is stuck, overdue, or that no
worker has its code. As conditions of a list, and as columns of its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet

from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.models import ActivityWorkItem, InboxMessage, Instance, OpenWait, Timer, WorkerLease
from orchestrations.models.clock import Now
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.search.language import Mark

LIVE = tuple(status for status in RuntimeStatus if status not in TERMINAL)
LATE = timedelta(seconds=60)
"""How long what is ready may lie before it counts as stuck, and what is due before it counts as overdue."""
NO_CODE = "no worker has the code"
"""How the engine begins what it says of an instance whose code none of its workers has."""

ASKED = OpenWait.objects.filter(instance_id=OuterRef("pk")).exclude(title="")
IS_LIVE = Q(status__in=[status.value for status in LIVE])

Holder = type[Instance] | type[OpenWait] | type[Timer] | type[InboxMessage] | type[ActivityWorkItem]


@dataclass(frozen=True, slots=True)
class Sign:
    """Rows of a table that make a mark true of the instance that they belong to (or that they are)."""

    holder: Holder
    condition: Q


def is_marked(mark: Mark, hub: str, using: str) -> Q:
    """The instances of the hub of which the mark is true.

    Found from the few rows that are signs of it, by their own indexes; then by primary key.
    """
    if mark is Mark.WAITING_FOR_HUMAN:
        return Q(Exists(ASKED.using(using).filter(hub=hub)), status=RuntimeStatus.RUNNING.value)
    if mark is Mark.NO_WORKER:
        return IS_LIVE & _has_no_worker(hub, using)
    pks = [_pks(sign, hub, using) for sign in SIGNS[mark]()]
    return IS_LIVE & Q(pk__in=pks[0].union(*pks[1:]))


def with_marks(rows: QuerySet[Instance], hub: str, using: str) -> QuerySet[Instance]:
    """The rows with ``marked_<mark>`` for each mark but the first: looked up by key, a few probes for a row.

    That a hub has no worker at all is not said of each of its rows.
    """
    conditions = {mark: _any(signs(), using) for mark, signs in SIGNS.items()}
    conditions[Mark.NO_WORKER] = Q(waiting_for__startswith=NO_CODE)
    return rows.annotate(
        **{
            column_of(mark): ExpressionWrapper(IS_LIVE & condition, output_field=BooleanField())
            for mark, condition in conditions.items()
        }
    )


def column_of(mark: Mark) -> str:
    """The name of the column that ``with_marks`` adds."""
    return f"marked_{mark.name.lower()}"


def _pks(sign: Sign, hub: str, using: str) -> QuerySet[Any, Any]:
    rows = sign.holder._default_manager.using(using).filter(sign.condition, hub=hub).order_by()
    if sign.holder is Instance:
        return rows.filter(ORCHESTRATION, IS_LIVE).values_list("pk")
    return rows.values_list("instance_id")


def _any(signs: list[Sign], using: str) -> Q:
    found = Q()
    for sign in signs:
        if sign.holder is Instance:
            found |= sign.condition
        else:
            beside = sign.holder._default_manager.using(using)
            found |= Q(Exists(beside.filter(sign.condition, instance_id=OuterRef("pk"))))
    return found


def _of_retrying() -> list[Sign]:
    """A task waits for its next attempt, or is at one."""
    return [Sign(Timer, Q(state=Timer.State.PENDING, attempt__gt=0)), Sign(ActivityWorkItem, Q(attempt__gt=1))]


def _of_stuck() -> list[Sign]:
    """Something has been ready for a while and nobody takes it, or took it and died."""
    since = Now() - LATE
    return [
        Sign(Instance, Q(attempts__gt=1)),
        Sign(Instance, Q(lease_token__isnull=True, claimable_at__lt=since)),
        Sign(InboxMessage, Q(instance__lease_token__isnull=True, visible_at__lt=since)),
        Sign(ActivityWorkItem, Q(lease_token__isnull=True, deferred_until__isnull=True, visible_at__lt=since)),
    ]


def _of_overdue() -> list[Sign]:
    """What it waits for was due."""
    late = Q(state=Timer.State.PENDING, due_at__lt=Now() - LATE)
    return [Sign(OpenWait, Q(due_at__lt=Now())), Sign(Timer, late)]


def _has_no_worker(hub: str, using: str) -> Q:
    """No worker serves its task hub, or none of them has its code."""
    live = WorkerLease.objects.using(using).filter(hub=hub, expires_at__gt=Now())
    return Q(waiting_for__startswith=NO_CODE) | ~Q(Exists(live))


SIGNS: dict[Mark, Callable[[], list[Sign]]] = {
    Mark.RETRYING: _of_retrying,
    Mark.STUCK: _of_stuck,
    Mark.OVERDUE: _of_overdue,
}
