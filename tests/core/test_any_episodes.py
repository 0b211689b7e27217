"""Any orchestrator, any order of events, any split into episodes: the same history and the same actions."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from orchestrations.core.actions import Action
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.rewind import until_completed
from orchestrations.core.waits import describe_waits, event_waits
from tests.core.cases import copied, raised, resumed, started, suspended, terminated
from tests.core.plain import Driver
from tests.core.programs import RECEIVED_ONCE, Node, World, orchestrator_of, programs, rows

STEPS = 40  # events fed at most

any_run = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


class Run:
    """One run with each event an episode of its own, in memory throughout: what all others are held against."""

    def __init__(self, program: Node, choose: Any) -> None:
        self.program = program
        self.seen: list[tuple[str, Any]] = []
        self.driver = Driver(orchestrator_of(program, self.seen))
        self.world = World(self.driver)
        self.fed: list[HistoryEvent] = []
        self.taken: list[HistoryEvent] = []
        self.stands: list[tuple[int, Any]] = []  # (length of the history, where it stands) after each event
        self._choose = choose
        events = [self.world.raise_event("e") for _ in range(choose(2))]
        for event in [*events, started()]:
            self._feed(event)
        for _ in range(STEPS):
            if self.driver.execution.completion is not None:
                break
            self._feed(self._next())
        self._feed(raised("after the end", 0))

    def __repr__(self) -> str:
        fed = [f"{event.type} {event.task_id or event.name or ''}" for event in self.fed]
        return f"{self.program} fed with {fed}"

    @property
    def actions(self) -> list[Action]:
        return [action for episode in self.driver.episodes for action in episode.actions]

    def _feed(self, event: HistoryEvent) -> None:
        stamped = self.driver.stamp(event)
        self.fed.append(copied(stamped))
        if self.driver.feed(stamped).events:
            self.taken.append(self.fed[-1])
        self.stands.append((len(self.driver.history), stand(self.driver)))

    def _next(self) -> HistoryEvent:
        execution, open_tasks = self.driver.execution, self.world.open_tasks()
        kind = self._choose(12)
        if kind == 0:
            return self.world.raise_event(("e", "E", "f")[self._choose(3)])
        if kind == 1 and (repeatable := [event for event in self.fed if event.type in RECEIVED_ONCE]):
            return copied(repeatable[self._choose(len(repeatable))])
        if kind == 2:
            return suspended() if execution.suspended_by is None else resumed()
        if kind == 3 and self._choose(10) == 0:
            return terminated("enough")
        if open_tasks:
            return self.world.answer(open_tasks[self._choose(len(open_tasks))], fails=self._choose(3) == 0)
        waits = event_waits(execution)
        return self.world.raise_event(waits[0].name) if waits else resumed()


def stand(driver: Driver) -> Any:
    """Where an execution stands, as far as anyone can tell from outside."""
    execution = driver.execution
    waits = [(wait.id, wait.name) for wait in event_waits(execution)]
    return execution.status, execution.location, execution.clock, describe_waits(execution), waits


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """A program, and a run of it."""
    return Run(draw(programs), lambda count: draw(st.integers(0, count - 1)) if count else 0)


@any_run
@given(runs(), st.data())
def test_any_split_into_episodes_from_memory_or_from_history_gives_the_same(run, data):
    driver = Driver(run.driver.definition.function)
    events = [copied(event) for event in run.fed]
    while events:
        size = data.draw(st.integers(1, len(events)))
        driver.feed(*events[:size])
        events = events[size:]
        if data.draw(st.booleans()):
            driver.reload()

    assert rows(driver.history) == rows(run.driver.history)
    assert [action for episode in driver.episodes for action in episode.actions] == run.actions


@any_run
@given(runs(), st.data())
def test_replaying_the_history_up_to_any_episode_stands_where_the_episode_ended(run, data):
    length, expected = data.draw(st.sampled_from(run.stands))
    driver = Driver(run.driver.definition.function)
    driver.history = run.driver.history[:length]
    driver.reload()

    assert stand(driver) == expected
    assert driver.execution.last_sequence == length
    assert driver.execution.take_actions() == []


@any_run
@given(runs())
def test_events_that_were_not_taken_change_nothing(run):
    driver = Driver(run.driver.definition.function)
    for event in run.taken:
        driver.feed(copied(event))

    assert rows(driver.history) == rows(run.driver.history)
    assert [action for episode in driver.episodes for action in episode.actions] == run.actions


@any_run
@given(runs(), st.data())
def test_an_event_that_was_taken_is_not_taken_again(run, data):
    driver = Driver(run.driver.definition.function)
    for event in run.taken:
        driver.feed(copied(event))
        again = copied(event)
        if again.type in RECEIVED_ONCE:
            assert driver.feed(again).events == []
    earlier = data.draw(st.sampled_from(run.taken))
    if earlier.type in RECEIVED_ONCE:
        assert driver.feed(copied(earlier)).events == []


@any_run
@given(runs())
def test_each_external_event_is_seen_once_or_still_waits(run):
    execution, (history, _) = run.driver.execution, until_completed(run.driver.history)
    was_suspended = any(event.type is EventType.EXECUTION_SUSPENDED for event in history)
    assume(execution.suspended_by is None and not (was_suspended and execution.completion is not None))

    waiting = [(event.name.casefold(), json.loads(event.payload)) for event in execution.external_events.unseen()]
    came = [(e.name.casefold(), json.loads(e.payload)) for e in history if e.type is EventType.EVENT_RAISED]
    assert sorted(run.seen + waiting) == sorted(came)


@any_run
@given(runs())
def test_the_code_sees_external_events_in_order_unless_it_lets_waits_race(run):
    assume("First" not in repr(run.program))

    for name in ("e", "f"):
        values = [value for seen_name, value in run.seen if seen_name == name]
        assert values == list(range(1, len(values) + 1))


@any_run
@given(runs())
def test_the_history_never_has_a_gap_and_its_times_never_run_backwards(run):
    history = run.driver.history

    assert [event.sequence for event in history] == list(range(1, len(history) + 1))
    assert [event.timestamp for event in history] == sorted(event.timestamp for event in history)
