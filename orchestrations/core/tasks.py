"""Tasks: the pending results that an orchestrator yields or awaits. They know nothing of history or of the store."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import count
from types import GenericAlias
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrations.core.errors import TaskCancelledError, TaskFailedError
from orchestrations.core.events import HistoryEvent
from orchestrations.core.failures import FailureDetails
from orchestrations.core.interruptions import is_authors
from orchestrations.core.retries import RetryPolicy

if TYPE_CHECKING:
    from orchestrations.core.composition import CompositeTask
    from orchestrations.core.human import Question


class Position(NamedTuple):
    """A place in a run of the code: the event that it processes, and how much it had decided and waited for by then."""

    sequence: int
    decisions: int
    waits: int


ENDINGS = count(1)  # shared by all executions: only the order counts


class TaskState(Enum):
    """The states of azure-functions-durable's TaskState."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Task:
    """A pending result. ``yield`` it in a generator orchestrator, ``await`` it in an ``async def`` one.

    ``has_ended``, ``has_failed`` and ``error`` are the engine's to read. What the orchestrator reads (``is_completed``,
    ``result``, …) also notes that it has seen how the task ended, which the engine must know for two things: an event
    that a dropped wait took unseen goes to the next wait, and a rewind goes back to where a failure was first seen.
    """

    __slots__ = (
        "_error",
        "_parents",
        "_result",
        "_state",
        "ended",
        "failure_seen",
        "id",
        "note_failure",
        "owner",
        "title",
        "was_seen",
    )

    def __init__(self, id: int | str | None = None) -> None:
        self.id = id
        self.owner: object = None  # the execution that it is part of; None for a group of no tasks
        self.title = ""  # what people read instead of a name
        self.ended = 0  # higher than that of every task which ended before it
        self.was_seen = False  # whether the orchestrator knows how it ended
        self.note_failure: Callable[[], Position] | None = None  # of tasks that a rewind may do again
        self.failure_seen: Position | None = None  # where the orchestrator first saw that it had failed
        self._state = TaskState.RUNNING
        self._result: Any = None
        self._error: BaseException | None = None
        self._parents: list[CompositeTask] = []

    # For the orchestrator ----------------------------------------------------------------------------------------

    def __class_getitem__(cls, result: object) -> GenericAlias:
        """``Task[int]``, for annotations: the class of the durabletask SDK is generic."""
        return GenericAlias(cls, result)

    @property
    def state(self) -> TaskState:
        """Running, succeeded or failed."""
        self.look()
        return self._state

    @property
    def is_completed(self) -> bool:
        """Whether it has ended, well or badly."""
        self.look()
        return self.has_ended

    @property
    def is_complete(self) -> bool:
        """``is_completed`` under durabletask's name."""
        return self.is_completed

    @property
    def is_failed(self) -> bool:
        """Whether it has ended with an error."""
        self.look()
        return self.has_failed

    @property
    def result(self) -> Any:
        """The result. Raises the task's error if it failed; None while it is running."""
        self.look()
        if self._error is not None:
            # The error may be raised again and again; it must not gather the frames of each time.
            raise self._error.with_traceback(None)
        return self._result

    def get_result(self) -> Any:
        """The result, with durabletask's rule. Raises ValueError while the task is running, its error if it failed."""
        if not self.is_completed:
            raise ValueError("The task has not completed. Yield or await it first.")
        return self.result

    def get_exception(self) -> BaseException:
        """The error. Raises ValueError if the task has not failed."""
        self.look()
        if self._error is None:
            raise ValueError("The task has not failed.")
        return self._error

    def __await__(self) -> Generator[Task, Any, Any]:
        return (yield self)

    # For the engine ----------------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, well or badly."""
        return self._state is not TaskState.RUNNING

    @property
    def has_failed(self) -> bool:
        """Whether it has ended with an error."""
        return self._state is TaskState.FAILED

    @property
    def error(self) -> BaseException | None:
        """The error, or None."""
        return self._error

    def look(self) -> None:
        """Note that the orchestrator learns how the task ended, if it has, and of a failure when."""
        if self.has_ended:
            self.was_seen = True
            if self.note_failure is not None and self.has_failed and self.failure_seen is None:
                self.failure_seen = self.note_failure()

    def complete(self, result: Any) -> None:
        """End well. Tasks that contain this one are told."""
        self._end(TaskState.SUCCEEDED, result, None)

    def fail(self, error: BaseException) -> None:
        """End with an error. Tasks that contain this one are told."""
        self._end(TaskState.FAILED, None, error)

    def _end(self, state: TaskState, result: Any, error: BaseException | None) -> None:
        self._state, self._result, self._error = state, result, error
        self.ended = next(ENDINGS)
        for parent in self._parents:
            parent.child_ended(self)

    def _reopen(self) -> None:
        self._state, self._result, self._error = TaskState.RUNNING, None, None
        for parent in self._parents:
            parent.child_reopened(self)

    def attach_to(self, parent: CompositeTask) -> None:
        """Become part of ``task_all`` or ``task_any``."""
        self._parents.append(parent)

    def can_be_observed(self, awaited: Task | None) -> bool:
        """Whether the orchestrator, which awaits that task, could still see this one end.

        A task that was only part of others is dead once the orchestrator has seen those end, unless it is awaited
        again later.
        """
        if self is awaited:
            return True
        if self.was_seen:
            return False
        return not self._parents or any(parent.can_show(self, awaited) for parent in self._parents)

    def leaves(self) -> Iterator[Task]:
        """The tasks that it is made of: itself, unless it is composite."""
        yield self

    def failures(self) -> Iterator[BaseException]:
        """The errors that make it fail, in argument order."""
        if self._error is not None:
            yield self._error


class ActionTask(Task):
    """A task that stands for an action: an activity or a sub-orchestration, with its retries."""

    __slots__ = (
        "attempt",
        "child_id",
        "decode",
        "heartbeat_details",
        "input",
        "name",
        "policy",
        "retry_at",
        "scheduled",
        "since",
        "started_at",
    )

    def __init__(
        self,
        id: int,
        name: str,
        input: str | None,
        decode: Callable[[str | None], Any],
        policy: RetryPolicy | None,
        since: datetime,
        note_failure: Callable[[], Position],
        child_id: str | None = None,
    ) -> None:
        super().__init__(id)
        self.name = name
        self.input = input
        self.decode = decode
        self.policy = policy
        self.attempt = 1
        self.since = since  # of this attempt
        self.started_at = since  # of the first attempt; the retry timeout counts from here
        self.retry_at: datetime | None = None  # while it waits between two attempts
        self.child_id = child_id  # of a sub-orchestration
        self.scheduled: Any = None  # the action of this attempt
        self.heartbeat_details: str | None = None  # what the last attempt told of its progress, for the next one
        self.note_failure = note_failure

    @property
    def kind(self) -> str:
        """What the task stands for, in words that begin a sentence."""
        return "Sub-orchestration" if self.child_id is not None else "Activity"

    def failure(self, details: FailureDetails) -> TaskFailedError:
        """The error that tells the orchestrator that it failed like this."""
        message = f"{self.kind} {self.name!r} failed: {details.message}"
        return TaskFailedError(message, details, task_id=int(self.id or 0))


class TimerTask(Task):
    """A durable timer; completes with None at or after ``due_at``."""

    __slots__ = ("_cancel", "_expire", "due_at", "duration", "is_cancelled", "limits", "since")

    def __init__(
        self,
        id: int,
        due_at: datetime,
        since: datetime,
        cancel: Callable[[TimerTask], None],
        duration: timedelta | None,
    ) -> None:
        super().__init__(id)
        self.due_at = due_at
        self.since = since
        self.duration = duration  # None where it was made for a certain moment
        self.is_cancelled = False
        self.limits: Task | None = None  # the wait or HTTP call that it is the timeout of
        self._cancel = cancel
        self._expire: Callable[[], None] | None = None

    @property
    def is_deadline(self) -> bool:
        """Whether it is the timeout of a wait for an external event or of an HTTP call."""
        return self.limits is not None

    @property
    def has_fired(self) -> bool:
        """Whether it has ended by itself."""
        return self.has_ended and not self.has_failed

    def limit(self, task: Task, expire: Callable[[], None]) -> None:
        """Be the timeout of that task: have ``expire`` called when it fires."""
        self.limits, self._expire = task, expire

    def complete(self, result: Any) -> None:
        """Fire."""
        super().complete(result)
        if self._expire is not None:
            self._expire()

    def cancel(self) -> bool:
        """Let it never fire. True if it was still pending; then awaiting it raises TaskCancelledError."""
        if self.has_ended:
            return False
        self.is_cancelled = True
        self._cancel(self)
        self.fail(TaskCancelledError(f"The timer due at {self.due_at.isoformat()} was cancelled."))
        return True


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a wait for an external event ends without one, and with which value; else with which error."""

    due_at: datetime
    timeout: timedelta
    value: Any = None
    has_value: bool = False
    error: type[TimeoutError] = TimeoutError


class ExternalEventTask(Task):
    """A wait for an external event; completes with the event's value."""

    __slots__ = (
        "_release",
        "deadline",
        "decode",
        "event",
        "is_cancelled",
        "name",
        "question",
        "request",
        "since",
        "timer",
    )

    def __init__(
        self,
        id: int,
        name: str,
        since: datetime,
        decode: Callable[[HistoryEvent], Any],
        release: Callable[[ExternalEventTask], None],
    ) -> None:
        super().__init__(id)
        self.name = name
        self.since = since
        self.decode = decode
        self.event: HistoryEvent | None = None  # that it took
        self.is_cancelled = False
        self.deadline: Deadline | None = None
        self.timer: TimerTask | None = None  # for the deadline, while the wait is running
        self.question: Question | None = None
        self.request: dict[str, Any] | None = None
        self._release = release

    def ask(self, question: Question) -> None:
        """Make it a question to people."""
        self.question = question
        self.title = question.title
        self.request = question.as_request()

    def suits(self, event: HistoryEvent) -> bool:
        """Whether the event may be taken here: the answer to a question is for that question only."""
        return event.attributes.get("wait_id", self.id) == self.id

    def take(self, event: HistoryEvent) -> None:
        """End with the event's value, or with the error of decoding it."""
        self.event = event
        try:
            value = self.decode(event)
        except BaseException as error:  # the author's types
            if not is_authors(error):
                raise
            self.fail(error)
        else:
            self.complete(value)

    def give_back(self) -> HistoryEvent:
        """Wait again, and return the event that nobody has seen here."""
        event, self.event, self.timer = self.event, None, None
        if event is None or self.was_seen:
            raise ValueError("The wait has no event to give back.")
        self._reopen()
        return event

    @property
    def can_give_back(self) -> bool:
        """Whether it has an event that nobody has seen, and that another wait could take."""
        return not self.was_seen and self.event is not None and "wait_id" not in self.event.attributes

    def cancel(self) -> bool:
        """Stop waiting, so that the next event of the name goes elsewhere. True if it was still waiting.

        What it took without the code's having looked goes elsewhere too: for the code it was still waiting.
        """
        if self.has_ended and not self.can_give_back:
            return False
        self.is_cancelled = True
        self._release(self)
        self.fail(TaskCancelledError(f"The wait for the event {self.name!r} was cancelled."))
        return True
