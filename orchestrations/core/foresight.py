"""What compensation that failed was for: the failure that would have ended the orchestrator even so.

The orchestrator died of its compensation. To do that again, and to succeed, would undo work that nobody will do again:
the code would die of the earlier failure then. So the code is run once more, to no effect, as if what it died of had
succeeded, and whatever it awaits then too. Where it dies of an earlier failure all the same, that one is to be done
again. Where it does anything else, or waits for what can't be supposed, nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orchestrations.core.coroutines import is_verdict
from orchestrations.core.culprits import FAILURES, Failed, failures_of, named_in, told_last, when_seen
from orchestrations.core.entity_calls import EntityTask, LockTask
from orchestrations.core.errors import NonDeterminismError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.execution import Execution
from orchestrations.core.tasks import ActionTask, Task, TimerTask

STEPS = 50  # no compensation awaits as often
ENDS = frozenset(
    {
        EventType.TASK_COMPLETED,
        EventType.SUB_ORCHESTRATION_COMPLETED,
        EventType.ENTITY_COMPLETED,
        EventType.TIMER_FIRED,
        EventType.EVENT_RAISED,
    }
)


def what_it_was_for(
    make: Callable[[], Execution], body: Sequence[HistoryEvent], failed: Sequence[Failed], culprits: list[Failed]
) -> list[Failed]:
    """The failures among ``failed`` that compensation was for, if the culprits are its own; else the culprits."""
    while culprits:
        first = min(when_seen(one).sequence for one in culprits)
        known = {_key(one) for one in _would_have_ended(make, body, culprits, first)}
        found = [one for one in failed if _key(one) in known and 0 < when_seen(one).sequence < first]
        if not found:
            break
        culprits = found
    return culprits


def _would_have_ended(
    make: Callable[[], Execution], body: Sequence[HistoryEvent], culprits: Sequence[Failed], first: int
) -> list[Failed]:
    if not all(_can_be_supposed(one.task) and one.timeout is None for one in culprits):
        return []
    task_ids = [one.action_id for one in culprits]
    ahead = make()
    try:
        ahead.replay(list(_before(first, body, task_ids)), rewinding=True)
        ahead.is_replaying = True  # so that it logs nothing
        error = _error_of(ahead, task_ids)
    except NonDeterminismError:
        return []
    seen = sorted((one for one in failures_of(ahead) if when_seen(one).sequence), key=when_seen)
    ahead.discard()
    if error is None or not seen:
        return []
    is_told_of = any(error is one.task.error for one in seen)
    if not (is_told_of or is_verdict(error)):
        return []  # a fault of the code, perhaps because of what was supposed
    last = when_seen(seen[-1]).sequence
    is_all_compensation = not any(event.type in ENDS and last < event.sequence < first for event in body)
    return named_in(error, seen) or (told_last(seen) if is_all_compensation else [])


def _before(first: int, body: Sequence[HistoryEvent], task_ids: Sequence[int | None]) -> Iterator[HistoryEvent]:
    """The history before that event, without the last failure of each of these tasks."""
    failures = {event.task_id: event.sequence for event in body if event.type in FAILURES and event.task_id in task_ids}
    undone = set(failures.values())
    return (event for event in body if event.sequence < first and event.sequence not in undone)


def _error_of(ahead: Execution, task_ids: Sequence[int | None]) -> BaseException | None:
    """What the code dies of, if it does, where these tasks end well, and then whatever it awaits."""
    supposed: list[Task] = [task for task_id, task in ahead.tasks.items() if task_id in task_ids]
    for _ in range(STEPS):
        for task in supposed:
            if ahead.completion is None and not task.has_ended:
                ahead.apply(_end_of(task, ahead))
        if ahead.completion is not None or ahead.awaited is None:
            break
        supposed = [task for task in ahead.awaited.leaves() if not task.has_ended]
        if not all(_can_be_supposed(task) for task in supposed):
            return None
    return ahead.error


def _can_be_supposed(task: Task) -> bool:
    if isinstance(task, TimerTask):
        return task.limits is None
    return isinstance(task, ActionTask) and not isinstance(task, LockTask)


def _end_of(task: Task, ahead: Execution) -> HistoryEvent:
    task_id = int(task.id or 0)
    if isinstance(task, TimerTask):
        return HistoryEvent(EventType.TIMER_FIRED, ahead.clock, task_id, attempt=0)
    if isinstance(task, EntityTask):
        attributes = {"request_id": task.request_id}
        return HistoryEvent(EventType.ENTITY_COMPLETED, ahead.clock, task_id, attributes=attributes)
    if isinstance(task, ActionTask) and task.child_id is not None:
        return HistoryEvent(EventType.SUB_ORCHESTRATION_COMPLETED, ahead.clock, task_id)
    return HistoryEvent(EventType.TASK_COMPLETED, ahead.clock, task_id, attributes={"by_hand": True})


def _key(failed: Failed) -> tuple[int | None, int | None]:
    return failed.action_id, failed.event.sequence if failed.event is not None else None
