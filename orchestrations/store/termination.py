"""Ending live instances from outside, for a start that takes their ids. A worker that holds one loses its lease."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.failures import FailureDetails
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.models import Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.store.contract import Message
from orchestrations.store.entities import release_of_locks
from orchestrations.store.locking import in_order
from orchestrations.store.tables import BATCH, Tables, chunks

REASON = "A new start took its id."


def end_live(tables: Tables, instance_ids: Collection[str]) -> list[Message]:
    """Mark those that are live as Terminated, and return what their parents, live children and entities are told."""
    told: list[Message] = []
    for batch in chunks(sorted(instance_ids), BATCH):
        rows = Instance.objects.using(tables.using).filter(ORCHESTRATION, hub=tables.hub, instance_id__in=batch)
        live = rows.exclude(status__in=TERMINAL)
        in_order(live)
        for row in live.only("instance_id", "execution", "parent_id", "parent_execution", "parent_task_id").order_by(
            "pk"
        ):
            told += _told(tables, row)
        live.update(status=RuntimeStatus.TERMINATED, lease_token=None)
    return told


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
