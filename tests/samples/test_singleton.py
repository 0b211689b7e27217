"""Singleton."""

from __future__ import annotations

from durable_admin.samples.singleton import INSTANCE_ID, ensure_rebuilding
from orchestrations import OrchestrationClient
from tests.samples.conftest import Drive


def test_one_runs_at_a_time_and_the_next_may_follow(client: OrchestrationClient, drive: Drive) -> None:
    assert [ensure_rebuilding(client, ["book", "map"]) for _ in range(3)] == [True, False, False]
    assert drive(client, INSTANCE_ID).output == 4

    assert ensure_rebuilding(client, ["book"])
    assert drive(client, INSTANCE_ID).output == 2
