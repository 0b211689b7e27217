"""Run the measurements: ``python -m benchmarks --database all``. Arguments and order only."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg

from benchmarks import databases, floor, ours, report
from benchmarks.contenders import Contender, Settings
from benchmarks.peers import dbos
from benchmarks.processes import ROOT, ProgramFailed
from benchmarks.workloads import FULL, QUICK, Workload, rows

SCRATCH = ROOT / "var" / "bench"
SERVER = "postgresql://127.0.0.1:5432/postgres"


def main() -> int:
    """Measure on each database, print its table, save its JSON; 1 if anything failed."""
    arguments = _parser().parse_args()
    SCRATCH.mkdir(parents=True, exist_ok=True)
    python = None if arguments.skip_dbos else dbos.install(SCRATCH)
    kinds = [databases.SQLITE, databases.POSTGRESQL] if arguments.database == "all" else [arguments.database]
    failed = False
    for kind in kinds:
        settings = Settings(
            database=kind,
            server=arguments.server,
            sizes=QUICK if arguments.quick else FULL,
            quick=arguments.quick,
            workers=arguments.workers,
            folder=SCRATCH,
        )
        try:
            results = _measure(settings, arguments.only, arguments.repeat, python)
        except psycopg.OperationalError as error:
            sys.exit(f"PostgreSQL does not answer ({error}). Say with --server where it is.")
        selected = rows(settings.sizes, arguments.only)
        path = report.save(results, selected, arguments.output)
        _say(f"\n{report.table(results, selected)}\nsaved: {path}\n")
        failed = failed or bool(results.failures)
    return int(failed)


def _measure(settings: Settings, workloads: Sequence[Workload], repeat: int, python: Path | None) -> report.Results:
    """Every contender's turn at a workload comes right after the other's, so that they meet the same machine."""
    results = report.Results(settings, repeat)
    for number in range(repeat):
        for workload in [workload for workload in Workload if workload in workloads]:
            for name, opened in _contenders(settings, workload, python).items():
                _say(f"{settings.database} {number + 1}/{repeat}: {workload}, {name}")
                try:
                    with opened as contender:
                        results.add(name, contender.measure(workload))
                except ProgramFailed as error:
                    results.failures.append(f"{workload}, {name}: {error}")
    return results


def _contenders(
    settings: Settings, workload: Workload, python: Path | None
) -> dict[str, AbstractContextManager[Contender]]:
    """Those that have the workload, by name, in the order of their turns."""
    contenders: dict[str, AbstractContextManager[Contender]] = {ours.NAME: ours.ours(settings)}
    if python is not None and workload is not Workload.HTTP:
        contenders[dbos.NAME] = dbos.dbos(settings, python)
        if workload in dbos.REMOTE_WORKLOADS:
            contenders[dbos.REMOTE_NAME] = dbos.dbos_remote(settings, python)
    if workload in floor.WORKLOADS:
        contenders[floor.NAME] = floor.floor(settings)
    return contenders


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the engine beside a peer.")
    parser.add_argument("--database", choices=[databases.SQLITE, databases.POSTGRESQL, "all"], default="all")
    parser.add_argument(
        "--only", type=_workloads, default=list(Workload), metavar="WORKLOADS", help=f"of {', '.join(Workload)}"
    )
    parser.add_argument("--skip-dbos", action="store_true", help="ours and the floor alone")
    parser.add_argument("--quick", action="store_true", help="small sizes: tests the benchmark, measures nothing")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (2)")
    parser.add_argument("--repeat", type=int, default=1, help="runs, of which the median counts (1)")
    parser.add_argument("--output", type=Path, default=SCRATCH, help="folder of the JSON (var/bench)")
    parser.add_argument(
        "--server",
        default=os.environ.get("BENCH_POSTGRESQL", SERVER),
        help=f"PostgreSQL, where df_bench_* databases may be made (BENCH_POSTGRESQL, {SERVER})",
    )
    return parser


def _workloads(text: str) -> list[Workload]:
    try:
        return [Workload(name.strip()) for name in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
