"""The one sentence of an instance page that answers: why is it not moving?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.presentation.durations import clock, distance, duration, roughly, spoken
from orchestrations.interfaces.dashboard.presentation.failures import failure_of
from orchestrations.interfaces.dashboard.presentation.waits import Wait, read_waits
from orchestrations.models import Instance

CONTROL_WORDS = {
    "ExecutionTerminated": "Terminate",
    "ExecutionSuspended": "Suspend",
    "ExecutionResumed": "Resume",
    "ExecutionRewound": "Rewind",
}


@dataclass(frozen=True, slots=True)
class Requested:
    """A person's act: the event type, who asked, why, and when."""

    type: str
    by: str
    reason: str
    at: datetime

    @property
    def by_whom(self) -> str:
        """`` by dana``, or nothing where the act has no name to it."""
        return f" by {self.by}" if self.by else ""

    @property
    def because(self) -> str:
        """``: vendor outage``, or nothing where no reason was given."""
        return f": {self.reason}" if self.reason else ""


@dataclass(frozen=True, slots=True)
class Why:
    """``lead`` is the sentence; ``more`` are sentences that follow it."""

    kind: str
    lead: str
    more: tuple[str, ...] = ()


def explain(instance: Instance, control: Requested | None, coming: Sequence[Requested], now: datetime) -> Why:
    """Why the instance stands where it does.

    ``control`` is the act that brought it there (for Suspended and Terminated); ``coming`` are acts that no worker has
    taken up yet.
    """
    why = EXPLANATIONS[RuntimeStatus(instance.status)](instance, control, now)
    if not coming:
        return why
    words = [
        f"{CONTROL_WORDS.get(act.type, act.type)} was requested{act.by_whom} {distance(act.at, now)}{act.because}; "
        "no worker has taken it up yet."
        for act in coming
    ]
    return Why(why.kind, why.lead, (*why.more, *words))


def doing(instance: Instance, last_words: str | None, now: datetime) -> str:
    """The same in a few words, for a row of a list: the error, the wait, the start to come, or the reason of its end.

    ``last_words`` is the beginning of a terminated instance's output.
    """
    if instance.error:
        return instance.error
    if instance.waiting_for:
        return spoken(instance.waiting_for, now)
    if instance.status == RuntimeStatus.PENDING and instance.scheduled_start_at and instance.scheduled_start_at > now:
        return f"starts at {clock(instance.scheduled_start_at, now)}"
    return (last_words or "").strip('"')


def _pending(instance: Instance, control: Requested | None, now: datetime) -> Why:
    if instance.claimable_at and instance.claimable_at > now:
        when = f"Starts {distance(instance.claimable_at, now)} ({clock(instance.claimable_at, now)})."
        return Why("pending", when, ("External events raised before then are kept.",))
    waiting = roughly(now - (instance.claimable_at or instance.created_at))
    return Why("pending", f"Ready for {waiting}; waiting for a worker to begin it.", _died(instance))


def _running(instance: Instance, control: Requested | None, now: datetime) -> Why:
    waits = read_waits(instance.waits)
    if not waits:
        lead = spoken(instance.waiting_for, now) or (
            "A worker is advancing it now." if instance.lease_token else "Ready to go on; waiting for a worker."
        )
        return Why("running", lead, _died(instance))
    kind = "waiting" if waits[0].kind == "Human" else "running"
    return Why(kind, waits[0].sentence(now), (*_others(waits), *_died(instance)))


def _suspended(instance: Instance, control: Requested | None, now: datetime) -> Why:
    if control:
        lead = f"Suspended{control.by_whom} since {clock(control.at, now)}{control.because}"
    else:
        lead = f"Suspended since {clock(instance.last_updated_at, now)}"
    waits = read_waits(instance.waits)
    below = tuple(wait.sentence(now) for wait in waits[:1])
    return Why("suspended", _sentence(lead), (*below, "What arrives is kept and delivered when it is resumed."))


def _completed(instance: Instance, control: Requested | None, now: datetime) -> Why:
    return Why("completed", f"Completed{_ended(instance, now)}.")


def _failed(instance: Instance, control: Requested | None, now: datetime) -> Why:
    causes = failure_of(lambda: instance.failure)
    error = instance.error or (f"{causes[0].type}: {causes[0].message}" if causes else "no details were kept")
    place = next((cause.place for cause in reversed(causes) if cause.place), "") or instance.blocked_at
    lead = f"Failed with {error}" + (f", at {place}" if place else "")
    return Why("failed", _sentence(lead), (f"It ended{_ended(instance, now)}.",))


def _terminated(instance: Instance, control: Requested | None, now: datetime) -> Why:
    if control:
        return Why("terminated", _sentence(f"Terminated{control.by_whom} at {clock(control.at, now)}{control.because}"))
    return Why("terminated", f"Terminated{_ended(instance, now)}.")


def _canceled(instance: Instance, control: Requested | None, now: datetime) -> Why:
    return Why("canceled", f"Canceled{_ended(instance, now)}.")


def _continued(instance: Instance, control: Requested | None, now: datetime) -> Why:
    return Why("continued", "Its next execution is about to begin.", _died(instance))


EXPLANATIONS = {
    RuntimeStatus.PENDING: _pending,
    RuntimeStatus.RUNNING: _running,
    RuntimeStatus.SUSPENDED: _suspended,
    RuntimeStatus.COMPLETED: _completed,
    RuntimeStatus.FAILED: _failed,
    RuntimeStatus.TERMINATED: _terminated,
    RuntimeStatus.CANCELED: _canceled,
    RuntimeStatus.CONTINUED_AS_NEW: _continued,
}


def _others(waits: list[Wait]) -> tuple[str, ...]:
    others = sum(wait.count or 1 for wait in waits[1:])
    return (f"It also waits for {others} other {'thing' if others == 1 else 'things'}.",) if others else ()


def _died(instance: Instance) -> tuple[str, ...]:
    if instance.attempts < 2:
        return ()
    count = instance.attempts - 1
    return (f"{count} of its claims ended without a commit: a worker died, or the database refused it.",)


def _ended(instance: Instance, now: datetime) -> str:
    if not instance.completed_at:
        return ""
    began = instance.started_at or instance.created_at
    return f" at {clock(instance.completed_at, now)}, {duration(instance.completed_at - began)} after it started"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
