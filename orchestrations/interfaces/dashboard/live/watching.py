"""One look a second at everything that the open pages of this process watch, however many they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from orchestrations.interfaces.dashboard.live.topics import Topic, versions

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
FAILURES_BEFORE_THE_END = 3  # looks in a row that failed; then the pages are told to come again


class WatchBroken(Exception):
    """Looking fails, as where the database does not answer; nothing is known of what is watched."""


class Watch:
    """What one page watches. ``versions`` holds what is known of its topics; ``changed`` waits for other ones.

    ``has_news`` tells whether there are some already.
    """

    def __init__(self, topics: Collection[Topic]) -> None:
        self.topics = frozenset(topics)
        self.versions: dict[Topic, str] = {}
        self.has_news = False
        self._is_broken = False
        self._waiting: asyncio.Future[None] | None = None

    async def changed(self, seconds: float) -> bool:
        """Wait for a change, at most that long, and say whether there was one. Raises WatchBroken."""
        if not self.has_news:
            await self._wait(seconds)
        if self._is_broken:
            raise WatchBroken
        has_news, self.has_news = self.has_news, False
        return has_news

    async def _wait(self, seconds: float) -> None:
        """A future and a timer, for ``asyncio.wait_for`` makes a task of every wait of every page."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def learn(self, found: dict[Topic, str]) -> None:
        """Take in what a look has found."""
        mine = {topic: found[topic] for topic in self.topics if topic in found}
        if mine != self.versions:
            self.versions = mine
            self.has_news = True
            self._wake()

    def end(self) -> None:
        """Tell the page that nobody looks any more."""
        self._is_broken = True
        self._wake()


class Watcher:
    """Looks for all the watches of one event loop, for as long as there is any."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watch(self, topics: Collection[Topic]) -> AsyncIterator[Watch]:
        """Watch those topics within the block."""
        watch = Watch(topics)
        self._watches.add(watch)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name="durable-live-pages")
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    async def rest(self) -> None:
        """Wait until nobody watches, and so nobody looks."""
        if self._task is not None:
            await self._task

    async def _look(self) -> None:
        failures = 0
        while self._watches:
            topics = {topic for watch in self._watches for topic in watch.topics}
            try:
                found = await sync_to_async(_read)(topics)
            except (
                Exception
            ):  # of the database mostly; whatever it is, the pages must not wait for what nobody looks for
                failures += 1
                logger.warning("Live pages could not be told of changes.", exc_info=True)
                if failures >= FAILURES_BEFORE_THE_END:
                    return self._end()
            else:
                failures = 0
                for watch in self._watches:
                    watch.learn(found)
            await asyncio.sleep(LOOK_SECONDS)

    def _end(self) -> None:
        for watch in self._watches:
            watch.end()


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, Watcher] = WeakKeyDictionary()


def watcher() -> Watcher:
    """The watcher of the running event loop."""
    return _watchers.setdefault(asyncio.get_running_loop(), Watcher())


def _read(topics: Collection[Topic]) -> dict[Topic, str]:
    close_old_connections()
    try:
        return versions(topics)
    finally:
        close_old_connections()
