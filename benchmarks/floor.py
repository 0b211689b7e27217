"""The floor: a bare program that only writes the rows that the engine must leave behind, in groups, set-based.

It decides nothing, runs nothing and recovers nothing: no engine on this database and these tables can be faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import over_http
from benchmarks.contenders import Settings
from benchmarks.databases import scratch
from benchmarks.floor_tables import ACTIVITY, ORCHESTRATOR, HistoryRow, Tables, open_tables
from benchmarks.ours import migrate, site_environment
from benchmarks.workloads import STEPS, Workload, chain_key, fan_out_key

NAME = "floor"
WORKLOADS = frozenset({Workload.THROUGHPUT, Workload.FANOUT, Workload.CHAIN, Workload.HTTP})
GROUP = 100
"""Orchestrations, or activities of a fan-out, in one transaction."""


@contextmanager
def floor(settings: Settings) -> Iterator[Floor]:
    """The floor on tables of its own, made by the same migrations."""
    with scratch(settings.database, NAME, settings.server, settings.folder) as url:
        migrate(url)
        with open_tables(settings.database, url) as tables:
            yield Floor(settings, tables, url)


@dataclass(frozen=True, slots=True)
class Floor:
    """What the database alone allows for each workload that leaves rows behind."""

    settings: Settings
    tables: Tables
    url: str

    def measure(self, workload: Workload) -> dict[str, float]:
        """Write the rows of the workload, and nothing else. Raises ValueError for one that is not in ``WORKLOADS``."""
        sizes = self.settings.sizes
        match workload:
            case Workload.THROUGHPUT:
                return {"throughput": sizes.orchestrations / _seconds(self._orchestrations, sizes.orchestrations)}
            case Workload.FANOUT:
                return {fan_out_key(count): _seconds(self._fan_out, count) for count in sizes.fan_outs}
            case Workload.CHAIN:
                return {chain_key(count): _seconds(self._chain, count) for count in sizes.chains}
            case Workload.HTTP:
                return over_http.measure(self.settings, site_environment(self.url, 1), "floor")
            case _:
                raise ValueError(f"There is no floor for {workload}.")

    def _orchestrations(self, count: int) -> None:
        """One instance row and eight history rows for each, a group in each transaction."""
        for first in range(0, count, GROUP):
            names = [f"group-{number}" for number in range(first, min(first + GROUP, count))]
            with self.tables.transaction():
                instances = self.tables.insert_instances(names)
                self.tables.insert_history([row for instance in instances for row in history_rows(instance, STEPS)])

    def _fan_out(self, count: int) -> None:
        """One instance; a transaction for every group of its activities."""
        self._one_instance(f"fan-out-{count}", count, 2 * GROUP)

    def _chain(self, count: int) -> None:
        """One instance; a transaction for every activity: a completion and what it leads to."""
        self._one_instance(f"chain-{count}", count, 2)

    def _one_instance(self, instance_id: str, count: int, rows_at_once: int) -> None:
        with self.tables.transaction():
            (instance,) = self.tables.insert_instances([instance_id])
        rows = list(history_rows(instance, count))
        for first in range(0, len(rows), rows_at_once):
            with self.tables.transaction():
                self.tables.insert_history(rows[first : first + rows_at_once])


def history_rows(instance: int, activities: int) -> Iterator[HistoryRow]:
    """The history of an orchestration that calls that many activities: 2 + 2 for each of them."""
    yield HistoryRow(instance, 1, "ExecutionStarted", None, ORCHESTRATOR, None)
    for task in range(activities):
        yield HistoryRow(instance, 2 + 2 * task, "TaskScheduled", task, ACTIVITY, "1")
        yield HistoryRow(instance, 3 + 2 * task, "TaskCompleted", task, None, "2")
    yield HistoryRow(instance, 2 + 2 * activities, "ExecutionCompleted", None, None, "4")


def _seconds(write: Callable[[int], None], count: int) -> float:
    began = time.perf_counter()
    write(count)
    return time.perf_counter() - began
