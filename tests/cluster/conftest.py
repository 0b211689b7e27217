"""Starts ``manage.py qcluster`` on the test's database, and stops it before the database is emptied."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from orchestrations.authoring.registry import registry
from orchestrations.client import OrchestrationClient
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import Instance, WorkerLease
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
END_SECONDS = 40.0


class Cluster:
    """One ``qcluster`` and all its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.log = folder / "cluster.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, workers: int = 2, **variables: str) -> Cluster:
        environment = {
            **os.environ,
            "DATABASE_POOL": "false",
            "DURABLE_APPS": "tests.cluster.app",
            **variables,
            "DJANGO_SETTINGS_MODULE": "tests.cluster.settings",
            "DATABASE_URL": database_url(),
            "SECRET_KEY": settings.SECRET_KEY,
            "ALLOWED_HOSTS": "localhost",
            "WORKERS": str(workers),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        return self

    def wait_for_workers(self, count: int = 1) -> list[int]:
        """The pids of live workers, once there are so many."""
        return eventually(
            lambda: pids if len(pids := self.pids()) >= count else None,
            timeout_seconds=START_SECONDS,
            otherwise=self.output,
        )

    def pids(self) -> list[int]:
        """The workers that have a lease."""
        return list(WorkerLease.objects.order_by("token").values_list("pid", flat=True))

    def descendants(self) -> list[int]:
        """Every process of the cluster but the first."""
        assert self.process is not None
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, rest = stat.read_text().split(" (", 1)
                parent = int(rest.rpartition(") ")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(pid))
        found, pending = [], [self.process.pid]
        while pending:
            pending += (mine := children.get(pending.pop(), []))
            found += mine
        return sorted(found)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_SECONDS)

    def kill(self) -> None:
        """End whatever is left, without asking."""
        if self.process is None:
            return
        for pid in [*self.descendants(), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(END_SECONDS)

    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


def database_url() -> str:
    """Of the test's database, for another process."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    password = f":{database['PASSWORD']}" if database["PASSWORD"] else ""
    host, port = database["HOST"] or "127.0.0.1", database["PORT"] or 5432
    return f"postgres://{database['USER']}{password}@{host}:{port}/{database['NAME']}"


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path).start()
    try:
        yield started
        code = started.stop()
        assert code == 0, started.output()
    finally:
        started.kill()


@pytest.fixture
def client(transactional_db: None) -> Iterator[OrchestrationClient]:
    """Knows the cluster's functions for as long as the test runs; others' tests may take the same names."""
    with registry.preserved():
        module = "tests.cluster.app.orchestrations"
        importlib.reload(sys.modules[module]) if module in sys.modules else importlib.import_module(module)
        yield OrchestrationClient()


@pytest.fixture
def ended(cluster: Cluster) -> Callable[[str], Instance]:
    """Waits until an instance has ended."""

    def wait(instance_id: str, timeout_seconds: float = END_SECONDS) -> Instance:
        def found() -> Instance | None:
            instance = Instance.objects.get(instance_id=instance_id)
            return instance if RuntimeStatus(instance.status).is_terminal else None

        return eventually(found, timeout_seconds=timeout_seconds, otherwise=cluster.output)

    return wait
