"""Workers are killed while entities are at work: no operation is lost or done twice, and no lock stays."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

import pytest

from orchestrations import EntityId
from orchestrations.client import OrchestrationClient
from orchestrations.models import Entity, InboxMessage, Instance
from tests.cluster.conftest import Cluster
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("cluster")

KEYS = [f"t{number}" for number in range(10)]
KILLS = 4


def test_sums_are_exact_and_locks_are_free_whatever_is_killed(
    client: OrchestrationClient, cluster: Cluster, ended: Callable[..., Instance]
) -> None:
    rounds, signals = 4, 30
    started = [client.start_new("add_everywhere", client_input=[KEYS, rounds]) for _ in range(3)]
    started += [client.start_new("move_between", client_input=[KEYS[:2], rounds]) for _ in range(3)]
    started += [client.start_new("move_between", client_input=[KEYS[1::-1], rounds]) for _ in range(3)]

    killed: set[int] = set()
    for number in range(KILLS):
        for key in KEYS:
            for _ in range(signals // KILLS + (number < signals % KILLS)):
                client.signal_entity(EntityId("tally", key), "add", 1)
        victim = eventually(
            lambda: next((pid for pid in cluster.pids() if pid not in killed), None),
            timeout_seconds=30,
            otherwise=cluster.output,
        )
        killed.add(victim)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)

    assert [ended(instance_id, 90).status for instance_id in started] == ["Completed"] * len(started)
    eventually(lambda: not InboxMessage.objects.exists(), timeout_seconds=30, otherwise=cluster.output)
    expected = signals + 3 * 2 * rounds
    states = {item.entity_id.key: item.entity_state for item in client.list_entities("tally", include_state=True).items}
    assert states == dict.fromkeys(KEYS, expected)
    assert not Entity.objects.exclude(locked_by="").exists()
