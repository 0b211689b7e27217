"""A database's clock that runs ahead: for this process alone, over every connection that it makes.

SQLite lets a connection replace ``strftime``. PostgreSQL looks for functions along ``search_path``, so that a schema in
front of its own answers in its place; defaults of columns are bound when a table is made, and are bound anew.
"""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

SCHEMA = "durable_test_clock"
FUNCTIONS = ("statement_timestamp", "transaction_timestamp", "clock_timestamp", "now")
DEFAULTS = """SELECT table_schema, table_name, column_name, column_default FROM information_schema.columns
              WHERE table_schema = ANY (current_schemas(false)) AND column_default ~* %s"""


class MovedClock:
    """The clock of one database. Changes nothing before ``take_over``, and nothing more after ``restore``."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._clock: SQLiteClock | PostgreSQLClock | None = None

    @property
    def is_moved(self) -> bool:
        """Whether it has taken over."""
        return self._clock is not None

    def take_over(self) -> None:
        """Answer in place of the database, for now what it would answer itself.

        Connections that other threads have open are not reached.
        """
        connection = connections[self._using]
        connection.ensure_connection()
        self._clock = (SQLiteClock if connection.vendor == "sqlite" else PostgreSQLClock)(connection)
        self._clock.prepare(connection)
        connection_created.connect(self._on_connection)

    def advance(self, by: timedelta) -> None:
        """Run that much further ahead."""
        if self._clock is None:
            raise RuntimeError("The clock has not been taken over.")
        self._clock.advance(connections[self._using], by)

    def restore(self) -> None:
        """Let the database answer again. Has no effect where it does."""
        if self._clock is not None:
            connection_created.disconnect(self._on_connection)
            connections[self._using].close()
            self._clock.remove(connections[self._using])
            self._clock = None

    def _on_connection(self, connection: BaseDatabaseWrapper, **_: object) -> None:
        if self._clock is not None and connection.alias == self._using:
            self._clock.prepare(connection)


class SQLiteClock:
    """``strftime`` with another idea of ``now``."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._ahead = timedelta(0)
        self._lock = threading.Lock()
        self._original = sqlite3.connect(":memory:", check_same_thread=False)

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        """Let a connection ask this clock."""
        connection.connection.create_function("strftime", -1, self._strftime)

    def advance(self, connection: BaseDatabaseWrapper, by: timedelta) -> None:
        """Run that much further ahead."""
        self._ahead += by

    def remove(self, connection: BaseDatabaseWrapper) -> None:
        """Leave nothing behind."""
        self._original.close()

    def _strftime(self, pattern: str, *parts: Any) -> Any:
        now = (datetime.now(UTC) + self._ahead).strftime("%Y-%m-%d %H:%M:%S.%f")
        given = [now if isinstance(part, str) and part.upper() == "NOW" else part for part in parts]
        marks = ", ".join(["?"] * (len(given) + 1))
        with self._lock:
            return self._original.execute(f"SELECT strftime({marks})", [pattern, *given]).fetchone()[0]


class PostgreSQLClock:
    """Functions of a schema in front of PostgreSQL's own, which add what a table says."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        with connection.cursor() as cursor:
            self.remove(connection)  # what a run that was killed has left
            cursor.execute(f"CREATE SCHEMA {SCHEMA}")
            cursor.execute(f"CREATE TABLE {SCHEMA}.ahead AS SELECT interval '0' AS by")
            for name in FUNCTIONS:
                body = f"(TABLE {SCHEMA}.ahead) + pg_catalog.{name}()"
                cursor.execute(
                    f"CREATE FUNCTION {SCHEMA}.{name}() RETURNS timestamptz LANGUAGE sql STABLE RETURN {body}"
                )
            cursor.execute(DEFAULTS, [rf"^({'|'.join(FUNCTIONS)})\(\)$"])
            for schema, table, column, default in cursor.fetchall():
                _set_default(cursor, schema, table, column, f"{SCHEMA}.{default}")

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        """Let a connection ask this clock."""
        with connection.cursor() as cursor:
            path = _search_path(cursor)
            if SCHEMA not in path:
                cursor.execute(f"SET search_path = {SCHEMA}, pg_catalog, {path}")

    def advance(self, connection: BaseDatabaseWrapper, by: timedelta) -> None:
        """Run that much further ahead."""
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE durable_test_clock.ahead SET by = by + %s * interval '1 second'", [by.total_seconds()]
            )

    def remove(self, connection: BaseDatabaseWrapper) -> None:
        """Leave nothing behind, whatever there is."""
        with connection.cursor() as cursor:
            if SCHEMA in _search_path(cursor):  # of a connection that a pool keeps
                cursor.execute("RESET search_path")
            cursor.execute(DEFAULTS, [rf"^{SCHEMA}\."])  # so written where the schema is not along the path
            for schema, table, column, default in cursor.fetchall():
                _set_default(cursor, schema, table, column, default.removeprefix(f"{SCHEMA}."))
            cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


def _search_path(cursor: Any) -> str:
    cursor.execute("SELECT current_setting('search_path')")
    return str(cursor.fetchone()[0])


def _set_default(cursor: Any, schema: str, table: str, column: str, default: str) -> None:
    cursor.execute(f'ALTER TABLE "{schema}"."{table}" ALTER COLUMN "{column}" SET DEFAULT {default}')
