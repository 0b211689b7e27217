"""What a rewind promises, rule by rule: each case has everything in it that the rule must tell apart."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from orchestrations import OrchestrationClient, RetryPolicy, TaskFailedError, orchestrator
from orchestrations.errors import InstanceEnded
from orchestrations.models import AuditEntry, HistoryEvent, Instance, Timer
from tests.runtime import functions
from tests.runtime.functions import work

RETRY = RetryPolicy(first_retry_interval=timedelta(hours=1), max_number_of_attempts=3)


@pytest.fixture
def fail(client, run, stage):
    """Starts the order, which fails while these values do."""

    def fail(order, *values, client_input=None):
        stage.failing = set(values)
        assert run(order, client_input, "order").runtime_status == "Failed"

    return fail


@pytest.fixture
def mend(client, worker, stage):
    """Rewinds it once nothing fails any more."""

    def mend():
        stage.failing.clear()
        OrchestrationClient(actor="ann").rewind("order", "mended")
        return worker.run_until_ended("order")

    return mend


def kept(execution=2):
    """What the new execution begins with, up to the rewind: types and task ids."""
    events = HistoryEvent.objects.filter(instance__instance_id="order", execution=execution).order_by("sequence")
    rows = list(events.values_list("type", "task_id"))
    return rows[: [kind for kind, _ in rows].index("ExecutionRewound")]


def test_1_all_failures_that_reached_the_end_are_found_and_no_others(fail, mend, stage):
    @orchestrator
    def order(context):
        try:
            yield context.call_activity(work, "optional")
        except TaskFailedError:
            yield context.call_activity(work, "instead")
        values = ("a", "x", "b", "y")
        return (yield context.task_all([context.call_activity(work, value) for value in values]))

    fail(order, "optional", "x", "y")

    assert mend().output == ["a", "x", "b", "y"]
    assert stage.runs == {"optional": 1, "instead": 1, "a": 1, "x": 2, "b": 1, "y": 2}


def test_2_what_the_code_did_because_of_them_is_cut_off_with_its_results(fail, mend, stage):
    @orchestrator
    def order(context):
        booked = yield context.call_activity(work, "book")
        try:
            paid = yield context.call_activity(work, "pay")
        except TaskFailedError:
            yield context.call_activity(work, "cancel")
            yield context.create_timer(timedelta(0))
            yield context.call_sub_orchestrator(functions.calls, ["work", "tell"])
            raise
        return [booked, paid]

    fail(order, "pay")

    assert mend().output == ["book", "pay"]
    assert stage.runs == {"book": 1, "pay": 2, "cancel": 1, "tell": 1}
    assert kept() == [("ExecutionStarted", None), ("TaskScheduled", 1), ("TaskCompleted", 1), ("TaskScheduled", 2)]


def test_3_failures_that_were_handled_before_stay_with_what_was_done_instead(fail, mend, stage):
    @orchestrator
    def order(context):
        found = []
        for value in ("first", "second"):
            try:
                yield context.call_activity(work, value)
            except TaskFailedError as error:
                found.append(error.details.error_type)
        return [*found, (yield context.call_activity(work, "x"))]

    fail(order, "first", "second", "x")

    assert mend().output == ["LookupError", "LookupError", "x"]
    assert stage.runs == {"first": 1, "second": 1, "x": 2}
    assert [kind for kind, _ in kept()].count("TaskFailed") == 2


def test_4_failed_work_has_all_its_attempts_again_and_its_retry_timers_are_gone(client, worker, stage):
    @orchestrator
    def order(context):
        return (yield context.call_activity(work, "x", retry=RETRY))

    stage.failing = {"x"}
    client.start_new(order, "order")
    for runs in (3, 6):
        while client.get_status("order").runtime_status != "Failed":
            worker.run_until_idle()
            worker.skip_timers("order")
        assert stage.runs["x"] == runs
        client.rewind("order")
        worker.run_until_idle()
        worker.skip_timers("order")
        execution = Instance.objects.get().execution
        assert kept(execution) == [("ExecutionStarted", None), ("TaskScheduled", 1)]
    stage.failing.clear()
    worker.run_until_idle()
    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == "x"
    assert not Timer.objects.filter(state="Pending").exists()


def test_5_events_taken_after_the_cut_wait_again_and_none_is_taken_while_it_lies_failed(client, worker, mend, stage):
    @orchestrator
    def order(context):
        before = yield context.wait_for_external_event("go")
        try:
            yield context.call_activity(work, "x")
        except TaskFailedError:
            yield context.wait_for_external_event("go")
            raise
        return [before, (yield context.wait_for_external_event("GO")), (yield context.wait_for_external_event("go"))]

    stage.failing = {"x"}
    client.start_new(order, "order")
    for number in (1, 2, 3):
        client.raise_event("order", "go", number)
    assert worker.run_until_ended("order").runtime_status == "Failed"
    with pytest.raises(InstanceEnded):
        client.raise_event("order", "go", 4)

    assert mend().output == [1, 2, 3]


def test_6_where_the_code_itself_failed_only_the_end_is_dropped_and_the_code_runs_on(fail, mend, stage):
    @orchestrator
    def order(context):
        done = yield context.call_activity(work, "a")
        if not stage.mended:
            raise ValueError("a bug")
        return [done, (yield context.call_activity(work, "b"))]

    fail(order)
    stage.mended = True

    assert mend().output == ["a", "b"]
    assert stage.runs == {"a": 1, "b": 1}
    assert kept() == [("ExecutionStarted", None), ("TaskScheduled", 1), ("TaskCompleted", 1)]


def test_7_failed_children_are_rewound_to_any_depth_and_the_leaf_ends_first(fail, mend, client, stage):
    @orchestrator
    def order(context, depth):
        yield context.call_activity(work, f"before {depth}")
        if depth:
            done = yield context.call_sub_orchestrator("order", depth - 1)
        else:
            done = yield context.call_activity(work, "x")
        yield context.call_activity(work, f"behind {depth}")
        return done

    fail(order, "x", client_input=3)

    assert mend().output == "x"
    assert stage.runs.pop("x") == 2
    assert set(stage.runs.values()) == {1}
    rows = Instance.objects.order_by("-instance_id")
    assert [row.instance_id.count(":") for row in rows.order_by("completed_at", "-instance_id")] == [3, 2, 1, 0]
    for row in rows:
        assert (row.status, row.execution) == ("Completed", 2)
        rewound = [e for e in client.get_history(row.instance_id) if e["EventType"] == "ExecutionRewound"]
        assert [event["Reason"] for event in rewound] == ["mended"]


def test_7_a_call_of_a_child_has_all_its_attempts_again_and_the_last_one_is_gone_on_with(client, worker, stage):
    @orchestrator
    def order(context):
        return (yield context.call_sub_orchestrator(functions.calls, ["work", "a", "x", "b"], "child", retry=RETRY))

    stage.failing = {"x"}
    client.start_new(order, "order")
    for runs in (3, 5):  # of the second round the first attempt is the one that was rewound
        while client.get_status("order").runtime_status != "Failed":
            worker.run_until_idle()
            worker.skip_timers("order")
        assert stage.runs["a"] == runs
        client.rewind("order")
        worker.run_until_idle()
    stage.failing.clear()
    for _ in range(3):
        worker.skip_timers("order")
        worker.run_until_idle()

    assert client.get_status("order").output == "b"
    assert stage.runs == {"a": 6, "x": 8, "b": 1}
    assert client.get_executions("child") == list(range(1, 9))


def test_8_what_is_removed_stays_readable_and_the_audit_says_where(fail, mend, client, stage):
    @orchestrator
    def order(context):
        try:
            return (yield context.call_activity(work, "x"))
        except TaskFailedError:
            yield context.call_activity(work, "undo")
            raise

    fail(order, "x")
    before = client.get_history("order")
    mend()

    assert client.get_history("order", 1) == before
    assert client.get_executions("order") == [1, 2]
    entry = AuditEntry.objects.get(action="rewind")
    assert (entry.actor_name, entry.reason, entry.details["execution"], entry.details["was"]) == (
        "ann",
        "mended",
        1,
        "Failed",
    )
    assert entry.details["events"] == HistoryEvent.objects.filter(execution=1).count()


def test_9_clicks_at_the_same_moment_are_one_rewind(fail, client, worker, stage):
    fail(functions.calls, "x", client_input=["work", "x"])
    refused = []
    together = threading.Barrier(4)

    def click():
        try:
            together.wait(30)
            OrchestrationClient().rewind("order")
        except Exception as error:
            refused.append(error)
        finally:
            connection.close()

    clicks = [threading.Thread(target=click) for _ in range(4)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    worker.run_until_idle()

    assert refused == []
    assert stage.runs == {"x": 2}
    assert client.get_executions("order") == [1, 2]


def test_10_one_that_fails_again_has_the_new_reason_and_may_be_rewound_again(client, run, worker, stage):
    @orchestrator
    def order(context):
        yield context.call_activity(work, "x")
        return (yield context.call_activity(work, "y"))

    stage.failing = {"x", "y"}
    assert "no x" in run(order, None, "order").failure_details.message
    stage.failing = {"y"}
    for execution in (2, 3):
        client.rewind("order")
        status = worker.run_until_ended("order")
        assert (status.runtime_status, Instance.objects.get().execution) == ("Failed", execution)
        assert "no y" in status.failure_details.message
    stage.failing.clear()
    client.rewind("order")

    assert worker.run_until_ended("order").output == "y"
    assert stage.runs == {"x": 2, "y": 3}
