"""The web server as `manage.py up` runs it: whether its address is free, its command, and when it answers.

It starts nothing itself.
"""

from __future__ import annotations

import errno
import socket
import sys
import time
from pathlib import Path

import httpx

GRACEFUL_STOP_SECONDS = 3  # for requests that are being answered; pages that wait for news are cut off then
ANSWER_SECONDS = 2.0  # one probe may take
PROBE_SECONDS = 0.2  # between probes


class AddressUnusable(Exception):
    """Nothing can listen at that address; the message is one line that says what to do."""


def refuse_unusable_address(host: str, port: int) -> None:
    """Raises AddressUnusable where the web server could not listen, before anything else is begun."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise AddressUnusable(_reason(error, host, port)) from error


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use: set PORT=… or stop the other program."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user: set PORT=… to one above 1023."
    return f"HOST={host} is no address of this machine: set HOST=127.0.0.1, or 0.0.0.0 for all its addresses."


def command(base_dir: Path, host: str, port: int) -> tuple[str, ...]:
    """Returns the command of the web server. FORWARDED_ALLOW_IPS names the proxies whose headers it believes."""
    return (
        sys.executable, "-m", "uvicorn", "durable_admin.asgi:application",
        "--app-dir", str(base_dir), "--host", host, "--port", str(port),
        "--lifespan", "off", "--no-access-log", "--no-server-header",
        "--timeout-graceful-shutdown", str(GRACEFUL_STOP_SECONDS),
    )  # fmt: skip


def url(host: str, port: int) -> str:
    """Returns the address to open in a browser on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{name}:{port}/"


def wait_until_healthy(base_url: str, host_header: str) -> None:
    """Returns when the site answers that it is well; waits as long as that takes."""
    headers = {"Host": host_header}
    with httpx.Client(base_url=base_url, headers=headers, timeout=ANSWER_SECONDS, trust_env=False) as client:
        while True:
            try:
                if client.get("healthz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(PROBE_SECONDS)
