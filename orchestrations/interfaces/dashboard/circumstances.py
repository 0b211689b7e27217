"""What surrounds an instance and bears on why it stands where it does: its workers, its work, and who it waits for.

Only what the sentence at the top of the page needs is asked, so that a page costs the same however large the instance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from orchestrations.access.permissions import Audience
from orchestrations.conf import get_config
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.fleet import Fleet, look
from orchestrations.interfaces.dashboard.presentation.requested import Requested
from orchestrations.interfaces.dashboard.presentation.spans import attributes
from orchestrations.interfaces.dashboard.presentation.waits import Wait, read_waits
from orchestrations.interfaces.dashboard.versions import CONTROL_TYPES, coming_of
from orchestrations.models import ActivityWorkItem, Entity, HistoryEvent, InboxMessage, Instance, OpenWait
from orchestrations.reading.queries import LIST_COLUMNS

BROUGHT_BY = {RuntimeStatus.SUSPENDED: "ExecutionSuspended", RuntimeStatus.TERMINATED: "ExecutionTerminated"}
COMING_SHOWN = 5
ITEMS_READ = 500  # activities of one instance that are looked at
RECENT_EVENTS = 2_000  # in which the failure before a retry is looked for
FAILURES = (EventType.TASK_FAILED.value, EventType.SUB_ORCHESTRATION_FAILED.value)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Each part is empty where it was not needed."""

    now: datetime
    waits: list[Wait] = field(default_factory=list)
    control: Requested | None = None
    """The act that suspended or terminated the instance."""
    coming: Sequence[Requested] = ()
    """Acts that no worker has taken up yet."""
    fleet: Fleet | None = None
    items: Mapping[int, ActivityWorkItem] = field(default_factory=dict)
    """Its activities that have not ended, by task id."""
    children: Mapping[str, Instance] = field(default_factory=dict)
    entities: Mapping[str, Entity] = field(default_factory=dict)
    audiences: Mapping[int, Audience] = field(default_factory=dict)
    """Who is asked, by the wait's task id."""
    last_failure: HistoryEvent | None = None
    """What the task failed with that is about to be tried again."""


def circumstances(instance: Instance, now: datetime) -> Circumstances:
    """Look around, for an instance that ``load`` has read: by at most four queries."""
    is_over = instance.runtime_status.is_terminal
    waits = [] if is_over else read_waits(instance.waits)
    lead = waits[0] if waits else None
    kinds = {wait.kind for wait in waits}
    leads = lead.kind if lead else ""
    return Circumstances(
        now=now,
        waits=waits,
        control=_brought_by(instance),
        coming=_coming(instance),
        fleet=None if is_over or leads == "Human" else look(instance.hub),
        items=_items(instance) if "Activity" in kinds else {},
        children=_children(instance, waits) if leads == "SubOrchestration" else {},
        entities=_entities(instance, waits) if leads in ("EntityLock", "EntityOperation") else {},
        audiences=_audiences(instance) if leads == "Human" else {},
        last_failure=_last_failure(instance, lead) if lead is not None and leads == "Retry" else None,
    )


def control_messages(instance: Instance) -> QuerySet[InboxMessage]:
    """Acts of people that are on their way to the instance, oldest first."""
    rows = InboxMessage.objects.using(get_config().database)
    return rows.filter(instance_id=instance.pk, type__in=CONTROL_TYPES).order_by("pk")


def entity_ids(wait: Wait) -> list[str]:
    """The entities that a wait for a lock or an operation is about."""
    if wait.kind == "EntityOperation":
        return [wait.instance_id] if wait.instance_id else []
    return [f"@{part.removeprefix('@')}" for part in wait.name.split(", @")] if is_entity_id(wait.name) else []


def _coming(instance: Instance) -> list[Requested]:
    if coming_of(instance) is None:
        return []
    return [requested(row, row.created_at) for row in control_messages(instance)[:COMING_SHOWN]]


def _brought_by(instance: Instance) -> Requested | None:
    event_type = BROUGHT_BY.get(instance.runtime_status)
    if event_type is None:
        return None
    event = _history(instance).filter(type=event_type).order_by("-sequence").first()
    return requested(event, event.timestamp) if event else None


def requested(row: HistoryEvent | InboxMessage, at: datetime) -> Requested:
    """Who asked for it and why, of an event or message of control."""
    told = attributes(row)
    return Requested(row.type, str(told.get("by") or ""), str(told.get("reason") or ""), at)


def _history(instance: Instance) -> QuerySet[HistoryEvent]:
    rows = HistoryEvent.objects.using(get_config().database)
    return rows.filter(instance_id=instance.pk, execution=instance.execution).defer("payload")


def _items(instance: Instance) -> dict[int, ActivityWorkItem]:
    rows = ActivityWorkItem.objects.using(get_config().database)
    rows = rows.filter(instance_id=instance.pk, execution=instance.execution).order_by("task_id")
    return {row.task_id: row for row in rows[:ITEMS_READ]}


def _children(instance: Instance, waits: Sequence[Wait]) -> dict[str, Instance]:
    ids = [wait.instance_id for wait in waits if wait.kind == "SubOrchestration" and wait.instance_id]
    rows = Instance.objects.using(get_config().database).filter(hub=instance.hub, instance_id__in=ids)
    return {row.instance_id: row for row in rows.only(*LIST_COLUMNS)}


def _entities(instance: Instance, waits: Sequence[Wait]) -> dict[str, Entity]:
    ids = [entity_id for wait in waits for entity_id in entity_ids(wait)]
    rows = Entity.objects.using(get_config().database).filter(instance__hub=instance.hub, instance__instance_id__in=ids)
    return {str(row): row for row in rows.defer("state")}


def _audiences(instance: Instance) -> dict[int, Audience]:
    rows = OpenWait.objects.using(get_config().database).filter(instance_id=instance.pk, execution=instance.execution)
    asked = rows.exclude(title="").values_list("wait_id", "request")[:COMING_SHOWN]
    return {wait_id: Audience.of(request) for wait_id, request in asked}


def _last_failure(instance: Instance, wait: Wait) -> HistoryEvent | None:
    recent = _history(instance).filter(sequence__gt=instance.last_sequence - RECENT_EVENTS)
    failed = recent.filter(type__in=FAILURES, task_id=wait.task_id)
    return failed.defer(None).order_by("-sequence").first()
