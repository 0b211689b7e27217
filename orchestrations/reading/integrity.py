"""What must never be found in the tables of a healthy task hub. Reads only; each finding is one line.

A hub at work is looked at while it changes, so what is on its way for a moment counts only when it is older than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, Max, Min, Model, OuterRef, Q, QuerySet

from orchestrations import payload_files
from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.models import (
    ActivityWorkItem,
    Entity,
    HistoryEvent,
    HumanAudience,
    HumanComment,
    HumanFollowUp,
    HumanNotice,
    HumanTask,
    HumanVote,
    InboxMessage,
    Instance,
    LargePayload,
    OpenWait,
    RaisedEventKey,
    Timer,
    WorkerLease,
)
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.store import get_store

GRACE = timedelta(minutes=2)  # messages to ended and purged instances are dropped within this
LEASE_GRACE_SECONDS = 5.0  # on top of the sweep interval
COMPLETIONS = (
    (EventType.TASK_COMPLETED, EventType.TASK_FAILED),
    (EventType.SUB_ORCHESTRATION_COMPLETED, EventType.SUB_ORCHESTRATION_FAILED),
    (EventType.TIMER_FIRED,),  # a retry's pause has the number of the task and of the attempt that failed
)

BELONGINGS: tuple[type[Model], ...] = (
    HistoryEvent,
    InboxMessage,
    ActivityWorkItem,
    Timer,
    OpenWait,
    Entity,
    RaisedEventKey,
    LargePayload,
    HumanTask,
    HumanAudience,
    HumanVote,
    HumanComment,
    HumanFollowUp,
    HumanNotice,
)

Check = Callable[["TaskHub"], Iterator[str]]


class TaskHub:
    """The tables of one task hub at one moment of its database's clock."""

    def __init__(self, hub: str | None = None, using: str | None = None) -> None:
        self.store = get_store(hub, using)
        self.now: datetime = self.store.now()

    def rows(self, model: Any) -> QuerySet[Any]:
        """The rows of a table that belong to the hub; those of a table that does not name it, by their instance."""
        rows: QuerySet[Any] = model._default_manager.using(self.store.using)
        if any(field.name == "hub" for field in model._meta.get_fields()):
            return rows.filter(hub=self.store.hub)
        return rows.filter(instance__hub=self.store.hub)

    def ended(self) -> QuerySet[Instance]:
        """Orchestrations that have ended."""
        return self.rows(Instance).filter(ORCHESTRATION, status__in=TERMINAL)


def sequences(hub: TaskHub) -> Iterator[str]:
    """History is numbered from 1 without gap, and the instance knows the last number of its execution."""
    executions = hub.rows(HistoryEvent).values("instance__instance_id", "instance_id", "execution")
    counted = executions.annotate(events=Count("pk"), first=Min("sequence"), last=Max("sequence")).order_by()
    for row in counted.exclude(first=1, last=F("events")).iterator():
        yield (
            f"{row['instance__instance_id']}: execution {row['execution']} has {row['events']} events, numbered from "
            f"{row['first']} to {row['last']}"
        )
    present = HistoryEvent.objects.filter(instance_id=OuterRef("pk"), execution=OuterRef("execution"))
    wrong = hub.rows(Instance).filter(ORCHESTRATION, last_sequence__gt=0)
    wrong = wrong.exclude(Exists(present.filter(sequence=OuterRef("last_sequence"))))
    ahead = hub.rows(Instance).filter(Exists(present.filter(sequence__gt=OuterRef("last_sequence"))), ORCHESTRATION)
    for instance_id in wrong.union(ahead).values_list("instance_id", flat=True):
        yield f"{instance_id}: its last event is not the one that it counts on"


def completions(hub: TaskHub) -> Iterator[str]:
    """No attempt of a task ends twice."""
    for kinds in COMPLETIONS:
        ends = hub.rows(HistoryEvent).filter(type__in=kinds, task_id__isnull=False)
        counted = ends.values("instance__instance_id", "execution", "task_id", "attempt").annotate(count=Count("pk"))
        for row in counted.filter(count__gt=1).order_by().iterator():
            yield (
                f"{row['instance__instance_id']}: task {row['task_id']}, attempt {row['attempt']} of execution "
                f"{row['execution']} has ended {row['count']} times"
            )


def leftovers(hub: TaskHub) -> Iterator[str]:
    """An ended instance has no timer to fire, no open wait, no message, and no activity that nobody will hear of."""
    ended = Q(instance__status__in=TERMINAL, instance__is_entity=False)
    kinds = (
        ("a pending timer", hub.rows(Timer).filter(ended, state=Timer.State.PENDING)),
        ("an open wait", hub.rows(OpenWait).filter(ended)),
        ("an open task for people", hub.rows(HumanTask).filter(ended, state__in=HumanTask.LIVE)),
        ("a message", hub.rows(InboxMessage).filter(ended, visible_at__lt=hub.now - GRACE, instance__lease_token=None)),
        (
            "an activity",
            # What nobody awaits runs to its end after a normal completion.
            hub.rows(ActivityWorkItem).filter(ended).exclude(instance__status=RuntimeStatus.COMPLETED),
        ),
    )
    for kind, rows in kinds:
        for instance_id, status in rows.values_list("instance__instance_id", "instance__status").distinct().iterator():
            yield f"{instance_id} is {status} and has {kind}"


def ends(hub: TaskHub) -> Iterator[str]:
    """The history of an ended instance has one end, which says its status; that of a live one has none."""
    history = HistoryEvent.objects.filter(instance_id=OuterRef("pk"), execution=OuterRef("execution"))
    end = history.filter(type=EventType.EXECUTION_COMPLETED)
    for status in sorted(TERMINAL):
        fits = end.filter(attributes__contains=f'"status":"{status}"')
        for instance_id in _ids(hub.ended().filter(status=status).exclude(Exists(fits))):
            yield f"{instance_id} is {status}, and its history does not say so"
    live = hub.rows(Instance).filter(ORCHESTRATION).exclude(status__in=TERMINAL)
    for instance_id, status in live.filter(Exists(end)).values_list("instance_id", "status").iterator():
        yield f"{instance_id} is {status}, and its history has an end"
    events = hub.rows(HistoryEvent).filter(type=EventType.EXECUTION_COMPLETED, execution=F("instance__execution"))
    counted = events.values("instance__instance_id").annotate(count=Count("pk")).filter(count__gt=1).order_by()
    for row in counted.iterator():
        yield f"{row['instance__instance_id']}: its history has {row['count']} ends"


def leases(hub: TaskHub) -> Iterator[str]:
    """What workers that are gone held is freed within a sweep."""
    late = hub.now - timedelta(seconds=get_config().sweep_seconds + LEASE_GRACE_SECONDS)
    for worker, expired in hub.rows(WorkerLease).filter(expires_at__lt=late).values_list("worker", "expires_at"):
        yield f"the lease of {worker} expired at {expired:%Y-%m-%d %H:%M:%S} and is still there"
    lease = WorkerLease.objects.filter(token=OuterRef("lease_token"))
    for model, owner in ((Instance, "instance_id"), (ActivityWorkItem, "instance__instance_id")):
        held = hub.rows(model).filter(lease_token__isnull=False).exclude(Exists(lease))
        for instance_id in held.values_list(owner, flat=True).distinct().iterator():
            yield f"{instance_id} is held by a lease that is gone"


def orphans(hub: TaskHub) -> Iterator[str]:
    """Every row belongs to an instance."""
    owner = Instance.objects.filter(pk=OuterRef("instance_id"))
    for model in BELONGINGS:
        rows: QuerySet[Any] = model._default_manager.using(hub.store.using).exclude(Exists(owner))
        if model is InboxMessage:  # one that was sent during a purge is dropped a minute later
            rows = rows.filter(created_at__lt=hub.now - GRACE)
        if count := rows.count():
            yield f"{model._meta.db_table} has {count:,} rows of instances that are gone"


def files(hub: TaskHub) -> Iterator[str]:
    """Every large payload has its file, and every reference its record."""
    for row in hub.rows(LargePayload).values("name", "instance__instance_id").order_by("pk").iterator():
        if not payload_files.exists(row["name"]) and hub.rows(LargePayload).filter(name=row["name"]).exists():
            yield f"{row['instance__instance_id']}: the file {row['name']} is missing"
    for model, owner, column in payload_files_columns():
        rows = hub.rows(model).filter(**{f"{column}__startswith": payload_files.PREFIX})
        for instance_id, text in rows.values_list(owner, column).iterator():
            name = payload_files.name_of(text)
            if not LargePayload.objects.using(hub.store.using).filter(name=name).exists():
                yield f"{instance_id}: the file {name} is not recorded, so that a purge would leave it"


def payload_files_columns() -> tuple[tuple[Any, str, str], ...]:
    """Every column that may hold a reference, with the path from its row to the instance's id."""
    instance = ((Instance, "instance_id", column) for column in ("input", "first_input", "output", "failure"))
    others = ((HistoryEvent, "payload"), (InboxMessage, "payload"), (Entity, "state"))
    return (*instance, *((model, "instance__instance_id", column) for model, column in others))


CHECKS: dict[str, Check] = {
    check.__name__: check for check in (sequences, completions, leftovers, ends, leases, orphans, files)
}
"""All checks by name, in the order of running."""


def _ids(rows: QuerySet[Instance]) -> Iterator[str]:
    return iter(rows.values_list("instance_id", flat=True).iterator())
