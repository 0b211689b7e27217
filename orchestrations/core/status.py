"""Runtime statuses of an orchestration instance, with the Durable Task names."""

from __future__ import annotations

from enum import StrEnum


class RuntimeStatus(StrEnum):
    """Where an instance stands. ContinuedAsNew is passing: the next generation is about to start."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    FAILED = "Failed"
    TERMINATED = "Terminated"
    CANCELED = "Canceled"
    CONTINUED_AS_NEW = "ContinuedAsNew"

    # The same members under the names that azure-functions-durable 1.x has for them.
    Pending = PENDING
    Running = RUNNING
    Suspended = SUSPENDED
    Completed = COMPLETED
    Failed = FAILED
    Terminated = TERMINATED
    Canceled = CANCELED
    ContinuedAsNew = CONTINUED_AS_NEW

    @property
    def is_terminal(self) -> bool:
        """Whether the instance has ended. Only a rewind (from Failed) or a new start under its id goes on from here."""
        return self in TERMINAL


OrchestrationRuntimeStatus = RuntimeStatus
"""The name that azure-functions-durable 1.x has for it."""

TERMINAL = frozenset({RuntimeStatus.COMPLETED, RuntimeStatus.FAILED, RuntimeStatus.TERMINATED, RuntimeStatus.CANCELED})
