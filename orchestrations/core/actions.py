"""Actions: what an episode decided, for the store to perform in the transaction that records the decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from orchestrations.core.events import EventType, HistoryEvent


@dataclass(slots=True)
class ScheduleTask:
    """Run an activity. ``sequence`` is that of its TaskScheduled event, which holds the input."""

    task_id: int
    name: str
    input: str | None
    attempt: int = 1
    timeout_seconds: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    sequence: int = 0
    heartbeat_timeout_seconds: float | None = None
    heartbeat_details: str | None = None  # of the attempt before, as JSON text


@dataclass(slots=True)
class CreateTimer:
    """Fire at ``due_at``; ``attempt`` is 0 for a timer of the author's, else the retry attempt that it delays."""

    task_id: int
    due_at: datetime
    attempt: int = 0


@dataclass(slots=True)
class CancelTimer:
    """Let the timer never fire."""

    task_id: int
    attempt: int = 0


@dataclass(slots=True)
class CreateSubOrchestration:
    """Start a child instance. With ``fire_and_forget`` the parent is not told how it ends."""

    task_id: int
    name: str
    input: str | None
    instance_id: str
    version: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    fire_and_forget: bool = False
    attempt: int = 1


@dataclass(slots=True)
class SendEvent:
    """Raise an external event for another instance; an unknown target drops it silently, as in Durable Task."""

    task_id: int
    instance_id: str
    name: str
    payload: str | None


@dataclass(slots=True)
class DeliverEvent:
    """Put an event into an instance's inbox, visible from ``visible_at`` on: how entities are spoken to, and answer."""

    instance_id: str
    event: HistoryEvent
    visible_at: datetime | None = None


@dataclass(slots=True)
class ApplyPatch:
    """Take the new path of a patch. Its history event says all; there is nothing to perform."""

    name: str


@dataclass(slots=True)
class CompleteOrchestration:
    """End the execution. ``status`` is Completed, Failed, Terminated or ContinuedAsNew."""

    status: str
    output: str | None = None
    failure: str | None = None  # FailureDetails as JSON text
    new_input: str | None = None
    new_version: str | None = None
    carried_events: list[HistoryEvent] = field(default_factory=list)
    suspended_by: HistoryEvent | None = None  # what came too late for this generation and holds the next one

    def carry_over(self, events: Iterable[HistoryEvent]) -> None:
        """Keep external events, and whether the instance is suspended, for the next generation."""
        for event in events:
            if event.type is EventType.EVENT_RAISED and "wait_id" in event.attributes:
                continue  # the answer to a question that ends with this generation
            if event.type is EventType.EVENT_RAISED:
                self.carried_events.append(event)
            elif event.type is EventType.EXECUTION_SUSPENDED:
                self.suspended_by = self.suspended_by or event
            elif event.type is EventType.EXECUTION_RESUMED:
                self.suspended_by = None


Action = (
    ScheduleTask
    | CreateTimer
    | CancelTimer
    | CreateSubOrchestration
    | SendEvent
    | DeliverEvent
    | ApplyPatch
    | CompleteOrchestration
)
