"""One activity in this process: what is known of its run, what the author's function is given, and how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from orchestrations.authoring import payloads
from orchestrations.authoring.activities import LONGEST_DEFERRAL, ActivityContext, ActivityDefinition, Deferral
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.failures import FailureDetails
from orchestrations.runtime import completion_tokens
from orchestrations.store.contract import ActivityKey, ClaimedActivity
from orchestrations.store.progress_contract import ActivityAttempt, DeferredActivity, Heartbeat

SHORTEST_DEFERRAL = timedelta(milliseconds=1)


@dataclass(slots=True, eq=False)
class RunningActivity:
    """One activity in this process, from submission to its end."""

    work: ClaimedActivity
    expected_seconds: float
    timeout_seconds: float
    started: float | None = None  # time.monotonic()
    started_at: datetime | None = None
    is_abandoned: bool = False  # timed out or no longer ours: whatever it returns is ignored
    is_unwanted: bool = False  # its execution has ended: what it returns is delivered, and finds nobody
    is_async: bool = False
    future: asyncio.Future[None] | None = None
    details: str | None = None  # of the latest heartbeat, at first of the try before
    heard: float | None = None  # time.monotonic() of the latest heartbeat
    heartbeats: int = 0
    written_heartbeats: int = 0  # how many of them the database knows of
    on_abandoned: Callable[[], None] | None = None  # for what runs outside this process
    on_unwanted: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self.details = self.work.heartbeat_details

    @property
    def key(self) -> ActivityKey:
        """The key of its work item."""
        return key_of(self.work)

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants its result any more."""
        return self.is_abandoned or self.is_unwanted

    def begin(self) -> None:
        """Count its time from now on."""
        self.started = time.monotonic()
        self.started_at = datetime.now(UTC)

    def hear(self, details: str | None) -> None:
        """Take a heartbeat. Without details the former ones stay."""
        self.heard = time.monotonic()
        if details is not None:
            self.details = details
        self.heartbeats += 1

    def give_up(self) -> None:
        """Ignore whatever it returns."""
        self.is_abandoned = True
        if self.on_abandoned is not None:
            self.on_abandoned()

    def tell_unwanted(self) -> None:
        """Let it know that nobody wants its result."""
        if not self.is_unwanted:
            self.is_unwanted = True
            if self.on_unwanted is not None:
                self.on_unwanted()

    def heartbeat(self) -> Heartbeat:
        """The latest heartbeat, to be written."""
        return Heartbeat(attempt_of(self.work), self.details)

    def overdue(self, now: float) -> str | None:
        """Why it has to end, in a sentence; None while it may go on."""
        if self.started is None:
            return None
        if now - self.started > self.timeout_seconds:
            return f"The activity {self.work.name!r} did not return within {self.timeout_seconds:g} seconds."
        silence = self.work.heartbeat_timeout_seconds
        if silence is not None and now - (self.heard or self.started) > silence:
            return f"The activity {self.work.name!r} sent no heartbeat for {silence:g} seconds."
        return None

    def seconds_left(self) -> float:
        """What is left of its timeout."""
        return self.timeout_seconds - (time.monotonic() - self.started if self.started is not None else 0.0)


@dataclass(slots=True)
class FinishedActivity:
    """An activity's end as the event that records it, or what it takes to leave it open for somebody outside."""

    work: ClaimedActivity
    event: HistoryEvent | None
    deferred: DeferredActivity | None = None
    recorded: bool = False
    """Its own transaction has recorded it already, or its work item is gone: there is nothing to write."""
    is_doubtful: bool = False
    """Its own transaction may have recorded another end: this one counts only while the work item is still there."""
    refusals: int = 0
    """How often the database, though it was there, did not take it."""

    @property
    def key(self) -> ActivityKey:
        """The key of its work item."""
        return key_of(self.work)


def key_of(work: ClaimedActivity) -> ActivityKey:
    """The key of the work item."""
    return ActivityKey(work.instance_pk, work.execution, work.task_id)


def attempt_of(work: ClaimedActivity) -> ActivityAttempt:
    """The attempt that the work item stands for."""
    return ActivityAttempt(work.instance_pk, work.execution, work.task_id, work.attempt)


Recorder = Callable[[FinishedActivity], bool]


class Ends:
    """How runs end in this worker, as what is to be recorded."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def completed(self, item: RunningActivity, output: str | None) -> FinishedActivity:
        """It returned."""
        return FinishedActivity(item.work, self._event(item, EventType.TASK_COMPLETED, output))

    def failed(self, item: RunningActivity, error: BaseException | FailureDetails) -> FinishedActivity:
        """It raised, or never returned. The details of its last heartbeat go along, for the next attempt."""
        details = error if isinstance(error, FailureDetails) else FailureDetails.from_exception(error)
        event = self._event(item, EventType.TASK_FAILED, msgspec.json.encode(details.to_json()).decode())
        if item.details is not None:
            event.attributes["heartbeat_details"] = item.details
        return FinishedActivity(item.work, event)

    def deferred(self, item: RunningActivity, deferral: Deferral) -> FinishedActivity:
        """It returned, and its result comes from outside."""
        seconds = item.seconds_left() if deferral.timeout_seconds is None else deferral.timeout_seconds
        silence = item.work.heartbeat_timeout_seconds
        deferred = DeferredActivity(
            attempt_of(item.work),
            max(_bounded(seconds), SHORTEST_DEFERRAL),
            None if silence is None else _bounded(silence),
            item.details,
        )
        return FinishedActivity(item.work, None, deferred)

    def returned(self, item: RunningActivity, definition: ActivityDefinition, value: Any) -> FinishedActivity:
        """It returned a result, or ``context.defer()``. Raises PayloadRejected for a result that is no JSON."""
        if isinstance(value, Deferral):
            return self.deferred(item, value)
        return self.completed(item, definition.encode_output(value))

    def _event(self, item: RunningActivity, event_type: EventType, payload: str | None) -> HistoryEvent:
        now, work = datetime.now(UTC), item.work
        attributes = {"started_at": (item.started_at or now).isoformat(), "worker": self._worker}
        return HistoryEvent(
            event_type, now, task_id=work.task_id, payload=payload, attempt=work.attempt, attributes=attributes
        )


def _bounded(seconds: float) -> timedelta:
    return timedelta(seconds=min(seconds, LONGEST_DEFERRAL.total_seconds()))


def not_completed(work: ClaimedActivity, now: datetime) -> TimeoutError:
    """Why a deferred activity fails: its time is over, or whoever is to complete it was silent for too long."""
    silence = work.heartbeat_timeout_seconds
    if silence is not None and work.deferred_until is not None and now < work.deferred_until:
        return TimeoutError(f"The deferred activity {work.name!r} had no heartbeat for {silence:g} seconds.")
    return TimeoutError(f"The deferred activity {work.name!r} was not completed from outside in time.")


def call(definition: ActivityDefinition, item: RunningActivity, hub: str) -> Any:
    """Call the author's function as its signature asks; a coroutine comes back from an async one."""
    context = context_for(
        item.work,
        hub,
        is_cancelled=lambda: item.is_cancelled,
        record_heartbeat=item.hear,
    )
    return definition.function(*definition.arguments(context, item.work.input))


def context_for(
    work: ClaimedActivity, hub: str, is_cancelled: Callable[[], bool], record_heartbeat: Callable[[str | None], None]
) -> ActivityContext:
    """What the author's function is told of the call."""
    return ActivityContext(
        instance_id=work.instance_id,
        execution=work.execution,
        generation=work.generation,
        start=work.instance_pk,
        task_id=work.task_id,
        attempt=work.attempt,
        name=work.name,
        tags=work.tags,
        is_cancelled=is_cancelled,
        heartbeat_details=payloads.decode(work.heartbeat_details, None, "heartbeat details"),
        record_heartbeat=record_heartbeat,
        make_token=lambda: completion_tokens.make(hub, attempt_of(work)),
    )


@dataclass(slots=True)
class Durations:
    """Running averages by activity name, in seconds."""

    unknown: float
    """Taken for an activity that this process has not run yet."""
    smoothing: float
    """Weight of the newest duration."""
    seconds: dict[str, float] = field(default_factory=dict)

    def expected(self, name: str) -> float:
        """How long it takes on average."""
        return self.seconds.get(name, self.unknown)

    def note(self, name: str, seconds: float) -> None:
        """Count a run that took that long."""
        before = self.seconds.get(name)
        self.seconds[name] = seconds if before is None else before + self.smoothing * (seconds - before)
