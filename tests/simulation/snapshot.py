"""What stands in the tables between two steps, in no more columns than are looked at: it is read after every step."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from orchestrations.models import ActivityWorkItem, Entity, HistoryEvent, InboxMessage, Instance, OpenWait, Timer

INSTANCE = (
    *("pk", "instance_id", "status", "execution", "last_sequence", "parent_id", "forked_from"),
    *("created_at", "started_at", "completed_at", "failure", "input", "waits"),
)
EVENT = ("instance_id", "execution", "sequence", "type", "task_id", "attempt", "name", "payload", "attributes")
WORK = ("instance_id", "execution", "task_id", "attempt")

Row = Any  # a named tuple of one of these


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The orchestrations by primary key, and what belongs to them, in order."""

    instances: dict[int, Row]
    histories: dict[tuple[int, int], list[Row]]  # by primary key and execution
    inbox: dict[int, list[Row]]
    work: list[Row]  # activities and timers that have not ended
    waits: dict[int, set[int]]  # for external events, by primary key
    entries: list[str]  # that the entities have noted

    def history(self, row: Row) -> list[Row]:
        """The events of the present execution."""
        return self.histories.get((row.pk, row.execution), [])


def read() -> Snapshot:
    """All of it, as it is now."""
    histories: dict[tuple[int, int], list[Row]] = defaultdict(list)
    events = HistoryEvent.objects.order_by("instance_id", "execution", "sequence")
    for event in events.values_list(*EVENT, "timestamp", named=True):
        histories[event.instance_id, event.execution].append(event)
    inbox: dict[int, list[Row]] = defaultdict(list)
    for message in InboxMessage.objects.order_by("pk").values_list(
        "instance_id", "type", "name", "payload", named=True
    ):
        inbox[message.instance_id].append(message)
    waits: dict[int, set[int]] = defaultdict(set)
    for pk, wait_id in OpenWait.objects.values_list("instance_id", "wait_id"):
        waits[pk].add(wait_id)
    instances = Instance.objects.filter(is_entity=False).values_list(*INSTANCE, named=True)
    timers = Timer.objects.exclude(state__in=["Fired", "Cancelled"]).values_list(*WORK, named=True)
    states = Entity.objects.values_list("state", flat=True)
    return Snapshot(
        {row.pk: row for row in instances},
        histories,
        inbox,
        [*ActivityWorkItem.objects.values_list(*WORK, named=True), *timers],
        waits,
        [entry for state in states for entry in json.loads(state or "[]")],
    )


def attributes_of(event: Row) -> dict[str, Any]:
    """What only this type of event has."""
    found: dict[str, Any] = json.loads(event.attributes or "{}")
    return found
