"""Rewind: what failed is done again, what was done stays, what was accepted is delivered, and the record is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from orchestrations import OrchestrationClient
from orchestrations.authoring.registry import registry
from orchestrations.errors import InstanceEnded, InstanceNotFound, InvalidTransition
from orchestrations.models import AuditEntry, HistoryEvent, InboxMessage, Instance, OpenWait, Timer
from tests.conformance import rewinding
from tests.runtime import functions


@pytest.fixture(autouse=True)
def registered(stage):
    with rewinding.registered():
        yield


@pytest.fixture
def fail(client, run, stage):
    """Starts an orchestration that fails while these values do."""

    def fail(orchestrator, *values, client_input=None, instance_id="order"):
        stage.failing = set(values)
        assert run(orchestrator, client_input, instance_id).runtime_status == "Failed"
        return instance_id

    return fail


@pytest.fixture
def mend(client, worker, stage):
    """Rewinds it once nothing fails any more, and works until it has ended."""

    def mend(instance_id="order"):
        stage.failing.clear()
        client.rewind(instance_id, "mended")
        return worker.run_until_ended(instance_id)

    return mend


def put_into_inbox(kind: str, **columns: object) -> None:
    """As a sender does that looked at the instance a moment before it failed."""
    InboxMessage.objects.create(instance=Instance.objects.get(), hub="default", type=kind, **columns)


def statuses() -> dict[str, str]:
    return dict(Instance.objects.values_list("instance_id", "status"))


# What runs again ---------------------------------------------------------------------------------------------------


def test_compensation_goes_with_what_it_left(fail, mend, client, stage, events):
    fail(rewinding.compensates, "pay")
    assert client.get_status("order").custom_status == "rolling back"

    assert mend().output == ["book", "pay", None]
    assert stage.runs == {"book": 1, "pay": 2, "cancel": 1}
    assert events("order", execution=2) == [
        "ExecutionStarted",
        "TaskScheduled",
        "TaskCompleted",
        "TaskScheduled",
        "ExecutionRewound",
        "TaskCompleted",
        "ExecutionCompleted",
    ]


def test_a_failure_that_was_handled_earlier_stays_handled(fail, mend, stage):
    fail(rewinding.handles_one_failure, "optional", "needed")

    assert mend().output == ["instead", "needed"]
    assert stage.runs == {"optional": 1, "instead": 1, "needed": 2}


def test_retries_begin_anew_and_leave_no_trace_in_the_new_execution(fail, mend, worker, client, stage, events):
    stage.failing = {"x"}
    client.start_new(functions.retries, "order", "x")
    worker.run_until_ended("order")

    assert mend().output == "x"
    assert events("order", execution=1).count("TaskFailed") == 3
    assert events("order", execution=2).count("TaskFailed") == 0


def test_the_retry_timeout_begins_anew(fail, client, worker, stage):
    stage.failing = {"x"}
    client.start_new(rewinding.tries_for_a_minute, "order")
    worker.run_until_ended("order")
    lie_failed_for(timedelta(days=2))
    client.rewind("order")
    worker.run_until_ended("order")

    assert stage.runs["x"] == 6


def test_through_any_depth_the_leaves_that_failed_run_again_and_no_others(fail, mend, stage):
    leaves = [f"order:000{a}:000{b}:000{c}" for a in (1, 2) for b in (1, 2) for c in (1, 2)]
    failed = {leaves[0], leaves[3], leaves[4]}
    fail(rewinding.tree, *failed, client_input=3)
    assert statuses()["order:0002:0002"] == "Completed"

    assert mend().output == [[leaves[0:2], leaves[2:4]], [leaves[4:6], leaves[6:8]]]
    assert stage.runs == {leaf: 2 if leaf in failed else 1 for leaf in leaves}
    assert set(statuses().values()) == {"Completed"}
    assert Instance.objects.get(instance_id="order:0002:0002").execution == 1


def test_a_child_that_failed_in_a_later_generation(fail, mend, stage):
    fail(functions.parent, "third", client_input=["counts_then_works", 1, "child"])

    assert mend().output == "third"
    assert stage.runs == {"third": 2}


# Children and their parents ------------------------------------------------------------------------------------------


def test_a_child_that_was_purged_is_created_again(fail, mend, client, stage):
    fail(functions.parent, "x", client_input=["calls", ["work", "a", "x"], "child"])
    client.purge_instance_history("child")

    assert mend().output == "x"
    assert stage.runs == {"a": 2, "x": 2}


def test_a_child_that_was_terminated_is_created_again_and_its_record_stays(client, worker, mend, stage):
    client.start_new(functions.parent, "order", ["waits_then_works", None, "child"])
    worker.run_until_idle()
    client.terminate("child")
    worker.run_until_idle()
    client.rewind("order")
    worker.run_until_idle()
    client.raise_event("child", "go", "now")

    assert worker.run_until_ended("order").output == "now"
    assert client.get_executions("child") == [1, 2]
    assert client.get_history("child", 1)[-1]["OrchestrationStatus"] == "Terminated"


def test_a_child_that_completed_after_its_parent_had_failed_is_heard(fail, mend, client, worker, stage):
    fail(rewinding.beside_a_child, "own", client_input=["waits", 1])
    client.raise_event("child", "go", 7)
    worker.run_until_ended("child")

    assert mend().output == ["own", [7]]


def test_a_child_that_failed_after_its_parent_had_failed_is_rewound_too(fail, mend, client, worker, stage):
    fail(rewinding.beside_a_child, "own", "x", client_input=["waits_then_works", None])
    client.raise_event("child", "go", "x")
    worker.run_until_ended("child")

    assert mend().output == ["own", "x"]
    assert stage.runs == {"own": 2, "x": 2}
    assert Instance.objects.get(instance_id="order").execution == 2


def test_a_child_that_goes_on_while_its_parent_lies_failed_is_left_alone(fail, mend, client, worker, stage):
    fail(rewinding.beside_a_child, "own", client_input=["waits", 1])
    stage.failing.clear()
    client.rewind("order")
    worker.run_until_idle()
    assert statuses() == {"order": "Running", "child": "Running"}
    client.raise_event("child", "go", 7)

    assert worker.run_until_ended("order").output == ["own", [7]]
    assert Instance.objects.get(instance_id="child").execution == 1


def test_rewinding_a_child_alone_leaves_its_parent_as_it_is_until_that_is_rewound(fail, mend, client, worker, stage):
    fail(functions.parent, "x", client_input=["calls", ["work", "x"], "child"])

    assert mend("child").output == "x"
    worker.run_until_idle()
    assert statuses() == {"order": "Failed", "child": "Completed"}
    assert mend("order").output == "x"
    assert stage.runs == {"x": 2}


def test_a_child_and_its_parent_rewound_at_the_same_moment_are_each_rewound_once(fail, mend, client, worker, stage):
    fail(functions.parent, "x", client_input=["calls", ["work", "x"], "child"])
    stage.failing.clear()
    client.rewind("child")
    client.rewind("order")

    assert worker.run_until_ended("order").output == "x"
    assert stage.runs == {"x": 2}
    assert set(Instance.objects.values_list("execution", flat=True)) == {2}


def test_a_child_that_can_not_be_rewound_fails_its_parent_which_can_be_rewound_again(fail, mend, client, worker, stage):
    fail(functions.parent, client_input=["is_mended", None, "child"])
    stage.changed = True
    worker.runtime.cache.clear()
    client.rewind("order")
    worker.run_until_idle()
    assert statuses() == {"order": "Failed", "child": "Failed"}
    assert client.get_status("order").failure_details.is_caused_by("NonDeterminismError")

    stage.changed, stage.mended = False, True
    assert mend().output == "second"
    assert stage.runs == {"first": 1, "second": 1}


def test_a_retried_child_is_rewound_and_not_created_again(client, worker, mend, stage):
    stage.failing = {"x"}
    client.start_new(rewinding.retries_a_child, "order")
    worker.run_until_ended("order")
    assert stage.runs == {"a": 2, "x": 2}

    assert mend().output == "x"
    assert stage.runs == {"a": 2, "x": 3}


# What was accepted ---------------------------------------------------------------------------------------------------


def test_events_consumed_and_events_buffered_are_delivered_once_and_in_order(client, worker, mend, stage):
    stage.failing = {"between"}
    client.start_new(rewinding.listens, "order")
    for number in (1, 2):
        client.raise_event("order", "go", number)
    worker.run_until_ended("order")
    stage.failing.clear()
    client.rewind("order")
    worker.run_until_idle()
    client.raise_event("order", "GO", 3)

    assert worker.run_until_ended("order").output == [1, "between", 2, 3]


def test_an_event_taken_by_compensation_waits_again(client, worker, mend, stage):
    stage.failing = {"x"}
    client.start_new(rewinding.listens_while_compensating, "order")
    worker.run_until_idle()
    client.raise_event("order", "go", 1)
    worker.run_until_ended("order")

    assert mend().output == 1


def test_events_that_were_accepted_but_not_read_when_it_failed_are_delivered_in_order(client, worker, mend, stage):
    stage.failing = {"between"}
    client.start_new(rewinding.listens, "order")
    client.raise_event("order", "go", 1)
    worker.run_until_ended("order")
    for number in (2, 3):
        put_into_inbox("EventRaised", name="go", payload=str(number))
        worker.run_until_idle()
    before = Instance.objects.get()
    assert (before.status, InboxMessage.objects.count()) == ("Failed", 0)
    assert before.error and before.failure and before.completed_at

    assert mend().output == [1, "between", 2, 3]


def test_an_event_in_the_same_batch_as_the_failure_is_delivered_by_the_rewind(client, worker, mend, stage):
    client.start_new(rewinding.fails_at_once, "order")
    client.raise_event("order", "go", 1)
    assert worker.run_until_ended("order").runtime_status == "Failed"
    stage.mended = True
    worker.runtime.cache.clear()

    assert mend().output == 1


def test_a_result_that_was_on_its_way_when_it_failed_counts(client, worker, mend, stage):
    stage.failing = {"own"}
    client.start_new(rewinding.beside_an_activity, "order")
    worker.run_until_ended("order")
    put_into_inbox("TaskCompleted", task_id=1, payload='"slow"', execution=1)
    stage.gate.set()
    worker.run_until_idle()

    assert mend().output == ["own", "slow"]
    assert stage.runs == {"slow": 1, "own": 2}


def test_while_it_lies_failed_an_event_is_refused_and_nothing_is_kept(fail, client):
    fail(functions.calls, "x", client_input=["work", "x"])
    with pytest.raises(InstanceEnded):
        client.raise_event("order", "go", 1)

    assert InboxMessage.objects.count() == 0


# Time ----------------------------------------------------------------------------------------------------------------


def lie_failed_for(time: timedelta) -> None:
    """Everything that has happened so far happened that much earlier."""
    for event in HistoryEvent.objects.all():
        event.timestamp -= time
        attributes = json.loads(event.attributes or "{}")
        if not attributes.get("fire_at", "2100").startswith("2100"):
            attributes["fire_at"] = (datetime.fromisoformat(attributes["fire_at"]) - time).isoformat()
            event.attributes = json.dumps(attributes)
        event.save()


def test_what_was_to_take_a_day_has_the_rest_of_its_day_and_a_moment_stays_what_it_is(fail, client, worker, stage):
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    fail(rewinding.beside_timers, "own", client_input=moment)
    lie_failed_for(timedelta(days=30))
    stage.failing.clear()
    client.rewind("order")
    worker.run_until_idle()

    pending = Timer.objects.filter(state="Pending")
    assert set(pending.values_list("execution", flat=True)) == {2}
    due = sorted(pending.values_list("due_at", flat=True))
    assert due[2] == moment
    assert all(timedelta(hours=23) < at - datetime.now(UTC) <= timedelta(days=1) for at in due[:2])
    assert OpenWait.objects.get().due_at in due[:2]


def test_a_wait_whose_time_was_over_has_all_of_it_again(client, worker, stage):
    client.start_new(rewinding.waits_for_a_day, "order")
    worker.run_until_idle()
    worker.skip_timers("order")
    assert worker.run_until_ended("order").runtime_status == "Failed"
    lie_failed_for(timedelta(days=30))
    client.rewind("order")
    worker.run_until_idle()

    due_at = Timer.objects.get(state="Pending").due_at
    assert timedelta(hours=23) < due_at - datetime.now(UTC) <= timedelta(days=1)
    assert OpenWait.objects.get().due_at == due_at
    client.raise_event("order", "go", "at last")
    assert worker.run_until_ended("order").output == "at last"
    assert stage.runs == {"cancel": 1}


def test_a_wait_whose_time_is_over_again_can_be_rewound_again(client, worker, stage):
    client.start_new(rewinding.waits_for_a_day, "order")
    for _ in range(2):
        worker.run_until_idle()
        worker.skip_timers("order")
        assert worker.run_until_ended("order").runtime_status == "Failed"
        client.rewind("order")
    worker.run_until_idle()
    client.raise_event("order", "go", "at last")

    assert worker.run_until_ended("order").output == "at last"


def test_a_deadline_beside_the_failed_call_does_not_win_because_nobody_looked_for_a_week(fail, mend):
    fail(rewinding.deadline, "x")
    lie_failed_for(timedelta(days=7))

    assert mend().output == "x"


# Code ----------------------------------------------------------------------------------------------------------------


def test_code_that_was_mended_behind_the_failure_goes_on(fail, mend, stage, worker):
    fail(rewinding.is_mended)
    stage.mended = True
    worker.runtime.cache.clear()

    assert mend().output == "second"
    assert stage.runs == {"first": 1, "second": 1}


def test_code_that_was_changed_before_the_failure_is_refused_until_it_fits(fail, mend, client, worker, stage):
    fail(rewinding.is_mended)
    stage.changed = True
    worker.runtime.cache.clear()
    client.rewind("order")
    worker.run_until_idle()
    status = client.get_status("order")
    assert (status.runtime_status, Instance.objects.get().execution) == ("Failed", 1)
    assert "TimerCreated" in status.failure_details.message

    stage.changed, stage.mended = False, True
    assert mend().output == "second"


def test_while_the_code_is_gone_the_rewind_waits_for_it(fail, client, worker, stage):
    fail(functions.calls, "x", client_input=["work", "x"])
    stage.failing.clear()
    with registry.preserved():
        del registry._orchestrators["calls"]
        client.rewind("order")
        worker.run_until_idle()
    row = Instance.objects.get()
    assert (row.status, row.waiting_for) == ("Failed", "no worker has the code of orchestrator calls")

    InboxMessage.objects.update(visible_at=row.created_at)
    assert worker.run_until_ended("order").output == "x"


def test_a_rewind_that_kills_its_workers_is_given_up_with_a_reason(fail, mend, client, worker):
    fail(functions.calls, "x", client_input=["work", "x"])
    Instance.objects.update(attempts=1000)
    client.rewind("order")
    worker.run_until_idle()
    assert client.get_status("order").failure_details.is_caused_by("PoisonMessage")

    assert mend().output == "x"


# The act -------------------------------------------------------------------------------------------------------------


def test_two_clicks_are_one_rewind(fail, client, worker, stage):
    fail(functions.calls, "x", client_input=["work", "x"])
    for _ in range(2):
        client.rewind("order")
    worker.run_until_idle()

    assert stage.runs == {"x": 2}
    assert client.get_executions("order") == [1, 2]


def test_what_fails_again_is_rewound_again_and_every_execution_is_kept(fail, mend, client, worker, stage):
    fail(rewinding.compensates, "pay")
    for _ in range(2):
        client.rewind("order")
        worker.run_until_idle()
    mend()

    assert stage.runs == {"book": 1, "pay": 4, "cancel": 3}
    assert client.get_executions("order") == [1, 2, 3, 4]


@pytest.mark.parametrize("status", ["Pending", "Running", "Suspended"])
def test_a_live_instance_is_refused(client, worker, status):
    client.start_new(functions.waits, "order", 1)
    if status != "Pending":
        worker.run_until_idle()
    if status == "Suspended":
        client.suspend("order")
        worker.run_until_idle()

    with pytest.raises(InvalidTransition, match=status):
        client.rewind("order")


def test_one_that_has_ended_otherwise_is_refused(client, worker, run):
    run(functions.chain, 1, "completed")
    run(functions.waits, 1, "terminated")
    client.terminate("terminated")
    worker.run_until_idle()

    for instance_id in ("completed", "terminated"):
        with pytest.raises(InstanceEnded):
            client.rewind(instance_id)
    with pytest.raises(InstanceNotFound):
        client.rewind("nobody")


def test_it_happens_with_the_callers_transaction_or_not_at_all(fail, client, worker):
    fail(functions.calls, "x", client_input=["work", "x"])
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        client.rewind("order")
        raise ZeroDivisionError
    worker.run_until_idle()

    assert Instance.objects.get().execution == 1


def test_nothing_of_the_failure_stays_on_the_instance(client, worker, stage):
    stage.failing = {"between"}
    client.start_new(rewinding.listens, "order")
    client.raise_event("order", "go", 1)
    worker.run_until_ended("order")
    stage.failing.clear()
    client.rewind("order")
    worker.run_until_idle()

    row = Instance.objects.get()
    assert (row.status, row.waiting_for) == ("Running", "event go")
    assert (row.failure, row.error, row.output, row.completed_at) == (None, "", None, None)


# The record ----------------------------------------------------------------------------------------------------------


def test_what_was_taken_back_stays_readable_and_the_audit_says_what_was_left(fail, worker, stage):
    fail(rewinding.compensates, "pay")
    stage.failing.clear()
    client = OrchestrationClient(actor="ann")
    client.rewind("order", "paid by hand")
    worker.run_until_ended("order")

    left = client.get_history("order", 1)
    assert [event.get("FunctionName") for event in left if event["EventType"].startswith("Task")] == ["work"] * 3
    assert left[-1]["OrchestrationStatus"] == "Failed"
    assert client.get_history("order")[-1]["OrchestrationStatus"] == "Completed"
    entry = AuditEntry.objects.get(action="rewind")
    assert (entry.actor_name, entry.reason) == ("ann", "paid by hand")
    events = HistoryEvent.objects.filter(execution=1).count()
    assert entry.details == {"was": "Failed", "execution": 1, "events": events}
    rewound = HistoryEvent.objects.get(type="ExecutionRewound")
    assert f'"execution":1,"removed":{events - rewound.sequence + 1}' in rewound.attributes
