"""What is measured: the workloads, their sizes, and the rows that each gives.

Standard library only: the peers' programs import it too.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Workload(StrEnum):
    """The workloads, in the order in which they run. Idle comes first: nothing has happened yet."""

    IDLE = "idle"
    LATENCY = "latency"
    EVENT = "event"
    THROUGHPUT = "throughput"
    FANOUT = "fanout"
    CHAIN = "chain"
    TIMERS = "timers"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each workload one run has."""

    orchestrations: int = 2_000
    fan_outs: tuple[int, ...] = (1_000, 5_000)
    chains: tuple[int, ...] = (1_000, 5_000)
    samples: int = 100
    timers: int = 10_000
    idle_seconds: float = 15.0
    http_requests: int = 5_000


FULL = Sizes()
QUICK = Sizes(
    orchestrations=100,
    fan_outs=(50, 100),
    chains=(20, 50),
    samples=10,
    timers=100,
    idle_seconds=2.0,
    http_requests=200,
)

STEPS = 3
"""Activities of one orchestration in the throughput workload."""

HTTP_CONNECTIONS = 64
"""Of the client of the HTTP workload, each with one request at a time."""

PAUSE_SECONDS = (0.03, 0.08)
"""Between two latency samples, so that the system is idle again; varied, so that no poll beats in time with it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report. ``key`` is what contenders call it in the figures that they return."""

    workload: Workload
    key: str
    title: str
    unit: str
    higher_is_better: bool = False


def rows(sizes: Sizes, selected: Iterable[Workload]) -> list[Row]:
    """All rows of the selected workloads, in the order in which they run."""
    wanted = set(selected)
    starts = f"{sizes.orchestrations:,} orchestrations of {STEPS} activities"
    http = f"{sizes.http_requests:,} starts over HTTP, {HTTP_CONNECTIONS} connections"
    timers = f"{sizes.timers:,} timers at once"
    every = [
        Row(Workload.IDLE, "idle", f"idle workers, CPU over {sizes.idle_seconds:g} s", "% core"),
        Row(Workload.LATENCY, "latency_p50", "start to result, idle, p50", "ms"),
        Row(Workload.LATENCY, "latency_p95", "start to result, idle, p95", "ms"),
        Row(Workload.EVENT, "event_p50", "event to result, idle, p50", "ms"),
        Row(Workload.EVENT, "event_p95", "event to result, idle, p95", "ms"),
        Row(Workload.THROUGHPUT, "throughput", f"{starts}, one by one", "/s", higher_is_better=True),
        Row(Workload.THROUGHPUT, "throughput_bulk", f"{starts}, start_many", "/s", higher_is_better=True),
        *(Row(Workload.FANOUT, fan_out_key(n), f"fan-out of {n:,} activities", "s") for n in sizes.fan_outs),
        *(Row(Workload.CHAIN, chain_key(n), f"chain of {n:,} activities", "s") for n in sizes.chains),
        Row(Workload.TIMERS, "timers_p50", f"{timers}, late, p50", "ms"),
        Row(Workload.TIMERS, "timers_p99", f"{timers}, late, p99", "ms"),
        Row(Workload.TIMERS, "timers_drain", f"{timers}, due to all done", "s"),
        Row(Workload.HTTP, "http_rate", http, "/s", higher_is_better=True),
        Row(Workload.HTTP, "http_p50", f"{http}, p50", "ms"),
        Row(Workload.HTTP, "http_p99", f"{http}, p99", "ms"),
    ]
    return [row for row in every if row.workload in wanted]


def fan_out_key(count: int) -> str:
    """The key of the row of a fan-out of that size."""
    return f"fanout_{count}"


def chain_key(count: int) -> str:
    """The key of the row of a chain of that length."""
    return f"chain_{count}"


def quantiles(prefix: str, samples: Sequence[float], *percents: int) -> dict[str, float]:
    """``{prefix_p50: …}`` of the samples, for each percent."""
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    return {f"{prefix}_p{percent}": cuts[percent - 1] for percent in percents}


def pauses(count: int) -> list[float]:
    """The same pauses, in seconds, for every contender."""
    generator = random.Random(count)
    return [generator.uniform(*PAUSE_SECONDS) for _ in range(count)]
