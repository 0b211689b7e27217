"""What an instance waits for, read from ``Instance.waits`` and put into one sentence each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from orchestrations.interfaces.dashboard.presentation.durations import clock, distance, parse_instant

URGENCY = (
    "Human",
    "ExternalEvent",
    "Retry",
    "Activity",
    "SubOrchestration",
    "EntityLock",
    "EntityOperation",
    "Timer",
    "More",
)


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that is awaited. ``kind`` is one of URGENCY: the engine's kinds, with people and retries told apart."""

    kind: str
    name: str
    task_id: int | None = None
    since: datetime | None = None
    due_at: datetime | None = None
    attempt: int = 1
    max_attempts: int | None = None
    instance_id: str | None = None
    title: str = ""
    count: int = 0

    @property
    def attempts(self) -> str:
        """``attempt 3 of 5``, or nothing for a first attempt that has no retry policy."""
        if self.max_attempts:
            return f"attempt {self.attempt} of {self.max_attempts}"
        return f"attempt {self.attempt}" if self.attempt > 1 else ""

    def sentence(self, now: datetime, whom: str = "a person") -> str:
        """What is awaited since when and until when, for somebody who asks why it isn't moving.

        ``whom`` says who is asked, where that is known.
        """
        due = f", due {distance(self.due_at, now)} ({clock(self.due_at, now)})" if self.due_at else ""
        since = f" since {clock(self.since, now)}" if self.since else ""
        attempts = f", {self.attempts}" if self.attempts else ""
        match self.kind:
            case "Human":
                return full_stop(f"Waiting for {whom}{since}{due}: {self.title}")
            case "ExternalEvent":
                return f"Waiting for the external event {self.name}{since}{due}."
            case "Retry":
                when = f" {distance(self.due_at, now)} ({clock(self.due_at, now)})" if self.due_at else " soon"
                what = self.name or "The task"
                is_late = self.due_at is not None and self.due_at < now
                return f"{what} failed and {'was to be' if is_late else 'is'} tried again{when}{attempts}."
            case "Activity":
                return f"The activity {self.name} has been running or queued{since}{attempts}."
            case "SubOrchestration":
                return f"Waiting for the sub-orchestration {self.name}{since}{attempts}."
            case "EntityLock":
                return f"Waiting for the lock of {self.name}{since}."
            case "EntityOperation":
                return f"Waiting for the entity operation {self.name}{since}."
            case "Timer":
                return f"Waiting for {f'the timer {self.name}' if self.name else 'a timer'}{due or since}."
            case _:
                return f"And {self.count} more."


def full_stop(text: str) -> str:
    """The text as a sentence: with a full stop, unless it ends with one, asks, exclaims or was cut off."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def read_waits(text: str | None) -> list[Wait]:
    """The waits of an instance, those that need a person first. Text that is no such list reads as no waits."""
    try:
        entries = json.loads(text or "[]")
    except ValueError:
        return []
    waits = [_read(entry) for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return sorted(waits, key=lambda wait: URGENCY.index(wait.kind))


def _read(entry: dict[str, object]) -> Wait:
    kind = str(entry.get("kind") or "")
    attempt = _integer(entry.get("attempt"))
    if kind == "ExternalEvent" and entry.get("title"):
        kind = "Human"
    elif kind in ("Activity", "SubOrchestration") and entry.get("due_at"):
        kind = "Retry"  # the instant at which it is tried again
    elif kind not in URGENCY:
        kind = "More"
    return Wait(
        kind=kind,
        name=str(entry.get("name") or ""),
        task_id=_integer(entry.get("task_id")),
        since=parse_instant(entry.get("since")),
        due_at=parse_instant(entry.get("due_at")),
        attempt=attempt or 1,
        max_attempts=_integer(entry.get("max_attempts")),
        instance_id=str(entry["instance_id"]) if entry.get("instance_id") else None,
        title=str(entry.get("title") or ""),
        count=_integer(entry.get("count")) or 1,
    )


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
