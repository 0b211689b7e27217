"""Waiting for external events: what a wait begins with, how it ends in time, and how it is given up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrations.core.calls import create_timer, deadline_after, moment_of
from orchestrations.core.events import HistoryEvent
from orchestrations.core.identifiers import check_event_name
from orchestrations.core.tasks import Deadline, ExternalEventTask, Task

if TYPE_CHECKING:
    from orchestrations.core.execution import Execution
    from orchestrations.core.human import Question


def wait_for_external_event(
    execution: Execution,
    name: str,
    data_type: object = None,
    deadline: Deadline | None = None,
    question: Question | None = None,
    decode: Callable[[HistoryEvent], Any] | None = None,
) -> ExternalEventTask:
    """Wait for an event of that name, in any case; one that came early is taken at once.

    With a ``deadline`` the wait ends then, with its value or its error. ``decode`` makes more of the event than its
    payload as ``data_type``.
    """
    execution.check_alive()
    check_event_name(name)
    subject = f"the external event {name!r}"
    task = ExternalEventTask(
        execution.next_wait_id(),
        name,
        execution.clock,
        decode or (lambda event: execution.functions.decode(event.payload, data_type, subject)),
        release=lambda wait: _release(execution, wait),
    )
    task.owner, task.note_failure = execution, execution.position
    if question is not None:
        task.ask(question)
    execution.external_events.add(task)
    task.deadline = deadline
    if not task.has_ended:
        _watch(execution, task)
    return task


def deadline_in(execution: Execution, timeout: timedelta | float, value: Any, has_value: bool) -> Deadline:
    """A deadline that long from now. Raises ValueError for one that leaves no time."""
    due_at, duration = deadline_after(execution, timeout)
    return Deadline(due_at, duration, value, has_value)


def deadline_at(execution: Execution, due: datetime | timedelta | float) -> Deadline:
    """A deadline at that moment, or that long from now; a naive moment is UTC, and one that has passed ends at once."""
    if isinstance(due, datetime):
        due_at = moment_of(execution, due)
        return Deadline(due_at, due_at - execution.clock)
    return deadline_in(execution, due, None, False)


def renew_deadlines(execution: Execution, awaited: Task) -> None:
    """Let waits in what is awaited now end in time again, although the event that they gave back ended their timer."""
    untimed = execution.external_events.untimed
    for leaf in awaited.leaves() if untimed else ():
        if isinstance(leaf, ExternalEventTask) and leaf in untimed and not leaf.has_ended:
            untimed.discard(leaf)
            _watch(execution, leaf)


def _watch(execution: Execution, wait: ExternalEventTask) -> None:
    """End the wait at its deadline, if it has one: at once where that has passed."""
    if wait.deadline is None:
        return
    if wait.deadline.due_at <= execution.clock:
        _expire(execution, wait)
        return
    wait.timer = create_timer(execution, wait.deadline.due_at - execution.clock)
    wait.timer.limit(wait, lambda: _expire(execution, wait))


def _expire(execution: Execution, wait: ExternalEventTask) -> None:
    deadline = wait.deadline
    if wait.has_ended or deadline is None:
        return
    execution.external_events.forget(wait)
    if deadline.has_value:
        wait.complete(deadline.value)
    else:
        wait.fail(deadline.error(f"No external event {wait.name!r} arrived within {deadline.timeout}."))


def _release(execution: Execution, wait: ExternalEventTask) -> None:
    execution.external_events.release(wait, execution.awaited)
    if wait.timer is not None:
        wait.timer.cancel()
