"""Locks of entities where much happens at once: nobody waits in a circle, nothing is lost, and no lock stays behind."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connections

from orchestrations import EntityId, TaskFailedError, entity, orchestrator
from orchestrations.core.status import TERMINAL
from orchestrations.errors import InstanceEnded
from orchestrations.models import Entity, InboxMessage, Instance
from tests.runtime import functions
from tests.waiting import eventually

SHELVES = [EntityId("shelf", f"s{number}") for number in range(5)]
ONE, TWO = SHELVES[:2]


@pytest.fixture(autouse=True)
def shelf(stage):
    @entity
    def shelf(context, amount: int = 0) -> int:
        context.set_state(context.get_state(int, 0) + amount)
        if context.operation_name == "break":
            raise ValueError("it broke")
        return context.get_state(int)


@pytest.fixture
def is_free():
    """Whether nothing is left of any lock, request or operation."""

    def is_free() -> bool:
        return not (Entity.objects.exclude(locked_by="", backlog=0).exists() or InboxMessage.objects.exists())

    return is_free


@pytest.fixture
def working(make_worker):
    """Two workers that work at the same time, until the block ends."""

    def drain(worker) -> None:
        try:
            while not done.is_set():
                worker.runtime.drain(0.05)
        finally:
            connections.close_all()

    done = threading.Event()
    threads = [threading.Thread(target=drain, args=(make_worker(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    done.set()
    for thread in threads:
        thread.join()


def chosen(seed: int) -> list[list[EntityId]]:
    """Which shelves are held in each of three rounds, in an order of its own."""
    dice = random.Random(seed)
    return [dice.sample(SHELVES, dice.randint(1, 4)) for _ in range(3)]


@pytest.fixture
def refill(stage):
    @orchestrator
    def refill(context, seed: int):
        """Adds one to each shelf that it holds, fails at one of them, and works between its operations."""
        for number, shelves in enumerate(chosen(seed)):
            with (yield context.lock_entities([*shelves, shelves[0]])):
                yield context.task_all([context.call_entity(one, "add", 1) for one in shelves])
                if number == 1:
                    yield context.call_activity(functions.work, seed)
                try:
                    yield context.call_entity(shelves[0], "break", 100)
                except TaskFailedError:
                    context.signal_entity(EntityId("shelf", "broken"), "add", 1)

    return refill


def everybody_has_ended() -> bool:
    return not Instance.objects.filter(is_entity=False).exclude(status__in=TERMINAL).exists()


def test_many_that_lock_at_random_all_get_what_they_ask_for(client, refill, working, is_free):
    seeds = list(range(12))
    started = client.start_many(refill, seeds)
    eventually(everybody_has_ended, timeout_seconds=60)
    eventually(is_free, timeout_seconds=30)

    assert {client.get_status(instance_id).runtime_status for instance_id in started} == {"Completed"}
    states = [client.read_entity_state(one).entity_state or 0 for one in SHELVES]
    held = [shelves for seed in seeds for shelves in chosen(seed)]
    assert states == [sum(one in shelves for shelves in held) for one in SHELVES]
    assert client.read_entity_state(EntityId("shelf", "broken")).entity_state == len(held)


def test_whoever_is_ended_meanwhile_holds_up_nobody_for_good(client, refill, working, is_free):
    started = client.start_many(refill, list(range(9)))
    for number, instance_id in enumerate(started):
        if number % 3 == 0:
            client.start_new(refill, instance_id, 0, on_duplicate="terminate")
        elif number % 3 == 1:
            with suppress(InstanceEnded):  # it has ended by now
                client.terminate(instance_id)
    eventually(everybody_has_ended, timeout_seconds=60)
    eventually(is_free, timeout_seconds=30)

    ends = {client.get_status(instance_id).runtime_status.value for instance_id in started}
    assert ends <= {"Completed", "Terminated"} and "Completed" in ends


def test_a_lock_is_had_again_in_each_generation(run, client, is_free):
    @orchestrator
    def again(context, left: int):
        with (yield context.lock_entities([ONE, TWO])):
            amount = yield context.call_entity(TWO, "add", 1)
            if left:
                context.continue_as_new(left - 1)
        return amount

    assert run(again, 5).output == 6
    assert is_free()


def test_a_lock_of_an_ended_child_goes(client, worker, is_free):
    @orchestrator
    def holds(context):
        with (yield context.lock_entities([ONE, TWO])):
            yield context.wait_for_external_event("never")

    @orchestrator
    def calls_a_holder(context):
        yield context.call_sub_orchestrator(holds)

    client.start_new(calls_a_holder, "parent")
    worker.run_until_idle()
    assert Entity.objects.exclude(locked_by="").count() == 2
    client.terminate("parent")
    worker.run_until_idle()

    assert is_free()


def test_a_request_may_be_given_up_for_a_timer(client, worker, is_free):
    @orchestrator
    def holds(context):
        with (yield context.lock_entities([TWO])):
            yield context.wait_for_external_event("go")

    @orchestrator
    def impatient(context):
        request, timer = context.lock_entities([ONE, TWO]), context.create_timer(timedelta(minutes=1))
        return (yield context.task_any([request, timer])) is timer

    client.start_new(holds, "holder")
    worker.run_until_idle()
    client.start_new(impatient, "impatient")
    worker.run_until_idle()
    assert client.read_entity_state(ONE).locked_by == "impatient"
    worker.advance(timedelta(minutes=1))

    assert client.get_status("impatient").output is True
    assert client.read_entity_state(ONE).locked_by is None
    client.raise_event("holder", "go")
    worker.run_until_idle()
    assert is_free()


def test_a_lock_that_is_let_go_lets_go_of_no_later_one(run, is_free):
    @orchestrator
    def two_blocks(context):
        first = yield context.lock_entities([ONE])
        first.release()
        with (yield context.lock_entities([TWO])):
            with first:
                first.release()
            return (yield context.call_entity(TWO, "add", 2))

    ended = run(two_blocks)

    assert (ended.runtime_status, ended.output) == ("Completed", 2)
    assert is_free()


def test_what_an_operation_sends_to_its_own_entity_waits_until_the_lock_is_let_go(client, run, is_free):
    @entity
    def echo(context):
        context.set_state([*context.get_state(list, []), context.operation_name])
        if context.operation_name == "call":
            context.signal_entity(context.entity_id, "echo")
        return context.get_state()

    @orchestrator
    def shout(context):
        one = EntityId("echo", "a")
        with (yield context.lock_entities([one])):
            yield context.call_entity(one, "call")
            return (yield context.call_entity(one, "listen"))

    assert run(shout).output == ["call", "listen"]
    assert client.read_entity_state(EntityId("echo", "a")).entity_state == ["call", "listen", "echo"]
    assert is_free()
