"""``manage.py durable delete-hub``."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management.base import CommandError

from orchestrations import EntityId, OrchestrationClient, entity
from orchestrations.models import (
    AuditEntry,
    BulkJob,
    HistoryEvent,
    Instance,
    LargePayload,
    OutgoingWebhook,
    WorkerLease,
)
from orchestrations.payload_files import exists
from orchestrations.store.hub_deletion import BELONGINGS
from tests import rows
from tests.runtime import functions


@pytest.fixture(autouse=True)
def hub(run, client, worker, stage, settings):
    settings.DURABLE = {**settings.DURABLE, "LARGE_PAYLOAD_BYTES": 1_000}
    run(functions.chain, 1, "done")

    @entity
    def counter(context):
        context.set_state((context.get_state() or 0) + context.get_input())

    client.start_new(functions.waits, "running", 2)
    client.raise_event("running", "other", "x" * 2_000)
    client.signal_entity(EntityId("counter", "a"), "add", 1)
    worker.run_until_idle()
    OutgoingWebhook.objects.create(hub="default", name="ours", url="https://example.com/")
    BulkJob.objects.create(hub="default", action="terminate", state=BulkJob.State.COMPLETED)
    rows.instance("elsewhere", hub="other")
    BulkJob.objects.create(hub="other", action="terminate", state=BulkJob.State.COMPLETED)
    worker.stop()


def left() -> set[str]:
    return {name for (name,) in Instance.objects.values_list("instance_id")}


def test_all_of_it_goes_and_the_audit_trail_and_other_hubs_stay(command):
    OrchestrationClient(actor="dana").suspend("running", "wait")
    file = LargePayload.objects.get().name
    assert exists(file)

    told = command("delete-hub", "default", "--yes", "--live", "--reason", "moved")

    assert "2 instances, 1 of them live, and 1 entities." in told
    assert told.endswith("The task hub 'default' is deleted.\n")
    assert left() == {"elsewhere"}
    assert not HistoryEvent.objects.exists() and not OutgoingWebhook.objects.exists() and not exists(file)
    assert BulkJob.objects.get().hub == "other"
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "reason")) == [
        ("suspend", "wait"),
        ("deleted_hub", "moved"),
    ]


def test_what_was_interrupted_goes_on(command):
    Instance.objects.exclude(hub="other").delete()

    assert "Those with instances are: default, other." in command("delete-hub", "default", "--yes")
    assert BulkJob.objects.get().hub == "other"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--live"], "Say --yes to delete all of it"),
        (["--yes"], "Terminate them, or say --live"),
    ],
)
def test_it_must_be_meant(command, options, why):
    with pytest.raises(CommandError, match=why):
        command("delete-hub", "default", *options)
    assert left() == {"done", "running", "@counter@a", "elsewhere"}


def test_a_hub_that_workers_serve_is_left_alone(command, make_worker):
    make_worker().run_until_idle()
    assert WorkerLease.objects.exists()

    with pytest.raises(CommandError, match=r"1 processes\. Stop them first"):
        command("delete-hub", "default", "--yes", "--live")
    assert "running" in left()


def test_no_table_is_forgotten():
    of_hub = {model for model in apps.get_app_config("orchestrations").get_models() if _has(model, "hub")}

    kept = {AuditEntry}
    assert {model for model in of_hub if not _has(model, "instance")} == ({*BELONGINGS} & of_hub) | kept | {Instance}


def _has(model, name: str) -> bool:
    return any(field.name == name for field in model._meta.fields)
