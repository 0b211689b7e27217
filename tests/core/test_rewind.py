"""Rewinding: the failure that ended it is done again, what was decided because of it goes, all else stays."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from orchestrations.core.episode import advance
from orchestrations.core.errors import NonDeterminismError, TaskFailedError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.retries import RetryPolicy
from orchestrations.core.rewind import rewind
from orchestrations.core.status import RuntimeStatus
from tests.core.cases import (
    child_done,
    child_failed,
    copied,
    done,
    error,
    failed,
    fired,
    in_words,
    output,
    raised,
    resumed,
    rewound,
    run,
    suspended,
)
from tests.core.plain import START, Driver, PlainFunctions, definition

RETRY = RetryPolicy(first_retry_interval=timedelta(seconds=5), max_number_of_attempts=2)


def rewind_driver(driver: Driver, mended=None) -> tuple[list[str], list[str]]:
    """Rewind what has failed. Returns the actions in words and the failed children's ids."""
    if mended is not None:
        driver.definition = definition(mended)
    plan = rewind(driver.definition, PlainFunctions(), driver.facts, driver.history)
    driver.execution.discard()
    driver.execution, driver.history = plan.execution, plan.kept
    episode = advance(plan.execution, [driver.stamp(rewound(plan)), *plan.redelivered])
    driver.history += episode.events
    return [in_words(action) for action in episode.actions], plan.failed_children


def go_on(driver: Driver, *events: HistoryEvent) -> Driver:
    """Feed more events, each to an execution opened from its history."""
    for event in events:
        driver.reload()
        driver.feed(driver.stamp(event))
    return driver


def chain(context):
    one = yield context.call_activity("a")
    two = yield context.call_activity("b", one)
    return [one, two]


def retried(context):
    return (yield context.call_activity("a", retry=RETRY))


def fan_out(context):
    return (yield context.task_all([context.call_activity("a", n) for n in range(4)]))


def nested_fan_out(context):
    both = [context.call_activity("a", n) for n in range(2)]
    return (yield context.task_all([context.task_all(both), context.call_activity("a", 2)]))


def compensating(context):
    first = yield context.call_activity("a")
    try:
        second = yield context.call_activity("b")
    except TaskFailedError:
        yield context.call_activity("undo")
        raise
    return [first, second]


def compensating_with_another_error(context):
    try:
        return (yield context.call_activity("a"))
    except TaskFailedError:
        yield context.call_activity("undo")
        raise ValueError("gave up")  # noqa: B904


def finally_cleans_up(context):
    try:
        return (yield context.call_activity("a"))
    finally:
        yield context.call_activity("clean up")


def handled_earlier(context):
    try:
        yield context.call_activity("a")
    except TaskFailedError:
        yield context.call_activity("instead")
    return (yield context.call_activity("b"))


def awaited_in_turn(context):
    first, second = context.call_activity("a"), context.call_activity("b")
    return [(yield first), (yield second)]


def decided_before_it_looked(context):
    failing, other = context.call_activity("a"), context.call_activity("b")
    yield other
    more = context.call_activity("c")
    return [(yield failing), (yield more)]


def looked_without_waiting(context):
    failing = context.call_activity("a")
    yield context.call_activity("b")
    if failing.is_completed:
        return failing.result
    return (yield failing)


def first_wins(context):
    winner = yield context.task_any([context.call_activity("a"), context.create_timer(timedelta(seconds=60))])
    return winner.result


def parent(context):
    return (yield context.task_all([context.call_sub_orchestrator("c", n) for n in range(2)]))


def listening_while_compensating(context):
    try:
        yield context.call_activity("a")
    except TaskFailedError:
        yield context.wait_for_external_event("e")
        raise
    return (yield context.wait_for_external_event("e"))


def test_the_failed_activity_runs_again_and_what_was_done_stays():
    driver = run(chain, done(1, 1), failed(2))

    assert rewind_driver(driver) == (["schedule b#2(1)"], [])
    assert output(go_on(driver, done(2, 2))) == [1, 2]


def test_the_history_is_numbered_anew_and_has_the_rewind_where_it_went_on():
    driver = run(chain, done(1, 1), failed(2))
    rewind_driver(driver)

    assert [(event.sequence, event.type) for event in driver.history] == [
        (1, EventType.EXECUTION_STARTED),
        (2, EventType.TASK_SCHEDULED),
        (3, EventType.TASK_COMPLETED),
        (4, EventType.TASK_SCHEDULED),
        (5, EventType.EXECUTION_REWOUND),
    ]


def test_the_history_that_was_given_stays_as_it_is():
    driver = run(fan_out, failed(2), done(1), done(3), done(4))
    given, before = driver.history, [copied(event) for event in driver.history]
    rewind_driver(driver)

    assert given == before


def test_what_is_dispatched_again_points_to_the_event_that_holds_its_input():
    driver = run(fan_out, failed(2), done(1), done(3), failed(4))
    plan = rewind(driver.definition, PlainFunctions(), driver.facts, driver.history)
    episode = advance(plan.execution, [driver.stamp(rewound(plan)), *plan.redelivered])

    history = [*plan.kept, *episode.events]
    assert [history[action.sequence - 1].task_id for action in episode.actions] == [2, 4]


def test_all_attempts_are_forgotten():
    driver = run(retried, failed(1), fired(1, 2), failed(1, attempt=2))

    assert rewind_driver(driver) == (["schedule a#1()"], [])
    assert output(go_on(driver, failed(1), fired(1, 2), done(1, "ok", 2))) == "ok"


def test_all_failures_of_a_fan_out_run_again_and_only_they():
    driver = run(fan_out, done(2, "b"), failed(4), failed(1), done(3, "c"))

    assert rewind_driver(driver) == (["schedule a#1(0)", "schedule a#4(3)"], [])
    assert output(go_on(driver, done(4, "d"), done(1, "a"))) == ["a", "b", "c", "d"]


def test_all_failures_of_nested_fan_outs_run_again():
    driver = run(nested_fan_out, failed(2), failed(1), failed(3))

    assert rewind_driver(driver)[0] == ["schedule a#1(0)", "schedule a#2(1)", "schedule a#3(2)"]


def test_compensation_goes_with_its_results():
    driver = run(compensating_with_another_error, failed(1), done(2))

    assert rewind_driver(driver) == (["schedule a#1()"], [])
    assert output(go_on(driver, done(1, "ok"))) == "ok"


def test_what_a_finally_did_after_the_failure_is_done_again_after_the_success():
    driver = run(finally_cleans_up, failed(1), done(2))

    assert rewind_driver(driver) == (["schedule a#1()"], [])
    assert output(go_on(driver, done(1, "ok"), done(3))) == "ok"


def test_compensation_that_raises_again_goes_and_comes_again():
    driver = run(compensating, done(1, 1), failed(2), done(3))
    rewind_driver(driver)
    go_on(driver, failed(2))

    assert [event.name for event in driver.history if event.is_decided] == ["a", "b", "undo"]
    go_on(driver, done(4))
    assert rewind_driver(driver) == (["schedule b#2()"], [])
    assert output(go_on(driver, done(2, 2))) == [1, 2]


def test_what_was_taken_back_leaves_its_numbers_unused_also_where_it_was_taken_back_twice():
    def orchestrator(context):
        try:
            yield context.call_activity("a")
        except TaskFailedError:
            yield context.call_activity("undo")
            yield context.call_activity("tell")
            raise
        return (yield context.call_activity("b"))

    driver = run(orchestrator, failed(1), done(2), done(3))
    rewind_driver(driver)
    go_on(driver, failed(1), done(4), done(5))
    rewind_driver(driver)
    go_on(driver, done(1))

    assert [(event.name, event.task_id) for event in driver.history if event.is_decided] == [("a", 1), ("b", 6)]
    assert output(go_on(driver, done(6, "ok"))) == "ok"


def test_where_nothing_was_taken_back_the_numbers_go_on():
    driver = run(chain, done(1, 1), failed(2))
    plan = rewind(driver.definition, PlainFunctions(), driver.facts, driver.history)

    plan.execution.discard()
    assert "numbers_used" not in plan.attributes


def test_a_number_is_the_same_however_often_the_code_was_rewound_at_its_place():
    """The code decides at the event before the rewind, and is cut off there again."""

    def looks(context):
        failing = context.call_activity("a")
        yield context.call_activity("b")
        if failing.is_completed and failing.is_failed:
            yield context.call_activity("undo")
            return failing.result
        more = context.call_activity("more")
        return [(yield failing), (yield more)]

    driver = run(looks, failed(1), done(2), done(3))
    assert rewind_driver(driver) == (["schedule a#1()", "schedule more#4()"], [])
    go_on(driver, failed(1))

    assert rewind_driver(driver) == (["schedule a#1()", "schedule more#4()"], [])
    assert output(go_on(driver, done(4, "more"), done(1, "ok"))) == ["ok", "more"]


def test_a_failure_that_was_handled_stays():
    driver = run(handled_earlier, failed(1), done(2), failed(3))

    assert rewind_driver(driver) == (["schedule b#3()"], [])
    assert output(go_on(driver, done(3, "ok"))) == "ok"


def test_a_failure_that_nobody_had_seen_yet_is_done_again_too():
    driver = run(awaited_in_turn, failed(2), failed(1))

    assert rewind_driver(driver) == (["schedule a#1()", "schedule b#2()"], [])
    assert output(go_on(driver, done(2, 2), done(1, 1))) == [1, 2]


def test_what_was_decided_before_the_code_looked_stays_with_its_results():
    driver = run(decided_before_it_looked, failed(1), done(2))
    assert driver.execution.status is RuntimeStatus.FAILED

    assert rewind_driver(driver) == (["schedule a#1()", "schedule c#3()"], [])
    assert [event.task_id for event in driver.history if event.is_decided] == [1, 2, 3]
    assert output(go_on(driver, done(3, 3), done(1, 1))) == [1, 3]


def test_the_results_of_what_was_decided_before_the_code_looked_stay_too():
    def orchestrator(context):
        failing = context.call_activity("a")
        yield context.call_activity("b")
        more = context.call_activity("c")
        try:
            first = yield failing
        except TaskFailedError:
            yield context.call_activity("undo")
            raise
        return [first, (yield more)]

    driver = run(orchestrator, failed(1), done(2), done(3, 3), done(4))

    assert rewind_driver(driver) == (["schedule a#1()"], [])
    assert output(go_on(driver, done(1, 1))) == [1, 3]


def test_a_failure_while_another_is_handled_is_rewound_alone():
    def orchestrator(context):
        try:
            return (yield context.call_activity("a"))
        except TaskFailedError:
            return (yield context.call_activity("instead"))

    driver = run(orchestrator, failed(1), failed(2))

    assert rewind_driver(driver) == (["schedule instead#2()"], [])
    assert output(go_on(driver, done(2, "ok"))) == "ok"


def test_a_failure_that_is_met_again_goes_back_to_where_it_was_met_first():
    def orchestrator(context):
        task = context.call_activity("a")
        try:
            yield task
        except TaskFailedError:
            yield context.call_activity("look into it")
        return (yield task)

    driver = run(orchestrator, failed(1), done(2))

    assert rewind_driver(driver) == (["schedule a#1()"], [])
    assert output(go_on(driver, done(1, "ok"))) == "ok"


def test_a_failure_may_be_looked_at_without_being_awaited():
    driver = run(looked_without_waiting, failed(1), done(2))

    assert rewind_driver(driver) == (["schedule a#1()"], [])
    assert output(go_on(driver, done(1, "ok"))) == "ok"


def test_a_failed_winner_runs_again_and_the_timer_beside_it_goes_on():
    driver = run(first_wins, failed(1))

    assert rewind_driver(driver) == (["schedule a#1()", "timer #2 62s"], [])
    assert output(go_on(driver, done(1, "ok"))) == "ok"


def test_failed_children_are_told_and_their_siblings_left_alone():
    driver = run(parent, child_done(1, "one"), child_failed(2))

    assert rewind_driver(driver) == (["start c#2(1) as i1:0002"], ["i1:0002"])
    assert output(go_on(driver, child_done(2, "two"))) == ["one", "two"]


def test_external_events_taken_after_the_failure_wait_again():
    driver = run(listening_while_compensating, failed(1), raised("e", "kept"))
    rewind_driver(driver)

    assert output(go_on(driver, done(1))) == "kept"


def test_results_that_came_during_compensation_count():
    def orchestrator(context):
        failing, slow = context.call_activity("a"), context.call_activity("slow")
        try:
            first = yield failing
        except TaskFailedError:
            yield context.call_activity("undo")
            raise
        return [first, (yield slow)]

    driver = run(orchestrator, failed(1), done(2, "slow"), done(3))
    plan = rewind(driver.definition, PlainFunctions(), driver.facts, driver.history)

    plan.execution.discard()
    assert [(event.type, event.task_id) for event in plan.redelivered] == [(EventType.TASK_COMPLETED, 2)]
    rewind_driver(driver)
    assert output(go_on(driver, done(1, "ok"))) == ["ok", "slow"]


def test_a_failure_that_came_while_suspended_goes_back_to_the_resumption():
    driver = run(chain, suspended(), done(1, 1), resumed(), suspended(), failed(2), resumed())

    assert rewind_driver(driver) == (["schedule b#2(1)"], [])
    assert output(go_on(driver, done(2, 2))) == [1, 2]


def test_mended_code_goes_on_where_the_code_itself_failed():
    def broken(context):
        yield context.call_activity("a")
        raise RuntimeError("bug")

    def mended(context):
        one = yield context.call_activity("a")
        return [one, (yield context.call_activity("b"))]

    driver = run(broken, done(1, 1))

    assert rewind_driver(driver, mended) == (["schedule b#2()"], [])
    assert [event.timestamp for event in driver.history] == sorted(event.timestamp for event in driver.history)
    assert output(go_on(driver, done(2, 2))) == [1, 2]


def test_code_that_is_still_broken_fails_again_and_may_be_rewound_again():
    def broken(context):
        yield context.call_activity("a")
        raise RuntimeError("bug")

    driver = run(broken, done(1, 1))
    for _ in range(3):
        assert rewind_driver(driver) == (["Failed RuntimeError: bug"], [])
        assert error(driver).message == "bug"

    assert rewind_driver(driver, lambda context: [(yield context.call_activity("a"))]) == (["Completed [1]"], [])


def test_mended_code_may_answer_the_failure_differently():
    def mended(context):
        first = yield context.call_activity("a")
        return [first, (yield context.call_activity("b"))]

    driver = run(compensating, done(1, 1), failed(2), done(3))

    assert rewind_driver(driver, mended) == (["schedule b#2()"], [])
    assert output(go_on(driver, done(2, 2))) == [1, 2]


def test_mended_code_may_handle_the_failure():
    def mended(context):
        try:
            return (yield context.call_activity("a", retry=RETRY))
        except TaskFailedError:
            return (yield context.call_activity("instead"))

    driver = run(retried, failed(1), fired(1, 2), failed(1, attempt=2))

    assert rewind_driver(driver, mended) == (["schedule instead#2()"], [])


def test_code_that_differs_before_the_failure_is_refused_and_nothing_changes():
    def other(context):
        yield context.call_activity("x")

    driver = run(chain, done(1, 1), failed(2))
    before = [copied(event) for event in driver.history]

    with pytest.raises(NonDeterminismError):
        rewind_driver(driver, other)
    assert driver.history == before


def test_code_that_differs_at_a_failure_which_was_handled_is_refused():
    def other(context):
        yield context.call_activity("a")

    driver = run(handled_earlier, failed(1, KeyError("handled")), done(2), failed(3, ValueError("fatal")))

    with pytest.raises(NonDeterminismError):
        rewind_driver(driver, other)


def test_events_that_the_code_has_not_seen_are_delivered_by_the_rewind():
    """How the runtime fails an instance whose code does not fit its history."""
    driver = run(chain)
    late = driver.stamp(done(1, 1))
    late.sequence = 3
    completed = HistoryEvent(EventType.EXECUTION_COMPLETED, START, attributes={"undelivered_from": 3}, sequence=4)
    driver.history += [late, completed]

    assert rewind_driver(driver) == (["schedule b#2(1)"], [])
    assert output(go_on(driver, done(2, 2))) == [1, 2]


def test_an_event_that_ended_a_wait_with_a_deadline_does_so_again():
    def orchestrator(context):
        answer = yield context.wait_for_external_event("go", timeout=timedelta(seconds=60))
        return [answer, (yield context.call_activity("a"))]

    driver = run(orchestrator, raised("go", 1), failed(2))

    assert rewind_driver(driver) == (["schedule a#2()"], [])
    assert output(go_on(driver, done(2, 2))) == [1, 2]


def test_a_failure_keeps_its_details_for_the_page_until_the_rewind():
    driver = run(chain, failed(1, KeyError("lost")))

    assert json.loads(driver.history[-1].payload)["innerFailure"]["errorType"] == "KeyError"
    rewind_driver(driver)
    assert all(event.payload is None for event in driver.history)
