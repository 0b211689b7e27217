"""Whose failure ended an orchestrator: what a rewind has to do again.

The code may answer a failure with whatever error it likes, so that the error alone does not always tell. In this order:

1. The failures in the error: those that it is, was raised from, was raised while handling, or has as members of an
   ExceptionGroup, and with each the others of its ``task_all``.
2. The failures whose words it repeats, such as ``RuntimeError(f"undone: {error}")``.
3. The failure that the code was told last, and those before it after which it had decided nothing until then: if it
   was told nothing since, or if a ``raise`` or ``assert`` of its own says that it came to a verdict. Any other error is
   a fault of the code, which must be mended.

Of compensation that failed, ``foresight`` finds what it was for. None of this is asked where today's code no longer
fails on the history as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from orchestrations.core.coroutines import is_verdict
from orchestrations.core.errors import TaskCancelledError, TaskFailedError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.execution import Execution
from orchestrations.core.failures import FailureDetails, message_of
from orchestrations.core.tasks import ActionTask, Position, Task, TimerTask

FAILURES = frozenset({EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED, EventType.ENTITY_FAILED})


@dataclass(frozen=True, slots=True)
class Failed:
    """A failed task, and what of it is undone.

    ``action_id`` is that of the action to do again: the task's own, or that of the timer whose time it exceeded. A wait
    that failed because its event did not fit has none, but ``event``, which is not delivered again.
    """

    task: Task
    action_id: int | None = None
    timeout: timedelta | None = None
    event: HistoryEvent | None = None

    @property
    def child_id(self) -> str | None:
        """The sub-orchestration's id, if it is one."""
        return self.task.child_id if isinstance(self.task, ActionTask) else None

    @property
    def words(self) -> str:
        """What the code reads in the error."""
        return message_of(self.task.error) if self.task.error is not None else ""

    @property
    def details(self) -> FailureDetails:
        """What a recorded failure says of it."""
        error = self.task.error
        if isinstance(error, TaskFailedError):
            return error.details
        return FailureDetails.from_exception(error or TimeoutError())


def failures_of(trial: Execution) -> Iterator[Failed]:
    """All that has failed in the execution, whether the code has seen it or not."""
    for action_id, task in trial.tasks.items():
        if isinstance(task, TimerTask):
            if task.has_fired and task.limits is not None and task.limits.has_failed:
                yield Failed(task.limits, action_id, task.duration)
        elif task.has_failed and not isinstance(task.error, TaskCancelledError):  # as a request that was given up
            yield Failed(task, action_id)
    for wait in trial.external_events.unfit():
        yield Failed(wait, event=wait.event)


def that_ended(trial: Execution, failed: Sequence[Failed]) -> list[Failed]:
    """The failures that ended the orchestrator; none where its own code is at fault, or no longer fails."""
    error = trial.error
    if error is None:
        return []
    seen = sorted((one for one in failed if one.task.failure_seen is not None), key=when_seen)
    return named_in(error, seen) or (
        told_last(seen) if seen and (was_told_now(seen[-1], trial) or is_verdict(error)) else []
    )


def named_in(error: BaseException, seen: Sequence[Failed]) -> list[Failed]:
    """The failures that the error goes back to, or whose words it repeats."""
    return (
        _among(seen, _explicit_causes(error)) or _among(seen, _all_causes(error)) or _repeated(seen, message_of(error))
    )


def was_told_now(failed: Failed, trial: Execution) -> bool:
    """Whether the code was told of it where it stands, and of nothing since."""
    seen = failed.task.failure_seen
    return seen is not None and seen.sequence == trial.position().sequence


def is_recorded_in(end: HistoryEvent, failed: Failed) -> bool:
    """Whether the failure that ended the execution, as it was recorded, goes back to the task's or quotes it."""
    if not end.payload:
        return False
    details = failed.details
    recorded = FailureDetails.from_json(msgspec.json.decode(end.payload))
    return failed.words in recorded.message or any(
        (one.error_type, one.message) == (details.error_type, details.message) for one in recorded.all_failures()
    )


def when_seen(failed: Failed) -> Position:
    """Where the code first saw it; at the beginning of all where it never did."""
    return failed.task.failure_seen or Position(0, 0, 0)


def _among(seen: Sequence[Failed], errors: Sequence[BaseException]) -> list[Failed]:
    """Those whose error is one of these, or of the same ``task_all`` as one of them."""
    reached = {id(error) for error in errors}
    reached |= {id(sibling) for error in errors for sibling in getattr(error, "failures", ())}
    return [one for one in seen if id(one.task.error) in reached]


def _repeated(seen: Sequence[Failed], text: str) -> list[Failed]:
    """Those whose words the text has; of two with the same words the later one, unless it has them twice."""
    found: list[Failed] = []
    for one in reversed(seen):
        if one.words and one.words in text:
            found.append(one)
            text = text.replace(one.words, "", 1)
    return found[::-1]


def told_last(seen: Sequence[Failed]) -> list[Failed]:
    """The last ones, and those before them after which nothing was decided until then."""
    last = when_seen(seen[-1])
    return [
        one for one in seen if last.sequence == when_seen(one).sequence or last.decisions == when_seen(one).decisions
    ]


def _explicit_causes(error: BaseException) -> list[BaseException]:
    """The error and what it was raised ``from``."""
    return _reachable(error, lambda item: [item.__cause__])


def _all_causes(error: BaseException) -> list[BaseException]:
    """The error and everything that was being handled when it was raised."""
    return _reachable(error, lambda item: [item.__cause__, item.__context__])


def _reachable(
    error: BaseException, causes: Callable[[BaseException], list[BaseException | None]]
) -> list[BaseException]:
    """The error, its causes, the members of groups among them, and so on."""
    found: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        item = pending.pop()
        if item is not None and not any(item is known for known in found):
            found.append(item)
            pending += causes(item)
            if isinstance(item, BaseExceptionGroup):
                pending += item.exceptions
    return found
