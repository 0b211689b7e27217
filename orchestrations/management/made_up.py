"""Rows of a task hub that has been busy for a month, made up: what ``manage.py durable fill`` writes.

The same numbers give the same rows, but for the clock: nine in ten instances have completed, the newest are at work,
some wait for a person, retry, or are suspended, and some belong to others.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from orchestrations.core.events import EventType

NAMES = (
    "order_flow", "refund", "nightly_etl", "claim_flow", "onboard", "send_invoice", "settle_expense", "sync_catalogue",
    "rotate_keys", "import_orders", "close_account", "audit_trail",
)  # fmt: skip
WEIGHTS = (40, 14, 12, 8, 6, 6, 5, 4, 2, 1.5, 1, 0.5)
REGIONS = ("eu", "us", "ap")
VERSIONS = ("1.0", "1.1", "2.0")
ENDS = ("Completed", "Failed", "Terminated", "Canceled")
END_WEIGHTS = (955, 32, 9, 4)
ERRORS = (
    "ValueError: amount must be positive",
    "TimeoutError: the card provider did not answer",
    "PermissionError: account is closed",
    "KeyError: 'customer'",
)
LIVE_SHARE = 0.02  # of all instances, the newest
DAYS = 30
CHILD_EVERY = 9  # instances
HISTORIES = 1_000  # of the newest instances that have a short history
CUSTOMERS = 5_000
EVENTS_OF_ONE = 2  # scheduled and completed

INSTANCE_COLUMNS = (
    "id", "hub", "instance_id", "name", "version", "status", "tags", "is_entity", "execution", "last_sequence",
    "attempts", "parent_id", "input", "output", "error", "waiting_for", "waits", "blocked_at", "blocked_code",
    "created_at", "started_at", "last_updated_at", "completed_at",
)  # fmt: skip
EVENT_COLUMNS = (
    "instance_id", "execution", "sequence", "type", "timestamp", "task_id", "attempt", "name", "payload", "attributes",
)  # fmt: skip
WAIT_COLUMNS = ("hub", "instance_id", "execution", "wait_id", "name", "since", "due_at", "title", "location")
TIMER_COLUMNS = ("hub", "instance_id", "execution", "task_id", "attempt", "due_at", "state")

Row = tuple[Any, ...]


@dataclass(slots=True)
class MadeUp:
    """The rows of one hub. What refers to an instance is gathered while ``instances`` is read, and written after it."""

    hub: str
    count: int
    first_id: int
    now: datetime
    events: list[Row] = field(default_factory=list)
    waits: list[Row] = field(default_factory=list)
    timers: list[Row] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - the same rows every time

    def instances(self) -> Iterator[Row]:
        """All of them, the oldest first."""
        live_from = int(self.count * (1 - LIVE_SHARE))
        step = timedelta(days=DAYS) / max(self.count, 1)
        root = self.first_id
        for number in range(self.count):
            created = self.now - step * (self.count - number)
            is_child = number % CHILD_EVERY == CHILD_EVERY - 1
            pk = self.first_id + number
            root = root if is_child else pk
            if number < live_from:
                yield self._ended(number, created, root if is_child else None)
            else:
                yield self._live(number, created, root if is_child else None)

    def _ended(self, number: int, created: datetime, parent: int | None) -> Row:
        status = self.chance.choices(ENDS, END_WEIGHTS)[0]
        began = created + timedelta(seconds=0.04)
        done = began + timedelta(seconds=self.chance.expovariate(1 / 20))
        error = self.chance.choice(ERRORS) if status == "Failed" else ""
        output = {"Completed": '"ok"', "Terminated": '"duplicate run"'}.get(status)
        last = self._history(number, began, done, status)
        return self._row(number, status, last, parent, output, error, "", None, created, began, done, done)

    def _live(self, number: int, created: datetime, parent: int | None) -> Row:
        began = created + timedelta(seconds=0.04)
        roll = self.chance.random()
        if roll < 0.1:
            return self._row(number, "Pending", 0, parent, None, "", "", None, created, None, created, None)
        status, wait = "Running", self._wait(self.first_id + number, began, roll)
        doing = f"activity {wait['name']}" if wait["kind"] == "Activity" else wait["title"] or f"event {wait['name']}"
        if wait["due_at"] and wait["kind"] == "Activity":
            doing += f", attempt {wait['attempt']} of {wait['max_attempts']}, next try {wait['due_at']}"
        if roll > 0.97:
            status, doing = "Suspended", "suspended by dana: vendor outage"
        last = self._history(number, began, None, status)
        return self._row(number, status, last, parent, None, "", doing, wait, created, began, began, None)

    def _wait(self, pk: int, since: datetime, roll: float) -> dict[str, Any]:
        """What a live instance waits for: a person, its next attempt, an event, or an activity that runs."""
        wait: dict[str, Any] = {
            "kind": "Activity", "name": "charge_card", "task_id": 2, "since": since.isoformat(), "due_at": None,
            "attempt": 1, "max_attempts": None, "instance_id": None, "title": None,
        }  # fmt: skip
        if roll < 0.2:
            due = since + timedelta(hours=6)
            wait.update(kind="ExternalEvent", name="approval", title="Approve the payment?", due_at=due.isoformat())
            self.waits.append((self.hub, pk, 1, 2, "approval", since, due, wait["title"], "orders/flows.py:31"))
        elif roll < 0.3:
            due = self.now + timedelta(seconds=self.chance.uniform(60, 7200))
            wait.update(due_at=due.isoformat(), attempt=2, max_attempts=5)
            self.timers.append((self.hub, pk, 1, 2, 1, due, "Pending"))
        elif roll < 0.4:
            wait.update(kind="ExternalEvent", name="payment_received")
            self.waits.append((self.hub, pk, 1, 2, "payment_received", since, None, "", "orders/flows.py:48"))
        return wait

    def _row(
        self,
        number: int,
        status: str,
        last_sequence: int,
        parent: int | None,
        output: str | None,
        error: str,
        doing: str,
        wait: dict[str, Any] | None,
        *instants: datetime | None,
    ) -> Row:
        name = self.chance.choices(NAMES, WEIGHTS)[0]
        tags = {}
        if number % 5 < 2:
            tags = {"region": REGIONS[number % 3], "customer": f"c-{number * 7919 % CUSTOMERS:04}"}
        blocked = ("orders/flows.py:31 in order_flow", "receipt = yield context.call_activity(charge_card, order)")
        return (
            self.first_id + number, self.hub, f"{name[:3]}-{number * 2654435761 % 2**32:08x}", name,
            VERSIONS[number * 3 // max(self.count, 1)], status, tags, False, 1, last_sequence, 0, parent,
            f'{{"order": {number}}}', output, error, doing, json.dumps([wait]) if wait else None,
            *(blocked if wait else ("", "")), *instants,
        )  # fmt: skip

    def _history(self, number: int, began: datetime, done: datetime | None, status: str) -> int:
        """A short history for the newest, gathered in ``events``; the number of its last event."""
        if number < self.count - HISTORIES:
            return 0
        pk = self.first_id + number
        attributes = json.dumps({"status": status}) if done else None
        rows: list[Row] = [
            (EventType.EXECUTION_STARTED, began, None, "order_flow", f'{{"order": {number}}}', None),
            (EventType.TASK_SCHEDULED, began, 1, "check_stock", '"book"', None),
            (EventType.TASK_COMPLETED, began + timedelta(milliseconds=20), 1, "check_stock", "true", None),
            (EventType.TASK_SCHEDULED, began + timedelta(milliseconds=21), 2, "charge_card", '"visa"', None),
        ]
        if done:
            rows += [
                (EventType.TASK_COMPLETED, done, 2, "charge_card", '"ok"', None),
                (EventType.EXECUTION_COMPLETED, done, None, None, '"ok"', attributes),
            ]
        self.events += [
            (pk, 1, sequence, kind.value, at, task, 1, name, payload, told)
            for sequence, (kind, at, task, name, payload, told) in enumerate(rows, 1)
        ]
        return len(rows)


def large_instance(hub: str, pk: int, events: int, now: datetime) -> Row:
    """One that fans out to as many activities as make that number of events, all but the last of them completed."""
    wait = {"kind": "Activity", "name": "charge_card", "task_id": events // 2, "since": now.isoformat(), "due_at": None}
    began = now - timedelta(hours=1)
    return (
        pk, hub, "large", "nightly_etl", "2.0", "Running", {"size": "large"}, False, 1, events, 0, None, "1", None, "",
        "activity charge_card", json.dumps([wait]), "orders/flows.py:31 in nightly_etl",
        "yield context.task_all(tasks)", began, began, now, None,
    )  # fmt: skip


def large_history(pk: int, events: int, now: datetime) -> Iterator[Row]:
    """The history of ``large_instance``: an activity is scheduled, another completes."""
    began = now - timedelta(hours=1)
    step = timedelta(minutes=59) / max(events, 1)
    yield (pk, 1, 1, EventType.EXECUTION_STARTED.value, began, None, 1, "nightly_etl", "1", None)
    for sequence in range(2, events + 1):
        task, is_end = divmod(sequence, EVENTS_OF_ONE)
        kind = EventType.TASK_COMPLETED if is_end else EventType.TASK_SCHEDULED
        yield (pk, 1, sequence, kind.value, began + step * sequence, task, 1, "load_row", str(task), None)
