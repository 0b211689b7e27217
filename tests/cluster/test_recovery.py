"""Parts of a cluster are killed, and what was accepted is done all the same."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django_q.models import Schedule
from django_q.tasks import async_task

from orchestrations.client import OrchestrationClient
from orchestrations.models import ActivityWorkItem, HistoryEvent, Instance, WorkerLease
from tests.cluster.conftest import Cluster
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("cluster")
Ended = Callable[..., Instance]


def test_an_activity_whose_worker_is_killed_runs_again_and_completes_once(
    client: OrchestrationClient, cluster: Cluster, ended: Ended, tmp_path: Path
) -> None:
    instance_id = client.start_new("calls", client_input=["note_and_hang_once", str(tmp_path)])
    runs = tmp_path / "runs"
    worker = int(eventually(lambda: runs.exists() and runs.read_text().strip(), timeout_seconds=30))
    assert ActivityWorkItem.objects.get().dispatches == 1, "counted before it runs"
    os.kill(worker, signal.SIGKILL)
    instance = ended(instance_id)
    assert (instance.status, instance.output) == ("Completed", "2")
    completions = HistoryEvent.objects.filter(instance=instance, type="TaskCompleted")
    assert completions.count() == 1


def test_what_an_activity_told_before_its_worker_was_killed_is_given_to_the_next_try(
    client: OrchestrationClient, cluster: Cluster, ended: Ended, tmp_path: Path
) -> None:
    instance_id = client.start_new("calls", client_input=["tell_and_hang_once", str(tmp_path)])

    def told() -> dict[str, int] | None:
        item = ActivityWorkItem.objects.first()
        return json.loads(item.heartbeat_details) if item is not None and item.heartbeat_details else None

    details = eventually(told, timeout_seconds=30, otherwise=cluster.output)
    os.kill(details["pid"], signal.SIGKILL)

    instance = ended(instance_id)
    assert json.loads(instance.output or "null") == [details, f"{instance_id}:{instance.pk}:1:1"]


def test_an_activity_runs_in_a_process_of_its_own_beside_a_worker_of_the_cluster(
    client: OrchestrationClient, cluster: Cluster, ended: Ended
) -> None:
    output = json.loads(ended(client.start_new("calls", client_input=["compute_elsewhere", 4])).output or "null")

    assert output[1] == 8
    assert output[0] not in cluster.pids()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL's connections are pooled")
def test_processes_of_a_cluster_share_no_connection_though_the_settings_pool_them(
    client: OrchestrationClient, transactional_db: None, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path).start(DATABASE_POOL="true")
    try:
        cluster.wait_for_workers(2)
        ids = [client.start_new("parent", client_input=[1, 2, 3]) for _ in range(20)]
        eventually(
            lambda: Instance.objects.filter(instance_id__in=ids, status="Completed").count() == len(ids),
            timeout_seconds=30,
            otherwise=cluster.output,
        )
        assert cluster.stop() == 0
        assert "ERROR" not in cluster.output()
    finally:
        cluster.kill()


@pytest.mark.parametrize("role", ["each worker", "the sentinel", "every child"])
def test_a_cluster_that_loses_processes_goes_on(
    client: OrchestrationClient, cluster: Cluster, ended: Ended, role: str
) -> None:
    first = client.start_new("parent", client_input=[1, 2, 3])
    assert ended(first).output == "[4,8,12]"
    assert cluster.process is not None
    children = cluster.descendants()
    sentinel = next(pid for pid in children if _parent(pid) == cluster.process.pid)
    victims = {
        "each worker": cluster.pids(),
        "the sentinel": [sentinel],
        "every child": children,
    }[role]
    for pid in victims:
        _kill(pid)
    for number in range(5):
        instance_id = client.start_new("good", client_input=number)
        assert ended(instance_id, 60).output == str(4 * number)


def test_a_worker_killed_while_it_waits_for_tasks_does_not_wedge_the_cluster(
    client: OrchestrationClient, cluster: Cluster, ended: Ended
) -> None:
    """The first idle worker holds the queue's read lock and takes it along; only a restart helps."""
    assert ended(client.start_new("good", client_input=1)).status == "Completed"
    for pid in cluster.descendants():
        if _is_worker(pid, cluster):
            _kill(pid)
            break
    instance_ids = [client.start_new("good", client_input=number) for number in range(4)]
    for number, instance_id in enumerate(instance_ids):
        assert ended(instance_id, 60).output == str(4 * number)


def test_sigterm_ends_everything_and_frees_the_leases(
    client: OrchestrationClient, cluster: Cluster, ended: Ended
) -> None:
    assert ended(client.start_new("good", client_input=1)).status == "Completed"
    processes = cluster.descendants()
    assert cluster.stop() == 0
    assert not WorkerLease.objects.exists()
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []


def test_a_cluster_whose_supervisor_is_killed_leaves_no_orphans(
    client: OrchestrationClient, transactional_db: None, tmp_path: Path
) -> None:
    orphaned = Cluster(tmp_path).start()
    try:
        orphaned.wait_for_workers()
        processes = orphaned.descendants()
        assert orphaned.process is not None
        orphaned.process.kill()
        orphaned.process.wait()
        eventually(
            lambda: not [pid for pid in processes if Path(f"/proc/{pid}").exists()],
            timeout_seconds=30,
            otherwise=orphaned.output,
        )
    finally:
        orphaned.kill()


def test_tasks_and_schedules_of_django_q2_run_through_the_same_cluster(
    client: OrchestrationClient, cluster: Cluster, ended: Ended, tmp_path: Path
) -> None:
    noted, scheduled = tmp_path / "noted", tmp_path / "scheduled"
    Schedule.objects.create(
        func="tests.cluster.app.orchestrations.append_line", args=repr(str(scheduled)), schedule_type=Schedule.ONCE
    )
    for _ in range(3):
        async_task("tests.cluster.app.orchestrations.append_line", str(noted))
    durable = client.start_new("good", client_input=1)
    eventually(lambda: noted.exists() and len(noted.read_text().splitlines()) == 3, otherwise=cluster.output)
    assert ended(durable).status == "Completed"
    eventually(scheduled.exists, timeout_seconds=45, otherwise=cluster.output)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def _is_worker(pid: int, cluster: Cluster) -> bool:
    """Workers are the sentinel's first children."""
    assert cluster.process is not None
    return _parent(pid) != cluster.process.pid and Path(f"/proc/{pid}/cmdline").exists()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
