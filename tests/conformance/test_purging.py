"""Purging: nothing is left of what has ended, and nothing is lost of what goes on."""

from __future__ import annotations

import pytest
from django.apps import apps

from orchestrations import InstanceEnded, InstanceNotFound, InvalidTransition
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import AuditEntry, HistoryEvent, InboxMessage, Instance, LargePayload, WorkerLease
from orchestrations.reading import queries
from orchestrations.reading.integrity import CHECKS, TaskHub
from tests.runtime import functions

KEPT = {"AuditEntry", "WorkerLease", "Chore", "ChoreRun", "CountMark", "MovedEnd", "ApiKey"}  # of no instance
LARGE = "x" * 2_000


@pytest.fixture(autouse=True)
def durable(settings, durable, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    settings.DURABLE = {**settings.DURABLE, "LARGE_PAYLOAD_BYTES": 1_000}


def findings() -> list[str]:
    hub = TaskHub()
    return [finding for check in CHECKS.values() for finding in check(hub)]


def left() -> dict[str, int]:
    models = [model for model in apps.get_app_config("orchestrations").get_models() if model.__name__ not in KEPT]
    return {model.__name__: count for model in models if (count := model.objects.count())}


def test_nothing_is_left_of_an_instance_that_did_everything(client, run, stage, worker, tmp_path):
    run(functions.calls, ["work", LARGE], "order")
    client.start_new(functions.collects, "collector", [])
    worker.run_until_idle()
    for number in range(10):
        client.raise_event("collector", "go", number, idempotency_key=str(number))
        worker.run_until_idle()
    stage.failing.add("late")
    run(functions.retries, "late", "retried")
    worker.run_until_ended("retried")
    run(functions.parent, ["chain", 3, "child"], "parent")
    assert findings() == []

    assert client.purge_instance_history_by().instances_deleted == 5

    assert left() == {}
    assert list(tmp_path.rglob("*.gz")) == []
    assert findings() == []


@pytest.mark.parametrize("act", ["suspend", "nothing"])
def test_a_live_instance_is_refused_and_goes_on(client, worker, act):
    client.start_new(functions.waits, "order", 1)
    worker.run_until_idle()
    if act == "suspend":
        client.suspend("order")
        worker.run_until_idle()

    with pytest.raises(InvalidTransition):
        client.purge_instance_history("order")
    assert client.purge_instance_history_by().instances_deleted == 0
    assert client.purge_instances(["order"]).instances_deleted == 0

    client.resume("order")
    client.raise_event("order", "go", 7)
    worker.run_until_idle()
    assert client.get_status("order").output == [7]


def test_events_and_history_of_a_purged_instance_do_not_reach_the_next_of_its_id(client, worker, run, events):
    client.start_new(functions.waits, "order", 2)
    worker.run_until_idle()
    client.raise_event("order", "go", "old", idempotency_key="1")
    client.terminate("order")
    worker.run_until_idle()
    client.purge_instance_history("order")

    client.start_new(functions.waits, "order", 1)
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == RuntimeStatus.RUNNING
    client.raise_event("order", "go", "new", idempotency_key="1")
    worker.run_until_idle()

    assert client.get_status("order").output == ["new"]
    assert events("order").count("ExecutionStarted") == 1


def test_a_purged_instance_is_unknown_to_every_verb(client, run):
    run(functions.chain, 1, "order")
    client.purge_instance_history("order")

    assert client.get_status("order") is None
    for verb in (client.purge_instance_history, client.rewind, client.terminate, client.suspend, client.restart):
        with pytest.raises(InstanceNotFound):
            verb("order")
    with pytest.raises((InstanceNotFound, InstanceEnded)):
        client.raise_event("order", "go")


def test_a_purge_while_somebody_reads_takes_nothing_but_the_rest(client, run):
    run(functions.chain, 5, "order")
    instance = queries.get_instance("default", "order", payloads=True)
    reading = queries.whole_history(instance)
    first = next(reading)

    client.purge_instance_history("order")

    assert first.type == "ExecutionStarted"
    assert len(list(reading)) >= 0
    assert queries.history(instance).events == []
    assert client.get_status("order", show_history=True) is None


def test_a_parent_hears_nothing_of_a_child_that_outlives_it(client, worker):
    client.start_new(functions.parent, "parent", ["waits", 1, "child"])
    worker.run_until_idle()
    client.terminate("parent", recursive=False)
    worker.run_until_idle()

    assert client.purge_instance_history("parent", recursive=True).instances_deleted == 1
    client.raise_event("child", "go", 1)
    worker.run_until_idle()

    assert client.get_status("child").output == [1]
    assert not InboxMessage.objects.exists()
    assert findings() == []


def test_audit_and_workers_outlive_it(client, run):
    run(functions.chain, 1, "order")
    acting = type(client)(actor="ann")

    acting.purge_instance_history("order", reason="old")

    assert AuditEntry.objects.get().reason == "old"
    assert WorkerLease.objects.exists()
    assert not (Instance.objects.exists() or HistoryEvent.objects.exists() or LargePayload.objects.exists())
