"""Holding the code's decisions against the history, and new events against what is still open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrations.core.actions import Action
from orchestrations.core.coroutines import Location
from orchestrations.core.entity_calls import EntityTask
from orchestrations.core.errors import NonDeterminismError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.tasks import ActionTask, TimerTask

if TYPE_CHECKING:
    from orchestrations.core.execution import Execution


@dataclass(slots=True)
class Decision:
    """What the code decided: the event that records it, the action that performs it, and where in the code."""

    event: HistoryEvent
    action: Action
    location: Location | None = None


REMEDY = (
    "Deploy the code that this instance began with, or one that makes the same calls in the same order, and rewind it; "
    "new behaviour for old instances belongs behind a version."
)


def match(decision: Decision, stored: HistoryEvent) -> None:
    """Raise NonDeterminismError unless the decision is the one that the history has."""
    if _identity(decision.event) != _identity(stored):
        raise NonDeterminismError(
            f"Event {stored.sequence} of the history is {describe(stored)}, but the code decided "
            f"{describe(decision.event)}{_at(decision.location)}. {REMEDY}"
        )


def decided_too_little(stored: HistoryEvent, location: Location | None) -> NonDeterminismError:
    """The history has a decision that the code did not make."""
    return NonDeterminismError(
        f"Event {stored.sequence} of the history is {describe(stored)}, but the code decided nothing more there and "
        f"waits{_at(location)}. {REMEDY}"
    )


def decided_too_much(decision: Decision, stored: HistoryEvent | None) -> NonDeterminismError:
    """The code made a decision that the history does not have."""
    there = f"event {stored.sequence} of the history is {describe(stored)}" if stored else "the history ends there"
    return NonDeterminismError(
        f"The code decided {describe(decision.event)}{_at(decision.location)}, but {there}. {REMEDY}"
    )


def not_awaited(event: HistoryEvent, location: Location | None) -> NonDeterminismError:
    """The history has an event that the code, as it is now, could not have received."""
    return NonDeterminismError(
        f"Event {event.sequence} of the history is {describe(event)}, but the code had nothing open that it could "
        f"belong to{_at(location)}. {REMEDY}"
    )


def describe(event: HistoryEvent) -> str:
    """An event in words, for messages."""
    if event.type is EventType.EXECUTION_COMPLETED:
        return f"{event.type} ({event.attributes.get('status')})"
    name = f" {event.name!r}" if event.name else ""
    target = event.attributes.get("instance_id")
    to = f" for instance {target!r}" if target else ""
    if entities := event.attributes.get("entities"):
        to = f" for {', '.join(entities)}"
    attempt = f", attempt {event.attempt}" if event.attempt > 1 else ""
    one_way = ", fire and forget" if event.attributes.get("fire_and_forget") else ""
    task = f" (task {event.task_id}{attempt}{one_way})" if event.task_id is not None else ""
    return f"{event.type}{name}{to}{task}"


def _identity(event: HistoryEvent) -> tuple[object, ...]:
    name = event.name.casefold() if event.name else event.name
    if event.type is EventType.EXECUTION_COMPLETED:
        return (event.type, event.attributes.get("status"))
    target = event.attributes.get("instance_id")
    entities = tuple(event.attributes.get("entities", ()))
    one_way = bool(event.attributes.get("fire_and_forget"))
    return (event.type, event.task_id, event.attempt, name, target, entities, one_way)


def _at(location: Location | None) -> str:
    return f" at {location}" if location else ""


# New events ------------------------------------------------------------------------------------------------------


def accepts(execution: Execution, event: HistoryEvent) -> bool:
    """Whether the event means anything to the execution now; a late or repeated one does not."""
    if event.goes_on:
        return True
    if execution.completion is not None:
        return False
    # What came while the instance was suspended waits to be processed, and is not to be recorded twice.
    return not execution.holds(event) and ACCEPTS[event.type](execution, event)


def check_came_late(execution: Execution, event: HistoryEvent) -> None:
    """Raise NonDeterminismError unless the stored event stands behind the end, where it waits for a rewind."""
    if execution.completion is None:
        raise not_awaited(event, execution.location)


def is_fact_for(execution: Execution, event: HistoryEvent) -> bool:
    """Whether an execution that has ended would have taken the event, had it not: an external event, or a result."""
    is_fact = event.type is EventType.EVENT_RAISED or event.task_id is not None
    return is_fact and not execution.holds(event) and ACCEPTS[event.type](execution, event)


def _awaits_action(execution: Execution, event: HistoryEvent) -> bool:
    """A result given by hand ends the call whichever attempt it is at, also between two of them."""
    task = execution.tasks.get(event.task_id or 0)
    if not isinstance(task, ActionTask) or task.child_id is not None:
        return False
    if event.attributes.get("by_hand"):
        return not task.has_ended
    return _is_open(task) and task.attempt == event.attempt


def _awaits_child(execution: Execution, event: HistoryEvent) -> bool:
    """A child tells its parent once for each of its executions, so its result needs no attempt to be told apart.

    One that completes between two attempts, because somebody has rewound it, leaves nothing to be tried again.
    """
    task = execution.tasks.get(event.task_id or 0)
    if not isinstance(task, ActionTask) or task.child_id is None:
        return False
    return not task.has_ended if event.type is EventType.SUB_ORCHESTRATION_COMPLETED else _is_open(task)


def _is_open(task: ActionTask) -> bool:
    return not task.has_ended and task.retry_at is None


def _awaits_timer(execution: Execution, event: HistoryEvent) -> bool:
    task = execution.tasks.get(event.task_id or 0)
    if isinstance(task, ActionTask):
        return task.retry_at is not None and task.attempt == event.attempt
    return isinstance(task, TimerTask) and not task.has_ended


def _awaits_entity(execution: Execution, event: HistoryEvent) -> bool:
    """An answer names its request: task ids begin anew where a rewind has cut the history off."""
    task = execution.tasks.get(event.task_id or 0)
    if not isinstance(task, EntityTask) or task.has_ended:
        return False
    return task.request_id == event.attributes.get("request_id")


def _awaits_lock(execution: Execution, event: HistoryEvent) -> bool:
    return execution.section is not None and execution.section.awaits(event)


def _awaits_event(execution: Execution, event: HistoryEvent) -> bool:
    """External events are kept until somebody waits; the answer to a question means nothing once that is closed."""
    if "wait_id" not in event.attributes:
        return True
    if event.attributes.get("generation") != execution.generation:
        return False
    return execution.external_events.is_open(event)


ACCEPTS: dict[EventType, Callable[[Execution, HistoryEvent], bool]] = {
    EventType.EXECUTION_STARTED: lambda execution, event: not execution.has_started,
    EventType.EXECUTION_TERMINATED: lambda execution, event: True,
    EventType.EXECUTION_SUSPENDED: lambda execution, event: execution.suspended_by is None,
    EventType.EXECUTION_RESUMED: lambda execution, event: execution.suspended_by is not None,
    EventType.TASK_COMPLETED: _awaits_action,
    EventType.TASK_FAILED: _awaits_action,
    EventType.SUB_ORCHESTRATION_COMPLETED: _awaits_child,
    EventType.SUB_ORCHESTRATION_FAILED: _awaits_child,
    EventType.TIMER_FIRED: _awaits_timer,
    EventType.EVENT_RAISED: _awaits_event,
    EventType.ENTITY_COMPLETED: _awaits_entity,
    EventType.ENTITY_FAILED: _awaits_entity,
    EventType.ENTITY_LOCK_GRANTED: _awaits_lock,
}
