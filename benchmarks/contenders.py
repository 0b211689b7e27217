"""What the harness asks of everything that it measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.workloads import Sizes, Workload

TIMEOUT_SECONDS = 600.0
"""For one workload of one contender; more than the slowest needs on a slow machine."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One run: where, how large, with how many worker processes. ``server`` is PostgreSQL's maintenance database."""

    database: str
    server: str
    sizes: Sizes
    quick: bool
    workers: int
    folder: Path

    def log(self, name: str) -> Path:
        """Where a process of this run writes what it has to say."""
        return self.folder / "logs" / f"{self.database}-{name}.log"


class Contender(Protocol):
    """Something with figures. Each comes as a context manager that makes its database and drops it."""

    def measure(self, workload: Workload) -> dict[str, float]:
        """Run one workload and return its figures by row key.

        Raises:
            ProgramFailed: a process of it failed; the other contenders and workloads go on.
        """
        ...
