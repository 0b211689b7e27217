"""What one worker process does at once: as much of each kind as it may, and nothing of it waits for another kind."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from orchestrations import ActivityContext, activity, orchestrator
from orchestrations.models import ActivityWorkItem, WorkerLease
from orchestrations.runtime.activities import ActivityPool

THREADS, ASYNC = 2, 5
MOMENT = 0.02  # long enough for activities to be inside together


@pytest.fixture(autouse=True)
def durable(settings, durable):
    settings.DURABLE = {**settings.DURABLE, "ACTIVITY_THREADS": THREADS, "ASYNC_ACTIVITIES": ASYNC}


@pytest.fixture
def most(stage):
    """How many activities of each kind were inside at the same time at most."""
    inside, most, lock = Counter(), Counter(), threading.Lock()

    def step(kind, by):
        with lock:
            inside[kind] += by
            most[kind] = max(most[kind], inside[kind])

    @activity
    async def asynchronous(number: int) -> int:
        step("async", 1)
        await asyncio.to_thread(stage.gate.wait, MOMENT)
        step("async", -1)
        return number

    @activity
    def ordinary(number: int) -> int:
        step("ordinary", 1)
        stage.gate.wait(MOMENT)
        step("ordinary", -1)
        return number

    return most


@pytest.mark.parametrize("kinds", [["asynchronous"], ["ordinary"], ["asynchronous", "ordinary"]], ids="+".join)
def test_a_worker_runs_as_many_of_each_kind_at_once_as_it_may(client, worker, most, kinds):
    @orchestrator
    def fans_out(context, width):
        calls = [context.call_activity(kind, number) for number in range(width) for kind in kinds]
        return len((yield context.task_all(calls)))

    client.start_new(fans_out, "order", 20)

    assert worker.run_until_ended("order", 60).output == 20 * len(kinds)
    allowed = {"async": ASYNC, "ordinary": THREADS}
    assert most == {kind: number for kind, number in allowed.items() if any(kind in name for name in kinds)}


def test_many_async_activities_of_one_instance_are_inside_at_once_on_one_thread(client, worker, stage, eventually):
    @orchestrator
    def fans_out(context):
        yield context.task_all([context.call_activity("gated_async", number) for number in range(ASYNC)])

    client.start_new(fans_out, "order")
    worker.runtime.drain(0.0, gives_way=lambda: len(stage.inside) >= ASYNC)

    assert sorted(stage.inside) == list(range(ASYNC))
    assert WorkerLease.objects.get().capacity == THREADS + ASYNC
    stage.gate.set()
    worker.run_until_ended("order")


@pytest.fixture
def through_the_table(monkeypatch):
    """Nothing runs where it was scheduled: all activities are claimed from the activity table."""
    monkeypatch.setattr(ActivityPool, "has_room", lambda *_: False)


@pytest.fixture
def fill(client, worker, stage, most):
    """Takes all places of these kinds, and leaves more calls of each in the activity table."""

    def fill(*kinds):
        @orchestrator
        def fans_out(context, kind):
            yield context.task_all([context.call_activity(kind, f"{kind} {number}") for number in range(20)])

        places = {"gated_async": ASYNC, "gated": THREADS}
        for kind in kinds:
            client.start_new(fans_out, kind, kind)
        worker.runtime.drain(0.0, gives_way=lambda: len(stage.inside) >= sum(places[kind] for kind in kinds))
        left = {kind: ActivityWorkItem.objects.filter(name=kind, lease_token=None).count() for kind in kinds}
        assert all(left.values()), left

    return fill


@pytest.mark.parametrize(("full", "other"), [("gated", "asynchronous"), ("gated_async", "ordinary")])
def test_where_all_places_of_one_kind_are_taken_the_other_kind_runs(
    client, worker, stage, through_the_table, fill, full, other
):
    @orchestrator
    def asks(context):
        return (yield context.task_all([context.call_activity(other, number) for number in range(10)]))

    fill(full)
    client.start_new(asks, "order")

    assert worker.run_until_ended("order").output == list(range(10))
    assert stage.left == []


def test_what_needs_no_place_is_taken_where_all_are_taken(client, worker, stage, through_the_table, fill):
    """A deferred activity whose time is over, and one that no worker has the code of, have only to fail."""

    @activity
    def asks_outside(context: ActivityContext) -> int:
        return context.defer()

    @orchestrator
    def asks(context, name):
        yield context.call_activity(name)

    client.start_new(asks, "waits", "asks_outside")
    worker.run_until_idle()
    fill("gated", "gated_async")
    past = timezone.now() - timedelta(hours=1)
    assert ActivityWorkItem.objects.filter(name="asks_outside").update(visible_at=past, deferred_until=past) == 1
    client.start_new(asks, "order", "unheard_of")

    for instance_id, reason in (("waits", "not completed from outside in time"), ("order", "unheard_of")):
        assert reason in str(worker.run_until_ended(instance_id).output)
    assert stage.left == []


@pytest.mark.parametrize("kind", ["asynchronous", "ordinary"])
@pytest.mark.parametrize("recorded", list(ActivityWorkItem.RunsOn), ids=lambda recorded: recorded or "unknown")
def test_the_code_decides_what_an_activity_runs_on_whatever_it_was_scheduled_as(
    client, worker, stage, most, through_the_table, monkeypatch, kind, recorded
):
    """As after a deployment that makes a function asynchronous, or where who calls it lacks its code."""

    @orchestrator
    def fans_out(context):
        return len((yield context.task_all([context.call_activity(kind, number) for number in range(20)])))

    client.start_new(fans_out, "order")
    with monkeypatch.context() as patched:
        patched.setattr(worker.runtime.intake, "claim", lambda *_: False)
        worker.runtime.drain(0.0)
    assert ActivityWorkItem.objects.update(runs_on=recorded) == 20

    assert worker.run_until_ended("order").output == 20
    assert most == ({"async": ASYNC} if kind == "asynchronous" else {"ordinary": THREADS})
