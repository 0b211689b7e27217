"""How pages read: from a replica where the site has one, and never for longer than a page is worth waiting for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connections, transaction

from orchestrations.conf import get_config
from orchestrations.errors import DurableError

SECONDS = 1.0  # that the statements of one page may take, each on PostgreSQL and all of them on SQLite
STEPS = 10_000  # of SQLite's machine between two looks at the clock
CANCELED = "57014"  # PostgreSQL's code for a statement that took too long


class TookTooLong(DurableError):
    """The database did not answer in time; what was asked is too broad for a page."""


def database() -> str:
    """The alias that lists, counts, searches and exports read from: the replica, or the hub's own database."""
    config = get_config()
    return config.dashboard_database or config.database


@contextmanager
def bounded(using: str | None = None, seconds: float | None = None) -> Iterator[None]:
    """Let no statement in the block run for longer than that, ``SECONDS`` by default.

    The block is a transaction. Raises TookTooLong; the connection stays of use.
    """
    using = using or database()
    connection = connections[using]
    try:
        with transaction.atomic(using):
            limit = _limit_postgresql if connection.vendor == "postgresql" else _limit_sqlite
            with limit(connection, SECONDS if seconds is None else seconds):
                yield
    except OperationalError as error:
        if _is_overtime(error):
            raise TookTooLong("The database did not answer in time.") from error
        raise


@contextmanager
def _limit_postgresql(connection: Any, seconds: float) -> Iterator[None]:
    """Past Django's log of queries, for it is none of them. The outermost transaction ends it."""
    connection.connection.execute(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
    yield
    if connection.savepoint_ids:
        connection.connection.execute("SET LOCAL statement_timeout TO DEFAULT")


@contextmanager
def _limit_sqlite(connection: Any, seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    if connection.vendor != "sqlite":
        yield
        return
    connection.connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        yield
    finally:
        connection.connection.set_progress_handler(None, STEPS)


def _is_overtime(error: OperationalError) -> bool:
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) == CANCELED or str(cause) == "interrupted"
