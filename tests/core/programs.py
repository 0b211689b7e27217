"""Random orchestrators, as small program trees, and a random world that answers them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import strategies as st

from orchestrations.core.errors import TaskFailedError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.http_calls import HttpAnswer, HttpRetryOptions
from orchestrations.core.http_messages import HTTP_ACTIVITY, DurableHttpResponse
from orchestrations.core.retries import RetryPolicy
from orchestrations.core.tasks import ActionTask, Task
from tests.core.cases import child_done, child_failed, done, failed, fired, raised
from tests.core.plain import Driver

SECONDS = timedelta(seconds=1)
RETRIES = {
    "none": None,
    "now": RetryPolicy(first_retry_interval=0 * SECONDS, max_number_of_attempts=2),
    "answers": HttpRetryOptions(first_retry_interval=3 * SECONDS, max_number_of_attempts=2),
    "later": RetryPolicy(first_retry_interval=3 * SECONDS, max_number_of_attempts=3, backoff_coefficient=2),
}


@dataclass(frozen=True)
class Call:
    """Call an activity or a sub-orchestration.

    ``number`` says which call of the program it is, and is its input: ids of tasks depend on what has happened. A wait
    for an event that came early, for one, makes no timer.
    """

    name: str
    retry: str = "none"
    is_child: bool = False
    number: int = 0


@dataclass(frozen=True)
class Http:
    """Call a server that answers at once, or has to be polled so often; in all for at most so many seconds."""

    name: str
    polls: int = 0
    retry: str = "none"
    seconds: int | None = None


@dataclass(frozen=True)
class Pause:
    """Wait for a timer."""

    seconds: int


@dataclass(frozen=True)
class Listen:
    """Wait for an external event, at most so many seconds; then there is nothing, or it is a failure."""

    name: str
    seconds: int | None = None
    fails: bool = False


@dataclass(frozen=True)
class Send:
    """Send an event or start another instance, and go on."""

    name: str
    starts: bool = False


@dataclass(frozen=True)
class Crash:
    """The orchestrator's own code is at fault while ``name`` is broken."""

    name: str


@dataclass(frozen=True)
class All:
    """Wait for all."""

    children: tuple[Any, ...]


@dataclass(frozen=True)
class First:
    """Wait for one."""

    children: tuple[Any, ...]


@dataclass(frozen=True)
class Steps:
    """One after another."""

    children: tuple[Any, ...]


@dataclass(frozen=True)
class Guard:
    """On failure do the handler, then go on or raise again."""

    body: Any
    handler: Any
    raises: bool


class Rejected(Exception):
    """What a verdict raises: an error of its own, which is not chained to the failure."""


FAILURES = (TaskFailedError, TimeoutError, ExceptionGroup, Rejected)


@dataclass(frozen=True)
class Verdict:
    """Catch what fails in the body, remember only that it did, do the rest, and raise an error of its own.

    ``quotes`` whether that repeats the words of the failure.
    """

    body: Any
    rest: Any
    quotes: bool = False


@dataclass(frozen=True)
class Collect:
    """Await each by itself, one after another or all at the same time, and raise a group of what failed."""

    children: tuple[Any, ...]
    at_once: bool = False


@dataclass(frozen=True)
class Poll:
    """Wait until the first of them has ended, look whether it failed, and raise an error of its own."""

    children: tuple[Any, ...]


Node = Call | Http | Pause | Listen | Send | Crash | All | First | Steps | Guard | Verdict | Collect | Poll


# Programs ---------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from("abc")
calls = st.builds(Call, NAMES, st.sampled_from(sorted(RETRIES)), st.booleans())
https = st.builds(Http, NAMES, st.integers(0, 2), st.sampled_from(sorted(RETRIES)), st.none() | st.integers(1, 9))
pauses = st.builds(Pause, st.integers(0, 9))
listens = st.builds(Listen, st.sampled_from(["e", "E", "f"]), st.none() | st.integers(1, 9))
awaitables = st.recursive(
    calls | https | pauses | listens,
    lambda inner: (
        st.builds(All, st.lists(inner, max_size=3).map(tuple))
        | st.builds(First, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=6,
)
programs = st.recursive(
    awaitables | st.builds(Send, NAMES, st.booleans()),
    lambda inner: (
        st.builds(Steps, st.lists(inner, min_size=1, max_size=4).map(tuple))
        | st.builds(Guard, inner, inner, st.booleans())
    ),
    max_leaves=10,
)


def orchestrator_of(program: Node, seen: list[tuple[str, Any]], broken: set[str] | None = None) -> Callable[..., Any]:
    """An orchestrator that runs the program. ``seen`` gets (name, value) of each external event that it looked at."""
    program = _numbered(program, count(1))

    def orchestrator(context: Any) -> Iterator[Task]:
        seen.clear()
        result = yield from _run(context, program, seen, set() if broken is None else broken)
        context.set_custom_status(result)
        return result

    return orchestrator


def _numbered(node: Any, numbers: Iterator[int]) -> Any:
    """The same program with a number of its own for each call."""
    if isinstance(node, Call):
        return replace(node, number=next(numbers))
    if isinstance(node, tuple):
        return tuple(_numbered(inner, numbers) for inner in node)
    if is_dataclass(node):
        return replace(node, **{part.name: _numbered(getattr(node, part.name), numbers) for part in fields(node)})
    return node


def _run(context: Any, node: Node, seen: list[tuple[str, Any]], broken: set[str]) -> Iterator[Any]:
    match node:
        case Steps(children):
            results = []
            for child in children:
                results.append((yield from _run(context, child, seen, broken)))
            return results
        case Guard(body, handler, raises):
            try:
                return (yield from _run(context, body, seen, broken))
            except FAILURES:
                handled = yield from _run(context, handler, seen, broken)
                if raises:
                    raise
                return ["handled", handled]
        case Send(name, starts):
            return context.start_new(name, 1) if starts else context.send_event("other", name, 1)
        case Crash(name):
            return name if name not in broken else {}[f"{name} is broken"]
        case Verdict(body, rest, quotes):
            return (yield from _judge(context, body, rest, quotes, seen, broken))
        case Collect(children, at_once):
            return (yield from _collect(context, children, at_once, seen))
        case _:
            return (yield from _await(context, node, seen))


def _await(context: Any, node: Node, seen: list[tuple[str, Any]]) -> Iterator[Any]:
    judged = isinstance(node, Poll)
    node = First(node.children) if isinstance(node, Poll) else node
    task = _task(context, node)
    yield task
    if judged and task.result.is_failed:
        raise Rejected("It failed.")
    return _outcome(node, task, seen)


def _judge(
    context: Any, body: Node, rest: Node, quotes: bool, seen: list[tuple[str, Any]], broken: set[str]
) -> Iterator[Any]:
    problem = None
    try:
        result = yield from _run(context, body, seen, broken)
    except FAILURES as error:
        problem = str(error) if quotes else "It failed."
    if problem is not None:
        yield from _run(context, rest, seen, broken)
        raise Rejected(problem)
    return result


def _collect(context: Any, children: tuple[Node, ...], at_once: bool, seen: list[tuple[str, Any]]) -> Iterator[Any]:
    begun = [_task(context, child) for child in children] if at_once else []
    results, errors = [], []
    for number, child in enumerate(children):
        task = begun[number] if at_once else _task(context, child)
        try:
            yield task
            results.append(_outcome(child, task, seen))
        except (TaskFailedError, TimeoutError) as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("Some failed.", errors)
    return results


def _task(context: Any, node: Node) -> Task:
    match node:
        case Call(name, retry, True, number):
            return context.call_sub_orchestrator(name, number, retry=RETRIES[retry])
        case Call(name, retry, False, number):
            return context.call_activity(name, number, retry=RETRIES[retry])
        case Http(name, polls, retry, seconds):
            return context.call_http("GET", f"https://{name}.test/{polls}", retry=RETRIES[retry], timeout=seconds)
        case Pause(seconds):
            return context.create_timer(seconds * SECONDS)
        case Listen(name, None):
            return context.wait_for_external_event(name)
        case Listen(name, seconds, True):
            return context.wait_for_external_event(name, timeout=seconds)
        case Listen(name, seconds):
            return context.wait_for_external_event(name, timeout=seconds, default="nothing")
        case All(children):
            return context.task_all([_task(context, child) for child in children])
        case First(children):
            return context.task_any([_task(context, child) for child in children])
    raise TypeError(node)


def _outcome(node: Node, task: Task, seen: list[tuple[str, Any]]) -> Any:
    """The task's result as JSON, looking at nothing but what the orchestrator was told."""
    match node:
        case Listen(name):
            if isinstance(task.result, int):
                seen.append((name.casefold(), task.result))
            return task.result
        case Http():
            return task.result.content
        case All(children):
            return [_outcome(child, inner, seen) for child, inner in zip(children, task.children, strict=True)]
        case First(children):
            winner = task.result
            index = next(index for index, inner in enumerate(task.children) if inner is winner)
            if winner.is_failed:
                return [index, "failed"]
            return [index, _outcome(children[index], winner, seen)]
        case _:
            return task.result


# The world --------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """What may happen next to an instance, as its tasks stand: results, timers and events, in any order."""

    driver: Driver
    numbers: dict[str, int] = field(default_factory=dict)  # external events raised so far, by name

    def open_tasks(self) -> list[int]:
        """Ids of the tasks that something can still happen to, the oldest first."""
        return [task_id for task_id, task in self.driver.execution.tasks.items() if not task.has_ended]

    def answer(self, task_id: int, *, fails: bool = False) -> HistoryEvent:
        """The next thing that can happen to an open task."""
        task = self.driver.execution.tasks[task_id]
        if not isinstance(task, ActionTask):
            return fired(task_id)
        if task.retry_at is not None:
            return fired(task_id, task.attempt)
        if task.name == HTTP_ACTIVITY and not fails:
            return done(task_id, _http_answer(task).to_json(), task.attempt)
        value = f"{task.name}{task.input}"
        if task.child_id is not None:
            return child_failed(task_id) if fails else child_done(task_id, value)
        return failed(task_id, attempt=task.attempt) if fails else done(task_id, value, task.attempt)

    def raise_event(self, name: str) -> HistoryEvent:
        """The next external event of that name: the first is 1, the second 2."""
        key = name.casefold()
        self.numbers[key] = self.numbers.get(key, 0) + 1
        return raised(name, self.numbers[key])


def _http_answer(task: ActionTask) -> HttpAnswer:
    """Busy at first for a policy that tries again after answers, then accepted for as many polls as the path says."""
    if isinstance(task.policy, HttpRetryOptions) and task.attempt == 1:
        return HttpAnswer(DurableHttpResponse(503))
    address, _, polls = str(json.loads(task.input or "")["uri"]).rpartition("/")
    if int(polls):
        return HttpAnswer(DurableHttpResponse(202), f"{address}/{int(polls) - 1}", 3.0)
    return HttpAnswer(DurableHttpResponse(200, content=address))


def called_name(name: str | None, input: str | None) -> str | None:
    """The name by which a program knows what was called: of an HTTP call that of its server."""
    if name != HTTP_ACTIVITY:
        return name
    return str(json.loads(input or "")["uri"]).removeprefix("https://").partition(".")[0]


def rows(history: list[HistoryEvent]) -> list[tuple[Any, ...]]:
    """All that a history holds."""
    return [
        (e.sequence, e.type, e.task_id, e.attempt, e.name, e.payload, json.dumps(e.attributes), e.timestamp)
        for e in history
    ]


# A child that failed may be tried again under the same id, and its messages carry no attempt: they are told apart by
# being delivered once. All else is recognised when it comes again.
RECEIVED_ONCE = frozenset(
    {
        EventType.TASK_COMPLETED,
        EventType.TASK_FAILED,
        EventType.SUB_ORCHESTRATION_COMPLETED,
        EventType.TIMER_FIRED,
        EventType.EXECUTION_STARTED,
    }
)
