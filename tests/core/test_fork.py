"""Forking: what is kept, what is done anew, and whom the code takes itself for on either side of the cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrations.core.actions import CreateTimer, DeliverEvent
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.episode import advance
from orchestrations.core.errors import CutRefused, NonDeterminismError, TaskFailedError
from orchestrations.core.events import EventType
from orchestrations.core.fork import cut
from orchestrations.core.retries import RetryPolicy
from orchestrations.core.rewind import rewind
from orchestrations.core.status import RuntimeStatus
from tests.core.cases import (
    child_done,
    child_failed,
    done,
    failed,
    fired,
    in_words,
    output,
    raised,
    resumed,
    rewound,
    run,
    suspended,
    terminated,
)
from tests.core.forking import fork_driver, step_of
from tests.core.plain import Driver, PlainFunctions
from tests.core.test_entity_calls import answered, granted, sent, tell

A, B = EntityId("account", "a"), EntityId("account", "b")


def words(episode) -> list[str]:
    return [in_words(action) for action in episode.actions]


def go_on(driver: Driver, *events) -> Driver:
    """Feed more events, each to an execution opened from its history."""
    for event in events:
        tell(driver, event)
    driver.reload()
    return driver


def rewind_driver(driver: Driver) -> list[str]:
    plan = rewind(driver.definition, PlainFunctions(), driver.facts, driver.history)
    driver.execution, driver.history = plan.execution, plan.kept
    event = driver.stamp(rewound(plan))
    episode = advance(plan.execution, [event, *(driver.stamp(again) for again in plan.redelivered)])
    driver.history += episode.events
    driver.episodes.append(episode)
    return words(episode)


def chain(context):
    one = yield context.call_activity("a")
    two = yield context.call_activity("b", one)
    return [one, two]


def test_what_had_ended_stays_and_the_rest_is_done_anew():
    origin = run(chain, done(1, 1), done(2, 2))

    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_SCHEDULED, "b"))

    assert words(episode) == ["schedule b#2(1)"]
    assert output(go_on(fork, done(2, 3))) == [1, 3]
    assert output(origin) == [1, 2]


def test_from_a_result_the_task_that_gave_it_runs_again():
    origin = run(chain, done(1, 1), done(2, 2))

    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_COMPLETED, task_id=1))

    assert words(episode) == ["schedule a#1()"]
    assert output(go_on(fork, done(1, 5), done(2, 6))) == [5, 6]


def test_from_the_end_code_that_was_mended_goes_on():
    def mended(context):
        yield from chain(context)
        return (yield context.call_activity("c"))

    origin = run(chain, done(1, 1), done(2, 2))
    fork, episode = fork_driver(origin, len(origin.history), mended)

    assert words(episode) == ["schedule c#3()"]
    assert output(go_on(fork, done(3, 3))) == 3


def test_code_that_does_not_fit_what_is_kept_is_told_so():
    def other(context):
        return (yield context.call_activity("z"))

    origin = run(chain, done(1, 1))
    with pytest.raises(NonDeterminismError, match="'z'"):
        fork_driver(origin, step_of(origin, EventType.TASK_COMPLETED), other)


# Who it takes itself for --------------------------------------------------------------------------------------------


def test_before_the_cut_it_is_the_origin_and_behind_it_the_fork_in_every_replay():
    def remembers(context):
        mine = [context.instance_id, context.new_uuid(), context.version, str(context.current_utc_datetime)]
        yield context.call_activity("a")
        then = [context.instance_id, context.new_uuid(), context.version]
        yield context.call_activity("b")
        return [mine, then, context.parent_instance_id]

    origin = run(remembers, done(1))
    origin.facts = replace(origin.facts, version="1")
    origin.history[0].attributes["parent"] = "mother"
    origin.reload()
    go_on(origin, done(2))
    [mine, then, parent] = output(origin)
    assert parent == "mother"

    fork, _ = fork_driver(origin, step_of(origin, EventType.TASK_SCHEDULED, "b"), version="2")
    kept, now, parent = output(go_on(fork, done(2)))

    assert kept == mine
    assert now[0] == "fork" and now[1] != then[1] and now[2] == "2"
    assert parent is None


def test_a_fork_of_a_fork_was_both_before_it():
    def remembers(context):
        ids = []
        for name in "abc":
            ids.append(context.instance_id)
            yield context.call_activity(name)
        return ids

    origin = run(remembers, done(1), done(2), done(3))
    fork, _ = fork_driver(origin, step_of(origin, EventType.TASK_SCHEDULED, "b"))
    go_on(fork, done(2), done(3))
    assert output(fork) == ["i1", "fork", "fork"]

    second, _ = fork_driver(fork, step_of(fork, EventType.TASK_SCHEDULED, "c"), name="second")
    assert output(go_on(second, done(3))) == ["i1", "fork", "second"]
    again, _ = fork_driver(fork, step_of(fork, EventType.EXECUTION_FORKED), name="again")
    assert output(go_on(again, done(2), done(3))) == ["i1", "again", "again"]


def test_cut_between_two_decisions_the_first_is_the_origins():
    def both(context):
        tasks = [context.call_sub_orchestrator(name, context.instance_id) for name in "ab"]
        return (yield context.task_all(tasks))

    origin = run(both, child_done(1, 1), child_done(2, 2))
    fork, episode = fork_driver(origin, step_of(origin, EventType.SUB_ORCHESTRATION_CREATED, "b"))

    assert words(episode) == ['start a#1("i1") as fork:0001', 'start b#2("fork") as fork:0002']
    assert output(go_on(fork, child_done(1, 3), child_done(2, 4))) == [3, 4]


# What was open ------------------------------------------------------------------------------------------------------


def test_a_child_that_was_open_is_started_under_an_id_of_the_forks_and_one_that_had_ended_is_not():
    def parent(context):
        first = yield context.call_sub_orchestrator("child", instance_id="one")
        second = context.call_sub_orchestrator("child", instance_id="two")
        third = yield context.call_activity("a")
        return [first, third, (yield second)]

    origin = run(parent, child_done(1, 1), done(3, 3), child_done(2, 2))
    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_COMPLETED))

    assert words(episode) == ["start child#2() as fork:0002", "schedule a#3()"]
    assert output(go_on(fork, child_done(2, 5), done(3, 6))) == [1, 6, 5]


def test_a_child_that_is_tried_again_behind_the_cut_is_the_forks():
    policy = RetryPolicy(first_retry_interval=timedelta(seconds=5), max_number_of_attempts=3)

    def parent(context):
        return (yield context.call_sub_orchestrator("child", retry=policy))

    origin = run(parent, child_failed(1), fired(1, 2), child_failed(1), fired(1, 3), child_done(1, 1))
    for kind in (EventType.TIMER_CREATED, EventType.TIMER_FIRED, EventType.SUB_ORCHESTRATION_CREATED):
        fork, _ = fork_driver(origin, step_of(origin, kind))
        if kind is not EventType.SUB_ORCHESTRATION_CREATED:
            go_on(fork, fired(1, 3))
        assert words(fork.episodes[-1]) == ["start child#1.3() as fork:0001"]
        assert output(go_on(fork, child_done(1, 2))) == 2


def test_an_attempt_that_was_under_way_is_made_again_and_counts_as_itself():
    policy = RetryPolicy(first_retry_interval=timedelta(seconds=5), max_number_of_attempts=2)

    def retried(context):
        return (yield context.call_activity("a", retry=policy))

    origin = run(retried, failed(1), fired(1, 2), done(1, 1, attempt=2))
    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_COMPLETED))
    assert words(episode) == ["schedule a#1.2()"]
    go_on(fork, failed(1, attempt=2))
    assert fork.execution.status is RuntimeStatus.FAILED


def test_a_timer_has_the_time_left_that_it_had_and_one_for_a_moment_keeps_it():
    def timed(context):
        span = context.create_timer(timedelta(seconds=60))
        moment = context.create_timer(context.current_utc_datetime + timedelta(seconds=60))
        yield context.call_activity("a")
        yield context.call_activity("b")
        return (yield context.task_all([span, moment]))

    origin = run(timed, done(3), done(4))
    created = {e.task_id: e for e in origin.history if e.type is EventType.TIMER_CREATED}
    origin.now += timedelta(seconds=1000)
    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_SCHEDULED, "b"))

    due = {action.task_id: action.due_at for action in episode.actions if isinstance(action, CreateTimer)}
    went_by = step_time(origin, EventType.TASK_SCHEDULED, "b") - origin.history[0].timestamp
    assert due[1] - fork.now == timedelta(seconds=60) - went_by
    assert due[2].isoformat() == created[2].attributes["fire_at"]
    fork.reload()
    assert fork.execution.tasks[1].due_at == due[1]


def step_time(driver: Driver, kind: EventType, name: str):
    return driver.history[step_of(driver, kind, name) - 1].timestamp


def test_a_timer_that_is_created_anew_counts_from_now():
    def timed(context):
        yield context.call_activity("a")
        yield context.create_timer(timedelta(seconds=60))
        return "late"

    origin = run(timed, done(1), fired(2))
    origin.now += timedelta(seconds=1000)
    fork, episode = fork_driver(origin, step_of(origin, EventType.TIMER_CREATED))

    [timer] = episode.actions
    assert timer.due_at == fork.now + timedelta(seconds=60)
    fork.reload()
    assert fork.execution.tasks[2].due_at == timer.due_at


def test_events_that_had_come_are_kept_taken_or_not_and_later_ones_are_to_come_again():
    def listens(context):
        first = yield context.wait_for_external_event("go")
        yield context.call_activity("a")
        second = yield context.wait_for_external_event("go")
        third = yield context.wait_for_external_event("go")
        return [first, second, third]

    origin = run(listens, raised("go", 1), raised("go", 2), done(1), raised("go", 3))
    fork, _ = fork_driver(origin, step_of(origin, EventType.TASK_COMPLETED))
    go_on(fork, done(1))
    assert fork.execution.completion is None
    assert output(go_on(fork, raised("go", 4))) == [1, 2, 4]


def test_a_fork_from_where_the_origin_was_suspended_runs():
    origin = run(chain, suspended(), done(1, 1), resumed(), done(2, 2))
    fork, episode = fork_driver(origin, step_of(origin, EventType.EXECUTION_RESUMED))

    assert fork.execution.status is RuntimeStatus.RUNNING
    assert words(episode) == ["schedule b#2(1)"]
    assert output(go_on(fork, done(2, 3))) == [1, 3]


def test_a_patch_that_is_reached_behind_the_cut_is_taken():
    def patched(context):
        yield context.call_activity("a")
        name = "new" if context.patched("p") else "b"
        return (yield context.call_activity(name))

    def before(context):
        yield context.call_activity("a")
        return (yield context.call_activity("b"))

    origin = run(before, done(1), done(2, 2))
    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_SCHEDULED, "b"), patched)
    assert words(episode)[0] == "schedule new#2()"
    assert output(go_on(fork, done(2, 3))) == 3

    late, _ = fork_driver(origin, step_of(origin, EventType.TASK_COMPLETED), patched)
    assert output(go_on(late, done(2, 4))) == 4


# Entities -----------------------------------------------------------------------------------------------------------


def calls_entity(context):
    call = context.call_entity(A, "get")
    yield context.call_activity("a")
    return (yield call)


def test_an_operation_that_had_not_ended_is_called_anew_and_only_the_answer_to_that_counts():
    origin = run(calls_entity, done(2))
    earlier = answered(origin, 1, 1)
    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_COMPLETED))

    assert sent(episode) == ["OperationCalled get to @account@a"]
    [call] = [action.event for action in episode.actions if isinstance(action, DeliverEvent)]
    assert call.attributes["owner"] == "fork"
    assert call.attributes["request_id"] != earlier.attributes["request_id"]
    assert tell(fork, earlier).events == []
    tell(fork, done(2))
    assert output(go_on(fork, replace(earlier, attributes={"request_id": call.attributes["request_id"]}))) == 1


def locks(context):
    yield context.call_activity("a")
    with (yield context.lock_entities([A, B])):
        yield context.call_entity(A, "get")
    return (yield context.call_activity("b"))


def locked() -> Driver:
    origin = run(locks, done(1))
    tell(origin, granted(origin))
    tell(origin, answered(origin, 3, 1))
    return go_on(origin, done(5, 5))


@pytest.mark.parametrize("kind", [EventType.ENTITY_CALLED, EventType.ENTITY_COMPLETED, EventType.ENTITY_UNLOCK_SENT])
def test_it_never_begins_inside_a_critical_section(kind):
    origin = locked()
    where = step_of(origin, EventType.ENTITY_LOCK_GRANTED)
    with pytest.raises(CutRefused, match=f"Fork from step {where}, where it got them"):
        cut(origin.facts, origin.history, step_of(origin, kind))


@pytest.mark.parametrize("kind", [EventType.ENTITY_LOCK_REQUESTED, EventType.ENTITY_LOCK_GRANTED])
def test_it_asks_for_entities_itself_once(kind):
    origin = locked()
    fork, episode = fork_driver(origin, step_of(origin, kind))

    assert sent(episode) == ["LockRequested to @account@a"]
    [asked] = [action.event for action in episode.actions]
    assert asked.attributes["owner"] == "fork"
    assert asked.attributes["request_id"] != granted(origin).attributes["request_id"]
    assert tell(fork, granted(origin)).events == []
    assert sent(tell(fork, granted(fork))) == ["OperationCalled get to @account@a"]


def test_behind_a_critical_section_there_is_no_lock():
    origin = locked()
    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_SCHEDULED, "b"))
    assert sent(episode) == []
    assert output(go_on(fork, done(5, 6))) == 6


# Rows that can't be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, -1, 8])
def test_a_step_that_is_not_there_is_refused(step):
    origin = run(chain, done(1, 1), done(2, 2))
    with pytest.raises(CutRefused, match="It has steps 1 to 6"):
        cut(origin.facts, origin.history, step)


def test_what_came_after_the_end_is_no_place_to_go_on_from():
    def fails(context):
        yield context.call_activity("a")
        raise ValueError("no")

    origin = run(fails, done(1), raised("go"))
    assert origin.history[-1].type is EventType.EVENT_RAISED
    with pytest.raises(CutRefused, match="came after the end at step 4"):
        cut(origin.facts, origin.history, 5)


def test_from_the_end_of_a_terminated_one_it_would_end_at_once():
    origin = run(chain, terminated())
    with pytest.raises(CutRefused, match="Fork from step 3"):
        cut(origin.facts, origin.history, 4)
    _, episode = fork_driver(origin, 3)
    assert words(episode) == ["schedule a#1()"]


# Beginnings ---------------------------------------------------------------------------------------------------------


def test_from_the_beginning_it_is_a_new_instance_with_the_events_that_a_generation_before_left():
    origin = run(chain, done(1, 1))
    carried = [replace(raised("go", n), sequence=n) for n in (1, 2)]
    for event in origin.history:
        event.sequence += 2
    origin.history[0].payload = '"before"'
    plan = cut(origin.facts, [*carried, *origin.history], 3)
    assert plan.begins
    assert [event.payload for event in plan.kept] == ["1", "2"]
    assert plan.custom_status == '"before"'
    assert [event.payload for event in cut(origin.facts, [*carried, *origin.history], 2).kept] == ["1"]


def test_what_came_while_the_code_did_not_fit_is_delivered_to_the_fork():
    origin = run(chain, done(1, 1))
    unseen = [replace(done(2, 2), sequence=5), replace(raised("go", 1), sequence=6)]
    end = replace(origin.history[0], type=EventType.EXECUTION_COMPLETED, sequence=7)
    end.attributes = {"status": "Failed", "undelivered_from": 5}
    origin.history += [*unseen, end]

    fork, episode = fork_driver(origin, 7)
    assert [event.type for event in episode.events[:2]] == [EventType.EXECUTION_FORKED, EventType.TASK_COMPLETED]
    assert output(go_on(fork)) == [1, 2]


# Rewinding a fork ---------------------------------------------------------------------------------------------------


def test_a_fork_that_failed_of_what_it_was_given_stays_the_fork_when_it_is_rewound():
    def parent(context):
        call = context.call_entity(A, "get")
        yield context.call_sub_orchestrator("child")
        return [context.instance_id, (yield call)]

    origin = run(parent, child_failed(2))
    fork, episode = fork_driver(origin, len(origin.history))
    assert fork.execution.status is RuntimeStatus.FAILED
    [call] = [action.event for action in episode.actions if isinstance(action, DeliverEvent)]

    assert rewind_driver(fork) == ["start child#2() as fork:0002"]
    tell(fork, child_done(2))
    answer = replace(answered(origin, 1, 7), attributes={"request_id": call.attributes["request_id"]})
    assert output(go_on(fork, answer)) == ["fork", 7]


def test_a_fork_whose_code_did_not_fit_goes_on_from_a_rewind():
    origin = run(calls_entity, done(2))
    step = step_of(origin, EventType.TASK_COMPLETED)
    fork, _ = fork_driver(origin, step)
    forked = fork.history[step - 1]
    assert forked.type is EventType.EXECUTION_FORKED
    end = replace(forked, type=EventType.EXECUTION_COMPLETED, sequence=step + 1)
    end.attributes = {"status": "Failed", "undelivered_from": step}
    fork.history = [*fork.history[:step], end]

    plan = rewind(fork.definition, PlainFunctions(), fork.facts, fork.history)
    event = fork.stamp(rewound(plan))
    episode = advance(plan.execution, [event, *plan.redelivered])
    assert sent(episode) == ["OperationCalled get to @account@a"]
    assert [action.name for action in episode.actions if not isinstance(action, DeliverEvent)] == ["a"]
    fork.history = [*plan.kept, *episode.events]
    fork.reload()
    assert fork.execution.facts.instance_id == "fork"


def test_a_failure_that_was_handled_before_the_cut_stays_handled():
    def handles(context):
        try:
            first = yield context.call_activity("a")
        except TaskFailedError:
            first = yield context.call_activity("instead")
        return [first, (yield context.call_activity("b"))]

    origin = run(handles, failed(1), done(2, 2), done(3, 3))
    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_SCHEDULED, "b"))
    assert words(episode) == ["schedule b#3()"]
    assert output(go_on(fork, done(3, 4))) == [2, 4]


def test_a_rewound_history_is_forked_like_any_other():
    origin = run(chain, done(1, 1), failed(2))
    rewind_driver(origin)
    go_on(origin, done(2, 2))
    fork, episode = fork_driver(origin, step_of(origin, EventType.TASK_COMPLETED, task_id=2))
    assert words(episode) == ["schedule b#2(1)"]
    assert output(go_on(fork, done(2, 3))) == [1, 3]
