"""The instances that a first visitor finds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from durable_admin.samples import demo
from durable_admin.samples.demo import INSTANCES, start_demo
from durable_admin.samples.fan_out import Gallery
from orchestrations import OrchestrationClient
from orchestrations.models import Instance
from tests.samples.conftest import Drive


@pytest.fixture
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thumbnails take a second each so that a visitor can watch; a test does not watch."""
    quick = [
        replace(instance, client_input=replace(instance.client_input, seconds_each=0.0))
        if isinstance(instance.client_input, Gallery)
        else instance
        for instance in INSTANCES
    ]
    monkeypatch.setattr(demo, "INSTANCES", tuple(quick))


def test_the_first_run_starts_all_and_the_second_one_nothing(client: OrchestrationClient) -> None:
    assert start_demo(client) == [instance.instance_id for instance in INSTANCES]
    before = list(Instance.objects.order_by("id").values_list("id", "created_at"))

    assert start_demo(client) == []
    assert list(Instance.objects.order_by("id").values_list("id", "created_at")) == before


@pytest.mark.usefixtures("_without_pauses")
def test_a_purged_instance_is_started_anew(client: OrchestrationClient, drive: Drive) -> None:
    start_demo(client)
    drive(client, "demo-order-shipped")
    client.purge_instance_history("demo-order-shipped")

    assert start_demo(client) == ["demo-order-shipped"]


@pytest.mark.usefixtures("_without_pauses")
@pytest.mark.parametrize(
    ("instance_id", "status"),
    [
        ("demo-chaining", "Completed"),
        ("demo-sub-orchestrations", "Completed"),
        ("demo-entities", "Completed"),
        ("demo-order-shipped", "Completed"),
        ("demo-order-compensated", "Completed"),
        ("demo-fan-out", "Completed"),
        ("demo-monitor", "Running"),
        ("demo-order-approval", "Running"),
        ("demo-rewind", "Failed"),
    ],
)
def test_a_visitor_finds_every_instance_as_the_demo_promises(
    client: OrchestrationClient, drive: Drive, instance_id: str, status: str
) -> None:
    start_demo(client)

    assert drive(client, instance_id).runtime_status == status


@pytest.mark.usefixtures("_without_pauses")
def test_rewinding_the_failed_one_and_approving_the_waiting_one_completes_both(
    client: OrchestrationClient, drive: Drive
) -> None:
    start_demo(client)
    drive(client, "demo-rewind")
    drive(client, "demo-order-approval")

    client.rewind("demo-rewind", "Nordwind is back.")
    client.raise_event("demo-order-approval", "approval", {"approved": True, "comment": "", "by": "dana"})

    assert drive(client, "demo-rewind").output == 3
    assert drive(client, "demo-order-approval").output["state"] == "shipped"
