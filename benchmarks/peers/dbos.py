"""DBOS from PyPI beside us: its virtual environment, its database, and its processes.

Two columns: its best, which has the client inside the process that runs the workflows, and the same conditions as ours,
a client in another process. Both in the fastest configuration found (see the README).
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.contenders import TIMEOUT_SECONDS, Settings
from benchmarks.databases import SQLITE, scratch, sqlite_path
from benchmarks.workloads import Workload

VERSION = "3.4.0"
NAME = "dbos"
REMOTE_NAME = "dbos_remote"
REMOTE_WORKLOADS = frozenset({Workload.IDLE, Workload.LATENCY, Workload.EVENT, Workload.THROUGHPUT})


def install(folder: Path) -> Path:
    """Make DBOS's virtual environment unless it is there, and return its Python."""
    environment = folder.resolve() / f"dbos-{VERSION}-venv"
    python = environment / "bin" / "python"
    if not (environment / "installed").exists():
        venv.create(environment, with_pip=True, clear=True)
        requirement = f"dbos=={VERSION}"
        subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], check=True)
        (environment / "installed").touch()
    return python


@contextmanager
def dbos(settings: Settings, python: Path) -> Iterator[Dbos]:
    """DBOS with the client inside: its best figures."""
    with _database(settings, NAME) as url:
        yield Dbos(settings, url, python)


@contextmanager
def dbos_remote(settings: Settings, python: Path) -> Iterator[DbosRemote]:
    """DBOS with the client in another process, over a queue."""
    with _database(settings, REMOTE_NAME) as url:
        yield DbosRemote(settings, url, python)


@contextmanager
def _database(settings: Settings, name: str) -> Iterator[str]:
    with scratch(settings.database, name, settings.server, settings.folder) as url:
        if settings.database == SQLITE:  # DBOS leaves SQLite's slower default; the file remembers a better one
            with closing(sqlite3.connect(sqlite_path(url))) as file:
                file.execute("PRAGMA journal_mode=WAL")
        yield url


@dataclass(frozen=True, slots=True)
class Dbos:
    """DBOS in one process; in as many as we have workers for throughput on PostgreSQL, where that is faster."""

    settings: Settings
    url: str
    python: Path

    def measure(self, workload: Workload) -> dict[str, float]:
        """Run the workload inside DBOS's own process. Idle is a queue worker for each of ours, default intervals."""
        if workload is Workload.IDLE:
            return _idle(self, self.settings, workload)
        shares = self._shares() if workload is Workload.THROUGHPUT else [0]
        commands = [_command(self, "local", workload, f"--count={share}") for share in shares]
        log = self.settings.log(f"dbos-{workload}")
        return _merge(processes.measure(commands, _environment(), log, TIMEOUT_SECONDS), self.settings)

    def _shares(self) -> list[int]:
        """The orchestrations of each process; SQLite has one writer, so more than one process only contends."""
        count = 1 if self.settings.database == SQLITE else self.settings.workers
        whole, rest = divmod(self.settings.sizes.orchestrations, count)
        return [whole + (number < rest) for number in range(count)]


@dataclass(frozen=True, slots=True)
class DbosRemote:
    """DBOS's queue workers, as many as ours, and a client in another process."""

    settings: Settings
    url: str
    python: Path

    def measure(self, workload: Workload) -> dict[str, float]:
        """Run one of ``REMOTE_WORKLOADS`` from outside. Idle is with the short intervals that the others need."""
        if workload is Workload.IDLE:
            return _idle(self, self.settings, Workload.LATENCY)
        with _workers(self, self.settings, workload) as workers:
            command = _command(self, "remote", workload)
            log = self.settings.log(f"dbos-remote-{workload}")
            figures = processes.measure([command], _environment(), log, TIMEOUT_SECONDS, needs=workers)
            return _merge(figures, self.settings)


def _idle(contender: Dbos | DbosRemote, settings: Settings, configuration: Workload) -> dict[str, float]:
    with _workers(contender, settings, configuration) as workers:
        return {"idle": processes.idle_percent(workers, settings.sizes.idle_seconds)}


@contextmanager
def _workers(
    contender: Dbos | DbosRemote, settings: Settings, configuration: Workload
) -> Iterator[Sequence[processes.Program]]:
    """Queue workers, started one after the other, because each makes sure that the tables are there."""
    with ExitStack() as stack:
        workers = []
        for number in range(settings.workers):
            log = settings.log(f"dbos-{configuration}-worker-{number}")
            worker = stack.enter_context(
                processes.service(_command(contender, "serve", configuration), _environment(), log)
            )
            processes.await_ready(worker, log)
            processes.say_go(worker)
            workers.append(worker)
        yield workers


def _command(contender: Dbos | DbosRemote, mode: str, workload: Workload, *more: str) -> list[str | Path]:
    quick = ["--quick"] * contender.settings.quick
    program: list[str | Path] = [contender.python, "-m", "benchmarks.peers.dbos_program", mode, workload]
    return [*program, f"--url={contender.url}", *more, *quick]


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "DJANGO"))}


def _merge(figures: list[dict[str, float]], settings: Settings) -> dict[str, float]:
    """One set of figures of several processes: from the first start to the last end."""
    if "began_at" not in figures[0]:
        return figures[0]
    seconds = max(each["ended_at"] for each in figures) - min(each["began_at"] for each in figures)
    return {"throughput": settings.sizes.orchestrations / seconds}
