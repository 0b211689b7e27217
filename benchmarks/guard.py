"""What the guard of orchestrators' code costs: ``python -m benchmarks.guard``. One process, no database."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import django

from benchmarks.processes import ROOT

if TYPE_CHECKING:
    from orchestrations.authoring.functions import RegisteredFunctions
    from orchestrations.authoring.orchestrators import RegisteredOrchestrator
    from orchestrations.core.events import HistoryEvent
    from orchestrations.core.execution import InstanceFacts

FOLDER = ROOT / "var" / "bench"
STEPS, QUICK_STEPS = 1_000, 20  # activities of the chain: as many episodes
ROUNDS, QUICK_ROUNDS = 31, 3  # each has both sides, one right after the other
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of one episode, in microseconds, and how many times as much it is with the guard."""

    off: float
    on: float
    ratio: float


def main() -> int:
    """Measure, print and save."""
    arguments = _arguments()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "durable_admin.settings")
    os.environ["DURABLE_APPS"] = "benchmarks.app"
    django.setup()
    steps, rounds = (QUICK_STEPS, QUICK_ROUNDS) if arguments.quick else (arguments.steps, arguments.rounds)
    costs = measure(steps, rounds)
    title = "CPU time of an episode, in microseconds"
    sys.stdout.write(f"{title:44}{'guard off':>10}{'guard on':>10}{'on / off':>10}\n")
    for name, cost in costs.items():
        sys.stdout.write(f"{name:44}{cost.off:10.1f}{cost.on:10.1f}{cost.ratio:10.3f}\n")
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = arguments.output / f"{date.today().isoformat()}-guard.json"  # noqa: DTZ011 (a file's name)
    figures = {name: {"off_us": cost.off, "on_us": cost.on, "ratio": cost.ratio} for name, cost in costs.items()}
    path.write_text(json.dumps({"steps": steps, "rounds": rounds, "costs": figures}, indent=2) + "\n")
    return 0


def measure(steps: int, rounds: int) -> dict[str, Cost]:
    """The cost of an episode in a worker, in a replay, and while code is new to the process."""
    from orchestrations.authoring.registry import registry
    from orchestrations.runtime.guard import CodeGuard

    plain = registry.orchestrator("chain")
    guarded = replace(plain, watch=CodeGuard(plain.name))
    history = _live(plain, steps)
    for _ in range(3):  # what is watched as the code of a new process
        _live(guarded, steps)

    def new() -> RegisteredOrchestrator:
        return replace(plain, watch=CodeGuard(plain.name))

    pairs: dict[str, tuple[Callable[[], object], Callable[[], object], int, int]] = {
        "new events": (lambda: _live(plain, steps), lambda: _live(guarded, steps), steps, rounds),
        "replay": (lambda: _replay(plain, steps, history), lambda: _replay(guarded, steps, history), steps, rounds),
        "first run of each stretch in a process": (lambda: _live(plain, 1), lambda: _live(new(), 1), 2, rounds * 30),
    }
    return {name: _compare(*sides) for name, sides in pairs.items()}


def _live(definition: RegisteredOrchestrator, steps: int) -> list[HistoryEvent]:
    """One orchestration from its start to its end, an event in each episode; returns its history."""
    from orchestrations.core.episode import advance, open_execution
    from orchestrations.core.events import EventType, HistoryEvent

    execution = open_execution(definition, *_facts(definition, steps))
    events = [HistoryEvent(EventType.EXECUTION_STARTED, START)]
    events += [
        HistoryEvent(EventType.TASK_COMPLETED, START + timedelta(seconds=step), task_id=step, payload=str(step))
        for step in range(1, steps + 1)
    ]
    history: list[HistoryEvent] = []
    for event in events:
        history += advance(execution, [event]).events
    if execution.completion is None:
        raise RuntimeError(f"The chain of {steps} stands at {execution.location}. Its events do not fit its code.")
    return history


def _replay(definition: RegisteredOrchestrator, steps: int, history: Sequence[HistoryEvent]) -> None:
    """The whole history, as a worker reads it that does not have the orchestrator in memory."""
    from orchestrations.core.episode import open_execution

    open_execution(definition, *_facts(definition, steps), history)


def _facts(definition: RegisteredOrchestrator, steps: int) -> tuple[RegisteredFunctions, InstanceFacts]:
    from orchestrations.core.execution import InstanceFacts
    from orchestrations.runtime.instances import FUNCTIONS

    return FUNCTIONS, InstanceFacts("benchmark", definition.name, input=str(steps))


def _compare(off: Callable[[], object], on: Callable[[], object], episodes: int, rounds: int) -> Cost:
    """The medians of both sides, and of their ratios within a round: what slows the machine down slows both."""
    pairs = []
    for number in range(rounds):
        sides = [off, on] if number % 2 else [on, off]  # neither is always the one that comes after a pause
        taken = {side: _cpu_microseconds(side) / episodes for side in sides}
        pairs.append((taken[off], taken[on]))
    ratios = [on_us / off_us for off_us, on_us in pairs]
    without_guard, with_guard = zip(*pairs, strict=True)
    return Cost(statistics.median(without_guard), statistics.median(with_guard), statistics.median(ratios))


def _cpu_microseconds(work: Callable[[], object]) -> float:
    began = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - began) / 1_000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"episodes of one orchestration ({STEPS:,})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of which the median counts ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="small sizes: tests the benchmark, measures nothing")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the JSON (var/bench)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
