"""Django's signals of what becomes of instances: after the commit, at most once, and harmless to the engine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from orchestrations import signals
from orchestrations.models import Instance
from tests.runtime import functions
from tests.waiting import eventually


@pytest.fixture
def connect() -> Iterator[Callable[..., None]]:
    connected = []

    def connect(signal, receiver) -> None:
        signal.connect(receiver, weak=False)
        connected.append((signal, receiver))

    yield connect
    for signal, receiver in connected:
        signal.disconnect(receiver)


def test_receivers_hear_of_what_is_committed_in_order(connect, run):
    heard = []

    def note(sender, transition, **kwargs):
        status = Instance.objects.get(instance_id=transition.instance_id).status
        heard.append((sender, transition.event, transition.instance_id, status))

    connect(signals.instance_started, note)
    connect(signals.instance_completed, note)
    run(functions.chain, 0, "order")

    eventually(lambda: len(heard) == 2)
    assert heard == [
        (Instance, "started", "order", "Completed"),  # both were written with one commit
        (Instance, "completed", "order", "Completed"),
    ]


def test_a_failure_is_told_with_its_error(connect, run, stage):
    heard = []
    connect(signals.instance_failed, lambda transition, **kwargs: heard.append(transition))
    stage.failing.add("x")

    run(functions.calls, ["work", "x"], "order")

    eventually(lambda: heard)
    assert "no x" in heard[0].error
    assert (heard[0].name, heard[0].status, heard[0].type) == ("calls", "Failed", "orchestration.failed")


def test_a_receiver_that_raises_harms_neither_the_engine_nor_the_others(connect, run, caplog):
    heard = []

    def fail(**kwargs):
        raise LookupError("no such order")

    connect(signals.instance_completed, fail)
    connect(signals.instance_completed, lambda transition, **kwargs: heard.append(transition.instance_id))
    with caplog.at_level(logging.ERROR, "django.dispatch"):
        assert run(functions.chain, 1, "one").runtime_status == "Completed"
        assert run(functions.chain, 1, "two").runtime_status == "Completed"
        eventually(lambda: heard == ["one", "two"])

    assert "no such order" in caplog.text


def test_a_receiver_that_hangs_holds_up_no_orchestration(connect, run):
    gate = threading.Event()
    connect(signals.instance_started, lambda **kwargs: gate.wait(10))

    try:
        for _ in range(3):
            assert run(functions.chain, 1).runtime_status == "Completed"
    finally:
        gate.set()


def test_what_receivers_can_not_keep_up_with_is_dropped_and_logged(connect, client, worker, monkeypatch, caplog):
    gate, heard = threading.Event(), []

    def slow(transition, **kwargs):
        gate.wait(10)
        heard.append(transition.instance_id)

    connect(signals.instance_completed, slow)
    monkeypatch.setattr(worker.runtime.announcer.receivers, "_waiting", __import__("queue").Queue(1))
    with caplog.at_level(logging.ERROR, "orchestrations.runtime"):
        ids = client.start_many(functions.chain, [0] * 5)
        worker.run_until_idle()
    gate.set()

    eventually(lambda: heard)
    assert "told to none" in caplog.text
    assert Instance.objects.filter(instance_id__in=ids, status="Completed").count() == 5


def test_without_receivers_nothing_is_made_for_them(run, worker):
    run(functions.chain, 1)

    assert worker.runtime.announcer.receivers._thread is None


def test_a_start_that_ends_the_one_before_tells_of_its_end_once_it_is_committed(connect, client, worker):
    heard = []
    connect(signals.instance_terminated, lambda transition, **kwargs: heard.append(transition.instance_id))
    client.start_new(functions.waits, "order", 1)
    worker.run_until_idle()

    client.start_new(functions.waits, "order", 1, on_duplicate="terminate")

    assert heard == ["order"]
    assert not connection.in_atomic_block
