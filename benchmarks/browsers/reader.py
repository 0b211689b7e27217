"""One browser with an open page, as far as the site can tell: it does what static/dashboard/live.js does."""

from __future__ import annotations

import asyncio
import html
import json
import random
import re
import time
from dataclasses import dataclass, field

import httpx

QUICK_CHANGES = 3
REFILL_SECONDS = 60.0  # of somebody who has not touched the page for a minute
PARTIAL = {"HX-Request": "true"}


class PageBroken(RuntimeError):
    """A page came without what a live page has, or the site refused it."""


@dataclass(slots=True)
class Counts:
    """What all browsers together have asked and heard so far."""

    requests: int = 0
    changes: int = 0
    fetches: list[float] = field(default_factory=list)
    """Seconds that fetching a region took, from the event to the answer."""


@dataclass(slots=True)
class Bucket:
    """How often one kind of change is fetched: a few at once, then one in ``REFILL_SECONDS``."""

    tokens: float = QUICK_CHANGES
    at: float = field(default_factory=time.monotonic)
    is_waiting: bool = False

    def delay(self, spread: float) -> float:
        """Seconds until the next fetch, for which a token is taken."""
        now = time.monotonic()
        self.tokens = min(self.tokens + (now - self.at) / REFILL_SECONDS, QUICK_CHANGES)
        self.at = now
        wait = random.random() * spread if self.tokens >= 1 else (1 - self.tokens) * REFILL_SECONDS
        self.tokens -= 1
        return wait


class Reader:
    """Opens a page and keeps it open."""

    def __init__(self, client: httpx.AsyncClient, session: str, path: str, counts: Counts) -> None:
        self._client = client
        self._cookie = {"Cookie": f"durable_session={session}"}
        self._path = path
        self._counts = counts
        self._buckets: dict[str, Bucket] = {}
        self._fetches: set[asyncio.Task[None]] = set()
        self._regions: dict[str, list[str]] = {}
        """The addresses that each event makes the page fetch."""
        self._stream = ""
        self._spread = 0.0

    async def open(self) -> None:
        """Load the page."""
        text = (await self._get(self._path, {})).text
        address = _attribute(text, "data-tick")
        watched = ",".join(re.findall(r'data-watch="([^"]+)"', text))
        self._stream = f"{address}{'&' if '?' in address else '?'}v={watched}"
        self._spread = float(_attribute(text, "data-spread")) / 1000
        for region in re.findall(r"<[^>]*dash:[^>]*>", text):
            if 'hx-get="' in region:
                for name in re.findall(r"dash:(\w+) from:body", region):
                    self._regions.setdefault(name, []).append(_attribute(region, "hx-get"))

    async def stay(self) -> None:
        """Hear of changes until cancelled."""
        while True:
            self._counts.requests += 1
            headers = {**self._cookie, "Accept": "text/event-stream"}
            async with self._client.stream("GET", self._stream, headers=headers) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        self._changed(json.loads(line.removeprefix("data: ")))

    def _changed(self, names: list[str]) -> None:
        for name in names:
            self._counts.changes += 1
            bucket = self._buckets.setdefault(name, Bucket())
            if bucket.is_waiting:
                continue
            bucket.is_waiting = True
            task = asyncio.create_task(self._fetch(name, bucket, bucket.delay(self._spread)))
            self._fetches.add(task)
            task.add_done_callback(self._fetches.discard)

    async def _fetch(self, name: str, bucket: Bucket, delay: float) -> None:
        await asyncio.sleep(delay)
        bucket.is_waiting = False
        for url in self._regions.get(name, ()):
            began = time.monotonic()
            await self._get(url, PARTIAL)
            self._counts.fetches.append(time.monotonic() - began)

    async def _get(self, path: str, headers: dict[str, str]) -> httpx.Response:
        self._counts.requests += 1
        answer = await self._client.get(path, headers=self._cookie | headers)
        if answer.status_code != 200:
            raise PageBroken(f"{path} was answered with {answer.status_code}.")
        return answer


def _attribute(text: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]+)"', text)
    if found is None:
        raise PageBroken(f"The page has no {name}.")
    return html.unescape(found[1])
