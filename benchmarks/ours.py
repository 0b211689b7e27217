"""Our side: a scratch database, ``migrate``, ``qcluster``, and a client process for each workload."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import over_http, processes
from benchmarks.contenders import TIMEOUT_SECONDS, Settings
from benchmarks.databases import scratch
from benchmarks.workloads import Workload

NAME = "ours"
WARM_UP_SECONDS = 60.0


@contextmanager
def ours(settings: Settings) -> Iterator[Ours]:
    """The engine on a migrated scratch database."""
    with scratch(settings.database, NAME, settings.server, settings.folder) as url:
        migrate(url)
        yield Ours(settings, url)


@dataclass(frozen=True, slots=True)
class Ours:
    """Durable Functions for Django, run as a user would run it. The cluster lives for one workload."""

    settings: Settings
    url: str

    def measure(self, workload: Workload) -> dict[str, float]:
        """Start the cluster, warm it up, run the workload from another process, stop the cluster."""
        if workload is Workload.HTTP:
            return over_http.measure(self.settings, site_environment(self.url, 1), "start")
        environment = site_environment(self.url, self.settings.workers)
        log = self.settings.log(f"ours-{workload}-cluster")
        command = [sys.executable, "manage.py", "qcluster"]
        with processes.service(command, environment, log, speaks=False) as cluster:
            self._run(cluster, "warm-up", WARM_UP_SECONDS)
            if workload is Workload.IDLE:
                return {"idle": processes.idle_percent([cluster], self.settings.sizes.idle_seconds)}
            return self._run(cluster, workload, TIMEOUT_SECONDS)

    def _run(self, cluster: processes.Program, workload: str, timeout_seconds: float) -> dict[str, float]:
        command = [sys.executable, "-m", "benchmarks.app.client", workload, *(["--quick"] * self.settings.quick)]
        environment = site_environment(self.url, self.settings.workers)
        log = self.settings.log(f"ours-{workload}")
        return processes.measure([command], environment, log, timeout_seconds, needs=[cluster])[0]


def migrate(url: str) -> None:
    """Create the site's tables.

    Raises:
        ProgramFailed: with what ``manage.py migrate`` said.
    """
    command = [sys.executable, "manage.py", "migrate", "--skip-checks", "--verbosity", "0"]
    done = subprocess.run(
        command, cwd=processes.ROOT, env=site_environment(url, 1), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise processes.ProgramFailed(f"manage.py migrate failed.\n{done.stderr[-processes.LOG_TAIL_CHARACTERS :]}")


def site_environment(url: str, workers: int) -> dict[str, str]:
    """The environment of a host that runs the site with the benchmark's app."""
    return {
        **os.environ,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "durable_admin.settings",
        "DURABLE_APPS": "benchmarks.app",
        "WORKERS": str(workers),
    }
