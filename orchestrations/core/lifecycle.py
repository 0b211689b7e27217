"""What may become of an instance that somebody wants to hear of: webhooks and signals are about these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrations.core.status import RuntimeStatus


class LifecycleEvent(StrEnum):
    """A transition. The values are what webhooks choose by, and the end of their ``type``."""

    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    REWOUND = "rewound"
    CONTINUED_AS_NEW = "continued_as_new"
    WAITING_FOR_HUMAN = "waiting_for_human"


ENDS = {
    RuntimeStatus.COMPLETED: LifecycleEvent.COMPLETED,
    RuntimeStatus.FAILED: LifecycleEvent.FAILED,
    RuntimeStatus.TERMINATED: LifecycleEvent.TERMINATED,
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One transition of one instance, with the facts that are known when it is committed. No payloads.

    ``wait`` is for WAITING_FOR_HUMAN: the event's name, what is asked, and until when. ``at`` is the database's clock.
    """

    event: LifecycleEvent
    at: datetime
    hub: str
    instance_pk: int
    instance_id: str
    name: str
    version: str
    status: str
    execution: int
    created_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    parent_instance_id: str | None = None
    error: str = ""
    wait: Mapping[str, Any] | None = None

    @property
    def type(self) -> str:
        """What webhooks call it, such as ``orchestration.completed``."""
        return f"orchestration.{self.event.value}"
