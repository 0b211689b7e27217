"""Asks a web server for the same thing over a number of connections, each one request after the other.

A bare client: on a machine that it shares with the server, what it takes is taken from the server.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"


class Refused(RuntimeError):
    """The server answered otherwise than a load takes for an answer."""


@dataclass(slots=True)
class Load:
    """What is asked of whom; ``seconds`` holds how long each answer took, in no order."""

    host: str
    port: int
    path: str
    key: str
    body: dict[str, object]
    expected: int = 201
    seconds: list[float] = field(default_factory=list)

    async def run(self, requests: int, connections: int) -> float:
        """Send so many requests over so many connections, and return how many were answered in a second.

        Raises Refused for an answer with another status.
        """
        left = iter(range(requests))
        began = time.perf_counter()
        await asyncio.gather(*(self._ask(left) for _ in range(connections)))
        return requests / (time.perf_counter() - began)

    async def _ask(self, left: object) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        message = self._message()
        try:
            for _ in left:  # type: ignore[attr-defined]
                began = time.perf_counter()
                writer.write(message)
                head = await reader.readuntil(HEAD_END)
                body = await reader.readexactly(_length(head))
                self.seconds.append(time.perf_counter() - began)
                if int(head[9:12]) != self.expected:
                    raise Refused(f"{head.decode()}{body.decode(errors='replace')[:500]}")
        finally:
            writer.close()

    def _message(self) -> bytes:
        body = json.dumps(self.body).encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Content-Type: application/json",
            "Accept: application/json",
            f"Content-Length: {len(body)}",
            f"x-functions-key: {self.key}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise Refused("An answer has no Content-Length.")
