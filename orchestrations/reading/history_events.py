"""The history of one execution as the Durable Functions API shows it: completions merged with what they complete.

Rows in, dictionaries with PascalCase keys out. Payloads pass through ``value``, so that Python callers get values and
the HTTP interface copies the stored JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from orchestrations.core.events import EventType
from orchestrations.models import HistoryEvent

Item = dict[str, Any]
Value = Callable[[str | None], Any]

SCHEDULED_BY = {
    EventType.TASK_COMPLETED: EventType.TASK_SCHEDULED,
    EventType.TASK_FAILED: EventType.TASK_SCHEDULED,
    EventType.SUB_ORCHESTRATION_COMPLETED: EventType.SUB_ORCHESTRATION_CREATED,
    EventType.SUB_ORCHESTRATION_FAILED: EventType.SUB_ORCHESTRATION_CREATED,
    EventType.ENTITY_COMPLETED: EventType.ENTITY_CALLED,
    EventType.ENTITY_FAILED: EventType.ENTITY_CALLED,
}
FAILURES = frozenset({EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED, EventType.ENTITY_FAILED})
SCHEDULED = frozenset(SCHEDULED_BY.values())
SUCCEEDED = frozenset(SCHEDULED_BY) - FAILURES
LOCKS = frozenset({EventType.ENTITY_LOCK_REQUESTED, EventType.ENTITY_LOCK_GRANTED, EventType.ENTITY_UNLOCK_SENT})
CONTROL = frozenset(
    {
        EventType.EXECUTION_TERMINATED,
        EventType.EXECUTION_SUSPENDED,
        EventType.EXECUTION_RESUMED,
        EventType.EXECUTION_REWOUND,
        EventType.EXECUTION_FORKED,
    }
)


def project_history(
    rows: Iterable[HistoryEvent], *, value: Value, show_input: bool = True, show_output: bool = False
) -> list[Item]:
    """Describe the events in order. A scheduled activity or child that has ended is part of its completion only.

    ``show_input`` adds what functions were given, ``show_output`` what they returned; failures are always told.
    """
    open_items: dict[tuple[EventType, int | None, int], int] = {}
    scheduled: dict[int, HistoryEvent] = {}
    items: list[Item | None] = []
    for row in rows:
        kind = EventType(row.type)
        item = _heading(kind, row)
        if kind in SCHEDULED_BY:
            index = open_items.pop((SCHEDULED_BY[kind], row.task_id, row.attempt), None)
            if index is not None:
                item |= _scheduled_part(scheduled.pop(index), value, show_input)
                items[index] = None
        elif kind in SCHEDULED:
            open_items[kind, row.task_id, row.attempt] = len(items)
            scheduled[len(items)] = row
        items.append(item | _own_part(kind, row, value, show_input, show_output))
    return [item for item in items if item is not None]


def describe_event(row: HistoryEvent, *, value: Value, show_input: bool = True, show_output: bool = False) -> Item:
    """Describe one event by itself: what ``project_history`` says of its type, with ``Sequence``, its number.

    ``TaskId`` and ``Attempt`` tell which events belong together, of those that have them.
    """
    kind = EventType(row.type)
    task: Item = {} if row.task_id is None else {"TaskId": row.task_id, "Attempt": row.attempt}
    own = _own_part(kind, row, value, show_input, show_output)
    return {"Sequence": row.sequence} | _heading(kind, row) | task | own


def format_timestamp(instant: datetime) -> str:
    """ISO 8601 in UTC with seven digits of fraction, as .NET writes it."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def _heading(kind: EventType, row: HistoryEvent) -> Item:
    return {"EventType": kind.value, "Timestamp": format_timestamp(row.timestamp)}


def _instant(text: str | None) -> str | None:
    return None if text is None else format_timestamp(datetime.fromisoformat(text))


def _scheduled_part(row: HistoryEvent, value: Value, show_input: bool) -> Item:
    part: Item = {"ScheduledTime": format_timestamp(row.timestamp), "FunctionName": row.name}
    if show_input:
        part["Input"] = value(row.payload)
    return part


def _own_part(kind: EventType, row: HistoryEvent, value: Value, show_input: bool, show_output: bool) -> Item:
    """What this type of event has beside its type and instant."""
    attributes = _attributes(row)
    if kind in FAILURES:
        return _failure_part(row.payload)
    if kind in CONTROL:
        return {"Reason": attributes.get("reason", "")}
    if kind in SUCCEEDED:
        return {"Result": value(row.payload)} if show_output else {}
    if kind is EventType.EXECUTION_STARTED:
        return {"FunctionName": row.name}
    if kind is EventType.EXECUTION_COMPLETED:
        return _completion_part(attributes.get("status"), row.payload, value, show_output)
    if kind in (EventType.TIMER_CREATED, EventType.TIMER_FIRED):
        return {"FireAt": _instant(attributes.get("fire_at"))}
    if kind in LOCKS:
        return {"Entities": attributes["entities"]} if "entities" in attributes else {}
    part: Item = {"Name": row.name}
    if "instance_id" in attributes:
        part["InstanceId"] = attributes["instance_id"]
    if show_input:
        part["Input"] = value(row.payload)
    return part


def _completion_part(status: str | None, payload: str | None, value: Value, show_output: bool) -> Item:
    part: Item = {"OrchestrationStatus": status}
    if status == "Failed":
        return part | _failure_part(payload)
    return part | ({"Result": value(payload)} if show_output else {})


def _failure_part(payload: str | None) -> Item:
    failure = _object(payload)
    return {
        "Reason": failure.get("errorMessage", ""),
        "Details": failure.get("stackTrace", ""),
        "FailureDetails": _pascal_case(failure),
    }


def _pascal_case(failure: dict[str, Any] | None) -> Item | None:
    if not failure:
        return None
    item: Item = {
        "ErrorType": failure.get("errorType"),
        "ErrorMessage": failure.get("errorMessage"),
        "StackTrace": failure.get("stackTrace"),
        "InnerFailure": _pascal_case(failure.get("innerFailure")),
        "IsNonRetriable": failure.get("isNonRetriable", False),
        "Properties": failure.get("properties"),
    }
    if members := failure.get("members"):  # of a group of exceptions, which Durable Functions doesn't know
        item["Members"] = [_pascal_case(member) for member in members]
    return item


def _attributes(row: HistoryEvent) -> dict[str, Any]:
    return _object(row.attributes)


def _object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    parsed = json.loads(text)
    return parsed if isinstance(parsed, dict) else {}
