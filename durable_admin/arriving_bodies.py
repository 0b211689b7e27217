"""How much of a body is taken from the web server, and how long it may take, before any interface sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orchestrations.interfaces.bodies import BodyRefused

REQUEST_BYTES = 50 * 1024 * 1024  # of any body: a form with several files; each interface takes less
BODY_SECONDS = 120.0  # within which a body has arrived; a line of 4 Mbit/s brings as much as is taken

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class Arriving:
    """The messages of a body, as long as they may be more; then one that makes Django let go of what it has kept."""

    def __init__(self, receive: Receive) -> None:
        self.refused: BodyRefused | None = None
        self._receive = receive
        self._bytes = 0
        self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS

    async def __call__(self) -> Mapping[str, Any]:
        """The next message."""
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            return self._end(408, "too_slow", f"The body did not arrive within {BODY_SECONDS:.0f} seconds.")
        self._bytes += len(message.get("body", b""))
        if self._bytes > REQUEST_BYTES:
            return self._end(413, "too_large", f"The body is larger than {REQUEST_BYTES:,} bytes.")
        return message

    def _end(self, status: int, code: str, detail: str) -> dict[str, str]:
        self.refused = BodyRefused(status, code, detail, {"Connection": "close"})  # what is still coming is not read
        return {"type": "http.disconnect"}
