"""A clock that a test sets, in place of the database's and of the workers'.

SQLite lets a connection replace ``strftime``. PostgreSQL looks for functions along ``search_path``, so that a schema in
front of its own answers in its place; defaults of columns are bound when a table is made, and are bound anew.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from django.db import connection
from django.db.backends.signals import connection_created

from orchestrations.runtime import clock as runtime_clock

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)  # as SQLite counts

SCHEMA = "simulated_clock"
REPLACED = ("statement_timestamp", "clock_timestamp", "now")
DEFAULTS = """SELECT table_name, column_name, column_default FROM information_schema.columns
              WHERE table_schema = 'public' AND column_default ~* '(statement_timestamp|now)\\(\\)'"""


class SimulatedClock:
    """Stands still but for ``advance``."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def advance(self, by: timedelta = MOMENT) -> None:
        """Let time pass."""
        self.now += by
        if connection.vendor == "postgresql":
            self.tell_session()

    def tell_session(self) -> None:
        """PostgreSQL reads the clock from a setting of the session."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('simulated.now', %s, false)", [self.now.isoformat()])

    def monotonic(self) -> float:
        """What ``time.monotonic`` says."""
        return (self.now - BEGINNING).total_seconds()


@contextmanager
def simulated_clock(monkeypatch) -> Iterator[SimulatedClock]:
    """Let the database and the workers of this process read the clock that is given, over every connection they make.

    A worker whose commit goes wrong makes a new one.
    """
    clock = SimulatedClock()
    monkeypatch.setattr(runtime_clock, "time", SimpleNamespace(monotonic=clock.monotonic))
    with (_sqlite if connection.vendor == "sqlite" else _postgresql)(clock):
        clock.advance()
        yield clock


@contextmanager
def _over_every_connection(install: Callable[..., None]) -> Iterator[None]:
    """Call ``install`` now and for each new connection; in the end there is none."""
    connection.ensure_connection()
    install()
    connection_created.connect(install)
    try:
        yield
    finally:
        connection_created.disconnect(install)
        connection.close()


@contextmanager
def _sqlite(clock: SimulatedClock) -> Iterator[None]:
    original = sqlite3.connect(":memory:")

    def strftime(pattern: str, *when: str) -> str:
        times = [clock.now.strftime("%Y-%m-%d %H:%M:%S.%f") if part.upper() == "NOW" else part for part in when]
        marks = ", ".join(itertools.repeat("?", len(times) + 1))
        return original.execute(f"SELECT strftime({marks})", [pattern, *times]).fetchone()[0]

    def install(**_: object) -> None:
        connection.connection.create_function("strftime", -1, strftime)

    with closing(original), _over_every_connection(install):
        yield


@contextmanager
def _postgresql(clock: SimulatedClock) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")  # of a run that was killed
        cursor.execute(f"CREATE SCHEMA {SCHEMA}")
        for name in REPLACED:
            cursor.execute(
                f"CREATE FUNCTION {SCHEMA}.{name}() RETURNS timestamptz LANGUAGE sql STABLE AS "
                "$$ SELECT current_setting('simulated.now')::timestamptz $$"
            )
        cursor.execute(DEFAULTS)
        defaults = cursor.fetchall()
        for table, column, _ in defaults:
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {SCHEMA}.statement_timestamp()")

    def install(**_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path = {SCHEMA}, pg_catalog, public")
        clock.tell_session()

    try:
        with _over_every_connection(install):
            yield
    finally:
        with connection.cursor() as cursor:
            for table, column, default in defaults:
                cursor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default}")
            cursor.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
