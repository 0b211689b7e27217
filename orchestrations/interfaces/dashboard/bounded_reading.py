"""How pages read: from a replica where the site has one, and never for longer than a page is worth waiting for.

``bounded`` sets the limit. ``read`` reads a region of a page within it: regions are read apart from each other, so that
one that fails leaves its neighbours alone. What a region shows of a hub is the same for everybody who may see the hub,
so a process reads it once for all of them.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction
from django.utils import timezone

from orchestrations.conf import get_config
from orchestrations.errors import DurableError
from orchestrations.interfaces.dashboard.versions import digest

logger = logging.getLogger("orchestrations.dashboard")

STEPS = 10_000  # of SQLite's machine between two looks at the clock
CANCELED = "57014"  # PostgreSQL's code for a statement that took too long
REMEMBERED_SECONDS = 4.0  # that a tick, or a region that is fetched anew, may be behind
REMEMBERED = 500  # regions

Facts = Any
Reader = Callable[[], Facts]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a region; or, with ``reference`` for the log, why it could not be."""

    facts: Facts
    version: str
    at: datetime
    problem: str = ""
    reference: str = ""


class TookTooLong(DurableError):
    """The database did not answer in time; what was asked is too broad for a page."""


def database() -> str:
    """The alias that lists, counts, searches and exports read from: the replica, or the hub's own database."""
    config = get_config()
    return config.dashboard_database or config.database


@contextmanager
def bounded(using: str | None = None, seconds: float | None = None) -> Iterator[None]:
    """Let no statement in the block run for longer than that, ``DASHBOARD_SECONDS`` by default.

    The block is a transaction. Raises TookTooLong; the connection stays of use.
    """
    using = using or database()
    connection = connections[using]
    try:
        with transaction.atomic(using):
            limit = _limit_postgresql if connection.vendor == "postgresql" else _limit_sqlite
            with limit(connection, get_config().dashboard_seconds if seconds is None else seconds):
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
    """By the time that this thread has computed: SQLite does so in it, and a busy machine makes no query dearer."""
    until = time.thread_time() + seconds
    if connection.vendor != "sqlite":
        yield
        return
    connection.connection.set_progress_handler(lambda: time.thread_time() > until, STEPS)
    try:
        yield
    finally:
        connection.connection.set_progress_handler(None, STEPS)


def _is_overtime(error: OperationalError) -> bool:
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) == CANCELED or str(cause) == "interrupted"


_kept: OrderedDict[tuple[str, ...], tuple[float, Reading]] = OrderedDict()
_guard = threading.Lock()


def read(key: tuple[str, ...], reader: Reader, *, fresh: bool = False) -> Reading:
    """Read a region within a second for each statement, or take what was read REMEMBERED_SECONDS ago at most.

    ``key`` names the region with all that it depends on; ``fresh`` reads in any case. Never raises a database error.
    """
    if not fresh:
        with _guard:
            at, reading = _kept.get(key, (0.0, None))
        if reading is not None and time.monotonic() - at < REMEMBERED_SECONDS:
            return reading
    reading = _read(key, reader)
    with _guard:
        _kept[key] = (time.monotonic(), reading)
        _kept.move_to_end(key)
        while len(_kept) > REMEMBERED:
            _kept.popitem(last=False)
    return reading


def _read(key: tuple[str, ...], reader: Reader) -> Reading:
    now = timezone.now()
    try:
        with bounded(get_config().database):
            facts = reader()
    except (TookTooLong, DatabaseError, InterfaceError) as error:
        reference = uuid.uuid4().hex[:8]
        logger.warning("The region %s could not be read (%s): %s", "/".join(key), reference, error)
        return Reading(None, "failed", now, _words(error), reference)
    return Reading(facts, digest((repr(facts),)), now)


def _words(error: Exception) -> str:
    if isinstance(error, TookTooLong):
        return f"The database needed more than {get_config().dashboard_seconds:g} s for it."
    return "The database did not answer."
