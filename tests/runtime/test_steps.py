"""Chains, fan-outs, timers, retries and generations, with orchestrators in memory and with a replay every time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance, OpenWait, Timer, WorkerLease
from orchestrations.testing import assert_replays, record_history
from tests.runtime import functions


@pytest.fixture(params=[1000, 0], ids=["in memory", "replayed"])
def cache_size(request) -> int:
    return request.param


@pytest.fixture(autouse=True)
def nothing_is_left(worker):
    """Whatever a test does, what has ended leaves nothing behind, and what is left is free for the next worker."""
    yield
    functions.stage.gate.set()
    worker.stop()
    assert not Instance.objects.exclude(lease_token=None).exists()
    assert not ActivityWorkItem.objects.exclude(lease_token=None).exists()
    assert not WorkerLease.objects.exists()
    ended = Instance.objects.exclude(completed_at=None)
    for belongings in (InboxMessage, OpenWait, ActivityWorkItem):
        assert not belongings.objects.filter(instance__in=ended).exists()
    assert not Timer.objects.filter(instance__in=ended, state=Timer.State.PENDING).exists()
    assert not Instance.objects.filter(attempts__gt=0).exists()


def test_a_chain_runs_its_activities_in_order_each_once(run, stage, events):
    status = run(functions.chain, 5, "order")

    assert (status.runtime_status, status.output) == ("Completed", [0, 1, 2, 3, 4])
    assert stage.runs == dict.fromkeys(range(5), 1)
    assert events("order") == ["ExecutionStarted", *["TaskScheduled", "TaskCompleted"] * 5, "ExecutionCompleted"]


def test_a_chain_of_nothing_completes(run):
    assert run(functions.chain, 0).output == []


def test_what_happened_can_be_replayed(run):
    status = run(functions.fan_out, 20)

    assert_replays(record_history(status.instance_id))


def test_a_fan_out_wider_than_the_pool_runs_everything_once(run, stage):
    assert run(functions.fan_out, 300).output == sum(range(300))
    assert stage.runs == dict.fromkeys(range(300), 1)


def test_what_the_pool_has_no_room_for_is_left_to_others(client, worker, make_worker, stage, drain_until_inside):
    client.start_new(functions.fan_out_gated, "order", 12)
    drain_until_inside(worker, 4)
    other = make_worker()
    drain_until_inside(other, 8)
    tokens = [one.runtime.lease.token for one in (worker, other)]
    held = [ActivityWorkItem.objects.filter(lease_token=token).count() for token in tokens]

    assert held == [4, 4], "each has what it runs, and nothing waits behind it"
    stage.gate.set()

    assert worker.run_until_ended("order").output == sum(range(12))
    assert max(stage.runs.values()) == 1
    other.stop()


@pytest.mark.parametrize("name", ["gated", "gated_async"])
def test_an_activity_that_ends_between_two_drains_is_recorded_at_once(
    client, worker, stage, drain_until_inside, eventually, name
):
    client.start_new(functions.calls, "order", [name, 1])
    drain_until_inside(worker)
    assert Instance.objects.get().lease_token is None, "nothing is held while nobody drains"

    stage.gate.set()
    eventually(lambda: InboxMessage.objects.filter(type="TaskCompleted").exists())

    assert not ActivityWorkItem.objects.exists()
    assert worker.run_until_ended("order").output == 1


def test_ten_timers_due_at_once_and_one_past_due_each_fire_once(client, worker, events):
    client.start_new(functions.ten_timers, "order")

    assert worker.run_until_ended("order").output == "all fired"
    assert events("order").count("TimerFired") == 11
    assert set(Timer.objects.values_list("state", flat=True)) == {"Fired"}


def test_a_timer_waits_and_can_be_skipped(run, worker, client):
    assert run(functions.sleeps, 3, "order").runtime_status == "Running"

    assert worker.skip_timers("order") == 1
    assert worker.run_until_ended("order").output == "woken"


def test_a_start_in_the_future_waits_for_its_time_and_keeps_events(client, worker, stage):
    client.start_new(functions.waits, "order", 2, start_at=timezone.now() + timedelta(seconds=1))
    client.raise_event("order", "go", 1)
    client.raise_event("order", "GO", 2)
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Pending"

    assert worker.run_until_ended("order").output == [1, 2]


def test_a_failing_activity_is_tried_again_with_a_growing_pause(client, worker, stage):
    stage.failing = {"x"}
    client.start_new(functions.retries, "order", "x")

    assert worker.run_until_ended("order").runtime_status == "Failed"
    assert stage.runs["x"] == 3
    tries = list(
        HistoryEvent.objects.filter(type="TaskFailed").order_by("sequence").values_list("timestamp", flat=True)
    )
    assert tries[1] - tries[0] >= timedelta(milliseconds=20)
    assert tries[2] - tries[1] >= timedelta(milliseconds=40)


def test_a_retried_activity_that_succeeds_is_forgiven(client, worker, stage):
    stage.failing = {"x"}
    client.start_new(functions.retries, "order", "x")
    worker.run_until(lambda: stage.runs["x"] >= 2, 5.0, "never retried")
    stage.failing.clear()

    assert worker.run_until_ended("order").output == "x"


def test_fifty_generations_leave_only_the_last(run, stage, events):
    status = run(functions.generations, 1, "order")

    assert status.output == 50
    assert stage.runs == dict.fromkeys(range(1, 51), 1)
    assert Instance.objects.get().execution == 50
    assert set(HistoryEvent.objects.values_list("execution", flat=True)) == {50}


def test_events_are_carried_over_generations_once_and_in_order(client, worker):
    client.start_new(functions.collects, "order", [])
    for number in range(4):
        client.raise_event("order", "go", number)
    worker.run_until_idle()
    for number in range(4, 10):
        client.raise_event("order", "go", number)
        if number % 3 == 0:
            worker.run_until_idle()

    assert worker.run_until_ended("order").output == list(range(10))


def test_an_activity_of_an_earlier_generation_never_answers_for_a_later_one(client, worker, stage):
    """Both run in this process, and both are task 1 of the same instance."""
    client.start_new(functions.leaves_one_running, "order", 1)
    raised = []

    def has_both_inside() -> bool:
        if len(stage.inside) == 1 and not raised:
            raised.append(client.raise_event("order", "go"))
        return len(stage.inside) == 2

    worker.runtime.drain(0.0, gives_way=has_both_inside)
    assert stage.inside == ["generation 1", "generation 2"]
    assert [context.is_cancelled() for context in stage.contexts] == [True, False]
    stage.gate.set()

    assert worker.run_until_ended("order").output == "generation 2"


def test_the_end_of_an_earlier_generations_activity_is_dropped(client, worker, stage):
    """It ends first, while the later one still runs."""
    client.start_new(functions.leaves_one_running, "order", 1)
    steps = []

    def is_over() -> bool:
        if len(stage.inside) == 1 and not steps:
            steps.append(client.raise_event("order", "go"))
        if len(stage.inside) == 2 and len(steps) == 1:
            steps.append(stage.let_go("generation 1"))
        return len(stage.left) == 1

    worker.runtime.drain(0.0, gives_way=is_over)
    worker.runtime.drain(0.0)
    assert client.get_status("order").runtime_status == "Running"
    stage.let_go("generation 2")

    assert worker.run_until_ended("order").output == "generation 2"
