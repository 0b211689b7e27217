"""Two releases of one app on one database: nothing fails for want of code, and old code ends what it began."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrations.client import OrchestrationClient
from orchestrations.models import DeadLetter, Instance, OpenWait
from orchestrations.store import get_store
from orchestrations.store.contract import NewInstance
from tests.cluster.conftest import END_SECONDS, Cluster
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("cluster")

RELEASES = Path(__file__).parent / "releases"
EACH = 20  # instances of a kind
Deploy = Callable[..., Cluster]


@pytest.fixture
def deploy(transactional_db: None, tmp_path: Path) -> Iterator[Deploy]:
    """Starts a cluster with the code of a release, beside those that run."""
    clusters = []

    def deploy(release: str, version_match: str = "strict") -> Cluster:
        folder = tmp_path / f"{len(clusters)}-{release}"
        folder.mkdir()
        variables = {"DURABLE_APPS": "rolling", "PYTHONPATH": str(RELEASES / release), "TEST_GATE": str(gate(tmp_path))}
        cluster = Cluster(folder)
        clusters.append(cluster)
        running = len(cluster.pids())
        cluster.start(1, **variables, TEST_VERSION_MATCH=version_match).wait_for_workers(running + 1)
        return cluster

    try:
        yield deploy
    finally:
        for cluster in clusters:
            cluster.kill()


def gate(tmp_path: Path) -> Path:
    """The file whose existence ends the activities that take long."""
    return tmp_path / "gate"


def start(name: str, kind: str, value: object = None, version: str = "") -> list[str]:
    """As a web server of the release that knows the name would; this process knows neither."""
    store = get_store()
    ids = [f"{kind}-{number}" for number in range(EACH)]
    values = [json.dumps(number if value is None else value) for number in range(EACH)]
    store.create_instances([NewInstance(key, name, version, text) for key, text in zip(ids, values, strict=True)])
    store.notify_workers()
    return ids


def go(ids: list[str]) -> None:
    client = OrchestrationClient()
    for instance_id in ids:
        client.raise_event(instance_id, "go")


def wait_until(condition: Callable[[], Any]) -> None:
    eventually(condition, timeout_seconds=END_SECONDS, otherwise=told)


def told() -> str:
    rows = Instance.objects.order_by("pk").values_list("instance_id", "status", "waiting_for", "error")
    return "\n".join(" | ".join(row) for row in rows)


def all_wait_for_go(ids: list[str]) -> bool:
    return OpenWait.objects.filter(instance__instance_id__in=ids, name="go").count() == len(ids)


def outputs(ids: list[str]) -> list[Any]:
    """Once all of them have completed."""

    def completed() -> list[Any]:
        rows = Instance.objects.filter(instance_id__in=ids)
        assert not rows.filter(status="Failed").exists(), told()
        ended = dict(rows.filter(status="Completed").values_list("instance_id", "output"))
        return [json.loads(ended[key]) for key in ids] if len(ended) == len(ids) else []

    found: list[Any] = eventually(completed, timeout_seconds=END_SECONDS, otherwise=told)
    return found


def assert_nothing_was_given_up() -> None:
    assert not Instance.objects.filter(status="Failed").exists(), told()
    assert not DeadLetter.objects.exists()


def test_with_both_releases_live_each_instance_runs_on_the_code_of_its_version(deploy: Deploy, tmp_path: Path) -> None:
    before = deploy("old")
    old, retired = start("pay", "old", version="1"), start("retired", "retired")
    wait_until(lambda: all_wait_for_go([*old, *retired]))

    deploy("new")
    new, introduced = start("pay", "new", version="2"), start("introduced", "introduced", 20)
    wait_until(lambda: all_wait_for_go(new))
    go([*old, *new, *retired])
    wait_until(lambda: "leaves them to others: take_long" in before.output())  # it was offered what it has no code for
    gate(tmp_path).touch()

    assert outputs(old) == [["old code", "1", f"{number} charged"] for number in range(EACH)]
    assert outputs(new) == [["new code", "2", f"{n} reserved", f"{n} charged"] for n in range(EACH)]
    assert outputs(retired) == ["old code"] * EACH
    assert outputs(introduced) == [20] * EACH
    assert_nothing_was_given_up()


def test_what_the_new_release_may_not_run_waits_with_the_reason_until_the_old_one_is_back(deploy: Deploy) -> None:
    before = deploy("old")
    old, retired = start("pay", "old", version="1"), start("retired", "retired")
    wait_until(lambda: all_wait_for_go([*old, *retired]))
    assert before.stop() == 0

    after = deploy("new")
    go([*old, *retired])
    reasons = {
        "old": "a worker with code for version 1 of orchestrator pay; the code here has version 2",
        "retired": "no worker has the code of orchestrator retired",
    }
    for kind, reason in reasons.items():
        rows = Instance.objects.filter(instance_id__startswith=kind, status="Running", waiting_for=reason)
        wait_until(lambda rows=rows: rows.count() == EACH)
    new = start("pay", "new", version="2")
    wait_until(lambda: all_wait_for_go(new))  # what waits holds up nobody
    assert after.stop() == 0

    deploy("old")  # the deployment is taken back

    assert outputs(old) == [["old code", "1", f"{number} charged"] for number in range(EACH)]
    assert outputs(retired) == ["old code"] * EACH
    assert set(Instance.objects.filter(instance_id__in=new).values_list("status", flat=True)) == {"Running"}
    assert_nothing_was_given_up()


def test_by_default_the_new_release_goes_on_with_instances_of_the_old_version(deploy: Deploy) -> None:
    before = deploy("old", "current-or-older")
    old = start("pay", "old", version="1")
    wait_until(lambda: all_wait_for_go(old))
    assert before.stop() == 0

    deploy("new", "current-or-older")
    go(old)

    assert outputs(old) == [["new code", "1", f"{n} reserved", f"{n} charged"] for n in range(EACH)]
    assert_nothing_was_given_up()
