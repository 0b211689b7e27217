"""What is said of a live instance beyond its status: that it waits for a person, retries, is stuck, overdue, or that no
worker has its code. As conditions of a list, and as columns of its rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.models import ActivityWorkItem, InboxMessage, Instance, OpenWait, Timer, WorkerLease
from orchestrations.search.language import Mark

LIVE = tuple(status for status in RuntimeStatus if status not in TERMINAL)
LATE = timedelta(seconds=60)
"""How long what is ready may lie before it counts as stuck, and what is due before it counts as overdue."""
NO_CODE = "no worker has the code"
"""How the engine begins what it says of an instance whose code none of its workers has."""

ASKED = OpenWait.objects.filter(instance_id=OuterRef("pk")).exclude(title="")
IS_LIVE = Q(status__in=[status.value for status in LIVE])

Pks = Callable[[Q], Exists | Q]


def is_marked(mark: Mark, hub: str, using: str) -> Q:
    """The instances of the hub of which the mark is true."""
    if mark is Mark.WAITING_FOR_HUMAN:
        return Q(Exists(ASKED.using(using).filter(hub=hub)), status=RuntimeStatus.RUNNING.value)
    return IS_LIVE & CONDITIONS[mark](_Among(hub, using))


def with_marks(rows: QuerySet[Instance], hub: str, using: str) -> QuerySet[Instance]:
    """The rows with ``marked_<mark>`` for each mark but the first: looked up by key, a few probes for a row."""
    beside = _Beside(hub, using)
    return rows.annotate(
        **{
            column_of(mark): Exists(
                Instance.objects.using(using).filter(IS_LIVE & condition(beside), pk=OuterRef("pk"))
            )
            for mark, condition in CONDITIONS.items()
        }
    )


def column_of(mark: Mark) -> str:
    """The name of the column that ``with_marks`` adds."""
    return f"marked_{mark.name.lower()}"


class _Among:
    """Finds a list's instances: from the few rows of what is under way, to the instances that they belong to."""

    def __init__(self, hub: str, using: str) -> None:
        self.hub = hub
        self.using = using

    def has(self, model: type[OpenWait | Timer | InboxMessage | ActivityWorkItem], condition: Q) -> Q:
        """Instances with such a row."""
        rows = model._default_manager.using(self.using).filter(condition, hub=self.hub)
        return Q(pk__in=rows.order_by().values("instance_id"))

    def has_worker(self) -> Exists:
        """Whether any worker serves the hub now."""
        return Exists(WorkerLease.objects.using(self.using).filter(hub=self.hub, expires_at__gt=Now()))


class _Beside(_Among):
    """Asks of one instance at a time, by the keys of what belongs to it."""

    def has(self, model: type[OpenWait | Timer | InboxMessage | ActivityWorkItem], condition: Q) -> Q:
        return Q(Exists(model._default_manager.using(self.using).filter(condition, instance_id=OuterRef("pk"))))


def _is_retrying(rows: _Among) -> Q:
    """A task of it waits for its next attempt, or is at one."""
    return rows.has(Timer, Q(state=Timer.State.PENDING, attempt__gt=0)) | rows.has(ActivityWorkItem, Q(attempt__gt=1))


def _is_stuck(rows: _Among) -> Q:
    """Something has been ready for a while and nobody takes it, or took it and died."""
    since = _ago()
    ready = Q(claimable_at__lt=since) | rows.has(InboxMessage, Q(visible_at__lt=since))
    queued = rows.has(ActivityWorkItem, Q(visible_at__lt=since, lease_token__isnull=True, deferred_until__isnull=True))
    return Q(attempts__gt=1) | (Q(lease_token__isnull=True) & ready) | queued


def _is_overdue(rows: _Among) -> Q:
    """What it waits for was due."""
    return rows.has(OpenWait, Q(due_at__lt=Now())) | rows.has(Timer, Q(state=Timer.State.PENDING, due_at__lt=_ago()))


def _has_no_worker(rows: _Among) -> Q:
    """No worker serves its task hub, or none of them has its code."""
    return Q(waiting_for__startswith=NO_CODE) | ~Q(rows.has_worker())


def _ago() -> Combinable:
    return Now() - LATE


CONDITIONS: dict[Mark, Callable[[_Among], Q]] = {
    Mark.RETRYING: _is_retrying,
    Mark.STUCK: _is_stuck,
    Mark.OVERDUE: _is_overdue,
    Mark.NO_WORKER: _has_no_worker,
}
