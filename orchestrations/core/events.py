"""History events: what has happened to one execution of an orchestration, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """The Durable Task names of history events; all of them facts, in the past participle."""

    EXECUTION_STARTED = "ExecutionStarted"
    EXECUTION_COMPLETED = "ExecutionCompleted"
    EXECUTION_TERMINATED = "ExecutionTerminated"
    EXECUTION_SUSPENDED = "ExecutionSuspended"
    EXECUTION_RESUMED = "ExecutionResumed"
    EXECUTION_REWOUND = "ExecutionRewound"
    EXECUTION_FORKED = "ExecutionForked"
    TASK_SCHEDULED = "TaskScheduled"
    TASK_COMPLETED = "TaskCompleted"
    TASK_FAILED = "TaskFailed"
    TIMER_CREATED = "TimerCreated"
    TIMER_FIRED = "TimerFired"
    SUB_ORCHESTRATION_CREATED = "SubOrchestrationInstanceCreated"
    SUB_ORCHESTRATION_COMPLETED = "SubOrchestrationInstanceCompleted"
    SUB_ORCHESTRATION_FAILED = "SubOrchestrationInstanceFailed"
    EVENT_RAISED = "EventRaised"
    EVENT_SENT = "EventSent"
    ENTITY_SIGNALED = "EntityOperationSignaled"
    ENTITY_CALLED = "EntityOperationCalled"
    ENTITY_COMPLETED = "EntityOperationCompleted"
    ENTITY_FAILED = "EntityOperationFailed"
    ENTITY_LOCK_REQUESTED = "EntityLockRequested"
    ENTITY_LOCK_GRANTED = "EntityLockGranted"
    ENTITY_UNLOCK_SENT = "EntityUnlockSent"
    PATCH_APPLIED = "PatchApplied"


DECIDED = frozenset(
    {
        EventType.TASK_SCHEDULED,
        EventType.TIMER_CREATED,
        EventType.SUB_ORCHESTRATION_CREATED,
        EventType.EVENT_SENT,
        EventType.ENTITY_SIGNALED,
        EventType.ENTITY_CALLED,
        EventType.ENTITY_LOCK_REQUESTED,
        EventType.ENTITY_UNLOCK_SENT,
        EventType.PATCH_APPLIED,
        EventType.EXECUTION_COMPLETED,
    }
)
"""Events that record a decision of the orchestrator. All others arrived from outside."""

ANSWERED_WHILE_SUSPENDED = frozenset(
    {
        EventType.EXECUTION_TERMINATED,
        EventType.EXECUTION_RESUMED,
        EventType.EXECUTION_SUSPENDED,
        EventType.EXECUTION_FORKED,
    }
)
"""Events that an instance does not keep back until it is resumed."""


@dataclass(slots=True)
class HistoryEvent:
    """One row of history, or one inbox message on its way into it.

    ``task_id`` is the id of the action that the event belongs to; ``attempt`` counts retries of that action from 1.
    ``payload`` is JSON text exactly as encoded (``None`` stands for an absent value), ``attributes`` holds what only
    this type of event has. ``timestamp`` is aware UTC from the database's clock. ``sequence`` is 0 until the event is
    appended to the history.
    """

    type: EventType
    timestamp: datetime
    task_id: int | None = None
    name: str | None = None
    payload: str | None = None
    attempt: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)
    sequence: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether it has an execution go on from where its history was cut, deciding what the code now wants to."""
        return self.type is EventType.EXECUTION_REWOUND or self.type is EventType.EXECUTION_FORKED

    @property
    def is_decided(self) -> bool:
        """Whether the orchestrator decided this event, as opposed to receiving it."""
        return self.type in DECIDED

    def is_told_again_by(self, other: HistoryEvent) -> bool:
        """Whether the other tells the same of the same task. Each external event is a new one."""
        return self.task_id is not None and (self.type, self.task_id, self.attempt) == (
            other.type,
            other.task_id,
            other.attempt,
        )
