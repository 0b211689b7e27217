"""Rewinding a failed execution: which of its history stays, and what is told again.

The failure that ended the orchestrator is found by replaying it (see culprits). Its task keeps its first TaskScheduled
and loses its failures and retries; a wait or an HTTP call that failed for want of time keeps its TimerCreated and loses
the TimerFired; a wait that failed because its event did not fit loses the event. What the code decided after it had
seen the failure (compensation) goes, with its results; failures that were handled earlier stay, and those that the code
had not seen yet are done again too. Work that was completed before the code saw the failure never runs again, and
neither does what was completed after the end: such facts stand behind the ExecutionCompleted in the history, and are
delivered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrations.core import numbering
from orchestrations.core.context import OrchestrationContext
from orchestrations.core.culprits import FAILURES, Failed, failures_of, is_recorded_in, that_ended, was_told_now
from orchestrations.core.definitions import Functions, OrchestratorDefinition
from orchestrations.core.entity_calls import EntityTask
from orchestrations.core.errors import NonDeterminismError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.execution import Execution
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.foresight import what_it_was_for


@dataclass(slots=True)
class Rewound:
    """``kept`` is the history of the new execution, numbered anew; ``redelivered`` are facts to feed again after it.

    ``execution`` stands at the end of ``kept``. Feed it an ExecutionRewound event that has ``attributes``, then
    ``redelivered``. They say which execution was left (``execution``), how many of its events are not in the new one
    (``removed``), since when it lay failed (``failed_at``), which operations of entities are called again
    (``calls_again``), which timeouts begin anew, in seconds by the id of their timer (``timeouts_again``), and up to
    which number those of what is taken back go (``numbers_used``). ``failed_children`` are the ids of
    sub-orchestrations that failed and are to be rewound themselves; ``waits`` is how many waits are kept, None for all.
    """

    execution: Execution
    kept: list[HistoryEvent]
    redelivered: list[HistoryEvent]
    failed_children: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    waits: int | None = None


def rewind(
    definition: OrchestratorDefinition, functions: Functions, facts: InstanceFacts, history: Sequence[HistoryEvent]
) -> Rewound:
    """Work out the history of the execution that takes a failed one's place. ``history`` stays as it is.

    Raises NonDeterminismError where today's code doesn't fit the history even up to the failure.
    """
    until_end, late = until_completed(history)
    end = until_end[-1]
    body = _without_end(until_end)
    undelivered_from = end.attributes.get("undelivered_from")
    culprits: list[Failed] = []
    if undelivered_from:
        kept = [event for event in body if event.sequence < int(undelivered_from)]
        redelivered = body[len(kept) :]
    else:
        culprits, cut = _culprits(definition, functions, facts, body, end)
        kept, redelivered = _split(body, culprits, cut)
    is_fork_unseen = any(event.type is EventType.EXECUTION_FORKED for event in redelivered)
    kept, redelivered = _with_forks(body, kept), [event for event in redelivered if not event.goes_on]
    redelivered += _late_facts(late, kept, culprits)
    waits = min((one.task.failure_seen.waits for one in culprits if one.task.failure_seen), default=None)
    redelivered = [event for event in redelivered if not is_answer_undone(event, waits)]
    used = numbering.used_in(body)
    for sequence, event in enumerate(kept, start=1):
        event.sequence = sequence
    execution = Execution(definition, functions, facts, OrchestrationContext)
    execution.replay(kept, rewinding=True, numbers_used=used)
    children = [failed.child_id for failed in culprits if failed.child_id is not None]
    attributes: dict[str, Any] = {
        "execution": facts.execution - 1,
        "removed": len(history) - len(kept),
        "failed_at": end.timestamp.isoformat(),
    }
    if used > numbering.used_in(kept):
        attributes[numbering.USED] = used
    calls_again = set(_calls_again(execution, late, culprits))
    if is_fork_unseen:  # the operations that the origin had asked for were not asked for anew yet
        calls_again.update(execution.takeovers.inherited)
    if calls_again:
        attributes["calls_again"] = sorted(calls_again)
    if timeouts := {str(failed.action_id): failed.timeout.total_seconds() for failed in culprits if failed.timeout}:
        attributes["timeouts_again"] = timeouts
    return Rewound(execution, kept, redelivered, children, attributes, waits)


def asked_for(rewound: HistoryEvent) -> dict[str, Any]:
    """Who asked for the rewind and why: of its attributes those that sub-orchestrations are told, too."""
    return {key: rewound.attributes[key] for key in ("reason", "by") if key in rewound.attributes}


def is_answer_undone(event: HistoryEvent, waits: int | None) -> bool:
    """Whether the event answers a question of which the code, with so many waits, does not know any more.

    The next question under its number is another one.
    """
    return waits is not None and event.attributes.get("wait_id", 0) > waits


def _with_forks(body: Sequence[HistoryEvent], kept: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """Keep that the history was copied, also where what is left of it ends before: the instance stays the fork."""
    known = {event.sequence for event in kept}
    return [*kept, *(e for e in body if e.type is EventType.EXECUTION_FORKED and e.sequence not in known)]


def _without_end(history: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """A copy without the completion, and without the release of entities that the code decided while it failed.

    Mended code, which does not fail there, need not release them there.
    """
    body = [replace(event) for event in history if event.type is not EventType.EXECUTION_COMPLETED]
    while body and body[-1].type is EventType.ENTITY_UNLOCK_SENT:
        body.pop()
    return body


def _calls_again(execution: Execution, late: Sequence[HistoryEvent], culprits: Sequence[Failed]) -> Iterator[int]:
    """The task ids of operations of entities whose failure is undone. All other open ones are under way."""
    failed = {event.task_id for event in late if event.type is EventType.ENTITY_FAILED} | {
        one.action_id for one in culprits
    }
    for task_id, task in execution.tasks.items():
        if isinstance(task, EntityTask) and task_id in failed and not task.has_ended:
            yield task_id


def _late_facts(
    late: Sequence[HistoryEvent], kept: Sequence[HistoryEvent], culprits: Sequence[Failed]
) -> Iterator[HistoryEvent]:
    """What arrived after the end and counts: the code has not seen the failures among it, so those are done again."""
    known = {event.task_id for event in kept if event.is_decided} - {failed.action_id for failed in culprits}
    for event in late:
        if event.type not in FAILURES and (event.task_id is None or event.task_id in known):
            yield replace(event)


def until_completed(history: Sequence[HistoryEvent]) -> tuple[Sequence[HistoryEvent], Sequence[HistoryEvent]]:
    """The history up to its ExecutionCompleted, and what arrived after that: facts which only a rewind delivers."""
    for position, event in enumerate(history, start=1):
        if event.type is EventType.EXECUTION_COMPLETED:
            return history[:position], history[position:]
    return history, ()


def _culprits(
    definition: OrchestratorDefinition,
    functions: Functions,
    facts: InstanceFacts,
    body: Sequence[HistoryEvent],
    end: HistoryEvent,
) -> tuple[list[Failed], int]:
    """The failed tasks to do again, and the sequence of the last event from before the code saw that they had failed.

    None, and all of the history, where the code itself failed, or no longer does.
    """

    def make() -> Execution:
        return Execution(definition, functions, facts, OrchestrationContext)

    trial = make()
    diverged: NonDeterminismError | None = None
    try:
        trial.replay(body, rewinding=True)
    except NonDeterminismError as error:
        diverged = error
    failed = list(failures_of(trial))
    if diverged is None:
        culprits = what_it_was_for(make, body, failed, that_ended(trial, failed))
    else:
        # Code that was mended in how it answers the failure differs from there on, which is cut off anyway.
        culprits = [one for one in failed if was_told_now(one, trial) and is_recorded_in(end, one)]
        if not culprits:
            raise diverged
    trial.discard()
    if not culprits:
        return [], len(body) + 1
    cut = min(_seen_after(one, body) for one in culprits)
    # A failed call that the code has not seen by then would only fail it again.
    others = [one for one in failed if one.timeout is None and one not in culprits]
    known = {event.task_id for event in body if event.is_decided and event.sequence <= cut}
    unseen = [one for one in others if _is_within(one, known, cut) and _is_unseen(one, body, cut)]
    return culprits + unseen, cut


def _seen_after(failed: Failed, body: Sequence[HistoryEvent]) -> int:
    """The last event before the code saw the failure: the one that made it run, or what it decided then."""
    if failed.task.failure_seen is None:
        return len(body)
    seen = failed.task.failure_seen
    decided = [event.sequence for event in body if event.is_decided][: seen.decisions]
    return max([seen.sequence, *decided[-1:]])


def _is_unseen(failed: Failed, body: Sequence[HistoryEvent], cut: int) -> bool:
    return failed.task.failure_seen is None or _seen_after(failed, body) > cut


def _is_within(failed: Failed, known: set[int | None], cut: int) -> bool:
    """Whether what failed was begun by then: a known action, or a wait whose event had come."""
    return failed.action_id in known if failed.event is None else failed.event.sequence <= cut


def _split(
    body: Sequence[HistoryEvent], culprits: Sequence[Failed], cut: int
) -> tuple[list[HistoryEvent], list[HistoryEvent]]:
    """History up to the cut without the culprits' failures and retries, and the facts after it that still count."""
    again = {one.action_id for one in culprits if one.action_id is not None}
    unfit = {one.event.sequence for one in culprits if one.event is not None}
    fit = [event for event in body if event.sequence not in unfit]
    kept = [event for event in fit if event.sequence <= cut and not _is_failed_try(event, again)]
    known = {event.task_id for event in kept if event.is_decided}
    return kept, list(_still_true(fit, known - again, cut))


def _is_failed_try(event: HistoryEvent, culprits: set[int]) -> bool:
    if event.task_id not in culprits:
        return False
    is_first_dispatch = event.is_decided and event.attempt <= 1  # a timer before a retry bears the retry's number
    return not is_first_dispatch


def _still_true(body: Sequence[HistoryEvent], known: set[int | None], cut: int) -> Iterator[HistoryEvent]:
    for event in body:
        if event.sequence <= cut or event.is_decided:
            continue
        if event.type is EventType.EVENT_RAISED or (event.task_id is not None and event.task_id in known):
            yield event
