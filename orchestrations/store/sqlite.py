"""The store on SQLite 3.35 and later. There is one writer at a time, so a transaction needs no row locks.

Rows to insert go through ``executemany``, sets of keys as one JSON parameter. The settings must say BEGIN IMMEDIATE.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import models

from orchestrations.models import ActivityWorkItem
from orchestrations.models.clock import sqlite_moment
from orchestrations.store import rows
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
    ID,
    INSTANCE,
    INSTANT,
    TIMER,
    Column,
    SqlTables,
    belief_row,
    checkpoint_updates,
    columns_of,
    instant,
)
from orchestrations.store.sql_store import CLAIMED, SqlStore
from orchestrations.store.tables import Fenced, TaskKey

CHECKPOINT = checkpoint_updates(lambda name: f"%({name})s")
CHECKPOINT_NAMES = [*(name for name, _ in BELIEF), "now"]


def stored(moment: datetime) -> str:
    """A time as Django stores it on SQLite: text in UTC without an offset, which sorts as the times do."""
    return str(moment.astimezone(UTC).replace(tzinfo=None))


def adapted(columns: Sequence[Column], given: Collection[Row]) -> Collection[Row]:
    """The rows with their times as text."""
    moments = [position for position, (_, kind) in enumerate(columns) if kind == INSTANT]
    if not moments:
        return given
    adapted_rows = []
    for row in given:
        values = list(row)
        for position in moments:
            if values[position] is not None:
                values[position] = stored(values[position])
        adapted_rows.append(tuple(values))
    return adapted_rows


class SqliteTables(SqlTables):
    """The table operations on SQLite."""

    NOW = sqlite_moment()
    OVERDUE = sqlite_moment(f"-{OVERDUE.total_seconds()} seconds")
    LOCK_INSTANCES = ""

    def source(self, alias: str, columns: Sequence[Column], given: Collection[Row]) -> tuple[str, list[Any]]:
        values = ", ".join(f"json_extract(value, '$[{n}]') AS {name}" for n, (name, _) in enumerate(columns))
        text = msgspec.json.encode(adapted(columns, given)).decode()
        return f"(SELECT {values} FROM json_each(%s)) AS {alias}", [text]

    def execute_many(self, statement: str, given: Collection[Row] | Collection[dict[str, Any]]) -> None:
        """Run one statement for each of the rows of parameters."""
        with self.connection.cursor() as cursor:
            cursor.executemany(statement, list(given))

    def insert(self, model: type[models.Model], columns: Sequence[str], given: Collection[Row]) -> None:
        values = ", ".join(["%s"] * len(columns))
        self.execute_many(
            f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) VALUES ({values})",
            adapted(columns_of(model, tuple(columns)), given),
        )

    def delete(self, model: type[models.Model], columns: Sequence[str], keys: Collection[Row]) -> None:
        matching = " AND ".join(f"{name} = %s" for name in columns)
        self.execute_many(f"DELETE FROM {model._meta.db_table} WHERE {matching}", keys)

    def fence(self, token: int, checkpoints: Sequence[Checkpoint]) -> Fenced:
        given = {checkpoint.pk: belief_row(checkpoint) for checkpoint in checkpoints}
        source, parameters = self.source("b", BELIEF[:3], [row[:3] for row in given.values()])
        answered: dict[int, int] = dict(
            self.fetch(
                f"SELECT i.id, {HAS_FILES} FROM {source} CROSS JOIN {INSTANCE} AS i WHERE {HELD}", [*parameters, token]
            )
        )
        held, now = set(answered), self.now()
        have_files = {pk for pk, has_files in answered.items() if has_files}
        if not held:
            return Fenced(held, have_files, now)
        updates = [(*row, stored(now)) for row in adapted(BELIEF, [given[pk] for pk in held])]
        self.execute_many(
            f"UPDATE {INSTANCE} AS i SET {CHECKPOINT}, last_updated_at = %(now)s WHERE id = %(id)s",
            [dict(zip(CHECKPOINT_NAMES, row, strict=True)) for row in updates],
        )
        return Fenced(held, have_files, now)

    def take_completed(self, token: int, completions: Sequence[ActivityCompletion]) -> set[TaskKey]:
        ended = [(c.key.instance_pk, c.key.execution, c.key.task_id, c.attempt) for c in completions]
        source, parameters = self.source("k", columns_of(ActivityWorkItem, ATTEMPT), ended)
        names = ", ".join(ATTEMPT)
        taken = self.fetch(
            f"DELETE FROM {ACTIVITY} WHERE ({names}) IN (SELECT {names} FROM {source}) AND lease_token = %s "
            "RETURNING instance_id, execution, task_id",
            [*parameters, token],
        )
        return set(taken)


class SqliteStore(SqlStore):
    """The store for SQLite."""

    tables: SqliteTables

    def __init__(self, hub: str, using: str) -> None:
        super().__init__(hub, using)
        self.tables = SqliteTables(hub, using)

    def _take_instances(self, token: int, limit: int) -> Taken:
        ready, parameters = self.ready(token, limit, "")
        with self.tables.atomic():
            found = self.tables.fetch(ready, parameters)
            if not found:
                return self.taken([], set())
            source, keys = self.tables.source("k", ID, [(pk,) for pk, _, _ in found])
            self.tables.execute(
                f"UPDATE {INSTANCE} SET lease_token = %s, attempts = attempts + 1 "
                f"WHERE id IN (SELECT id FROM {source})",
                [token, *keys],
            )
            claimed = self.tables.fetch(
                f"SELECT {CLAIMED}, {self.tables.NOW} FROM {source} CROSS JOIN {INSTANCE} AS i WHERE i.id = k.id", keys
            )
        return self.taken(claimed, {pk for pk, lease_token, _ in found if lease_token is None})

    def _take_activities(self, token: int, room: Mapping[str, int]) -> list[int]:
        now = self.tables.NOW
        of_kind = f"""SELECT * FROM (
            SELECT id FROM {ACTIVITY} WHERE hub = %s AND runs_on = %s AND lease_token IS NULL AND visible_at <= {now}
            ORDER BY visible_at, id LIMIT %s)"""
        taken = self.tables.fetch(
            f"UPDATE {ACTIVITY} SET lease_token = %s, dispatches = dispatches + 1, started_at = {now} "
            f"WHERE id IN ({' UNION ALL '.join([of_kind] * len(room))}) RETURNING id",
            [token, *(parameter for kind, number in room.items() for parameter in (self.hub, kind, number))],
        )
        return [pk for (pk,) in taken]

    def fire_timers(self, limit: int = 500) -> int:
        with self.tables.atomic():
            due = self.tables.fetch(
                f"""SELECT t.id, t.instance_id, t.execution, t.task_id, t.attempt, t.due_at, i.id IS NOT NULL
                    FROM {TIMER} AS t LEFT JOIN {INSTANCE} AS i
                    ON i.id = t.instance_id AND i.execution = t.execution AND i.status NOT IN {ENDED}
                    WHERE t.hub = %s AND t.state = 'Pending' AND t.due_at <= {self.tables.NOW}
                    ORDER BY t.due_at, t.id LIMIT %s""",
                [self.hub, limit],
            )
            self.tables.execute_many(
                f"UPDATE {TIMER} SET state = %s WHERE id = %s",
                [("Fired" if row[-1] else "Cancelled", row[0]) for row in due],
            )
            fired = [rows.timer_fired_row(self.hub, row[1:5], instant(row[5])) for row in due if row[-1]]
            if fired:
                self.tables.insert_messages(fired)
        return len(due)
