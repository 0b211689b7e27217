"""The lease keeper: when the lease is lost, and what runs too long under it."""

from __future__ import annotations

import contextlib
import time

import pytest
from django.db import OperationalError

from orchestrations import OrchestrationContext, orchestrator
from orchestrations.core.interruptions import EpisodeTimeout
from orchestrations.models import Instance, WorkerLease
from orchestrations.runtime import lease as module
from orchestrations.runtime.lease import LeaseKeeper
from tests.runtime import functions


@pytest.fixture(autouse=True)
def durable(settings, durable, monkeypatch):
    monkeypatch.setattr(module, "TICK_SECONDS", 0.005)
    settings.DURABLE = {
        **settings.DURABLE,
        "HEARTBEAT_SECONDS": 0.01,
        "LEASE_SECONDS": 1.0,
        "EPISODE_TIMEOUT_SECONDS": 0.1,
        "BUILD": "2026.11-" + "f" * 200,
    }


def test_a_lease_lives_as_long_as_its_heart_beats(worker, client, eventually):
    worker.run_until_idle()
    before = WorkerLease.objects.get()
    eventually(lambda: WorkerLease.objects.get().expires_at > before.expires_at)

    worker.stop()

    assert not WorkerLease.objects.exists()


def test_a_lease_tells_the_build_of_its_process(worker):
    worker.run_until_idle()

    assert WorkerLease.objects.get().build == "2026.11-" + "f" * 92


def test_a_lease_that_was_taken_away_is_lost(worker, eventually):
    worker.run_until_idle()
    WorkerLease.objects.all().delete()

    eventually(lambda: worker.runtime.lease.is_lost)


def test_a_database_that_is_away_costs_the_lease_only_in_the_end(worker, monkeypatch, eventually):
    worker.run_until_idle()
    store = worker.runtime.store
    beats = []

    def away(*arguments):
        beats.append(1)
        raise OperationalError("away")

    monkeypatch.setattr(store, "renew_lease", away)
    eventually(lambda: len(beats) > 3)
    assert not worker.runtime.lease.is_lost
    eventually(lambda: worker.runtime.lease.is_lost)


def test_a_fresh_lease_outlives_a_database_that_is_away_as_long_as_any(worker, monkeypatch, eventually):
    """How long ago the lease before it was lost is no matter."""
    worker.run_until_idle()
    keeper: LeaseKeeper = worker.runtime.lease
    renew = worker.runtime.store.renew_lease
    answers = []

    def away_at_first(token, *arguments):
        answers.append(token)
        if len(answers) < 4:
            raise OperationalError("away")
        return renew(token, *arguments)

    keeper.is_lost = True
    lost_at = time.monotonic()
    eventually(lambda: time.monotonic() - lost_at > 1.1)
    monkeypatch.setattr(worker.runtime.store, "renew_lease", away_at_first)
    token = keeper.ensure()
    eventually(lambda: keeper.is_lost or len(answers) > 4)

    assert (keeper.is_lost, set(answers)) == (False, {token})


def test_a_heartbeat_of_the_lease_before_does_not_end_the_present_one(worker, monkeypatch, eventually):
    worker.run_until_idle()
    keeper: LeaseKeeper = worker.runtime.lease
    renew = worker.runtime.store.renew_lease
    answers = []

    def slow(token, *arguments):
        if not answers:
            keeper.is_lost = True  # while this heartbeat is on its way, the loop opens another lease
            keeper.ensure()
            answers.append(False)
            return False
        answers.append(renew(token, *arguments))
        return answers[-1]

    monkeypatch.setattr(worker.runtime.store, "renew_lease", slow)
    eventually(lambda: len(answers) > 2)

    assert not keeper.is_lost
    assert all(answers[1:])


def test_an_orchestrator_that_computes_for_ever_fails_and_the_others_go_on(worker, client, stage):
    @orchestrator
    def computes(context: OrchestrationContext):
        while True:
            with contextlib.suppress(Exception):
                pass
        yield

    client.start_new(computes, "endless")
    client.start_new(functions.chain, "order", 1)

    status = worker.run_until_ended("endless")
    assert status.failure_details.is_caused_by("EpisodeTimeout")
    assert "longer than EPISODE_TIMEOUT_SECONDS" in status.failure_details.message
    assert worker.run_until_ended("order").output == [0]


def test_an_engine_that_takes_too_long_abandons_one_instance(worker, client, stage, monkeypatch):
    """A replay of a very long history is not the author's loop; it must not end the worker either."""

    def too_long(*arguments):
        raise EpisodeTimeout

    client.start_new(functions.chain, "order", 1)
    monkeypatch.setattr("orchestrations.runtime.drain.advance_instance", too_long)
    worker.run_until_idle()

    row = Instance.objects.get()
    assert (row.status, row.lease_token) == ("Pending", None)
    assert row.waiting_for.startswith("the engine failed on it: EpisodeTimeout")


def test_an_activity_is_told_that_its_instance_was_terminated_by_another_worker(
    make_worker, client, stage, drain_until_inside, eventually
):
    mine, other = make_worker(), make_worker()
    client.start_new(functions.calls, "order", ["gated", 1])
    drain_until_inside(mine)
    assert not stage.contexts[0].is_cancelled()

    client.terminate("order")
    other.run_until_idle()

    eventually(lambda: stage.contexts[0].is_cancelled())


def test_what_is_interrupted_by_workers_that_stop_is_not_given_up(make_worker, client, stage, settings):
    """Nobody has died of it: it takes longer than the pauses between deployments."""
    settings.DURABLE = {**settings.DURABLE, "DISPATCH_ATTEMPTS": 1, "STOP_SECONDS": 0.01}
    client.start_new(functions.calls, "order", ["gated", 1])
    for count in range(1, 4):
        stopped = make_worker()
        stopped.runtime.drain(0.0, gives_way=lambda count=count: len(stage.inside) == count)
        stopped.stop()
    stage.gate.set()

    assert make_worker().run_until_ended("order").output == 1


@pytest.mark.parametrize("name", ["expire", "unwritten_heartbeats", "unended"])
def test_a_defect_in_looking_after_activities_does_not_stop_the_heart(worker, monkeypatch, eventually, name):
    worker.run_until_idle()
    looks = []

    def defect() -> None:
        looks.append(1)
        raise KeyError("defect")

    monkeypatch.setattr(worker.runtime.pool, name, defect)
    before = WorkerLease.objects.get()
    eventually(lambda: len(looks) > 1 and WorkerLease.objects.get().expires_at > before.expires_at)
