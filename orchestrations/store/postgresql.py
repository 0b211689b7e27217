"""The store on PostgreSQL: arrays in, rows locked in order or skipped, a notification out.

A hot operation is one statement whatever the number of rows. At READ COMMITTED a statement that waited for a row
checks its condition again on the row's newest version; every condition that a lock protects relies on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2s
from typing import Any

from django.db import models
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper
from psycopg import Pipeline

from orchestrations.models import ActivityWorkItem
from orchestrations.store.composed import Taken
from orchestrations.store.contract import OVERDUE, ActivityCompletion, Checkpoint
from orchestrations.store.rows import Row
from orchestrations.store.sql import (
    ACTIVITY,
    ATTEMPT,
    BELIEF,
    ENDED,
    HAS_FILES,
    HELD,
    INBOX,
    INSTANCE,
    NUMBER,
    REAL,
    TEXT,
    TIMER,
    Column,
    SqlTables,
    belief_row,
    checkpoint_updates,
    columns_of,
)
from orchestrations.store.sql_store import CLAIMED, SqlStore
from orchestrations.store.tables import Fenced, TaskKey

ROOM = (("runs_on", TEXT), ("room", NUMBER))
CHECKPOINT = checkpoint_updates(lambda name: f"b.{name}")


def array_literal(kind: str, values: Sequence[Any]) -> str:
    """The values as the text of a PostgreSQL array; several times faster than the driver's own adaptation."""
    if kind in (NUMBER, REAL):
        texts = ["NULL" if value is None else str(value) for value in values]
    else:
        texts = [
            "NULL" if value is None else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
            for value in values
        ]
    return "{" + ",".join(texts) + "}"


def notification_channel(hub: str) -> str:
    """The channel on which workers of this task hub listen: a name that fits PostgreSQL's 63 bytes for every hub."""
    return f"durable_{blake2s(hub.encode(), digest_size=16).hexdigest()}"


_SERVER_BINDING: Any = ServerBindingCursor  # the type stubs know neither its argument nor what takes it


class PostgresqlTables(SqlTables):
    """The table operations on PostgreSQL."""

    NOW = "statement_timestamp()"
    OVERDUE = f"statement_timestamp() - INTERVAL '{OVERDUE.total_seconds()} seconds'"
    LOCK_WORK = "FOR NO KEY UPDATE OF a"
    SKIP_LOCKED = "SKIP LOCKED"
    LOCK_INSTANCES = "FOR NO KEY UPDATE OF i"
    HOLD_INSTANCES = "FOR KEY SHARE OF i"
    LOCK_IDLE = "FOR UPDATE OF i SKIP LOCKED"

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """A transaction in which the planner keeps to the indexes.

        Tables that are mostly empty look empty to the planner, whose plans are kept: one made then would read the whole
        table for each key when thousands of rows are in flight.
        """
        is_outermost = not self.connection.in_atomic_block
        with super().atomic():
            if is_outermost:
                self.execute("SET LOCAL enable_seqscan = off", [])
            yield

    @contextmanager
    def batch(self) -> Iterator[None]:
        """A pipeline: what has no answer goes out with the next statement that has one."""
        is_outermost = not self.connection.in_atomic_block
        with self.atomic():
            if not (is_outermost and Pipeline.is_supported()):
                yield
                return
            with self.connection.wrap_database_errors, self.connection.connection.pipeline():
                yield

    def cursor(self) -> CursorWrapper:
        """One that binds on the server, so that statements are prepared where the connection's settings allow it.

        The site's own cursors stay as Django makes them: bound on the server, a statement takes 65,535 parameters at
        most, which a large ``bulk_create`` exceeds.
        """
        self.connection.ensure_connection()
        with self.connection.wrap_database_errors:
            cursor = _SERVER_BINDING(self.connection.connection)
        if self.connection.queries_logged:
            return self.connection.make_debug_cursor(cursor)
        return self.connection.make_cursor(cursor)

    def source(self, alias: str, columns: Sequence[Column], given: Collection[Row]) -> tuple[str, list[Any]]:
        arrays = ", ".join(f"%s::{kind}[]" for _, kind in columns)
        names = ", ".join(name for name, _ in columns)
        literals = [
            array_literal(kind, values) for (_, kind), values in zip(columns, zip(*given, strict=True), strict=True)
        ]
        return f"unnest({arrays}) AS {alias} ({names})", literals

    def insert(self, model: type[models.Model], columns: Sequence[str], given: Collection[Row]) -> None:
        source, parameters = self.source("n", columns_of(model, tuple(columns)), given)
        names = ", ".join(columns)
        self.execute(f"INSERT INTO {model._meta.db_table} ({names}) SELECT {names} FROM {source}", parameters)

    def delete(self, model: type[models.Model], columns: Sequence[str], keys: Collection[Row]) -> None:
        table = model._meta.db_table
        source, parameters = self.source("k", columns_of(model, tuple(columns)), keys)
        matching = " AND ".join(f"t.{name} = k.{name}" for name in columns)
        # One look into the index for each key, whatever the planner believes of the table's size.
        found = (
            f"SELECT f.id FROM {source} CROSS JOIN LATERAL (SELECT t.id FROM {table} AS t WHERE {matching} OFFSET 0) f"
        )
        if model is ActivityWorkItem:  # completions delete from it too, without the lock of the instance
            found = f"SELECT id FROM {table} WHERE id = ANY(ARRAY({found})) ORDER BY id FOR UPDATE"
        self.execute(f"DELETE FROM {table} WHERE id = ANY(ARRAY({found}))", parameters)

    def fence(self, token: int, checkpoints: Sequence[Checkpoint]) -> Fenced:
        source, parameters = self.source("b", BELIEF, [belief_row(checkpoint) for checkpoint in checkpoints])
        update = f"UPDATE {INSTANCE} AS i SET {CHECKPOINT}, last_updated_at = {self.NOW}"
        if len(checkpoints) == 1:  # no order to keep: a third faster, and an idle worker's commits are like this
            statement = f"{update} FROM {source} WHERE {HELD}"
        else:
            statement = f"""WITH b AS MATERIALIZED (SELECT * FROM {source}), held AS MATERIALIZED (
                SELECT i.id FROM b CROSS JOIN {INSTANCE} AS i WHERE {HELD} ORDER BY i.id FOR NO KEY UPDATE OF i
            ) {update} FROM held CROSS JOIN b WHERE i.id = held.id AND b.id = held.id"""
        answered = self.fetch(f"{statement} RETURNING i.id, i.last_updated_at, {HAS_FILES}", [*parameters, token])
        have_files = {pk for pk, _, has_files in answered if has_files}
        return Fenced({pk for pk, *_ in answered}, have_files, answered[0][1] if answered else self.now())

    def take_completed(self, token: int, completions: Sequence[ActivityCompletion]) -> set[TaskKey]:
        ended = [(c.key.instance_pk, c.key.execution, c.key.task_id, c.attempt) for c in completions]
        source, parameters = self.source("k", columns_of(ActivityWorkItem, ATTEMPT), ended)
        matching = " AND ".join(f"a.{name} = k.{name}" for name in ATTEMPT)
        taken = self.fetch(
            f"""DELETE FROM {ACTIVITY} WHERE id = ANY(ARRAY(
                SELECT id FROM {ACTIVITY} WHERE id = ANY(ARRAY(
                    SELECT f.id FROM {source}
                    CROSS JOIN LATERAL (SELECT a.id FROM {ACTIVITY} AS a WHERE {matching} OFFSET 0) AS f
                )) AND COALESCE(lease_token, 0) = %s ORDER BY id FOR UPDATE
            )) RETURNING instance_id, execution, task_id""",
            [*parameters, token],
        )
        return set(taken)


class PostgresqlStore(SqlStore):
    """The store for PostgreSQL 13 and later."""

    tables: PostgresqlTables

    def __init__(self, hub: str, using: str) -> None:
        super().__init__(hub, using)
        self.tables = PostgresqlTables(hub, using)

    @contextmanager
    def together(self) -> Iterator[None]:
        """A pipeline; what it sends between two answers is one transaction of its own."""
        connection = self.tables.connection
        connection.ensure_connection()
        if connection.in_atomic_block or not Pipeline.is_supported():
            yield
            return
        with connection.wrap_database_errors, connection.connection.pipeline():
            yield

    def notify_workers(self) -> None:
        self.tables.execute("SELECT pg_notify(%s, '')", [notification_channel(self.hub)])

    def _take_instances(self, token: int, limit: int) -> Taken:
        ready, parameters = self.ready(token, limit, "FOR NO KEY UPDATE OF i SKIP LOCKED")
        found = self.tables.fetch(
            f"""WITH ready AS MATERIALIZED ({ready})
            UPDATE {INSTANCE} AS i SET lease_token = %s, attempts = i.attempts + 1 FROM ready
            WHERE i.id = ready.id RETURNING {CLAIMED}, {self.tables.NOW}, ready.lease_token IS NULL, ready.ready_at""",
            [*parameters, token],
        )
        found.sort(key=lambda row: (row[7], row[-1], row[0]))  # attempts, ready since, id
        return self.taken(found, {row[0] for row in found if row[-2]})

    def visible_messages(self, limit: int) -> tuple[str, list[Any]]:
        """In this form it is an index scan for each instance, whatever the planner thinks of the table."""
        first = f"""SELECT * FROM {INBOX} AS o WHERE o.instance_id = k.id
            AND (k.takes_all = 1 OR o.visible_at <= {self.tables.NOW}) ORDER BY o.id LIMIT %s"""
        return f"CROSS JOIN LATERAL ({first}) AS m", [limit]

    def _take_activities(self, token: int, room: Mapping[str, int]) -> list[int]:
        now = self.tables.NOW
        kinds, parameters = self.tables.source("k", ROOM, list(room.items()))
        taken = self.tables.fetch(
            f"""WITH free AS MATERIALIZED (
                SELECT f.id FROM {kinds} CROSS JOIN LATERAL (
                    SELECT id FROM {ACTIVITY}
                    WHERE hub = %s AND runs_on = k.runs_on AND lease_token IS NULL AND visible_at <= {now}
                    ORDER BY visible_at, id LIMIT k.room FOR NO KEY UPDATE SKIP LOCKED
                ) AS f
            )
            UPDATE {ACTIVITY} AS a SET lease_token = %s, dispatches = a.dispatches + 1, started_at = {now}
            FROM free WHERE a.id = free.id RETURNING a.id""",
            [*parameters, self.hub, token],
        )
        return [pk for (pk,) in taken]

    def fire_timers(self, limit: int = 500) -> int:
        fire_at = """to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""
        [(dealt_with,)] = self.tables.fetch(
            f"""WITH due AS MATERIALIZED (
                SELECT id, instance_id, execution FROM {TIMER}
                WHERE hub = %s AND state = 'Pending' AND due_at <= {self.tables.NOW}
                ORDER BY due_at, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
            ), ended AS (
                UPDATE {TIMER} AS t SET state = CASE WHEN i.id IS NULL THEN 'Cancelled' ELSE 'Fired' END
                FROM due LEFT JOIN {INSTANCE} AS i
                    ON i.id = due.instance_id AND i.execution = due.execution AND i.status NOT IN {ENDED}
                WHERE t.id = due.id
                RETURNING t.id, t.hub, t.instance_id, t.execution, t.task_id, t.attempt, t.due_at, t.state
            ), fired AS (
                INSERT INTO {INBOX} (hub, instance_id, execution, type, task_id, attempt, attributes)
                SELECT hub, instance_id, execution, 'TimerFired', task_id, attempt,
                    '{{"fire_at":"' || {fire_at} || '"}}'
                FROM ended WHERE state = 'Fired' ORDER BY due_at, id
            )
            SELECT COUNT(*) FROM ended""",
            [self.hub, limit],
        )
        return int(dealt_with)
