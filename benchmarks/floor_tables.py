"""The two statements of the floor, for each database: ``unnest`` on PostgreSQL, ``executemany`` on SQLite."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from typing import Any, LiteralString, NamedTuple

import psycopg

from benchmarks.databases import SQLITE, sqlite_path

HUB = "floor"
ORCHESTRATOR = "three_steps"
ACTIVITY = "increment"

INSTANCE_COLUMNS: LiteralString = (
    "hub, instance_id, name, version, status, tags, execution, last_sequence, attempts, input, output, error, "
    "waiting_for, blocked_at, blocked_code, created_at, started_at, last_updated_at, completed_at"
)
HISTORY_COLUMNS: LiteralString = (
    "instance_id, execution, sequence, type, timestamp, task_id, attempt, name, payload, attributes"
)


class HistoryRow(NamedTuple):
    """What differs between history rows."""

    instance: int
    sequence: int
    type: str
    task_id: int | None
    name: str | None
    payload: str | None


class Tables(ABC):
    """The instance and history tables of a migrated database."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[object]:
        """Everything written inside is one commit."""

    @abstractmethod
    def insert_instances(self, ids: Sequence[str]) -> list[int]:
        """Insert completed instances and return their keys."""

    @abstractmethod
    def insert_history(self, rows: Sequence[HistoryRow]) -> None:
        """Append history rows."""


@contextmanager
def open_tables(database: str, url: str) -> Iterator[Tables]:
    """The tables of a migrated database, over one connection with the durability that the site has."""
    if database == SQLITE:
        with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as file:
            file.execute("PRAGMA journal_mode=WAL")
            file.execute("PRAGMA synchronous=FULL")
            yield SqliteTables(file)
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            yield PostgresqlTables(connection)


class PostgresqlTables(Tables):
    """One statement a table, whatever the number of rows."""

    INSERT_INSTANCES: LiteralString = f"""
        INSERT INTO durable_instance ({INSTANCE_COLUMNS})
        SELECT %(hub)s, id, %(name)s, '', 'Completed', '{{}}', 1, 8, 0, '1', '4', '', '', '', '',
               now(), now(), now(), now()
        FROM unnest(%(ids)s::text[]) AS ids(id)
        RETURNING id
    """  # noqa: S608  constants of this module
    INSERT_HISTORY: LiteralString = f"""
        INSERT INTO durable_history ({HISTORY_COLUMNS})
        SELECT instance, 1, sequence, type, now(), task, 1, name, payload, NULL
        FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::int[], %s::text[], %s::text[])
             AS rows(instance, sequence, type, task, name, payload)
    """  # noqa: S608  constants of this module

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.connection = connection

    def transaction(self) -> AbstractContextManager[object]:
        return self.connection.transaction()

    def insert_instances(self, ids: Sequence[str]) -> list[int]:
        parameters = {"hub": HUB, "name": ORCHESTRATOR, "ids": list(ids)}
        return [key for (key,) in self.connection.execute(self.INSERT_INSTANCES, parameters)]

    def insert_history(self, rows: Sequence[HistoryRow]) -> None:
        self.connection.execute(self.INSERT_HISTORY, [list(column) for column in zip(*rows, strict=True)])


class SqliteTables(Tables):
    """One prepared statement a table, run for each row."""

    INSERT_INSTANCE = f"""
        INSERT INTO durable_instance ({INSTANCE_COLUMNS})
        VALUES (?, ?, ?, '', 'Completed', '{{}}', 1, 8, 0, '1', '4', '', '', '', '', ?, ?, ?, ?)
    """  # noqa: S608  constants of this module
    INSERT_HISTORY = f"""
        INSERT INTO durable_history ({HISTORY_COLUMNS}) VALUES (?, 1, ?, ?, ?, ?, 1, ?, ?, NULL)
    """  # noqa: S608  constants of this module

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def insert_instances(self, ids: Sequence[str]) -> list[int]:
        now = _now()
        (last,) = self.connection.execute("SELECT coalesce(max(id), 0) FROM durable_instance").fetchone()
        parameters = ((HUB, instance_id, ORCHESTRATOR, now, now, now, now) for instance_id in ids)
        self.connection.executemany(self.INSERT_INSTANCE, parameters)
        return list(range(last + 1, last + 1 + len(ids)))  # the write lock is ours, so they are consecutive

    def insert_history(self, rows: Sequence[HistoryRow]) -> None:
        now = _now()
        self.connection.executemany(
            self.INSERT_HISTORY,
            ((row.instance, row.sequence, row.type, now, row.task_id, row.name, row.payload) for row in rows),
        )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
