"""What one worker process does at once: as much of each kind as it may, and nothing of it waits for another kind."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from orchestrations import activity, orchestrator
from orchestrations.models import WorkerLease

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
