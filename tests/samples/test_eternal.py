"""Eternal orchestration."""

from __future__ import annotations

from datetime import timedelta

from durable_admin.samples.eternal import Cleaning, keep_clean
from orchestrations import OrchestrationClient
from orchestrations.models import Instance
from tests.samples.conftest import Drive


def test_it_goes_on_with_a_fresh_history_until_it_is_stopped(client: OrchestrationClient, drive: Drive) -> None:
    cleaning = Cleaning(room="cellar", every=timedelta(days=1))
    instance_id = client.start_new(keep_clean, client_input=cleaning)
    for _ in range(3):
        client.raise_event(instance_id, "stop", False)  # somebody is impatient
    drive(client, instance_id)
    assert Instance.objects.get().execution == 4

    client.raise_event(instance_id, "stop", True)

    assert drive(client, instance_id).output == 4
