"""Ending live instances from outside, for a start that takes their ids. A worker that holds one loses its lease."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec
from django.db.models import F

from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.failures import FailureDetails
from orchestrations.core.lifecycle import LifecycleEvent, Transition
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.models import Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.store.contract import Message
from orchestrations.store.entities import release_of_locks
from orchestrations.store.locking import in_order
from orchestrations.store.tables import BATCH, Tables, chunks

REASON = "A new start took its id."
COLUMNS = (
    "instance_id",
    "name",
    "version",
    "tags",
    "execution",
    "created_at",
    "parent_id",
    "parent_execution",
    "parent_task_id",
)


def end_live(tables: Tables, instance_ids: Collection[str]) -> tuple[list[Message], dict[str, Transition]]:
    """Mark those that are live as Terminated.

    Returns what their parents, live children and entities are told, and what became of each.
    """
    told: list[Message] = []
    ended: dict[str, Transition] = {}
    for batch in chunks(sorted(instance_ids), BATCH):
        rows = Instance.objects.using(tables.using).filter(ORCHESTRATION, hub=tables.hub, instance_id__in=batch)
        live = rows.exclude(status__in=TERMINAL)
        in_order(live)
        for row in live.only(*COLUMNS).annotate(parent_key=F("parent__instance_id")).order_by("pk"):
            told += _told(tables, row)
            ended[row.instance_id] = _ended(tables, row, row.parent_key)
        live.update(status=RuntimeStatus.TERMINATED, lease_token=None)
    return told, ended


def _ended(tables: Tables, row: Instance, parent_instance_id: str | None) -> Transition:
    return Transition(
        LifecycleEvent.TERMINATED,
        tables.now(),
        tables.hub,
        row.pk,
        row.instance_id,
        row.name,
        row.version,
        RuntimeStatus.TERMINATED.value,
        row.execution,
        row.created_at,
        row.tags,
        parent_instance_id,
    )


def _told(tables: Tables, row: Instance) -> Iterator[Message]:
    now = tables.now()
    yield from release_of_locks(tables.using, row.pk, row.execution)
    if row.parent_id is not None and row.parent_task_id is not None:
        details = FailureDetails("OrchestrationTerminated", f"{row.instance_id!r} was terminated: {REASON}")
        payload = msgspec.json.encode(details.to_json()).decode()
        failed = HistoryEvent(EventType.SUB_ORCHESTRATION_FAILED, now, task_id=row.parent_task_id, payload=payload)
        yield Message(failed, instance_pk=row.parent_id, execution=row.parent_execution)
    children = Instance.objects.using(tables.using).filter(parent_id=row.pk).exclude(status__in=TERMINAL)
    for pk in children.order_by("pk").values_list("pk", flat=True):
        terminated = HistoryEvent(EventType.EXECUTION_TERMINATED, now, attributes={"reason": REASON, "recursive": True})
        yield Message(terminated, instance_pk=pk)
