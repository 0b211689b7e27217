"""Starts over HTTP: the site's own web server on a scratch database, and a client with 64 connections.

No worker runs: what is measured is what a start costs its caller, and not what the orchestration does afterwards.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping

from benchmarks import processes
from benchmarks.contenders import TIMEOUT_SECONDS, Settings

HOST = "127.0.0.1"
LISTENING_SECONDS = 60.0
SETTINGS = "benchmarks.app.settings"


def measure(settings: Settings, host: Mapping[str, str], what: str) -> dict[str, float]:
    """Serve the site in that host's environment and ask for ``start`` or ``floor``. Raises ProgramFailed."""
    port = _free_port()
    environment = {**host, "DJANGO_SETTINGS_MODULE": SETTINGS}
    server = [sys.executable, "-m", "uvicorn", "durable_admin.asgi:application", "--host", HOST, "--port", str(port)]
    server += ["--lifespan", "off", "--no-access-log", "--no-server-header"]  # as manage.py up runs it
    client = [sys.executable, "-m", "benchmarks.app.http_client", what, str(port), str(settings.sizes.http_requests)]
    log = settings.log(f"http-{what}")
    with processes.service(server, environment, log.with_stem(f"{log.stem}-server"), speaks=False) as program:
        _wait_until_listening(program, port)
        return processes.measure([client], environment, log, TIMEOUT_SECONDS, needs=[program])[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_until_listening(program: processes.Program, port: int) -> None:
    until = time.monotonic() + LISTENING_SECONDS
    while program.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise processes.ProgramFailed("The web server does not listen; its log says why.")
