"""Measure the dashboard's pages on a million instances: ``python -m benchmarks.pages``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import databases, processes
from benchmarks.databases import POSTGRESQL, scratch
from benchmarks.ours import migrate, site_environment

SCRATCH = processes.ROOT / "var" / "bench"
SERVER = "postgresql://127.0.0.1:5432/postgres"
NAME = "pages"
TIMEOUT_SECONDS = 900.0
GOAL_MS = 100.0
QUICK_INSTANCES, QUICK_EVENTS, QUICK_REQUESTS = 2_000, 500, 5


def main() -> int:
    """Fill a database, measure each page, print the table, save the JSON; 1 if a page misses its goal."""
    arguments = _parser().parse_args()
    if arguments.quick:
        arguments.instances, arguments.events, arguments.requests = QUICK_INSTANCES, QUICK_EVENTS, QUICK_REQUESTS
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with _filled(arguments) as url:
        _say("measuring")
        command = [sys.executable, "-m", "benchmarks.app.pages", "--requests", str(arguments.requests)]
        log = SCRATCH / "logs" / "pages.log"
        environment = site_environment(url, 1)
        (figures,) = processes.measure([command], environment, log, TIMEOUT_SECONDS)
    rows = _rows(figures)
    path = _save(rows, arguments)
    _say(f"\n{_table(rows)}\nsaved: {path}")
    return int(any(row["p95"] > GOAL_MS for row in rows) and not arguments.quick)


@contextmanager
def _filled(arguments: argparse.Namespace) -> Iterator[str]:
    """A database with the made-up hub: one of its own, or the one that is named, which is left as it is."""
    if arguments.url:
        migrate(arguments.url)
        yield arguments.url
        return
    with scratch(arguments.database, NAME, arguments.server, SCRATCH) as url:
        migrate(url)
        command = [sys.executable, "manage.py", "durable", "fill", "--instances", str(arguments.instances)]
        command += ["--events", str(arguments.events)]
        done = subprocess.run(
            command, cwd=processes.ROOT, env=site_environment(url, 1), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise processes.ProgramFailed(f"manage.py durable fill failed.\n{done.stderr}")
        _say(done.stdout.strip())
        yield url


def _rows(figures: dict[str, float]) -> list[dict[str, Any]]:
    titles = dict.fromkeys(key.partition("|")[0] for key in figures)
    return [
        {"title": title, **{name: figures[f"{title}|{name}"] for name in ("p50", "p95", "queries")}} for title in titles
    ]


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [f"| Page | p50 ms | p95 ms | queries |{os.linesep}|---|--:|--:|--:|"]
    lines += [f"| {row['title']} | {row['p50']:.0f} | {row['p95']:.0f} | {row['queries']:.0f} |" for row in rows]
    return os.linesep.join(lines)


def _save(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> Path:
    now = datetime.now(UTC)
    document = {
        "at": now.isoformat(timespec="seconds"),
        "database": arguments.database,
        "database_version": databases.server_version(arguments.database, arguments.server),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "instances": arguments.instances,
        "events": arguments.events,
        "requests": arguments.requests,
        "goal_ms": GOAL_MS,
        "rows": rows,
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    path: Path = arguments.output / f"{now:%Y-%m-%d}-pages-{arguments.database}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description="Measure the dashboard's pages.")
    parser.add_argument("--database", choices=[databases.SQLITE, POSTGRESQL], default=POSTGRESQL)
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=100_000, help="of the one large instance")
    parser.add_argument("--requests", type=int, default=40, help="of each page (40)")
    parser.add_argument("--quick", action="store_true", help="small sizes: tests the benchmark, measures nothing")
    parser.add_argument("--url", help="a database that is filled already; it is migrated and left as it is")
    parser.add_argument("--output", type=Path, default=SCRATCH, help="folder of the JSON (var/bench)")
    parser.add_argument("--server", default=os.environ.get("BENCH_POSTGRESQL", SERVER))
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
