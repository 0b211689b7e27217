"""Composition: all and any, sub-orchestrations and what is started and forgotten."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta

import pytest

from orchestrations import RetryPolicy, TaskFailedError, orchestrator
from orchestrations.core import execution as core_execution
from orchestrations.core.interruptions import EpisodeTimeout
from orchestrations.limits import NESTED_TASKS
from orchestrations.models import ActivityWorkItem, HistoryEvent, Instance, Timer
from tests.runtime import functions

DAY = timedelta(days=1)


# All and any --------------------------------------------------------------------------------------------------------


def test_all_waits_for_every_task_and_raises_the_first_failure_in_time_with_the_others(client, worker, stage):
    stage.failing = {"slow", "quick"}

    @orchestrator
    def all_of_them(context):
        slow = context.call_sub_orchestrator(fails_when_told, "slow")
        tasks = [slow, context.call_activity(functions.work, "quick"), context.call_activity(functions.work, "good")]
        try:
            yield context.task_all(tasks)
        except TaskFailedError as error:
            failures = [failure.details.message for failure in error.failures]
            return [error.details.message, failures, tasks[2].result]

    @orchestrator
    def fails_when_told(context, value):
        yield context.wait_for_external_event("go")
        return (yield context.call_activity(functions.work, value))

    client.start_new(all_of_them, "order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running", "it waits for all, also after a failure"
    client.raise_event("order:0001", "go")

    first, failures, good = worker.run_until_ended("order").output
    assert first == "no quick"
    assert len(failures) == 2
    assert good == "good"


def test_of_failures_before_all_was_called_the_first_in_time_is_raised(client, worker):
    @orchestrator
    def looks_later(context):
        tasks = [context.call_sub_orchestrator(fails_when_told, name) for name in "ab"]
        yield context.wait_for_external_event("both")
        try:
            yield context.task_all(tasks)
        except TaskFailedError as error:
            return [error.details.message, len(error.failures)]

    @orchestrator
    def fails_when_told(context, name):
        yield context.wait_for_external_event("go")
        raise ValueError(name)

    client.start_new(looks_later, "order")
    worker.run_until_idle()
    for child in ("order:0002", "order:0001"):
        client.raise_event(child, "go")
        worker.run_until_idle()
    client.raise_event("order", "both")

    assert worker.run_until_ended("order").output == ["b", 2]


def test_the_others_are_told_whatever_kind_of_error_comes_first(client, worker, stage):
    @orchestrator
    def event_and_work(context):
        tasks = [context.wait_for_external_event("number", data_type=int), context.call_activity(functions.work, "x")]
        try:
            yield context.task_all(tasks)
        except ValueError as error:
            return [type(failure).__name__ for failure in error.failures]

    stage.failing = {"x"}
    client.start_new(event_and_work, "order")
    client.raise_event("order", "number", "a word")

    assert worker.run_until_ended("order").output == ["PayloadRejected", "TaskFailedError"]


def test_results_come_in_the_order_of_the_arguments(client, worker):
    @orchestrator
    def three_events(context):
        return (yield context.task_all([context.wait_for_external_event(name) for name in "abc"]))

    client.start_new(three_events, "order")
    for name in "cab":
        client.raise_event("order", name, name)
        worker.run_until_idle()

    assert worker.run_until_ended("order").output == ["a", "b", "c"]


def test_all_of_nothing_is_done_and_any_of_nothing_is_refused(run):
    @orchestrator
    def nothing(context):
        everything = yield context.task_all([])
        try:
            yield context.task_any([])
        except ValueError as error:
            return [everything, str(error)]

    assert run(nothing).output == [[], "task_any needs at least one task: with none it could never complete."]


def test_any_gives_the_task_that_won_also_one_that_failed_and_the_others_go_on(client, worker, stage):
    stage.failing = {"bad"}

    @orchestrator
    def first_of_two(context):
        bad, event = context.call_activity(functions.work, "bad"), context.wait_for_external_event("go")
        winner = yield context.task_any([event, bad])
        outcome = [winner is bad, winner.is_failed]
        return [*outcome, (yield event)]

    client.start_new(first_of_two, "order")
    worker.run_until_idle()
    client.raise_event("order", "go", 1)

    assert worker.run_until_ended("order").output == [True, True, 1]


def test_a_task_that_has_ended_may_be_awaited_again_without_new_work(run, stage):
    stage.failing = {"bad"}

    @orchestrator
    def again(context):
        good, bad = context.call_activity(functions.work, "good"), context.call_activity(functions.work, "bad")
        seen = [(yield good), (yield good)]
        for _ in range(2):
            try:
                yield bad
            except TaskFailedError as error:
                seen.append(error.details.message)
        return [*seen, (yield context.task_all([good, good]))]

    assert run(again).output == ["good", "good", "no bad", "no bad", ["good", "good"]]
    assert stage.runs == {"good": 1, "bad": 1}


@pytest.mark.parametrize("kind", ["task_all", "task_any"])
def test_they_may_be_inside_one_another_as_deep_as_the_limit_and_no_deeper(client, worker, kind):
    @orchestrator
    def nested(context):
        task = context.wait_for_external_event("go")
        for _ in range(NESTED_TASKS):
            task = getattr(context, kind)([task])
        with pytest.raises(ValueError, match="Collect the tasks in a list"):
            context.task_all([task])
        yield task
        return "went"

    client.start_new(nested, "order")
    worker.run_until_idle()
    client.raise_event("order", "go")

    assert worker.run_until_ended("order").output == "went"


def test_what_is_no_task_is_refused_at_that_line(run):
    @orchestrator
    def yields_a_number(context):
        yield 5

    failure = run(yields_a_number).failure_details
    assert failure.error_type == "TypeError"
    assert "yield 5" in failure.stack_trace


# The end ------------------------------------------------------------------------------------------------------------


def test_an_instance_is_completed_at_once_whatever_is_open(client, worker, stage, events, eventually):
    @orchestrator
    def leaves_all_open(context):
        context.create_timer(DAY)
        context.call_activity(functions.gated, "open")
        context.call_sub_orchestrator(functions.waits, 1)
        yield context.task_all([])
        return "done"

    client.start_new(leaves_all_open, "order")
    worker.runtime.drain(0.0)
    assert client.get_status("order").output == "done"

    stage.gate.set()
    client.raise_event("order:0003", "go", 1)
    worker.run_until_idle()

    assert events("order")[-1] == "ExecutionCompleted", "nothing of what came later is recorded"
    assert not Timer.objects.exists(), "it was made in the turn that ended"
    eventually(lambda: not ActivityWorkItem.objects.exists())


def test_a_timer_that_is_open_at_the_end_is_cancelled_and_its_row_kept(client, run):
    @orchestrator
    def leaves_a_timer(context):
        context.create_timer(DAY)
        yield context.call_activity(functions.work, "own")
        return "done"

    assert run(leaves_a_timer).output == "done"
    assert [timer.state for timer in Timer.objects.all()] == ["Cancelled"]


def test_or_once_all_that_it_began_has_ended_where_it_says_so(client, worker, stage):
    @orchestrator(wait_for_open_tasks=True)
    def waits_for_all(context):
        context.create_timer(DAY)
        context.call_activity(functions.gated, "open")
        context.call_sub_orchestrator(functions.waits, 1)
        context.wait_for_external_event("never", timeout=DAY)
        yield context.task_all([])
        return "done"

    client.start_new(waits_for_all, "order")
    worker.runtime.drain(0.0)
    assert client.get_status("order").runtime_status == "Running"
    stage.gate.set()
    worker.run_until_idle()
    client.raise_event("order:0003", "go", 1)
    worker.run_until_idle()
    status = client.get_status("order")
    assert status.runtime_status == "Running"
    assert Instance.objects.get(instance_id="order").waiting_for.startswith("timer due")
    timer = Timer.objects.get(task_id=1)
    Timer.objects.filter(pk=timer.pk).update(due_at=timer.due_at - 2 * DAY)

    assert worker.run_until_ended("order").output == "done"


# Sub-orchestrations -------------------------------------------------------------------------------------------------


def test_a_child_has_the_parents_id_and_the_number_of_the_call(run):
    assert run(functions.two_children, instance_id="order").output == [[0], [0, 1]]
    children = Instance.objects.filter(parent__instance_id="order")
    assert set(children.values_list("instance_id", flat=True)) == {"order:0001", "order:0002"}


@pytest.mark.parametrize("child_id", ["order", "ORDER", "boss", "Boss"])
def test_a_child_is_never_its_own_parent_or_grandparent(client, worker, child_id):
    @orchestrator
    def boss(context):
        return (yield context.call_sub_orchestrator(functions.forgiving_parent, ["chain", 1, child_id], "order"))

    client.start_new(boss, "boss")

    assert "OrchestrationStateError" in worker.run_until_ended("boss").output


def test_a_retried_child_has_one_id_and_an_execution_for_each_attempt(client, worker, stage):
    stage.failing = {"x"}
    policy = RetryPolicy(first_retry_interval=timedelta(days=1), max_number_of_attempts=3)

    @orchestrator
    def persistent(context):
        return (yield context.call_sub_orchestrator(functions.calls, ["work", "x"], retry=policy))

    client.start_new(persistent, "order")
    worker.run_until_idle()
    worker.skip_timers("order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"
    stage.failing = set()
    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == "x"
    assert client.get_executions("order:0001") == [1, 2, 3]
    ends = HistoryEvent.objects.filter(instance__instance_id="order:0001", type="ExecutionCompleted")
    assert [row.attributes for row in ends.order_by("execution")] == [
        '{"status":"Failed"}',
        '{"status":"Failed"}',
        '{"status":"Completed"}',
    ]


@pytest.fixture
def rewound_between_attempts(client, worker, stage):
    """A child whose first attempt has failed, and which somebody has rewound before the second one."""

    @orchestrator
    def child(context):
        value = yield context.call_activity(functions.work, "x")
        yield context.wait_for_external_event("go")
        return (yield context.call_activity(functions.work, value))

    @orchestrator
    def persistent(context):
        policy = RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=2)
        return (yield context.call_sub_orchestrator(child, retry=policy))

    stage.failing = {"x"}
    client.start_new(persistent, "order")
    worker.run_until_idle()
    stage.failing = set()
    client.rewind("order:0001")
    worker.run_until_idle()


@pytest.mark.usefixtures("rewound_between_attempts")
def test_a_child_that_is_rewound_and_completes_needs_no_other_attempt(client, worker, stage):
    client.raise_event("order:0001", "go")

    assert worker.run_until_ended("order").output == "x"
    assert Timer.objects.get().state == "Cancelled"
    assert stage.runs["x"] == 3, "once in vain, and once for each of its calls"


@pytest.mark.usefixtures("rewound_between_attempts")
def test_one_that_is_rewound_and_still_runs_is_the_next_attempt(client, worker, stage):
    worker.skip_timers("order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"
    client.raise_event("order:0001", "go")

    assert worker.run_until_ended("order").output == "x"
    assert client.get_executions("order:0001") == [1, 2]
    assert stage.runs["x"] == 3


@pytest.mark.usefixtures("rewound_between_attempts")
def test_one_that_is_rewound_and_fails_again_changes_nothing(client, worker, stage):
    stage.failing = {"x"}
    client.raise_event("order:0001", "go")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"
    stage.failing = set()
    worker.skip_timers("order")
    worker.run_until_idle()
    client.raise_event("order:0001", "go")

    assert worker.run_until_ended("order").output == "x"
    assert client.get_executions("order:0001") == [1, 2, 3]


@pytest.mark.parametrize("retried", [False, True])
def test_an_id_that_another_live_instance_has_fails_the_call_until_it_is_free(client, worker, retried):
    policy = RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=2) if retried else None

    @orchestrator
    def wants_the_id(context):
        return (yield context.call_sub_orchestrator(functions.waits, 1, "taken", retry=policy))

    client.start_new(functions.waits, "taken", 1)
    client.start_new(wants_the_id, "order")
    worker.run_until_idle()
    client.raise_event("taken", "go", "stranger")
    worker.run_until_idle()
    worker.skip_timers("order")
    worker.run_until_idle()

    status = client.get_status("order")
    if retried:
        client.raise_event("taken", "go", "own")
        assert worker.run_until_ended("order").output == ["own"]
    else:
        assert status.failure_details.is_caused_by("InstanceAlreadyExists")


def test_of_two_children_with_one_id_the_second_fails_and_case_tells_ids_apart(client, worker):
    @orchestrator
    def twice(context):
        first, second, other = (
            context.call_sub_orchestrator(functions.waits, 1, child_id) for child_id in ("child", "child", "CHILD")
        )
        winner = yield context.task_any([first, second, other])
        with pytest.raises(TaskFailedError, match="already exists under the id 'child'"):
            yield second
        return [winner is second, (yield context.task_all([first, other]))]

    client.start_new(twice, "order")
    worker.run_until_idle()
    client.raise_event("child", "go", 1)
    client.raise_event("CHILD", "go", 2)

    assert worker.run_until_ended("order").output == [True, [[1], [2]]]


def test_what_is_started_and_forgotten_lives_its_own_life(client, worker, stage):
    stage.failing = {"x"}

    @orchestrator
    def starts(context):
        first = context.start_new(functions.calls, ["work", "x"])
        second = context.start_new(functions.waits, 1, "named")
        yield context.task_all([])
        return [first, second]

    client.start_new(starts, "order")
    worker.run_until_idle()

    assert client.get_status("order").output == ["order:0001", "named"]
    assert client.get_status("order:0001").runtime_status == "Failed"
    assert client.get_status("named").runtime_status == "Running"
    assert client.get_status("named").parent_instance_id is None


# The engine's own rules ---------------------------------------------------------------------------------------------


def test_too_many_actions_fail_the_instance_with_the_remedy(run, monkeypatch):
    monkeypatch.setattr(core_execution, "EPISODE_ACTIONS", 50)

    @orchestrator
    def endless(context):
        while True:
            context.call_activity(functions.work, 1)

    status = run(endless)

    assert status.runtime_status == "Failed"
    assert "more than 50 actions" in status.failure_details.message
    assert "continue_as_new" in status.failure_details.message
    assert not ActivityWorkItem.objects.exists()


@pytest.mark.parametrize("swallows", [False, True])
def test_nothing_of_a_turn_with_too_many_actions_is_kept_and_mended_code_goes_on(
    client, worker, run, events, monkeypatch, stage, swallows
):
    monkeypatch.setattr(core_execution, "EPISODE_ACTIONS", 50)

    @orchestrator
    def fans_out(context):
        first = yield context.call_activity(functions.work, "first")
        event = yield context.wait_for_external_event("go")
        with contextlib.suppress(RuntimeError if swallows else ZeroDivisionError):
            for number in range(5 if stage.mended else 100):
                context.call_activity(functions.work, number)
        yield context.call_activity(functions.work, "last")
        return [first, event]

    run(fans_out, None, "order")
    client.raise_event("order", "go", 7)
    status = worker.run_until_ended("order")

    assert status.failure_details.error_type.endswith("TooManyActions")
    assert status.failure_details.is_non_retriable
    assert events("order") == [
        "ExecutionStarted",
        "TaskScheduled",
        "TaskCompleted",
        "EventRaised",
        "ExecutionCompleted",
    ]

    stage.mended = True
    client.rewind("order")
    assert worker.run_until_ended("order").output == ["first", 7]
    assert stage.runs["first"] == 1


def test_a_rewind_whose_own_turn_decides_too_much_changes_nothing_but_the_reason(
    client, worker, run, events, monkeypatch, stage
):
    monkeypatch.setattr(core_execution, "EPISODE_ACTIONS", 50)
    calls = [100, 5]

    @orchestrator
    def fans_out(context):
        first = yield context.call_activity(functions.work, "first")
        if not stage.mended:
            raise ValueError("not yet")
        yield context.task_all([context.call_activity(functions.work, number) for number in range(calls[0])])
        return first

    run(fans_out, None, "order")
    before = events("order")
    stage.mended = True
    client.rewind("order")
    worker.run_until_idle()

    status = client.get_status("order")
    assert status.failure_details.error_type.endswith("TooManyActions")
    assert events("order") == before
    assert not ActivityWorkItem.objects.exists()

    del calls[0]
    client.rewind("order")
    assert worker.run_until_ended("order").output == "first"
    assert stage.runs["first"] == 1


@pytest.fixture
def computes(stage):
    """An orchestrator that takes too long between its activity and its wait, until it is mended."""

    @orchestrator
    def computes(context):
        first = yield context.call_activity(functions.work, "first")
        if not stage.mended:
            context.call_activity(functions.work, "hasty")
            raise EpisodeTimeout
        return [first, (yield context.wait_for_external_event("go"))]

    return computes


def test_nothing_of_a_turn_that_takes_too_long_is_kept_and_mended_code_goes_on(
    client, worker, run, events, stage, computes
):
    """What the code has decided until it is stopped hangs on how fast it was."""
    status = run(computes, None, "order")

    assert status.failure_details.is_caused_by("EpisodeTimeout")
    assert events("order") == ["ExecutionStarted", "TaskScheduled", "TaskCompleted", "ExecutionCompleted"]

    stage.mended = True
    client.rewind("order")
    worker.run_until_idle()
    client.raise_event("order", "go", 7)
    assert worker.run_until_ended("order").output == ["first", 7]
    assert stage.runs == {"first": 1}


def test_a_replay_that_takes_too_long_says_so_and_keeps_the_new_events(
    client, worker, make_worker, run, stage, computes
):
    stage.mended = True
    run(computes, None, "order")
    stage.mended = False
    client.raise_event("order", "go", 7)
    status = make_worker().run_until_ended("order")

    assert status.failure_details.error_type.endswith("EpisodeTimeout")

    stage.mended = True
    client.rewind("order")
    assert worker.run_until_ended("order").output == ["first", 7]
    assert stage.runs == {"first": 1}


def test_a_line_is_logged_once_for_each_real_execution(run, caplog):
    logger = logging.getLogger("tests.composition")

    @orchestrator
    def logs(context):
        log = context.create_replay_safe_logger(logger)
        enabled = []
        for number in range(3):
            log.info("step %d", number, extra={"number": number})
            enabled.append(log.isEnabledFor(logging.INFO))
            yield context.call_activity(functions.work, number)
        log.info("done")
        return "done"

    with caplog.at_level(logging.INFO, logger.name):
        run(logs, instance_id="order")

    records = [record for record in caplog.records if record.name == logger.name]
    assert [record.message for record in records] == ["step 0", "step 1", "step 2", "done"]
    assert {record.instance_id for record in records} == {"order"}
