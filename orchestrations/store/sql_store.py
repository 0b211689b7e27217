"""Claims in the set-based SQL that PostgreSQL and SQLite share; how rows are taken is each one's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from orchestrations.store import rows
from orchestrations.store.composed import WINDOW, ComposedStore, Taken
from orchestrations.store.contract import ClaimedActivity, ClaimedInstance, InboxEvent, LoadedHistory
from orchestrations.store.sql import (
    ACTIVITY,
    HISTORY,
    ID,
    INBOX,
    INSTANCE,
    NUMBER,
    TIMER,
    SqlTables,
    instant,
    instant_or_none,
)

FREE = "(i.lease_token IS NULL OR i.lease_token = %s)"

CLAIMED = f"""i.id, i.instance_id, i.name, i.version, i.status, i.execution, i.last_sequence, i.attempts, i.created_at,
    i.tags, i.custom_status, i.claimable_at, i.parent_id,
    (SELECT p.instance_id FROM {INSTANCE} AS p WHERE p.id = i.parent_id), i.parent_execution, i.parent_task_id"""

EXECUTION = (("id", NUMBER), ("execution", NUMBER))
TAKING = (("id", NUMBER), ("takes_all", NUMBER))


def claimed_instance(row: rows.Row) -> ClaimedInstance:
    """From a row of CLAIMED, followed by the time."""
    pk, instance_id, name, version, status, execution, last_sequence, attempts, created_at, tags = row[:10]
    custom_status, claimable_at, parent_pk, parent_instance_id, parent_execution, parent_task_id, now = row[10:17]
    begins_at = instant_or_none(claimable_at)
    return ClaimedInstance(
        pk=pk,
        instance_id=instance_id,
        name=name,
        version=version,
        status=status,
        execution=execution,
        last_sequence=last_sequence,
        begins=begins_at is not None and begins_at <= instant(now),
        attempts=attempts,
        created_at=instant(created_at),
        tags={} if tags == "{}" else msgspec.json.decode(tags, type=dict[str, str]),
        custom_status=custom_status,
        parent_pk=parent_pk,
        parent_instance_id=parent_instance_id,
        parent_execution=parent_execution,
        parent_task_id=parent_task_id,
        claimable_at=begins_at,
    )


def claimed_activity(row: rows.Row) -> ClaimedActivity:
    """From a work item with its instance's id and the payload and attributes of its TaskScheduled event."""
    pk, instance_id, execution, task_id, attempt, name, payload, timeout_seconds, dispatches = row[:9]
    attributes, generation, heartbeat_details, deferred_until, runs_on = row[9:]
    options = rows.scheduled_with(attributes)
    return ClaimedActivity(
        instance_pk=pk,
        instance_id=instance_id,
        execution=execution,
        task_id=task_id,
        attempt=attempt,
        name=name,
        input=payload,
        timeout_seconds=timeout_seconds,
        dispatches=dispatches,
        tags=options.get("tags") or {},
        generation=generation,
        heartbeat_timeout_seconds=options.get("heartbeat_timeout_seconds"),
        heartbeat_details=heartbeat_details or options.get("heartbeat_details"),
        deferred_until=instant_or_none(deferred_until),
        runs_on=runs_on,
    )


class SqlStore(ComposedStore):
    """Claims and loads in set-based SQL."""

    tables: SqlTables

    def taken(self, found: Sequence[rows.Row], were_free: set[int]) -> Taken:
        """From rows of CLAIMED, followed by the time."""
        now = instant(found[0][16]) if found else self.tables.now()
        return Taken(now, {row[0]: claimed_instance(row) for row in found}, were_free)

    def find_status(self, instance_id: str) -> str | None:
        found = self.tables.fetch(
            f"SELECT status FROM {INSTANCE} WHERE hub = %s AND instance_id = %s", [self.hub, instance_id]
        )
        return str(found[0][0]) if found else None

    def ready(self, token: int, limit: int, lock: str) -> tuple[str, list[Any]]:
        """The SELECT of instances with something to do, those that have been tried least and wait longest first.

        It looks at the oldest messages only, so that its cost does not grow with the backlog.
        """
        hub, now, window = self.hub, self.tables.NOW, limit * WINDOW
        statement = f"""
            SELECT i.id, i.lease_token, r.ready_at FROM (
                SELECT id, MIN(ready_at) AS ready_at FROM (
                    SELECT * FROM (
                        SELECT i.id, i.claimable_at AS ready_at FROM {INSTANCE} AS i
                        WHERE i.hub = %s AND i.claimable_at <= {now} AND {FREE} ORDER BY i.claimable_at LIMIT %s
                    ) AS starts
                    UNION ALL
                    SELECT * FROM (
                        SELECT i.id, m.visible_at AS ready_at FROM {INBOX} AS m CROSS JOIN {INSTANCE} AS i
                        WHERE m.hub = %s AND m.visible_at <= {now} AND i.id = m.instance_id AND {FREE}
                        ORDER BY m.visible_at, m.id LIMIT %s
                    ) AS addressed
                ) AS either GROUP BY id
            ) AS r CROSS JOIN {INSTANCE} AS i
            WHERE i.id = r.id AND {FREE} ORDER BY i.attempts, r.ready_at, i.id LIMIT %s {lock}"""
        return statement, [hub, token, limit, hub, token, window, token, limit]

    def visible_messages(self, limit: int) -> tuple[str, list[Any]]:
        """What joins the messages that the instances in ``k`` are to take, as ``m``; ``limit`` of each are enough.

        ``takes_all`` is 1 for those that take hidden ones too.
        """
        visible = f"(k.takes_all = 1 OR m.visible_at <= {self.tables.NOW})"
        return f"CROSS JOIN {INBOX} AS m WHERE m.instance_id = k.id AND {visible}", []

    def _load_messages(self, claimed: Collection[ClaimedInstance], limit: int) -> list[tuple[int, InboxEvent]]:
        source, keys = self.tables.source("k", TAKING, [(one.pk, int(one.takes_all)) for one in claimed])
        visible, parameters = self.visible_messages(limit)
        loaded = self.tables.fetch(
            f"""SELECT m.instance_id, m.id, m.execution, m.type, m.created_at, m.task_id, m.name, m.payload, m.attempt,
                m.attributes FROM {source} {visible} ORDER BY m.id LIMIT %s""",
            [*keys, *parameters, limit],
        )
        return [
            (owner, InboxEvent(pk, execution, *rows.event_from(kind, instant(created_at), *event)))
            for owner, pk, execution, kind, created_at, *event in loaded
        ]

    def _load_history(self, executions: Mapping[int, int]) -> dict[int, LoadedHistory]:
        if not executions:
            return {}
        source, parameters = self.tables.source("k", EXECUTION, sorted(executions.items()))
        inputs = self.tables.fetch(
            f"SELECT i.id, i.input FROM {source} CROSS JOIN {INSTANCE} AS i WHERE i.id = k.id", parameters
        )
        found = {pk: LoadedHistory(text, []) for pk, text in inputs}
        events = self.tables.fetch(
            f"""SELECT h.instance_id, h.type, h.timestamp, h.task_id, h.name, h.payload, h.attempt, h.attributes,
                h.sequence FROM {source} CROSS JOIN {HISTORY} AS h
                WHERE h.instance_id = k.id AND h.execution = k.execution ORDER BY h.instance_id, h.sequence""",
            parameters,
        )
        for pk, kind, timestamp, *event in events:
            if pk in found:
                found[pk].append(*rows.event_from(kind, instant(timestamp), *event))
        return found

    def _load_activities(self, pks: Collection[int]) -> list[ClaimedActivity]:
        source, parameters = self.tables.source("k", ID, [(pk,) for pk in pks])
        loaded = self.tables.fetch(
            f"""SELECT a.instance_id, i.instance_id, a.execution, a.task_id, a.attempt, a.name, h.payload,
                a.timeout_seconds, a.dispatches, h.attributes, a.generation, a.heartbeat_details, a.deferred_until,
                a.runs_on
                FROM {source} CROSS JOIN {ACTIVITY} AS a CROSS JOIN {INSTANCE} AS i LEFT JOIN {HISTORY} AS h
                ON h.instance_id = a.instance_id AND h.execution = a.execution AND h.sequence = a.sequence
                WHERE a.id = k.id AND i.id = a.instance_id ORDER BY a.visible_at, a.id""",
            parameters,
        )
        return [claimed_activity(row) for row in loaded]

    def next_due_at(self) -> datetime | None:
        now, hub = self.tables.NOW, self.hub
        [due] = self.tables.fetch(
            f"""SELECT
                (SELECT MIN(due_at) FROM {TIMER} WHERE hub = %s AND state = 'Pending'),
                (SELECT MIN(claimable_at) FROM {INSTANCE} WHERE hub = %s AND claimable_at > {now}),
                (SELECT MIN(visible_at) FROM {INBOX} WHERE hub = %s AND visible_at > {now}),
                (SELECT MIN(visible_at) FROM {ACTIVITY} WHERE hub = %s AND visible_at > {now}
                    AND lease_token IS NULL)""",
            [hub] * 4,
        )
        return min((instant(moment) for moment in due if moment is not None), default=None)

    def has_work(self, *, overdue: bool = False) -> bool:
        now, hub = self.tables.OVERDUE if overdue else self.tables.NOW, self.hub
        [(found,)] = self.tables.fetch(
            f"""SELECT EXISTS (
                    SELECT 1 FROM {INSTANCE} WHERE hub = %s AND claimable_at <= {now} AND lease_token IS NULL
                ) OR EXISTS (
                    SELECT 1 FROM {INBOX} AS m CROSS JOIN {INSTANCE} AS i
                    WHERE m.hub = %s AND m.visible_at <= {now} AND i.id = m.instance_id AND i.lease_token IS NULL
                ) OR EXISTS (
                    SELECT 1 FROM {ACTIVITY} WHERE hub = %s AND visible_at <= {now} AND lease_token IS NULL
                )""",
            [hub] * 3,
        )
        return bool(found)
