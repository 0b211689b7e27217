"""The client of the HTTP workload: makes a key, then asks for starts, or for rows of the floor.

Run as ``python -m benchmarks.app.http_client start|floor PORT REQUESTS``; speaks the harness's protocol.
"""

from __future__ import annotations

import asyncio
import sys

import django
from django.db import connection

from benchmarks import protocol
from benchmarks.http_load import Load
from benchmarks.workloads import HTTP_CONNECTIONS, quantiles

WARM_UP_REQUESTS = 300
ADDRESSES = {"start": "/api/instances/", "floor": "/floor/"}
TABLES = {"start": "durable_instance", "floor": "bench_job"}
BODY: dict[str, object] = {"orchestrator": "one_step", "input": 1}
HOST = "127.0.0.1"


def main() -> None:
    """Warm up, wait for go, and report how many were answered in a second and how long the slow ones took."""
    what, port, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    django.setup()
    key = _prepare()
    asyncio.run(_load(what, port, key).run(WARM_UP_REQUESTS, HTTP_CONNECTIONS))
    protocol.await_go()
    load = _load(what, port, key)
    rate = asyncio.run(load.run(requests, HTTP_CONNECTIONS))
    written = _rows(TABLES[what])
    if written != WARM_UP_REQUESTS + requests:
        raise RuntimeError(f"{written} rows were written by {WARM_UP_REQUESTS + requests} requests.")
    latencies = quantiles("http", [1_000 * seconds for seconds in load.seconds], 50, 99)
    protocol.report({"http_rate": rate, **latencies})


def _load(what: str, port: int, key: str) -> Load:
    return Load(HOST, port, ADDRESSES[what], key, BODY)


def _prepare() -> str:
    """A key, and the floor's table."""
    from benchmarks.app.one_row import TABLE
    from orchestrations.access import api_keys

    with connection.cursor() as cursor:
        cursor.execute(TABLE)
    _, key = api_keys.issue("benchmark")
    return key


def _rows(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - one of two names above
        (count,) = cursor.fetchone()
    return int(count)


if __name__ == "__main__":
    main()
