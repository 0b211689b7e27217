"""The one sentence of an instance page that answers: why is it not moving?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.presentation.awaited import tell
from orchestrations.interfaces.dashboard.presentation.durations import clock, distance, duration, roughly, spoken
from orchestrations.interfaces.dashboard.presentation.failures import culprit, failure_of
from orchestrations.interfaces.dashboard.presentation.requested import Requested
from orchestrations.interfaces.dashboard.presentation.waits import Wait, full_stop
from orchestrations.models import Instance

CONTROL_WORDS = {
    "ExecutionTerminated": "Terminate",
    "ExecutionSuspended": "Suspend",
    "ExecutionResumed": "Resume",
    "ExecutionRewound": "Rewind",
}
MESSAGE_CHARACTERS = 300  # of an error, in the sentence


@dataclass(frozen=True, slots=True)
class Why:
    """``lead`` is the sentence, ``more`` are sentences that follow it, ``instance_id`` is whom it is about."""

    kind: str
    lead: str
    more: tuple[str, ...] = ()
    instance_id: str = ""


def explain(instance: Instance, about: Circumstances) -> Why:
    """Why the instance stands where it does."""
    why = EXPLANATIONS[RuntimeStatus(instance.status)](instance, about)
    words = [_coming(act, about) for act in about.coming]
    return replace(why, more=(*why.more, *words)) if words else why


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


def _pending(instance: Instance, about: Circumstances) -> Why:
    now = about.now
    if instance.claimable_at and instance.claimable_at > now:
        when = f"Starts {distance(instance.claimable_at, now)} ({clock(instance.claimable_at, now)})."
        return Why("pending", when, ("External events raised before then are kept.", *_unserved(instance, about)))
    waiting = roughly(now - (instance.claimable_at or instance.created_at))
    return _ready("pending", f"Ready for {waiting}", "waiting for a worker to begin it", instance, about)


def _running(instance: Instance, about: Circumstances) -> Why:
    if not about.waits:
        return _advancing(instance, about)
    lead, *others = about.waits
    told = tell(lead, about)
    kind = "waiting" if lead.kind == "Human" else "running"
    more = (*told.more, *_others(others), *_unserved(instance, about), *_died(instance))
    return Why(kind, told.text, more, told.instance_id)


def _advancing(instance: Instance, about: Circumstances) -> Why:
    lead = spoken(instance.waiting_for, about.now)
    if lead:
        return Why("running", lead, (*_unserved(instance, about), *_died(instance)))
    if instance.lease_token is None:
        return _ready("running", "Ready to go on", "waiting for a worker", instance, about)
    worker = about.fleet.worker(instance.lease_token) if about.fleet is not None else None
    if worker is not None and not worker.is_alive:
        lead = f"Its worker {worker.name} gave its last sign of life at {clock(worker.heartbeat_at, about.now)}."
        return Why("running", lead, ("Another worker takes it over within seconds, if there is one.", *_died(instance)))
    name = f"The worker {worker.name}" if worker is not None else "A worker"
    return Why("running", f"{name} is advancing it now.", _died(instance))


def _suspended(instance: Instance, about: Circumstances) -> Why:
    if about.control:
        act = about.control
        lead = f"Suspended{act.by_whom} since {clock(act.at, about.now)}{act.because}"
    else:
        lead = f"Suspended since {clock(instance.last_updated_at, about.now)}"
    below = tuple(tell(wait, about).text for wait in about.waits[:1])
    kept = "What arrives is kept and delivered when it is resumed."
    return Why("suspended", full_stop(lead), (*below, kept, *_unserved(instance, about)))


def _completed(instance: Instance, about: Circumstances) -> Why:
    return Why("completed", f"Completed{_ended(instance, about)}.")


def _failed(instance: Instance, about: Circumstances) -> Why:
    causes = failure_of(lambda: instance.failure)
    cause = culprit(causes) if causes else None
    error = cause.line if cause else instance.error or "no details were kept"
    place = (cause.place if cause and cause.has_own_code else "") or instance.blocked_at
    lead = "Failed" + (f" at {place}" if place else "") + f" with {error[:MESSAGE_CHARACTERS]}"
    return Why("failed", full_stop(lead), (f"It ended{_ended(instance, about)}.",))


def _terminated(instance: Instance, about: Circumstances) -> Why:
    if about.control:
        act = about.control
        lead = f"Terminated{act.by_whom} at {clock(act.at, about.now)}{act.because}"
        return Why("terminated", full_stop(lead))
    return Why("terminated", f"Terminated{_ended(instance, about)}.")


def _canceled(instance: Instance, about: Circumstances) -> Why:
    return Why("canceled", f"Canceled{_ended(instance, about)}.")


def _continued(instance: Instance, about: Circumstances) -> Why:
    return _ready("continued", f"Its execution {instance.execution} is about to begin", "", instance, about)


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


def _ready(kind: str, lead: str, rest: str, instance: Instance, about: Circumstances) -> Why:
    """It could go on at once: what keeps workers from it, or that one is to come."""
    problem = about.fleet.problem(instance) if about.fleet is not None else ""
    if problem:
        return Why(kind, f"{lead}. {problem}", _died(instance))
    return Why(kind, f"{lead}; {rest}." if rest else f"{lead}.", _died(instance))


def _unserved(instance: Instance, about: Circumstances) -> tuple[str, ...]:
    problem = about.fleet.problem(instance) if about.fleet is not None else ""
    return (problem,) if problem else ()


def _coming(act: Requested, about: Circumstances) -> str:
    what = CONTROL_WORDS.get(act.type, act.type)
    when = distance(act.at, about.now)
    return f"{what} was requested{act.by_whom} {when}{act.because}; no worker has taken it up yet."


def _others(waits: list[Wait]) -> tuple[str, ...]:
    others = sum(wait.count or 1 for wait in waits)
    return (f"It also waits for {others} other {'thing' if others == 1 else 'things'}.",) if others else ()


def _died(instance: Instance) -> tuple[str, ...]:
    if instance.attempts < 2:
        return ()
    count = instance.attempts - 1
    return (f"{count} of its claims ended without a commit: a worker died, or the database refused it.",)


def _ended(instance: Instance, about: Circumstances) -> str:
    if not instance.completed_at:
        return ""
    began = instance.started_at or instance.created_at
    return f" at {clock(instance.completed_at, about.now)}, {duration(instance.completed_at - began)} after it started"
