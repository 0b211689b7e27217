"""The store in plain Django ORM: any database, and the readable reference that the tuned stores must agree with.

It needs a statement for a row in places. Where the database can't skip locked rows, claims wait for one another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import Case, F, Max, Min, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from orchestrations.core.entity_ids import EntityId
from orchestrations.core.events import HistoryEvent as Event
from orchestrations.core.status import TERMINAL
from orchestrations.models import (
    ActivityWorkItem,
    Entity,
    HistoryEvent,
    InboxMessage,
    Instance,
    LargePayload,
    RaisedEventKey,
    Timer,
    WorkerLease,
)
from orchestrations.models.clock import Now
from orchestrations.store import rows
from orchestrations.store.composed import ComposedStore, Taken
from orchestrations.store.contract import (
    OVERDUE,
    ActivityCompletion,
    Checkpoint,
    ClaimedActivity,
    ClaimedInstance,
    InboxEvent,
    LoadedHistory,
    NewInstance,
)
from orchestrations.store.locking import in_order, locked, skip_locked
from orchestrations.store.rows import Row
from orchestrations.store.tables import BATCH, AttemptKey, EventKey, Fenced, Tables, Target, TaskKey, chunks

KEYS = 100  # alternatives in one condition; SQLite's parser nests them


class OrmTables(Tables):
    """The table operations as querysets."""

    def rows(self, model: type[models.Model]) -> QuerySet[Any]:
        """All rows of a table."""
        return model._default_manager.using(self.using)

    def instances(self) -> QuerySet[Instance]:
        """The instances of this task hub."""
        return Instance.objects.using(self.using).filter(hub=self.hub)

    def now(self) -> datetime:
        clock = self.rows(WorkerLease).filter(pk=0).aggregate(now=Coalesce(Max(Now()), Now()))
        now: datetime = clock["now"]
        return now

    def insert(self, model: type[models.Model], columns: Sequence[str], given: Collection[Row]) -> None:
        self.rows(model).bulk_create([model(**dict(zip(columns, row, strict=True))) for row in given])

    def delete(self, model: type[models.Model], columns: Sequence[str], keys: Collection[Row]) -> None:
        for condition in _one_of(columns, keys):
            self.rows(model).filter(condition).delete()

    def cancel_timers(self, columns: Sequence[str], keys: Collection[Row]) -> None:
        pending = self.rows(Timer).filter(state=Timer.State.PENDING)
        for condition in _one_of(columns, keys):
            pending.filter(condition).update(state=Timer.State.CANCELLED)

    def insert_messages(self, given: Collection[Row]) -> None:
        for row in given:
            values = dict(zip(rows.INBOX_COLUMNS, row, strict=True))
            if values["visible_at"] is None:
                values["visible_at"] = Now()
            self._insert_unless_taken(InboxMessage(**values))

    def remember_event_keys(self, keys: Sequence[EventKey]) -> set[EventKey]:
        return {(pk, key) for pk, key in keys if self._insert_unless_taken(RaisedEventKey(instance_id=pk, key=key))}

    def insert_instances(self, instances: Sequence[NewInstance]) -> dict[str, int]:
        created = {}
        for instance in instances:
            row = Instance(hub=self.hub, instance_id=instance.instance_id, **self._start_of(instance))
            if self._insert_unless_taken(row):
                created[instance.instance_id] = row.pk
        return created

    def replace_ended(self, instances: Sequence[NewInstance]) -> dict[str, int]:
        by_id = {instance.instance_id: instance for instance in instances}
        replaced = {}
        for batch in chunks(by_id, BATCH):
            ended = self._ended(instance_id__in=batch)
            for row in ended:
                instance = by_id[row.instance_id]
                if instance.parent_pk == row.pk:
                    continue
                start = self._start_of(instance) | rows.BLANK_COLUMNS
                start |= {"execution": F("execution") + 1, "created_at": Now(), "last_updated_at": Now()}
                self.instances().filter(pk=row.pk).update(**start)
                replaced[row.instance_id] = row.pk
        return replaced

    def find(self, pks: Collection[int], instance_ids: Collection[str]) -> list[Target]:
        columns = ("pk", "instance_id", "status", "claimable_at", "parent_id")
        found = {}
        for column, keys in (("pk", pks), ("instance_id", instance_ids)):
            for batch in chunks(keys, BATCH):
                for row in self.instances().filter(**{f"{column}__in": batch}).values_list(*columns):
                    found[row[0]] = Target(*row)
        return list(found.values())

    def insert_entities(self, entity_ids: Sequence[EntityId]) -> dict[str, int]:
        created = {}
        for entity_id in entity_ids:
            blanks = rows.ENTITY_BLANKS | {"name": entity_id.name, "is_entity": True}
            row = Instance(hub=self.hub, instance_id=str(entity_id), **blanks)
            if self._insert_unless_taken(row):
                created[row.instance_id] = row.pk
        return created

    def hold_entities(self, instance_ids: Collection[str]) -> dict[str, int]:
        held: dict[str, int] = {}
        for batch in chunks(sorted(instance_ids), BATCH):
            entities = self.instances().filter(is_entity=True, instance_id__in=batch)
            in_order(entities)  # the ORM knows no lock that a commit would not wait for
            held.update(entities.values_list("instance_id", "pk"))
        return held

    def write_entities(self, given: Collection[Row]) -> None:
        for row in given:
            values = dict(zip(rows.ENTITY_COLUMNS, row, strict=True))
            self.rows(Entity).update_or_create(instance_id=values.pop("instance_id"), defaults=values)

    def lock_idle_entities(self, pks: Collection[int]) -> list[int]:
        idle = self.instances().filter(is_entity=True, lease_token__isnull=True)
        return [
            pk
            for batch in chunks(sorted(pks), BATCH)
            for pk in skip_locked(idle.filter(pk__in=batch).order_by("pk")).values_list("pk", flat=True)
        ]

    def fence(self, token: int, checkpoints: Sequence[Checkpoint]) -> Fenced:
        held = set()
        for checkpoint in checkpoints:
            believed = self.rows(Instance).filter(
                pk=checkpoint.pk,
                execution=checkpoint.execution,
                last_sequence=checkpoint.last_sequence,
                lease_token=token,
            )
            if believed.update(**_updates(checkpoint)):
                held.add(checkpoint.pk)
        files = self.rows(LargePayload).filter(instance_id__in=held)
        return Fenced(held, set(files.values_list("instance_id", flat=True)), self.now())

    def take_completed(self, token: int, completions: Sequence[ActivityCompletion]) -> set[TaskKey]:
        taken = set()
        ended = {(c.key.instance_pk, c.key.execution, c.key.task_id, c.attempt) for c in completions}
        for pk, execution, task_id, attempt in sorted(ended):
            item = self.rows(ActivityWorkItem).filter(
                instance_id=pk, execution=execution, task_id=task_id, attempt=attempt, lease_token=token
            )
            deleted, _ = item.delete()
            if deleted:
                taken.add((pk, execution, task_id))
        return taken

    def update_held(
        self, token: int, columns: Sequence[str], given: Collection[Row], *, skips_locked: bool = False
    ) -> set[AttemptKey]:
        updated = set()
        for row in sorted(given, key=lambda row: row[:4]):
            pk, execution, task_id, attempt, *values = row
            items = self.rows(ActivityWorkItem).filter(
                instance_id=pk, execution=execution, task_id=task_id, attempt=attempt, lease_token=token
            )
            with self.atomic():
                chosen = [item.pk for item in (skip_locked(items) if skips_locked else items)]
                changes = dict(zip(columns, values, strict=True))
                if items.filter(pk__in=chosen).update(heartbeat_at=Now(), **changes):
                    updated.add((pk, execution, task_id, attempt))
        return updated

    def lock_ended(self, pks: Collection[int]) -> list[int]:
        return [row.pk for row in self._ended(pk__in=pks)]

    def _ended(self, **condition: Any) -> QuerySet[Instance]:
        ended = self.instances().filter(status__in=TERMINAL, **condition)
        return locked(ended.order_by("pk").only("pk", "instance_id"))

    def _insert_unless_taken(self, row: models.Model) -> bool:
        try:
            with transaction.atomic(self.using):
                row.save(using=self.using, force_insert=True)
        except IntegrityError:
            return False
        return True

    def _start_of(self, instance: NewInstance) -> dict[str, Any]:
        return {
            "name": instance.name,
            "version": instance.version,
            "tags": instance.tags,
            "input": instance.input,
            "claimable_at": Now() if instance.start_at is None else instance.start_at,
            "scheduled_start_at": instance.start_at,
            "parent_id": instance.parent_pk,
            "parent_execution": instance.parent_execution,
            "parent_task_id": instance.parent_task_id,
        }


def _one_of(columns: Sequence[str], keys: Collection[Row]) -> list[Q]:
    """Conditions that together match the rows whose columns have one of these values."""
    if len(columns) == 1:
        return [Q(**{f"{columns[0]}__in": [key for (key,) in batch]}) for batch in chunks(keys, BATCH)]
    alike = [Q(**dict(zip(columns, key, strict=True))) for key in keys]
    return [reduce(or_, batch) for batch in chunks(alike, KEYS)]


def _updates(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint makes of its instance."""
    updates: dict[str, Any] = {
        "status": checkpoint.status,
        "execution": checkpoint.new_execution,
        "last_sequence": checkpoint.new_last_sequence,
        "custom_status": checkpoint.custom_status,
        "completed_at": checkpoint.completed_at,
        "output": checkpoint.output,
        "failure": checkpoint.failure,
        "error": rows.line("error", checkpoint.error),
        "error_fingerprint": checkpoint.error_fingerprint,
        "waiting_for": rows.line("waiting_for", checkpoint.waiting_for),
        "waits": checkpoint.waits,
        "blocked_at": rows.line("blocked_at", checkpoint.blocked_at),
        "blocked_code": rows.line("blocked_code", checkpoint.blocked_code),
        "blocked_stack": checkpoint.blocked_stack,
        "claimable_at": checkpoint.claimable_at,
        "attempts": 0,
        "last_updated_at": Now(),
    }
    if checkpoint.started_at is not None:
        updates["started_at"] = checkpoint.started_at
    if checkpoint.new_input is not None:
        [updates["input"]] = checkpoint.new_input
        has_begun_first = Q(first_version=None)
        updates["first_input"] = Case(When(has_begun_first, then=F("input")), default=F("first_input"))
        updates["first_version"] = Coalesce(F("first_version"), F("version"))
    if checkpoint.new_version is not None:
        updates["version"] = checkpoint.new_version
    if checkpoint.release:
        updates["lease_token"] = None
    return updates


class OrmStore(ComposedStore):
    """The store for every database that Django knows."""

    tables: OrmTables

    def __init__(self, hub: str, using: str) -> None:
        super().__init__(hub, using)
        self.tables = OrmTables(hub, using)

    def _take_instances(self, token: int, limit: int) -> Taken:
        ready = skip_locked(self._ready(Q(lease_token__isnull=True) | Q(lease_token=token), self.tables.now()))
        with self.tables.atomic():
            found = {row.pk: row for row in ready[:limit]}
            taken = self.tables.rows(Instance).filter(pk__in=list(found))
            taken.update(lease_token=token, attempts=F("attempts") + 1)
        now = self.tables.now()
        parents = self.tables.rows(Instance).filter(pk__in={row.parent_id for row in found.values() if row.parent_id})
        parent_ids = dict(parents.values_list("pk", "instance_id"))
        instances = {pk: _claimed(row, now, parent_ids.get(row.parent_id)) for pk, row in found.items()}
        return Taken(now, instances, {pk for pk, row in found.items() if row.lease_token is None})

    def _ready(self, free: Q, now: datetime) -> QuerySet[Instance]:
        """Instances with something to do: those tried least first, then those that wait longest."""
        messages = InboxMessage.objects.filter(instance_id=OuterRef("pk"), visible_at__lte=now)
        oldest = messages.order_by("visible_at").values("visible_at")[:1]
        due = Q(claimable_at__lte=now)
        return (
            self.tables.instances()
            .filter(free)
            .annotate(message_at=Subquery(oldest))
            .filter(due | Q(message_at__isnull=False))
            .annotate(
                ready_at=Case(
                    When(due & (Q(message_at=None) | Q(claimable_at__lte=F("message_at"))), then=F("claimable_at")),
                    default=F("message_at"),
                )
            )
            .order_by("attempts", "ready_at", "pk")
            .defer("input", "first_input", "output", "failure", "waits")
        )

    def _load_messages(self, claimed: Collection[ClaimedInstance], limit: int) -> list[tuple[int, InboxEvent]]:
        inbox = self.tables.rows(InboxMessage).filter(instance_id__in=[one.pk for one in claimed])
        takes_all = Q(instance_id__in=[one.pk for one in claimed if one.takes_all])
        return [
            (row.instance_id, InboxEvent(row.pk, row.execution, *_event(row, row.created_at)))
            for row in inbox.filter(takes_all | Q(visible_at__lte=self.tables.now())).order_by("pk")[:limit]
        ]

    def _load_history(self, executions: Mapping[int, int]) -> dict[int, LoadedHistory]:
        inputs = self.tables.rows(Instance).filter(pk__in=list(executions)).values_list("pk", "input")
        found = {pk: LoadedHistory(text, []) for pk, text in inputs}
        for pk, loaded in found.items():
            history = self.tables.rows(HistoryEvent).filter(instance_id=pk, execution=executions[pk])
            for row in history.order_by("sequence"):
                loaded.append(*_event(row, row.timestamp, row.sequence))
        return found

    def _take_activities(self, token: int, room: Mapping[str, int]) -> list[int]:
        items = self.tables.rows(ActivityWorkItem)
        now = self.tables.now()
        free = items.filter(hub=self.hub, lease_token__isnull=True, visible_at__lte=now).order_by("visible_at", "pk")
        with self.tables.atomic():
            taken = [row.pk for kind, number in room.items() for row in skip_locked(free.filter(runs_on=kind))[:number]]
            items.filter(pk__in=taken).update(lease_token=token, dispatches=F("dispatches") + 1, started_at=now)
        return taken

    def _load_activities(self, pks: Collection[int]) -> list[ClaimedActivity]:
        items = self.tables.rows(ActivityWorkItem).filter(pk__in=list(pks)).select_related("instance")
        return [self._activity(item) for item in items.order_by("visible_at", "pk")]

    def _activity(self, item: ActivityWorkItem) -> ClaimedActivity:
        scheduled = self.tables.rows(HistoryEvent).filter(
            instance_id=item.instance_id, execution=item.execution, sequence=item.sequence
        )
        payload, attributes = scheduled.values_list("payload", "attributes").first() or (None, None)
        scheduled_with = rows.scheduled_with(attributes)
        return ClaimedActivity(
            instance_pk=item.instance_id,
            instance_id=item.instance.instance_id,
            execution=item.execution,
            task_id=item.task_id,
            attempt=item.attempt,
            name=item.name,
            input=payload,
            timeout_seconds=item.timeout_seconds,
            dispatches=item.dispatches,
            tags=scheduled_with.get("tags") or {},
            generation=item.generation,
            heartbeat_timeout_seconds=scheduled_with.get("heartbeat_timeout_seconds"),
            heartbeat_details=item.heartbeat_details or scheduled_with.get("heartbeat_details"),
            deferred_until=item.deferred_until,
            runs_on=item.runs_on,
        )

    def fire_timers(self, limit: int = 500) -> int:
        with self.tables.atomic():
            timers = self.tables.rows(Timer)
            pending = timers.filter(hub=self.hub, state=Timer.State.PENDING, due_at__lte=self.tables.now())
            due = list(skip_locked(pending.order_by("due_at", "pk"))[:limit])
            live = self.tables.instances().filter(pk__in={timer.instance_id for timer in due})
            executions = set(live.exclude(status__in=TERMINAL).values_list("pk", "execution"))
            fired = [timer for timer in due if (timer.instance_id, timer.execution) in executions]
            timers.filter(pk__in=[timer.pk for timer in due]).update(state=Timer.State.CANCELLED)
            timers.filter(pk__in=[timer.pk for timer in fired]).update(state=Timer.State.FIRED)
            self.tables.insert_messages(
                [
                    rows.timer_fired_row(self.hub, (t.instance_id, t.execution, t.task_id, t.attempt), t.due_at)
                    for t in fired
                ]
            )
        return len(due)

    def next_due_at(self) -> datetime | None:
        now = self.tables.now()
        free = self.tables.rows(ActivityWorkItem).filter(hub=self.hub, lease_token__isnull=True)
        upcoming = (
            (self.tables.rows(Timer).filter(hub=self.hub, state=Timer.State.PENDING), "due_at"),
            (self.tables.instances().filter(claimable_at__gt=now), "claimable_at"),
            (self.tables.rows(InboxMessage).filter(hub=self.hub, visible_at__gt=now), "visible_at"),
            (free.filter(visible_at__gt=now), "visible_at"),
        )
        moments = [queryset.aggregate(due=Min(column))["due"] for queryset, column in upcoming]
        return min((moment for moment in moments if moment is not None), default=None)

    def has_work(self, *, overdue: bool = False) -> bool:
        now = self.tables.now() - (OVERDUE if overdue else timedelta(0))
        free = self.tables.rows(ActivityWorkItem).filter(hub=self.hub, lease_token__isnull=True)
        return self._ready(Q(lease_token__isnull=True), now).exists() or free.filter(visible_at__lte=now).exists()


def _event(row: InboxMessage | HistoryEvent, timestamp: datetime, sequence: int = 0) -> tuple[Event, str]:
    return rows.event_from(
        row.type, timestamp, row.task_id, row.name, row.payload, row.attempt, row.attributes, sequence
    )


def _claimed(row: Instance, now: datetime, parent_instance_id: str | None) -> ClaimedInstance:
    return ClaimedInstance(
        pk=row.pk,
        instance_id=row.instance_id,
        name=row.name,
        version=row.version,
        status=row.status,
        execution=row.execution,
        last_sequence=row.last_sequence,
        begins=row.claimable_at is not None and row.claimable_at <= now,
        attempts=row.attempts + 1,
        created_at=row.created_at,
        tags=row.tags,
        custom_status=row.custom_status,
        parent_pk=row.parent_id,
        parent_instance_id=parent_instance_id,
        parent_execution=row.parent_execution,
        parent_task_id=row.parent_task_id,
        claimable_at=row.claimable_at,
    )
