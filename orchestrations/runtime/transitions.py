"""What became of an instance in one checkpoint, as those who listen want to hear it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from orchestrations.core.events import EventType
from orchestrations.core.lifecycle import ENDS, LifecycleEvent, Transition
from orchestrations.core.status import RuntimeStatus
from orchestrations.runtime.instances import Advance
from orchestrations.store.contract import Checkpoint

Named = tuple[LifecycleEvent, dict[str, Any] | None]


def transitions_of(hub: str, advance: Advance, checkpoint: Checkpoint, now: datetime) -> list[Transition]:
    """The transitions in the order in which they happened; none for entities and for facts that come late."""
    if advance.is_late or checkpoint.entity is not None:
        return []
    claimed = advance.held.claimed
    return [
        Transition(
            event=event,
            at=now,
            hub=hub,
            instance_pk=claimed.pk,
            instance_id=claimed.instance_id,
            name=claimed.name,
            version=claimed.version,
            status=str(checkpoint.status),
            execution=checkpoint.new_execution,
            created_at=claimed.created_at,
            tags=claimed.tags,
            parent_instance_id=claimed.parent_instance_id,
            error=checkpoint.error if event is LifecycleEvent.FAILED else "",
            wait=wait,
        )
        for event, wait in _named(advance, checkpoint)
    ]


def _named(advance: Advance, checkpoint: Checkpoint) -> Iterator[Named]:
    before = RuntimeStatus(advance.held.claimed.status)
    if advance.new_execution is not None:
        yield LifecycleEvent.REWOUND, None
    elif checkpoint.started_at is not None and before is not RuntimeStatus.CONTINUED_AS_NEW:
        yield LifecycleEvent.STARTED, None
    if advance.new_execution is None:  # else the events are those of the execution before
        yield from _pauses(advance, is_suspended=before is RuntimeStatus.SUSPENDED)
    for task in checkpoint.asked:
        yield LifecycleEvent.WAITING_FOR_HUMAN, {"event": task.name, "title": task.title, "due_at": task.due_at}
    status = RuntimeStatus(checkpoint.status)
    if status is RuntimeStatus.CONTINUED_AS_NEW and checkpoint.new_execution != checkpoint.execution:
        yield LifecycleEvent.CONTINUED_AS_NEW, None
    elif status in ENDS and checkpoint.completed_at is not None:
        yield ENDS[status], None


def _pauses(advance: Advance, *, is_suspended: bool) -> Iterator[Named]:
    for event in advance.events:
        if event.type is EventType.EXECUTION_SUSPENDED and not is_suspended:
            is_suspended = True
            yield LifecycleEvent.SUSPENDED, None
        elif event.type is EventType.EXECUTION_RESUMED and is_suspended:
            is_suspended = False
            yield LifecycleEvent.RESUMED, None
