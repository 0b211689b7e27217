"""Waiting for word that something has changed. A hint can be lost or come for nothing; the tables are the truth."""

from __future__ import annotations

import logging
import sqlite3
import time
from abc import ABC, abstractmethod
from typing import Any

from django.db import connections

from orchestrations.store import get_store

logger = logging.getLogger("orchestrations.worker")

SQLITE_POLL_SECONDS = 0.008  # reading the change counter costs microseconds
POLL_SECONDS = 0.1  # where the database has neither notifications nor a change counter


class Hints(ABC):
    """One waiter."""

    @abstractmethod
    def wait(self, seconds: float) -> bool:
        """Return when something may have changed, or after that time. Raises Django's database errors.

        True where workers were called, so that there is no need to look at the tables first.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection; the next ``wait`` makes a new one."""


class PostgresqlHints(Hints):
    """LISTEN on a connection of its own, since the site's may be closed between two requests."""

    def __init__(self, using: str, channel: str) -> None:
        self._using = using
        self._channel = channel
        self._connection: Any = None

    def wait(self, seconds: float) -> bool:
        """See Hints."""
        is_called = False
        with connections[self._using].wrap_database_errors:
            if self._connection is None:
                # What was notified before LISTEN is lost, so come back at once and look at the tables.
                self._listen()
                return False
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                is_called = True
            for _ in self._connection.notifies(timeout=0):
                pass
        return is_called

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _listen(self) -> None:
        wrapper = connections[self._using]
        connection = wrapper.get_new_connection(wrapper.get_connection_params())
        connection.autocommit = True
        quoted = self._channel.replace('"', '""')
        connection.execute(f'LISTEN "{quoted}"')
        self._connection = connection


class SqliteHints(Hints):
    """The database's change counter, read often on a connection of its own."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._connection: sqlite3.Connection | None = None
        self._version = -1

    def wait(self, seconds: float) -> bool:
        """See Hints. The counter is the whole database's: it says nothing of what has changed."""
        deadline = time.monotonic() + seconds
        with connections[self._using].wrap_database_errors:
            if self._connection is None:
                parameters = connections[self._using].get_connection_params()
                self._connection = sqlite3.connect(parameters["database"], uri=parameters.get("uri", False))
            while (version := self._read()) == self._version and time.monotonic() < deadline:
                time.sleep(SQLITE_POLL_SECONDS)
        self._version = version
        return False

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _read(self) -> int:
        assert self._connection is not None
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


class PollHints(Hints):
    """No hints at all: look again soon."""

    def wait(self, seconds: float) -> bool:
        """Sleep a little."""
        time.sleep(min(seconds, POLL_SECONDS))
        return False

    def close(self) -> None:
        """Nothing is open."""


def make_hints() -> Hints:
    """The best kind of hints that the task hub's database has."""
    store = get_store()
    vendor = connections[store.using].vendor
    if vendor == "postgresql":
        from orchestrations.store.postgresql import notification_channel

        return PostgresqlHints(store.using, notification_channel(store.hub))
    if vendor == "sqlite":
        return SqliteHints(store.using)
    return PollHints()
