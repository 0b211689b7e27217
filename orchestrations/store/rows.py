"""How contract objects become table rows, and rows become events. Pure: no SQL here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import Timer
from orchestrations.store.contract import (
    Checkpoint,
    EntityRecord,
    Message,
    NewInstance,
    NewTimer,
    NewWait,
    NewWorkItem,
)
from orchestrations.store.outbox_contract import NewDeadLetter, NewDelivery

Row = tuple[Any, ...]

INSTANCE_COLUMNS = (
    "hub",
    "instance_id",
    "name",
    "version",
    "tags",
    "input",
    "claimable_at",
    "scheduled_start_at",
    "parent_id",
    "parent_execution",
    "parent_task_id",
)
INBOX_COLUMNS = (
    "hub",
    "instance_id",
    "execution",
    "type",
    "task_id",
    "attempt",
    "name",
    "payload",
    "attributes",
    "visible_at",
    "idempotency_key",
)
HISTORY_COLUMNS = (
    "instance_id",
    "execution",
    "sequence",
    "type",
    "timestamp",
    "task_id",
    "attempt",
    "name",
    "payload",
    "attributes",
)
ACTIVITY_COLUMNS = (
    "hub",
    "instance_id",
    "execution",
    "task_id",
    "attempt",
    "sequence",
    "name",
    "timeout_seconds",
    "scheduled_at",
    "visible_at",
    "started_at",
    "dispatches",
    "lease_token",
    "generation",
    "runs_on",
)
TIMER_COLUMNS = ("hub", "instance_id", "execution", "task_id", "attempt", "due_at", "state")
WAIT_COLUMNS = (
    "hub",
    "instance_id",
    "execution",
    "wait_id",
    "name",
    "since",
    "due_at",
    "title",
    "request",
    "location",
)

DEAD_LETTER_COLUMNS = (
    "hub",
    "kind",
    "instance_pk",
    "instance_id",
    "execution",
    "position",
    "name",
    "deaths",
    "error",
    "payload",
)
DELIVERY_COLUMNS = ("hub", "webhook_id", "message_id", "event", "instance_pk", "instance_id", "execution", "body")

ENTITY_COLUMNS = (
    "hub",
    "instance_id",
    "name",
    "key",
    "state",
    "last_operation_at",
    "locked_by",
    "lock_id",
    "backlog",
    "callers",
)

REPLACED_COLUMNS = tuple(name for name in INSTANCE_COLUMNS if name not in {"hub", "instance_id", "claimable_at"})
"""What a new start under an ended instance's id takes from the new instance as it is."""

BLANK_COLUMNS: dict[str, Any] = {
    "status": RuntimeStatus.PENDING.value,
    "last_sequence": 0,
    "lease_token": None,
    "attempts": 0,
    "first_input": None,
    "first_version": None,
    "forked_from": None,
    "forked_step": None,
    "output": None,
    "custom_status": None,
    "failure": None,
    "error": "",
    "error_fingerprint": "",
    "waiting_for": "",
    "waits": None,
    "blocked_at": "",
    "blocked_code": "",
    "blocked_stack": None,
    "started_at": None,
    "completed_at": None,
}
"""What an instance looks like that has not begun."""

ENTITY_BLANKS = BLANK_COLUMNS | {"status": RuntimeStatus.RUNNING.value}
"""What the instance of an entity looks like that has had no operation."""

_EVENT_TYPES = {event.value: event for event in EventType}
_LINE_LENGTHS = {"error": 300, "waiting_for": 300, "blocked_at": 400, "blocked_code": 300, "title": 300}


def encode_attributes(attributes: dict[str, Any]) -> str | None:
    """The attributes of an event as JSON text; None for an empty dict."""
    return msgspec.json.encode(attributes).decode() if attributes else None


def event_from(
    kind: str,
    timestamp: datetime,
    task_id: int | None,
    name: str | None,
    payload: str | None,
    attempt: int,
    attributes: str | None,
    sequence: int = 0,
) -> tuple[HistoryEvent, str]:
    """The event that a row of history or inbox stands for, and why it can't be read; then it means nothing.

    In a rolling deployment a worker of the newer release writes what this one does not know.
    """
    try:
        decoded = msgspec.json.decode(attributes) if attributes else {}
        return HistoryEvent(_EVENT_TYPES[kind], timestamp, task_id, name, payload, attempt, decoded, sequence), ""
    except KeyError:
        problem = f"this worker knows no event of the type {kind!r}; a newer release has written it"
    except msgspec.DecodeError as error:
        problem = f"the attributes of an event of the type {kind!r} are damaged: {error}"
    return HistoryEvent(EventType.EVENT_RAISED, timestamp, sequence=sequence), problem


def scheduled_with(attributes: str | None) -> dict[str, Any]:
    """The attributes of a TaskScheduled event: with which options the activity was called."""
    options: dict[str, Any] = msgspec.json.decode(attributes) if attributes else {}
    return options


def line(column: str, text: str) -> str:
    """``text`` cut to what the column of that name takes; these columns are for lists, never for decisions."""
    return text[: _LINE_LENGTHS[column]]


def instance_row(hub: str, new: NewInstance) -> Row:
    """A row of INSTANCE_COLUMNS. A ``claimable_at`` of None stands for now."""
    tags = msgspec.json.encode(new.tags).decode() if new.tags else "{}"
    parent = (new.parent_pk, new.parent_execution, new.parent_task_id)
    return (hub, new.instance_id, new.name, new.version, tags, new.input, new.start_at, new.start_at, *parent)


def inbox_row(hub: str, pk: int, message: Message, visible_at: datetime | None) -> Row:
    """A row of INBOX_COLUMNS. A ``visible_at`` of None stands for now."""
    event = message.event
    return (
        hub,
        pk,
        message.execution,
        event.type,
        event.task_id,
        event.attempt,
        event.name,
        event.payload,
        encode_attributes(event.attributes),
        visible_at,
        message.idempotency_key,
    )


def timer_fired_row(hub: str, key: tuple[int, int, int, int], due_at: datetime) -> Row:
    """A row of INBOX_COLUMNS that tells of a due timer; ``key`` is its instance, execution, task id and attempt."""
    pk, execution, task_id, attempt = key
    attributes = encode_attributes({"fire_at": due_at.astimezone(UTC).isoformat(timespec="microseconds")})
    kind = EventType.TIMER_FIRED.value
    return (hub, pk, execution, kind, task_id, attempt, None, None, attributes, None, None)


def history_row(pk: int, execution: int, event: HistoryEvent) -> Row:
    """A row of HISTORY_COLUMNS."""
    return (
        pk,
        execution,
        event.sequence,
        event.type,
        event.timestamp,
        event.task_id,
        event.attempt,
        event.name,
        event.payload,
        encode_attributes(event.attributes),
    )


def activity_row(hub: str, checkpoint: Checkpoint, item: NewWorkItem, token: int, now: datetime) -> Row:
    """A row of ACTIVITY_COLUMNS: free and visible, or born claimed by ``token`` with its first dispatch counted."""
    held = (now, 1, token) if item.held else (None, 0, None)
    return (
        hub,
        checkpoint.pk,
        checkpoint.new_execution,
        item.task_id,
        item.attempt,
        item.sequence,
        item.name,
        item.timeout_seconds,
        now,
        now,
        *held,
        item.generation,
        item.runs_on,
    )


def timer_row(hub: str, checkpoint: Checkpoint, timer: NewTimer) -> Row:
    """A row of TIMER_COLUMNS, pending."""
    key = (checkpoint.pk, checkpoint.new_execution, timer.task_id, timer.attempt)
    return (hub, *key, timer.due_at, Timer.State.PENDING.value)


def entity_row(hub: str, pk: int, entity: EntityRecord, now: datetime) -> Row:
    """A row of ENTITY_COLUMNS."""
    lock = (entity.locked_by, entity.lock_id, entity.backlog)
    return (hub, pk, entity.name, entity.key, entity.state, entity.last_operation_at or now, *lock, entity.callers)


def wait_row(hub: str, checkpoint: Checkpoint, wait: NewWait) -> Row:
    """A row of WAIT_COLUMNS."""
    return (
        hub,
        checkpoint.pk,
        checkpoint.new_execution,
        wait.wait_id,
        wait.name,
        wait.since,
        wait.due_at,
        line("title", wait.title),
        wait.request,
        line("blocked_at", wait.location),
    )


def delivery_row(hub: str, delivery: NewDelivery) -> Row:
    """A row of DELIVERY_COLUMNS, pending and due at once."""
    told = (delivery.event, delivery.instance_pk, delivery.instance_id, delivery.execution, delivery.body)
    return (hub, delivery.webhook_pk, delivery.message_id, *told)


def dead_letter_row(hub: str, dead: NewDeadLetter) -> Row:
    """A row of DEAD_LETTER_COLUMNS."""
    work = (dead.instance_pk, dead.instance_id, dead.execution, dead.position, dead.name)
    return (hub, dead.kind, *work, dead.deaths, dead.error, dead.payload)
