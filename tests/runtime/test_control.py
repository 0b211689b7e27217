"""Terminate, suspend, resume and external events, in whatever state the instance is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from orchestrations.errors import InstanceEnded
from orchestrations.models import ActivityWorkItem, InboxMessage, Instance, OpenWait, Timer
from tests.runtime import functions


@pytest.fixture(params=[1000, 0], ids=["in memory", "replayed"])
def cache_size(request) -> int:
    return request.param


def test_a_pending_instance_that_is_terminated_never_starts(client, worker, events):
    client.start_new(functions.chain, "order", 1)
    client.terminate("order", "changed my mind")
    worker.run_until_idle()

    status = client.get_status("order")
    assert (status.runtime_status, status.output) == ("Terminated", "changed my mind")
    assert events("order") == ["ExecutionTerminated", "ExecutionCompleted"]


def test_a_scheduled_instance_that_is_terminated_never_starts(client, worker):
    client.start_new(functions.chain, "order", 1, start_at=timezone.now() + timedelta(days=1))
    client.terminate("order")
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == "Terminated"
    assert worker.runtime.store.next_due_at() is None


def test_a_running_one_ends_at_once_and_leaves_nothing(client, worker):
    client.start_new(functions.sleeps, "asleep", 3)
    client.start_new(functions.waits, "waiting", 1)
    worker.run_until_idle()
    for instance_id in ("asleep", "waiting"):
        client.terminate(instance_id)
    worker.run_until_idle()

    assert set(Instance.objects.values_list("status", flat=True)) == {"Terminated"}
    assert not OpenWait.objects.exists()
    assert set(Timer.objects.values_list("state", flat=True)) == {"Cancelled"}
    assert len(worker.runtime.cache) == 0, "what has ended is not kept in memory"


def test_a_suspended_one_can_be_terminated(client, worker):
    client.start_new(functions.waits, "order", 1)
    client.suspend("order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Suspended"

    client.terminate("order")
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == "Terminated"


def test_an_ended_one_refuses(client, run):
    run(functions.chain, 1, "order")

    with pytest.raises(InstanceEnded):
        client.terminate("order")


def test_a_terminate_on_its_way_to_one_that_ends_meanwhile_is_dropped(client, worker):
    client.start_new(functions.waits, "order", 1)
    worker.run_until_idle()
    client.raise_event("order", "go", 1)
    client.terminate("order")
    client.terminate("order")
    worker.run_until_idle()

    assert client.get_status("order").runtime_status in {"Completed", "Terminated"}
    assert not InboxMessage.objects.exists()


def test_children_of_children_end_too(client, worker):
    client.start_new(functions.parent, "order", ["parent", ["waits", 1, "grandchild"], "child"])
    worker.run_until_idle()
    client.terminate("order", "enough")
    worker.run_until_idle()

    assert dict(Instance.objects.values_list("instance_id", "status")) == dict.fromkeys(
        ("order", "child", "grandchild"), "Terminated"
    )


def test_the_result_of_an_activity_that_outlives_its_instance_is_dropped(client, worker, stage, drain_until_inside):
    client.start_new(functions.calls, "order", ["gated", 1])
    drain_until_inside(worker)
    client.terminate("order")
    worker.runtime.drain(0.0)
    assert client.get_status("order").runtime_status == "Terminated"
    assert not ActivityWorkItem.objects.exists()

    stage.gate.set()
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == "Terminated"
    assert not InboxMessage.objects.exists()


def test_a_running_activity_of_a_terminated_instance_is_told(client, worker, stage, eventually, settings):
    settings.DURABLE = {**settings.DURABLE, "HEARTBEAT_SECONDS": 0.01}
    client.start_new(functions.calls, "order", ["gated", 1])
    terminated = []

    def is_told() -> bool:
        if stage.inside and not terminated:
            terminated.append(client.terminate("order"))
        return bool(stage.contexts and stage.contexts[0].is_cancelled())

    worker.runtime.drain(0.0, gives_way=is_told)
    assert stage.contexts[0].is_cancelled()


def test_what_arrives_while_suspended_is_kept_in_order(client, worker):
    client.start_new(functions.waits, "order", 4)
    client.raise_event("order", "go", 0)
    worker.run_until_idle()
    client.raise_event("order", "go", 1)
    client.suspend("order", "stocktaking")
    client.raise_event("order", "go", 2)
    worker.run_until_idle()
    client.raise_event("order", "go", 3)
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Suspended"

    client.resume("order")

    assert worker.run_until_ended("order").output == [0, 1, 2, 3]


def test_an_activity_that_ends_while_its_instance_is_suspended_counts(client, worker, stage, drain_until_inside):
    client.start_new(functions.calls, "order", ["gated", 1, 2])
    drain_until_inside(worker)
    client.suspend("order")
    worker.runtime.drain(0.0)
    stage.gate.set()
    worker.run_until_idle()
    assert stage.runs == {1: 1}, "a suspended instance starts nothing"

    client.resume("order")

    assert worker.run_until_ended("order").output == 2
    assert stage.runs == {1: 1, 2: 1}


def test_suspended_before_it_has_started_it_starts_when_resumed(client, worker, stage):
    client.start_new(functions.chain, "order", 1)
    client.suspend("order")
    worker.run_until_idle()
    assert not stage.runs

    client.resume("order")

    assert worker.run_until_ended("order").output == [0]


def test_a_timer_that_fires_while_suspended_is_taken_on_resuming(client, worker):
    client.start_new(functions.sleeps, "order", 1)
    client.suspend("order")
    worker.run_until_idle()
    client.resume("order")
    worker.run_until_idle()
    client.suspend("order")
    worker.run_until_idle()
    worker.skip_timers("order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Suspended"

    client.resume("order")

    assert worker.run_until_ended("order").output == "woken"


def test_a_hundred_events_of_one_name_arrive_once_and_in_order(client, worker):
    client.start_new(functions.waits, "order", 100)
    for number in range(100):
        client.raise_event("order", "Go" if number % 2 else "gO", number)
        if number % 40 == 0:
            worker.run_until_idle()

    assert worker.run_until_ended("order").output == list(range(100))


def test_a_repeated_event_with_a_key_counts_once(client, worker):
    client.start_new(functions.waits, "order", 2)
    for _ in range(3):
        client.raise_event("order", "go", 1, idempotency_key="a")
    client.raise_event("order", "go", 2, idempotency_key="b")

    assert worker.run_until_ended("order").output == [1, 2]
