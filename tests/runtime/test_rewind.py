"""Rewind: what failed is done again, what succeeded is not, and nothing that was accepted is lost."""

from __future__ import annotations

import pytest

from orchestrations.authoring.registry import registry
from orchestrations.models import InboxMessage, Instance
from tests.runtime import functions


@pytest.fixture(params=[1000, 0], ids=["in memory", "replayed"])
def cache_size(request) -> int:
    return request.param


def test_a_failed_activity_runs_again_and_the_earlier_ones_do_not(client, run, worker, stage):
    stage.failing = {"b"}
    assert run(functions.calls, ["work", "a", "b", "c"], "order").runtime_status == "Failed"
    stage.failing.clear()
    client.rewind("order", "mended")

    assert worker.run_until_ended("order").output == "c"
    assert stage.runs == {"a": 1, "b": 2, "c": 1}
    assert client.get_status("order").failure_details is None


def test_after_its_retries_they_begin_anew(client, worker, stage):
    stage.failing = {"x"}
    client.start_new(functions.retries, "order", "x")
    for runs in (3, 6):
        assert worker.run_until_ended("order").runtime_status == "Failed"
        assert stage.runs["x"] == runs
        client.rewind("order")
    stage.failing.clear()

    assert worker.run_until_ended("order").output == "x"
    assert stage.runs["x"] == 7


def test_inside_a_fan_out_only_what_failed_is_done_again(client, run, worker, stage):
    stage.failing = {3, 7}
    assert run(functions.fan_out, 10, "order").runtime_status == "Failed"
    stage.failing.clear()
    client.rewind("order")

    assert worker.run_until_ended("order").output == 45
    assert stage.runs == {number: 2 if number in {3, 7} else 1 for number in range(10)}


def test_through_a_sub_orchestration(client, run, worker, stage):
    stage.failing = {"x"}
    assert run(functions.parent, ["calls", ["work", "a", "x"], "child"], "order").runtime_status == "Failed"
    stage.failing.clear()
    client.rewind("order")

    assert worker.run_until_ended("order").output == "x"
    assert stage.runs == {"a": 1, "x": 2}
    assert client.get_status("child").runtime_status == "Completed"


def test_what_fails_again_can_be_rewound_again(client, run, worker, stage):
    stage.failing = {"x"}
    run(functions.calls, ["work", "x"], "order")
    for execution in (2, 3):
        client.rewind("order")
        worker.run_until_idle()
        assert Instance.objects.get().execution == execution
        assert client.get_status("order").runtime_status == "Failed"
    stage.failing.clear()
    client.rewind("order")

    assert worker.run_until_ended("order").output == "x"
    assert stage.runs == {"x": 4}


def test_code_that_failed_is_run_again_once_it_is_mended(client, run, worker, stage):
    assert run(functions.fails_once, instance_id="order").runtime_status == "Failed"
    stage.mended = True
    worker.runtime.cache.clear()
    client.rewind("order")

    assert worker.run_until_ended("order").output == "before"
    assert stage.runs == {"before": 1}


def test_code_that_fits_its_history_again_gets_the_events_that_were_accepted(client, run, worker, stage):
    run(functions.changes, instance_id="order")
    stage.changed = True
    worker.runtime.cache.clear()
    client.raise_event("order", "go", 1)
    worker.run_until_idle()
    status = client.get_status("order")
    assert status.runtime_status == "Failed"
    assert status.failure_details.is_caused_by("NonDeterminismError")

    stage.changed = False
    client.rewind("order")
    worker.run_until_idle()
    client.raise_event("order", "go", 2)

    assert worker.run_until_ended("order").output == [1, 2]


def test_a_late_message_of_another_execution_is_not_among_them(client, run, worker, stage, events):
    run(functions.changes, instance_id="order")
    stage.changed = True
    worker.runtime.cache.clear()
    for kind in ("TaskCompleted", "SubOrchestrationInstanceCompleted"):
        late = {"hub": "default", "type": kind, "task_id": 1, "payload": '"foreign"', "execution": 99}
        InboxMessage.objects.create(instance=Instance.objects.get(), **late)
    client.raise_event("order", "go", 1)
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == "Failed"
    assert not any("foreign" in event for event in events("order", payloads=True))


def test_a_rewind_that_is_not_possible_says_why_and_does_not_repeat_itself(client, run, worker, stage):
    run(functions.changes, instance_id="order")
    stage.changed = True
    worker.runtime.cache.clear()
    client.raise_event("order", "go", 1)
    worker.run_until_idle()
    client.rewind("order")
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == "Failed"
    assert not worker.runtime.store.has_work()
    stage.changed = False
    client.rewind("order")
    worker.run_until_idle()
    client.raise_event("order", "go", 2)
    assert worker.run_until_ended("order").output == [1, 2]


def test_a_late_second_click_does_not_rewind_the_next_failure(client, run, worker, stage, monkeypatch):
    stage.failing = {"x"}
    run(functions.calls, ["work", "x"], "order")
    target = client._target("order")
    client.rewind("order")
    worker.run_until_idle()
    monkeypatch.setattr(client, "_target", lambda instance_id: target)
    client.rewind("order")
    worker.run_until_idle()

    assert stage.runs == {"x": 2}


def test_a_missing_orchestrator_waits_visibly_for_its_code(client, worker, stage, settings):
    client.start_new(functions.chain, "order", 1)
    definition = functions.chain.durable
    with registry.preserved():
        del registry._orchestrators[definition.name]
        worker.run_until_idle()
    row = Instance.objects.get()
    assert (row.status, row.attempts) == ("Pending", 0)
    assert row.waiting_for == "no worker has the code of orchestrator chain"
    assert not worker.runtime.store.has_work(), "it rests before it is looked at again"

    Instance.objects.update(claimable_at=row.created_at)
    assert worker.run_until_ended("order").output == [0]


def test_without_its_code_an_instance_can_be_terminated(client, run, worker):
    run(functions.waits, 1, "order")
    worker.runtime.cache.clear()
    with registry.preserved():
        del registry._orchestrators["waits"]
        client.raise_event("order", "go", 1)
        worker.run_until_idle()
        assert client.get_status("order").runtime_status == "Running"
        client.terminate("order")
        worker.run_until_idle()

    assert client.get_status("order").runtime_status == "Terminated"
