"""Measure it: ``python -m benchmarks.browsers``. PostgreSQL, one web process under uvicorn, a working cluster."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from datetime import date
from pathlib import Path

import django
import httpx

from benchmarks import databases, ours, processes
from benchmarks.browsers.reader import Counts, Reader
from benchmarks.processes import ROOT

FOLDER = ROOT / "var" / "bench"
SERVER = "postgresql://127.0.0.1:5432/postgres"
LIST_SHARE = 0.8  # of the browsers; the others look at an instance that waits
WAITING = 20
FINISHED = 500
STARTS_PER_SECOND = 1.0
OPEN_AT_ONCE = 20
SETTLE_SECONDS = 90.0  # a page fetches its first changes at once, and is then as quiet as one that nobody touches
LIST = "/hubs/default/instances/"


def main() -> int:
    """Measure, print and save."""
    arguments = _arguments()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with databases.scratch(databases.POSTGRESQL, "browsers", arguments.server, FOLDER) as url:
        ours.migrate(url)
        os.environ.update(_environment(url))
        django.setup()
        figures = asyncio.run(_measure(arguments))
    text = "\n".join(f"  {name:34} {value:10.1f}" for name, value in figures.items())
    sys.stdout.write(f"{arguments.browsers} browsers, {arguments.seconds:g} s\n{text}\n")
    path = arguments.output / f"{date.today().isoformat()}-browsers.json"  # noqa: DTZ011 (a file's name)
    path.write_text(json.dumps({"browsers": arguments.browsers, **figures}, indent=2) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browsers", description=__doc__)
    parser.add_argument("--browsers", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long is measured (60)")
    parser.add_argument("--server", default=os.environ.get("BENCH_POSTGRESQL", SERVER))
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the JSON (var/bench)")
    return parser.parse_args()


def _environment(url: str) -> dict[str, str]:
    return {
        **ours.site_environment(url, workers=1),
        "SECRET_KEY": secrets.token_urlsafe(40),
        "ALLOWED_HOSTS": "127.0.0.1",
        "SECURE_SSL": "off",
        "VAR_DIR": str(FOLDER / "site"),
    }


async def _measure(arguments: argparse.Namespace) -> dict[str, float]:
    from durable_admin.web_server import command

    sessions, paths = await asyncio.to_thread(_prepare, arguments.browsers)
    port = 8_000 + secrets.randbelow(1_000)
    environment = dict(os.environ)
    with ExitStack() as stack:
        programs = {"cluster": [sys.executable, "manage.py", "qcluster"], "web": command(ROOT, "127.0.0.1", port)}
        for name, program in programs.items():
            log = FOLDER / "logs" / f"browsers-{name}.log"
            web = stack.enter_context(processes.service(program, environment, log, speaks=False))
        # Given up before the server does, so that no request meets a closing connection.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=2.0)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60.0) as client:
            await _answers(client)
            return await _watch(client, sessions, paths, web, arguments.seconds)


async def _watch(
    client: httpx.AsyncClient, sessions: list[str], paths: list[str], web: processes.Program, seconds: float
) -> dict[str, float]:
    counts = Counts()
    unopened = processes.cpu_seconds([web])
    readers = [Reader(client, session, path, counts) for session, path in zip(sessions, paths, strict=True)]
    gate = asyncio.Semaphore(OPEN_AT_ONCE)

    async def read(reader: Reader) -> None:
        async with gate:
            await reader.open()
        await reader.stay()

    reading = [asyncio.create_task(_keep_starting())]
    reading += [asyncio.create_task(read(reader)) for reader in readers]
    while counts.requests < 2 * len(readers):  # each has its page and its stream
        _raise_failures(reading)
        await asyncio.sleep(0.1)
    await asyncio.sleep(SETTLE_SECONDS)
    opened = processes.cpu_seconds([web])
    before = Counts(counts.requests, counts.changes, list(counts.fetches))
    cpu = await asyncio.to_thread(processes.idle_percent, [web], seconds)
    _raise_failures(reading)
    fetched = counts.fetches[len(before.fetches) :] or [0.0]
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return {
        "web server, % of one core": cpu,
        "opening the pages before, CPU s": opened - unopened,
        "changes told a second": (counts.changes - before.changes) / seconds,
        "requests a second": (counts.requests - before.requests) / seconds,
        "fetching a region, p50 ms": 1_000 * statistics.median(fetched),
        "fetching a region, p99 ms": 1_000 * sorted(fetched)[int(0.99 * len(fetched))],
    }


async def _keep_starting() -> None:
    from benchmarks.app.orchestrations import three_steps
    from orchestrations import OrchestrationClient

    while True:
        await OrchestrationClient().astart_new(three_steps, client_input=1)
        await asyncio.sleep(1 / STARTS_PER_SECOND)


async def _answers(client: httpx.AsyncClient) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            if (await client.get("/accounts/login/")).status_code == 200:
                return
        await asyncio.sleep(0.2)
    raise processes.ProgramFailed(f"The site does not answer.\n{processes.tail(FOLDER / 'logs' / 'browsers-web.log')}")


def _prepare(browsers: int) -> tuple[list[str], list[str]]:
    """People's sessions and the page of each, and instances to look at."""
    from django.contrib.auth.models import User
    from django.test import Client

    from benchmarks.app.orchestrations import three_steps, wait_for_go
    from orchestrations import OrchestrationClient

    subprocess.run([sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"], cwd=ROOT, check=True)
    user = User.objects.create_superuser("reader", password=secrets.token_urlsafe())
    sessions = []
    for _ in range(browsers):
        visitor = Client()
        visitor.force_login(user)
        sessions.append(visitor.cookies["durable_session"].value)
    client = OrchestrationClient()
    client.start_many(three_steps, [1] * FINISHED)
    waiting = client.start_many(wait_for_go, [None] * WAITING)
    lists = int(browsers * LIST_SHARE)
    pages = [f"/hubs/default/i/{waiting[number % WAITING]}/" for number in range(browsers - lists)]
    return sessions, [LIST] * lists + pages


def _raise_failures(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and (error := task.exception()):
            raise error


if __name__ == "__main__":
    sys.exit(main())
