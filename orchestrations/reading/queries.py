"""The read side: what pages, APIs and commands ask of the tables. Nothing here writes or takes a lock.

Lists never load payload columns, page by keyset (a deep page costs what the first one does) and count up to a cap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Length, Substr

from orchestrations import payload_files
from orchestrations.conf import get_config
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.events import EventType
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.errors import InstanceNotFound
from orchestrations.limits import (
    COUNT_CAP,
    HISTORY_PAGE,
    HISTORY_PAGE_BYTES,
    HISTORY_PREVIEW_CHARACTERS,
    LIST_PAGE,
)
from orchestrations.models import AuditEntry, Entity, HistoryEvent, Instance, OpenWait, WorkerLease
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.reading.paging import CappedCount, Page, keyset_page
from orchestrations.search import names
from orchestrations.search.filters import InstanceFilter as InstanceFilter
from orchestrations.search.filters import filter_instances as filter_instances
from orchestrations.search.filters import storable as storable
from orchestrations.search.marks import LIVE as LIVE
from orchestrations.search.names import named_like, orchestrations_named, prefixed

if TYPE_CHECKING:
    pass

PAYLOAD_COLUMNS = ("input", "output", "custom_status", "failure")
LARGE_COLUMNS = (*PAYLOAD_COLUMNS, "first_input")
"""Those that may hold much; what shows no payload loads none of them."""
LIST_COLUMNS = (
    "hub",
    "instance_id",
    "name",
    "version",
    "status",
    "tags",
    "execution",
    "error",
    "waiting_for",
    "blocked_at",
    "parent",
    "created_at",
    "scheduled_start_at",
    "started_at",
    "last_updated_at",
    "completed_at",
)
HISTORY_PAGE_CHUNK = 20  # events with payloads that are loaded at once
PARENTS_AT_ONCE = 500  # below every database's limit of parameters
ENDED = tuple(status for status in RuntimeStatus if status in TERMINAL)


# Instances --------------------------------------------------------------------------------------------------------


def get_instance(hub: str, instance_id: str, *, payloads: bool = False, using: str | None = None) -> Instance:
    """The instance, with its payload columns only where asked for; raises InstanceNotFound, also for an entity."""
    rows = Instance.objects.using(using or get_config().database).select_related("parent")
    rows = rows.defer(*(f"parent__{column}" for column in LARGE_COLUMNS))
    if not payloads:
        rows = rows.defer(*LARGE_COLUMNS)
    instance = rows.filter(ORCHESTRATION, hub=hub, instance_id=instance_id).first() if storable(instance_id) else None
    if instance is None:
        raise InstanceNotFound(instance_id)
    return instance


def creation_time(hub: str, instance_id: str, *, using: str | None = None) -> datetime | None:
    """When what has that id now was started, or None where nothing has. A new start under the same id changes it."""
    if not storable(instance_id):
        return None
    rows = Instance.objects.using(using or get_config().database).filter(hub=hub, instance_id=instance_id)
    return rows.values_list("created_at", flat=True).first()


def name_of(hub: str, instance_id: str, *, using: str | None = None) -> str:
    """The name of what has that id: an orchestrator's, or an entity's. Raises InstanceNotFound."""
    rows = Instance.objects.using(using or get_config().database).filter(hub=hub, instance_id=instance_id)
    name = rows.values_list("name", flat=True).first() if storable(instance_id) else None
    if name is None:
        raise InstanceNotFound(instance_id)
    return name


def newest_instance(hub: str) -> int | None:
    """The key of the hub's newest instance, or None where it has none."""
    rows = Instance.objects.using(get_config().database).filter(ORCHESTRATION, hub=hub)
    return rows.order_by("-created_at", "-pk").values_list("pk", flat=True).first()


def list_instances(
    hub: str,
    where: InstanceFilter | None = None,
    *,
    cursor: str | None = None,
    limit: int = LIST_PAGE,
    oldest_first: bool = False,
    using: str | None = None,
) -> Page[Instance]:
    """A page of instances, newest first unless asked otherwise, without payload columns. Raises InvalidCursor.

    ``limit`` is at most LIST_PAGE_MAXIMUM rows. Instances created meanwhile don't shift what a cursor points at.
    """
    rows = filter_instances(hub, where or InstanceFilter(), using=using).only(*LIST_COLUMNS)
    return keyset_page(rows, "created_at", cursor=cursor, limit=limit, oldest_first=oldest_first)


def count_instances(
    hub: str, where: InstanceFilter | None = None, *, cap: int = COUNT_CAP, using: str | None = None
) -> CappedCount:
    """How many instances the filter lets through, counted to the cap and no further."""
    rows = filter_instances(hub, where or InstanceFilter(), using=using).order_by()
    return CappedCount.of(rows[: cap + 1].count(), cap)


def orchestrator_names(hub: str, limit: int = 200) -> list[str]:
    """The names that occur among the hub's instances, in alphabetical order; for a filter's choices."""
    return names.orchestrator_names(hub, get_config().database, limit)


def hub_names(limit: int = 50) -> list[str]:
    """The task hubs that have instances, in alphabetical order; found as the names of orchestrators are."""
    rows = Instance.objects.using(get_config().database).order_by("hub")
    hubs: list[str] = []
    while len(hubs) < limit:
        following = rows.filter(hub__gt=hubs[-1]) if hubs else rows
        hub = following.values_list("hub", flat=True).first()
        if hub is None:
            break
        hubs.append(hub)
    return hubs


def children(instance: Instance, *, cursor: str | None = None, limit: int = LIST_PAGE) -> Page[Instance]:
    """A page of the instance's sub-orchestrations, of all its executions, newest first."""
    return list_instances(instance.hub, InstanceFilter(parent=instance), cursor=cursor, limit=limit)


def ended_only(where: InstanceFilter) -> InstanceFilter:
    """The same filter for ended instances alone: those of its statuses that are ends, or any end where it has none."""
    ended = tuple(status for status in ENDED if status in where.statuses)
    if where.statuses and not ended:
        return replace(where, statuses=(), nothing=True)
    return replace(where, statuses=ended or ENDED)


def descendants(*pks: int, using: str | None = None) -> list[int]:
    """The primary keys of these instances and of all instances below them, parents before children."""
    found = dict.fromkeys(pks)
    level = list(pks)
    while level:
        below = Instance.objects.using(using or get_config().database).filter(parent_id__in=level[:PARENTS_AT_ONCE])
        fresh = [child for child in below.order_by("pk").values_list("pk", flat=True) if child not in found]
        found.update(dict.fromkeys(fresh))
        level = level[PARENTS_AT_ONCE:] + fresh
    return list(found)


def live_children_count(instance: Instance, *, cap: int = COUNT_CAP) -> CappedCount:
    """How many sub-orchestrations of the instance have not ended: what a recursive terminate would reach first."""
    return count_instances(instance.hub, InstanceFilter(parent=instance, statuses=LIVE), cap=cap)


# History ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Consecutive history events. ``next_after`` goes into the next call; None at the end."""

    events: Sequence[HistoryEvent]
    next_after: int | None


def history(
    instance: Instance,
    execution: int | None = None,
    after: int = 0,
    limit: int = HISTORY_PAGE,
    *,
    types: Iterable[EventType] = (),
) -> HistoryPage:
    """Events of one execution (the current one by default) with a sequence above ``after``, in order.

    Payloads stay where they are: each event has ``payload_preview`` (its first characters) and ``payload_length`` (in
    characters; None where there is none). One that is kept in a file has no preview, and its length is in bytes.
    ``history_event`` loads one whole.
    """
    rows = (
        _events(instance, execution, after, types)
        .defer("payload")
        .annotate(payload_preview=Substr("payload", 1, HISTORY_PREVIEW_CHARACTERS), payload_length=Length("payload"))
    )
    events = described(list(rows[: limit + 1]))
    has_more = len(events) > limit
    return HistoryPage(events[:limit], events[limit - 1].sequence if has_more else None)


def history_with_payloads(
    instance: Instance,
    execution: int | None = None,
    after: int = 0,
    limit: int = HISTORY_PAGE,
    *,
    since: datetime | None = None,
    types: Iterable[EventType] = (),
    using: str | None = None,
) -> HistoryPage:
    """The same with whole payloads, and of what happened ``since`` an instant.

    It ends before ``limit`` where the payloads would have more than HISTORY_PAGE_BYTES; one event there always is.
    """
    rows = _events(instance, execution, after, types, using)
    if since is not None:
        rows = rows.filter(timestamp__gte=since)
    events: list[HistoryEvent] = []
    size = 0
    for event in rows[: limit + 1].iterator(chunk_size=HISTORY_PAGE_CHUNK):
        size += payload_files.length_of(vars(event)["payload"])
        if events and (len(events) == limit or size > HISTORY_PAGE_BYTES):
            return HistoryPage(events, events[-1].sequence)
        events.append(event)
    return HistoryPage(events, None)


def _events(
    instance: Instance, execution: int | None, after: int, types: Iterable[EventType], using: str | None = None
) -> QuerySet[HistoryEvent]:
    rows = HistoryEvent.objects.using(using or get_config().database).filter(
        instance_id=instance.pk, execution=execution or instance.execution, sequence__gt=after
    )
    wanted = [event_type.value for event_type in types]
    return (rows.filter(type__in=wanted) if wanted else rows).order_by("sequence")


def described(events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """Events with ``payload_preview`` and ``payload_length``: for a payload in a file its length, and no preview.

    So that a list opens no file.
    """
    for event in events:
        preview: str | None = vars(event)["payload_preview"]
        if payload_files.is_reference(preview):
            vars(event).update(payload_preview="", payload_length=payload_files.size_of(preview))
    return list(events)


def whole_history(
    instance: Instance, execution: int | None = None, *, using: str | None = None
) -> Iterator[HistoryEvent]:
    """All events of one execution with their payloads, in order.

    By default of the current one, and then up to the moment at which the row was read.
    """
    rows = HistoryEvent.objects.using(using or get_config().database).filter(instance_id=instance.pk)
    if execution is None or execution == instance.execution:
        rows = rows.filter(execution=instance.execution, sequence__lte=instance.last_sequence)
    else:
        rows = rows.filter(execution=execution)
    return rows.order_by("sequence").iterator(chunk_size=HISTORY_PAGE)


def history_event(instance: Instance, execution: int, sequence: int) -> HistoryEvent | None:
    """One event with its whole payload, or None where there is none of that number."""
    rows = HistoryEvent.objects.using(get_config().database)
    return rows.filter(instance_id=instance.pk, execution=execution, sequence=sequence).first()


def executions(instance: Instance, *, using: str | None = None) -> list[int]:
    """The executions whose history is kept, oldest first; the current one is always among them.

    The earlier ones were left by a rewind, or are earlier attempts of a sub-orchestration that was tried again.
    """
    rows = HistoryEvent.objects.using(using or get_config().database).filter(instance_id=instance.pk, sequence=1)
    kept = set(rows.values_list("execution", flat=True))
    return sorted(kept | {instance.execution})


# Waits and approvals ----------------------------------------------------------------------------------------------


def open_waits(
    hub: str,
    *,
    instance: Instance | None = None,
    visible: tuple[str, ...] | None = None,
    limit: int = LIST_PAGE,
) -> list[OpenWait]:
    """Waits for external events that are open now, the most urgent first; ``visible`` as in ``InstanceFilter``."""
    rows = _waits(hub).order_by(F("due_at").asc(nulls_last=True), "id")
    if instance is not None:
        rows = rows.filter(instance_id=instance.pk)
    if visible is not None:
        rows = rows.filter(orchestrations_named(hub, visible, get_config().database, "instance__name"))
    return list(rows[:limit])


def get_wait(hub: str, pk: int) -> OpenWait | None:
    """That wait with its instance, or None where it has been answered, has lapsed or never was."""
    return _waits(hub).filter(pk=pk).first()


def _waits(hub: str) -> QuerySet[OpenWait]:
    columns = (f"instance__{column}" for column in (*LARGE_COLUMNS, "waits"))
    return OpenWait.objects.using(get_config().database).filter(hub=hub).select_related("instance").defer(*columns)


# Entities ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EntityFilter:
    """Which entities a list shows; every field that is set narrows it. Instants are aware."""

    name: str = ""
    """In any case."""
    name_prefix: str = ""
    key_prefix: str = ""
    last_operation_from: datetime | None = None
    last_operation_to: datetime | None = None
    """Exclusive."""
    include_deleted: bool = False
    visible: tuple[str, ...] | None = None
    """As in ``InstanceFilter``."""


def get_entity(hub: str, entity_id: EntityId, *, using: str | None = None) -> Entity | None:
    """The entity with its state, or None where it has not had an operation yet."""
    rows = Entity.objects.using(using or get_config().database)
    if not storable(str(entity_id)):
        return None
    return rows.filter(instance__hub=hub, instance__instance_id=str(entity_id)).first()


def list_entities(
    hub: str,
    where: EntityFilter | None = None,
    *,
    states: bool = False,
    cursor: str | None = None,
    limit: int = LIST_PAGE,
    using: str | None = None,
) -> Page[Entity]:
    """A page of entities, the latest operation first; with their ``states`` only where asked for. Raises InvalidCursor.

    ``limit`` is at most LIST_PAGE_MAXIMUM rows. A row without its state has ``exists`` all the same.
    """
    rows = filter_entities(hub, where or EntityFilter(), using=using)
    rows = rows.annotate(exists=Q(state__isnull=False))
    return keyset_page(rows if states else rows.defer("state"), "last_operation_at", cursor=cursor, limit=limit)


def filter_entities(hub: str, where: EntityFilter, *, using: str | None = None) -> QuerySet[Entity]:
    """The entities that the filter lets through, in no order."""
    rows = Entity.objects.using(using or get_config().database).filter(hub=hub)
    if not all(storable(text) for text in (where.name, where.name_prefix, where.key_prefix)):
        return rows.none()
    if where.visible is not None:
        rows = rows.filter(named_like(where.visible, using or get_config().database))
    if not where.include_deleted:
        rows = rows.filter(state__isnull=False)
    if where.name:
        rows = rows.filter(name=where.name.lower())
    if where.name_prefix:
        rows = rows.filter(prefixed("name", where.name_prefix.lower(), rows.db))
    if where.key_prefix:
        rows = rows.filter(prefixed("key", where.key_prefix, rows.db))
    if where.last_operation_from:
        rows = rows.filter(last_operation_at__gte=where.last_operation_from)
    if where.last_operation_to:
        rows = rows.filter(last_operation_at__lt=where.last_operation_to)
    return rows


# Audit and workers ------------------------------------------------------------------------------------------------


def audit(
    hub: str, instance_id: str | None = None, *, cursor: str | None = None, limit: int = LIST_PAGE
) -> Page[AuditEntry]:
    """A page of the audit trail, newest first, of one instance id (whether or not it still exists) or of the hub."""
    rows = AuditEntry.objects.using(get_config().database).filter(hub=hub)
    if instance_id is not None:
        rows = rows.filter(instance_id=instance_id)
    return keyset_page(rows, None, cursor=cursor, limit=limit)


def workers(hub: str) -> list[WorkerLease]:
    """The worker processes that are registered, by name. One whose ``expires_at`` is past is presumed dead."""
    return list(WorkerLease.objects.using(get_config().database).filter(hub=hub).order_by("worker", "token"))
