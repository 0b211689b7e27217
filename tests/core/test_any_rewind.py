"""Any orchestrator that fails anywhere: once mended and rewound, it ends as one that never failed, without doing again
what was done."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrations.core.episode import advance
from orchestrations.core.errors import TaskCancelledError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.rewind import rewind
from orchestrations.core.status import RuntimeStatus
from orchestrations.core.tasks import ActionTask, ExternalEventTask, TimerTask
from orchestrations.core.waits import event_waits
from tests.core.cases import output, rewound, started, unnamed
from tests.core.plain import Driver, PlainFunctions
from tests.core.programs import (
    RETRIES,
    All,
    Call,
    Collect,
    Crash,
    First,
    Guard,
    Http,
    Listen,
    Node,
    Pause,
    Poll,
    Send,
    Steps,
    Verdict,
    World,
    called_name,
    orchestrator_of,
)

CULPRITS = ("x", "y", "z")  # calls that fail until they are mended
SLOW = ("s", "t")  # servers that answer, and events that come, too late until they are mended
BUGS = ("p", "q")  # lines of the orchestrator that fail until they are mended
REWINDS = 40  # none of the programs needs as many
HANDLED = "handled"  # a call that always fails, and whose failure is handled

retries = st.sampled_from(sorted(RETRIES))
work = (
    st.builds(Call, st.sampled_from("ab"), retries, st.booleans())
    | st.builds(Http, st.sampled_from("ab"), st.integers(0, 2), retries)
    | st.builds(Pause, st.integers(0, 9))
    | st.builds(Listen, st.sampled_from(["e", "f"]))
)
fan_outs = st.builds(All, st.lists(work, max_size=3).map(tuple)) | st.builds(First, work.map(lambda node: (node,)))
safe = work | fan_outs | st.builds(Send, st.sampled_from("ab"), st.booleans())
handled = st.builds(
    lambda before, call, after, handler: Guard(All((*before, call, *after)), handler, raises=False),
    st.lists(work, max_size=2),
    st.builds(Call, st.just(HANDLED), retries, st.booleans()),
    st.lists(work, max_size=1),
    safe,
)
culprits = (
    st.builds(Call, st.sampled_from(CULPRITS), retries, st.booleans())
    | st.builds(Http, st.sampled_from(CULPRITS), st.integers(0, 2), retries)
    | st.builds(Http, st.sampled_from(SLOW), st.integers(0, 2), retries, st.integers(1, 9))
    | st.builds(Listen, st.sampled_from(SLOW), st.integers(1, 9), st.just(True))
)
fragile_fan_outs = st.recursive(
    culprits | work, lambda inner: st.builds(All, st.lists(inner, min_size=1, max_size=4).map(tuple)), max_leaves=5
)
fragile = (
    safe
    | handled
    | fragile_fan_outs
    | st.builds(Crash, st.sampled_from(BUGS))
    | st.builds(Collect, st.lists(culprits | work, min_size=1, max_size=3).map(tuple), st.booleans())
)
chained = st.recursive(
    fragile,
    lambda inner: (
        st.builds(Steps, st.lists(inner, min_size=1, max_size=4).map(tuple))
        | st.builds(Guard, inner, safe | handled, st.just(True))
    ),
    max_leaves=10,
)
# The failure that the code was told last is done again, so no other one is handled between it and the verdict.
judged = st.recursive(
    fragile | st.builds(Poll, (culprits | work).map(lambda node: (node,))),
    lambda inner: (
        st.builds(Steps, st.lists(inner, min_size=1, max_size=4).map(tuple))
        | st.builds(Guard, inner, safe, st.just(True))
        | st.builds(Verdict, inner, safe, st.booleans())
    ),
    max_leaves=10,
)
programs = chained | judged


class Life:
    """One instance from its start to its end, with whatever fails on the way."""

    def __init__(self, program: Node, broken: set[str], choose: Callable[[int], int]) -> None:
        self.broken = broken
        self.seen: list[tuple[str, Any]] = []
        self.driver = Driver(orchestrator_of(program, self.seen, broken))
        self.world = World(self.driver)
        self.choose = choose

    def go_on(self) -> RuntimeStatus:
        """Let things happen until it ends."""
        while self.driver.execution.completion is None:
            if self.choose(3) == 0:
                self.driver.reload()
            self._feed(self._next())
        return self.driver.execution.status

    def _next(self) -> HistoryEvent:
        execution = self.driver.execution
        if not execution.has_started:
            return started()
        open_tasks = [task_id for task_id in self.world.open_tasks() if self._may_end(execution.tasks[task_id])]
        if not open_tasks:
            return self.world.raise_event(event_waits(execution)[0].name)
        task_id = open_tasks[self.choose(len(open_tasks))]
        task = execution.tasks[task_id]
        name = called_name(task.name, task.input) if isinstance(task, ActionTask) else ""
        fails = name == HANDLED or (name in self.broken and name not in SLOW)
        return self.world.answer(task_id, fails=fails)

    def _may_end(self, task: ActionTask | TimerTask) -> bool:
        """A timeout runs out while what it limits is too slow, and only then."""
        return not isinstance(task, TimerTask) or task.limits is None or self._limited(task) in self.broken

    def _limited(self, timer: TimerTask) -> str:
        """The name of what a timeout limits."""
        if isinstance(timer.limits, ExternalEventTask):
            return timer.limits.name
        request = self.driver.execution.tasks[int(timer.limits.id)]
        return called_name(request.name, request.input)

    def _feed(self, event: HistoryEvent) -> None:
        self.driver.feed(self.driver.stamp(event))

    def rewind(self) -> None:
        """Begin the execution that takes the failed one's place, and check that it has kept what was done."""
        driver = self.driver
        done = self._done_for_good()
        driver.execution.discard()
        plan = rewind(driver.definition, PlainFunctions(), driver.facts, driver.history)
        driver.execution, driver.history = plan.execution, list(plan.kept)
        driver.history += advance(plan.execution, [driver.stamp(rewound(plan)), *plan.redelivered]).events
        undone = [task_id for task_id in done if not plan.execution.tasks[task_id].has_ended]
        assert undone == [], "completed work would run again"

    def _done_for_good(self) -> list[int]:
        """Tasks begun before the first failure that was not foreseen, and completed by now."""
        history = self.driver.history
        failures = {EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED}
        results = {EventType.TASK_COMPLETED, EventType.SUB_ORCHESTRATION_COMPLETED, EventType.TIMER_FIRED}
        dispatched = [event for event in history if event.is_decided and event.type is not EventType.TIMER_CREATED]
        names = {event.task_id: called_name(event.name, event.payload) for event in dispatched}
        tasks = self.driver.execution.tasks
        expired = {task_id for task_id, task in tasks.items() if isinstance(task, TimerTask) and _has_run_out(task)}
        fatal = (
            e.sequence
            for e in history
            if (e.type in failures and names[e.task_id] in CULPRITS)
            or (e.type is EventType.TIMER_FIRED and e.task_id in expired)
        )
        first = next(fatal, len(history))
        begun = {event.task_id for event in history if event.is_decided and event.sequence < first}
        ended = [e for e in history if e.type in results and not (e.type is EventType.TIMER_FIRED and e.attempt)]
        given_up = {task_id for task_id, task in tasks.items() if isinstance(task.error, TaskCancelledError)}
        ended_for_good = (event.task_id for event in ended if tasks[event.task_id].has_ended)  # not to be tried again
        return [task_id for task_id in ended_for_good if task_id in begun and task_id not in expired | given_up]


def _has_run_out(timer: TimerTask) -> bool:
    return timer.has_fired and timer.limits is not None and timer.limits.has_failed


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.data())
def test_mended_and_rewound_it_ends_as_if_it_had_never_failed(program, data):
    choose = lambda count: data.draw(st.integers(0, count - 1))  # noqa: E731
    untroubled = Life(program, set(), choose)
    assert untroubled.go_on() is RuntimeStatus.COMPLETED

    troubled = Life(program, {*CULPRITS, *SLOW, *BUGS}, choose)
    patience, rewinds = 3, count()
    while troubled.go_on() is not RuntimeStatus.COMPLETED:
        assert next(rewinds) < REWINDS, f"it fails for ever: {program}"
        assert troubled.driver.execution.status is RuntimeStatus.FAILED
        if patience and choose(2):
            patience -= 1  # rewound although nothing is mended
        elif troubled.broken:
            troubled.broken.discard(sorted(troubled.broken)[choose(len(troubled.broken))])
        troubled.rewind()

    assert unnamed(output(troubled.driver)) == unnamed(output(untroubled.driver))
    assert troubled.seen == untroubled.seen
