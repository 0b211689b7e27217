"""Singleton."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from durable_admin.samples.singleton import INSTANCE_ID, ensure_rebuilding
from orchestrations import OrchestrationClient
from tests.samples.conftest import Drive


def test_one_runs_at_a_time_and_the_next_may_follow(client: OrchestrationClient, drive: Drive) -> None:
    assert [ensure_rebuilding(client, ["book", "map"]) for _ in range(3)] == [True, False, False]
    assert drive(client, INSTANCE_ID).output == 4

    assert ensure_rebuilding(client, ["book"])
    assert drive(client, INSTANCE_ID).output == 2


def test_of_many_who_ask_at_once_one_starts_it(client: OrchestrationClient, drive: Drive) -> None:
    def ensure(number: int) -> bool:
        try:
            return ensure_rebuilding(client, ["book"] * number)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        started = list(threads.map(ensure, range(1, 17)))

    assert sum(started) == 1
    assert drive(client, INSTANCE_ID).output == 2 * (started.index(True) + 1)
