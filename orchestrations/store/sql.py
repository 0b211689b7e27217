"""The hot tables in set-based SQL that PostgreSQL and SQLite share: any number of rows is one ``source``.

Only names of tables and columns, and fragments of this package, are formatted into statements; values are always
parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar

from django.db import models
from django.db.backends.utils import CursorWrapper

from orchestrations.core.entity_ids import EntityId
from orchestrations.core.status import TERMINAL
from orchestrations.models import (
    ActivityWorkItem,
    Entity,
    HistoryEvent,
    InboxMessage,
    Instance,
    LargePayload,
    RaisedEventKey,
    Timer,
    WorkerLease,
)
from orchestrations.models.payloads import PayloadField
from orchestrations.store import rows
from orchestrations.store.contract import Checkpoint, NewInstance
from orchestrations.store.rows import Row
from orchestrations.store.tables import AttemptKey, EventKey, Tables, Target

INSTANCE = Instance._meta.db_table
INBOX = InboxMessage._meta.db_table
HISTORY = HistoryEvent._meta.db_table
ACTIVITY = ActivityWorkItem._meta.db_table
ENTITY = Entity._meta.db_table
EVENT_KEY = RaisedEventKey._meta.db_table
TIMER = Timer._meta.db_table
WORKER = WorkerLease._meta.db_table
HAS_FILES = f"EXISTS (SELECT 1 FROM {LargePayload._meta.db_table} AS p WHERE p.instance_id = i.id)"

ENDED = "(" + ", ".join(f"'{status.value}'" for status in sorted(TERMINAL)) + ")"

ATTEMPT = ("instance_id", "execution", "task_id", "attempt")

Column = tuple[str, str]
"""A column's name and the kind of its values."""

NUMBER, TEXT, INSTANT, REAL, JSON = "bigint", "text", "timestamptz", "double precision", "jsonb"
ID = (("id", NUMBER),)

_KINDS: dict[type[Any], str] = {
    models.CharField: TEXT,
    models.TextField: TEXT,
    PayloadField: TEXT,
    models.DateTimeField: INSTANT,
    models.FloatField: REAL,
    models.JSONField: JSON,
}

BELIEF: tuple[Column, ...] = (
    ("id", NUMBER),
    ("execution", NUMBER),
    ("last_sequence", NUMBER),
    ("status", TEXT),
    ("new_execution", NUMBER),
    ("new_last_sequence", NUMBER),
    ("custom_status", TEXT),
    ("started_at", INSTANT),
    ("completed_at", INSTANT),
    ("output", TEXT),
    ("failure", TEXT),
    ("error", TEXT),
    ("error_fingerprint", TEXT),
    ("waiting_for", TEXT),
    ("waits", TEXT),
    ("blocked_at", TEXT),
    ("blocked_code", TEXT),
    ("blocked_stack", TEXT),
    ("claimable_at", INSTANT),
    ("replaces_input", NUMBER),
    ("input", TEXT),
    ("version", TEXT),
    ("release", NUMBER),
)
"""What a checkpoint believes of its instance (the first three), then what it makes of it."""

HELD = (
    "i.id = b.id AND i.execution = b.execution AND i.last_sequence = b.last_sequence "
    "AND COALESCE(i.lease_token, 0) = %s"  # a form that no index on the token answers: the keys are the better way in
)


def checkpoint_updates(value: Callable[[str], str]) -> str:
    """The SET list of a checkpoint; ``value`` gives the expression for a column of BELIEF."""
    plain = ("status", "custom_status", "completed_at", "output", "failure", "error", "waiting_for", "waits")
    lines = ("error_fingerprint", "blocked_at", "blocked_code", "blocked_stack", "claimable_at")
    updates = [f"{name} = {value(name)}" for name in (*plain, *lines)]
    updates += [
        f"execution = {value('new_execution')}",
        f"last_sequence = {value('new_last_sequence')}",
        f"started_at = COALESCE({value('started_at')}, i.started_at)",
        f"input = CASE WHEN {value('replaces_input')} = 1 THEN {value('input')} ELSE i.input END",
        f"first_input = CASE WHEN {value('replaces_input')} = 1 AND i.first_version IS NULL "
        "THEN i.input ELSE i.first_input END",
        f"first_version = CASE WHEN {value('replaces_input')} = 1 "
        "THEN COALESCE(i.first_version, i.version) ELSE i.first_version END",
        f"version = COALESCE({value('version')}, i.version)",
        "attempts = 0",
        f"lease_token = CASE WHEN {value('release')} = 1 THEN NULL ELSE i.lease_token END",
    ]
    return ", ".join(updates)


@cache
def columns_of(model: type[models.Model], names: tuple[str, ...]) -> tuple[Column, ...]:
    """These columns of a table with the kinds of their values; every other kind of field is a whole number."""
    fields = {field.column: type(field) for field in model._meta.concrete_fields}
    return tuple((name, _KINDS.get(fields[name], NUMBER)) for name in names)


def belief_row(checkpoint: Checkpoint) -> Row:
    """A row of BELIEF."""
    new_input = checkpoint.new_input
    return (
        checkpoint.pk,
        checkpoint.execution,
        checkpoint.last_sequence,
        checkpoint.status,
        checkpoint.new_execution,
        checkpoint.new_last_sequence,
        checkpoint.custom_status,
        checkpoint.started_at,
        checkpoint.completed_at,
        checkpoint.output,
        checkpoint.failure,
        rows.line("error", checkpoint.error),
        checkpoint.error_fingerprint,
        rows.line("waiting_for", checkpoint.waiting_for),
        checkpoint.waits,
        rows.line("blocked_at", checkpoint.blocked_at),
        rows.line("blocked_code", checkpoint.blocked_code),
        checkpoint.blocked_stack,
        checkpoint.claimable_at,
        0 if new_input is None else 1,
        None if new_input is None else new_input[0],
        checkpoint.new_version,
        1 if checkpoint.release else 0,
    )


def instant(value: Any) -> datetime:
    """A timestamp as the driver gives it (on SQLite text or naive) as aware UTC."""
    moment: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def instant_or_none(value: Any) -> datetime | None:
    """The same for a column that may be NULL."""
    return None if value is None else instant(value)


class SqlTables(Tables):
    """The operations as SQL statements. A dialect says how rows become a source, what its clock is, how rows lock."""

    NOW: ClassVar[str]
    """An expression for the clock."""
    OVERDUE: ClassVar[str]
    """An expression for the moment since when work is overdue."""
    LOCK_WORK: ClassVar[str] = ""
    """What makes a SELECT from work items, under the alias ``a``, lock them."""
    SKIP_LOCKED: ClassVar[str] = ""
    """What it takes besides to leave out those that others have locked."""
    LOCK_INSTANCES: ClassVar[str]
    """What makes a SELECT from instances, under the alias ``i``, lock them."""
    HOLD_INSTANCES: ClassVar[str] = ""
    """What makes it keep them from being deleted, in the way of nothing else."""
    LOCK_IDLE: ClassVar[str] = ""
    """What makes it lock, for deletion, those that nobody else holds or has locked."""

    @abstractmethod
    def source(self, alias: str, columns: Sequence[Column], given: Collection[Row]) -> tuple[str, list[Any]]:
        """A table expression of these rows in their order, and its parameters."""

    def cursor(self) -> CursorWrapper:
        """A cursor for the statements of the store."""
        return self.connection.cursor()

    def execute(self, statement: str, parameters: Sequence[Any]) -> int:
        """Run one statement and return how many rows it changed."""
        with self.cursor() as cursor:
            cursor.execute(statement, parameters)
            changed: int = cursor.rowcount
            return changed

    def fetch(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        """Run one statement and return its rows."""
        with self.cursor() as cursor:
            cursor.execute(statement, parameters)
            fetched: list[Row] = cursor.fetchall()
            return fetched

    def now(self) -> datetime:
        [(value,)] = self.fetch(f"SELECT {self.NOW}", [])
        return instant(value)

    def cancel_timers(self, columns: Sequence[str], keys: Collection[Row]) -> None:
        source, parameters = self.source("k", columns_of(Timer, tuple(columns)), keys)
        names = ", ".join(columns)
        self.execute(
            f"UPDATE {TIMER} SET state = 'Cancelled' "
            f"WHERE state = 'Pending' AND ({names}) IN (SELECT {names} FROM {source})",
            parameters,
        )

    def insert_messages(self, given: Collection[Row]) -> None:
        keyed = any(row[-1] is not None for row in given)
        source, parameters = self.source("m", columns_of(InboxMessage, rows.INBOX_COLUMNS), given)
        values = ", ".join(
            f"COALESCE(m.visible_at, {self.NOW})" if name == "visible_at" else f"m.{name}"
            for name in rows.INBOX_COLUMNS
        )
        once = "ON CONFLICT (instance_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING"
        self.execute(
            f"INSERT INTO {INBOX} ({', '.join(rows.INBOX_COLUMNS)}) SELECT {values} FROM {source} WHERE TRUE "
            f"{once if keyed else ''}",
            parameters,
        )

    def remember_event_keys(self, keys: Sequence[EventKey]) -> set[EventKey]:
        source, parameters = self.source("k", columns_of(RaisedEventKey, ("instance_id", "key")), keys)
        fresh = self.fetch(
            f"INSERT INTO {EVENT_KEY} (instance_id, key) SELECT k.instance_id, k.key FROM {source} WHERE TRUE "
            "ON CONFLICT (instance_id, key) DO NOTHING RETURNING instance_id, key",
            parameters,
        )
        return {(pk, key) for pk, key in fresh}

    def insert_instances(self, instances: Sequence[NewInstance]) -> dict[str, int]:
        values = ", ".join(
            f"COALESCE(n.claimable_at, {self.NOW})" if name == "claimable_at" else f"n.{name}"
            for name in rows.INSTANCE_COLUMNS
        )
        return self._insert_instances(instances, rows.INSTANCE_COLUMNS, values, rows.BLANK_COLUMNS)

    def insert_entities(self, entity_ids: Sequence[EntityId]) -> dict[str, int]:
        given = [NewInstance(str(entity_id), entity_id.name) for entity_id in entity_ids]
        columns = tuple(name for name in rows.INSTANCE_COLUMNS if name != "claimable_at")
        values = ", ".join(f"n.{name}" for name in columns) + ", TRUE"
        return self._insert_instances(given, (*columns, "is_entity"), values, rows.ENTITY_BLANKS)

    def _insert_instances(
        self, instances: Sequence[NewInstance], columns: Sequence[str], values: str, blanks: dict[str, Any]
    ) -> dict[str, int]:
        source, parameters = self._new_instances(instances)
        created = self.fetch(
            f"INSERT INTO {INSTANCE} ({', '.join(columns)}, execution, {', '.join(blanks)}) "
            f"SELECT {values}, 1, {', '.join(['%s'] * len(blanks))} FROM {source} WHERE TRUE "
            "ON CONFLICT (hub, instance_id) DO NOTHING RETURNING instance_id, id",
            [*blanks.values(), *parameters],
        )
        return dict(created)

    def replace_ended(self, instances: Sequence[NewInstance]) -> dict[str, int]:
        source, parameters = self._new_instances(instances)
        replaced = self.fetch(
            f"SELECT i.instance_id, i.id FROM {source} CROSS JOIN {INSTANCE} i "
            f"WHERE i.hub = n.hub AND i.instance_id = n.instance_id AND i.status IN {ENDED} "
            f"AND (n.parent_id IS NULL OR n.parent_id <> i.id) ORDER BY i.id {self.LOCK_INSTANCES}",
            parameters,
        )
        if not replaced:
            return {}
        pks: dict[str, int] = dict(replaced)
        given = [instance for instance in instances if instance.instance_id in pks]
        source, parameters = self._new_instances(given)
        taken = ", ".join(f"{name} = n.{name}" for name in rows.REPLACED_COLUMNS)
        blanks = ", ".join(f"{name} = %s" for name in rows.BLANK_COLUMNS)
        self.execute(
            f"UPDATE {INSTANCE} AS i SET {taken}, {blanks}, execution = i.execution + 1, "
            f"claimable_at = COALESCE(n.claimable_at, {self.NOW}), created_at = {self.NOW}, "
            f"last_updated_at = {self.NOW} FROM {source} WHERE i.hub = n.hub AND i.instance_id = n.instance_id",
            [*rows.BLANK_COLUMNS.values(), *parameters],
        )
        return pks

    def _new_instances(self, instances: Sequence[NewInstance]) -> tuple[str, list[Any]]:
        given = [rows.instance_row(self.hub, instance) for instance in instances]
        return self.source("n", columns_of(Instance, rows.INSTANCE_COLUMNS), given)

    def find(self, pks: Collection[int], instance_ids: Collection[str]) -> list[Target]:
        found: list[Row] = []
        for column, keys in (("id", pks), ("instance_id", instance_ids)):
            if keys:
                source, parameters = self.source("k", columns_of(Instance, (column,)), [(key,) for key in keys])
                found += self.fetch(
                    "SELECT i.id, i.instance_id, i.status, i.claimable_at, i.parent_id "
                    f"FROM {source} CROSS JOIN {INSTANCE} i WHERE i.hub = %s AND i.{column} = k.{column}",
                    [*parameters, self.hub],
                )
        return [Target(pk, key, status, instant_or_none(due), parent) for pk, key, status, due, parent in found]

    def hold_entities(self, instance_ids: Collection[str]) -> dict[str, int]:
        source, parameters = self.source("k", columns_of(Instance, ("instance_id",)), [(key,) for key in instance_ids])
        held = self.fetch(
            f"SELECT i.instance_id, i.id FROM {source} CROSS JOIN {INSTANCE} i WHERE i.hub = %s "
            f"AND i.instance_id = k.instance_id AND i.is_entity ORDER BY i.id {self.HOLD_INSTANCES}",
            [*parameters, self.hub],
        )
        return dict(held)

    def write_entities(self, given: Collection[Row]) -> None:
        source, parameters = self.source("n", columns_of(Entity, rows.ENTITY_COLUMNS), given)
        names = ", ".join(rows.ENTITY_COLUMNS)
        changed = ", ".join(f"{name} = excluded.{name}" for name in rows.ENTITY_COLUMNS[4:])
        self.execute(
            f"INSERT INTO {ENTITY} ({names}) SELECT {names} FROM {source} WHERE TRUE "
            f"ON CONFLICT (instance_id) DO UPDATE SET {changed}",
            parameters,
        )

    def lock_idle_entities(self, pks: Collection[int]) -> list[int]:
        source, parameters = self.source("k", ID, [(pk,) for pk in pks])
        locked = self.fetch(
            f"SELECT i.id FROM {source} CROSS JOIN {INSTANCE} i WHERE i.id = k.id AND i.hub = %s AND i.is_entity "
            f"AND i.lease_token IS NULL ORDER BY i.id {self.LOCK_IDLE}",
            [*parameters, self.hub],
        )
        return [pk for (pk,) in locked]

    def update_held(
        self, token: int, columns: Sequence[str], given: Collection[Row], *, skips_locked: bool = False
    ) -> set[AttemptKey]:
        names = (*ATTEMPT, *columns)
        source, parameters = self.source("k", columns_of(ActivityWorkItem, names), given)
        matching = " AND ".join(f"a.{name} = k.{name}" for name in ATTEMPT)
        values = "".join(f", k.{name} AS new_{name}" for name in columns)
        updates = "".join(f", {name} = held.new_{name}" for name in columns)
        updated = self.fetch(
            f"""WITH held AS MATERIALIZED (
                SELECT a.id{values} FROM {source} CROSS JOIN {ACTIVITY} AS a
                WHERE {matching} AND COALESCE(a.lease_token, 0) = %s
                ORDER BY a.id {self.LOCK_WORK} {self.SKIP_LOCKED if skips_locked else ""}
            ) UPDATE {ACTIVITY} AS a SET heartbeat_at = {self.NOW}{updates} FROM held WHERE a.id = held.id
            RETURNING instance_id, execution, task_id, attempt""",
            [*parameters, token],
        )
        return set(updated)

    def lock_ended(self, pks: Collection[int]) -> list[int]:
        source, parameters = self.source("k", ID, [(pk,) for pk in pks])
        locked = self.fetch(
            f"SELECT i.id FROM {source} CROSS JOIN {INSTANCE} i WHERE i.id = k.id AND i.hub = %s "
            f"AND i.status IN {ENDED} ORDER BY i.id {self.LOCK_INSTANCES}",
            [*parameters, self.hub],
        )
        return [pk for (pk,) in locked]
