"""A server that answers as the test says, names that mean what the test says, and a spy on every connection."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestrations.core.http_calls import HttpAnswer
from orchestrations.core.http_messages import HttpRequest
from orchestrations.durable_http import addresses, sending


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Server(ThreadingHTTPServer):
    """Answers each path with what ``answers`` has for it: an Answer, a list of them in turn, or a function."""

    request_queue_size = 128  # by default five: whoever finds it full asks again after seconds
    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((host, port), Handler)
        self.answers: dict[str, Any] = {}
        self.received: list[Received] = []
        self.release = threading.Event()
        self.host, self.port = self.server_address[:2]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def answer_to(self, received: Received) -> Answer:
        self.received.append(received)
        answer = self.answers.get(received.path.partition("?")[0], Answer(404))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer(received) if callable(answer) else answer

    def paths(self) -> list[str]:
        return [f"{received.method} {received.path}" for received in self.received]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.casefold(): value for name, value in self.headers.items()}
        answer = self.server.answer_to(Received(self.command, self.path, headers, body))
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(answer.body)
        except OSError:
            return  # the client had enough

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = handle_any

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0, wrap: Callable[[Server], None] | None = None) -> Iterator[Server]:
    with Server(host, port) as server:
        if wrap is not None:
            wrap(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def allow(settings) -> Callable[..., None]:
    def allow(*entries: str, **more: object) -> None:
        settings.DURABLE = {**settings.DURABLE, "HTTP_ALLOWED": list(entries), **more}

    return allow


class Names(dict[str, list[str]]):
    """What names mean; ``asked`` counts the look-ups."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def look_up(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        found = self[host]
        return found.pop(0) if found and isinstance(found[0], list) else found


@pytest.fixture
def names(monkeypatch) -> Names:
    names = Names()
    monkeypatch.setattr(addresses, "look_up", names.look_up)
    return names


class Spy:
    """Every connection that Python's sockets are asked for in this process."""

    def __init__(self) -> None:
        self.is_on = False
        self.connected: list[Any] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event == "socket.connect" and isinstance(arguments[1], tuple):
            self.connected.append(arguments[1][:2])


SPY = Spy()  # an audit hook stays for good


@pytest.fixture
def spy() -> Iterator[Spy]:
    SPY.connected, SPY.is_on = [], True
    yield SPY
    SPY.is_on = False


def fetch(uri: str, method: str = "GET", **fields: Any) -> HttpAnswer:
    """Send one request, as the built-in activity does."""
    request = HttpRequest(method, uri, **fields)
    return HttpAnswer.from_json(asyncio.run(sending.send(request.to_json())))
