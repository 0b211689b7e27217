"""Advancing one claimed entity: its messages become operations, and what they change becomes a checkpoint.

Operations run in the drain loop, so they are to be short: each has the time that an orchestrator has between two waits,
and an entity with many of them gives way to other instances now and then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial

from orchestrations.authoring.registry import registry
from orchestrations.conf import get_config
from orchestrations.core.actions import CreateSubOrchestration, DeliverEvent
from orchestrations.core.entities import (
    BatchLimits,
    EntityBatch,
    EntityLock,
    EntityStanding,
    decode_callers,
    encode_callers,
    lock_key,
    run_batch,
)
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.events import EventType
from orchestrations.limits import LARGE_PAYLOAD_BYTES
from orchestrations.models import DeadLetter
from orchestrations.runtime.instances import (
    FUNCTIONS,
    SUSPICIOUS_ATTEMPTS,
    Advance,
    HeldInstance,
    unreadable,
)
from orchestrations.runtime.poison import PoisonMessage, dead_operation, poison
from orchestrations.store.contract import (
    Checkpoint,
    ClaimedInstance,
    EntityChange,
    EntityRecord,
    InboxEvent,
    Message,
    NewInstance,
)
from orchestrations.store.outbox_contract import NewDeadLetter

logger = logging.getLogger("orchestrations.runtime")

OPERATIONS = frozenset({EventType.ENTITY_SIGNALED, EventType.ENTITY_CALLED})
BATCH_SECONDS = 0.5  # of operations of one entity, after which others have their turn
LAST_VERSION = 2_000_000_000  # of the column that numbers the batches, with room to spare

Bounded = Callable[[], AbstractContextManager[None]]


def advance_entity(
    held: HeldInstance,
    messages: Sequence[InboxEvent],
    record: EntityRecord | None,
    now: datetime,
    bounded: Bounded,
) -> Advance:
    """Carry out an entity's messages in order; ``bounded`` limits the time of each operation.

    Without the entity's code they wait. An operation that workers have died of fails alone, like one that raises.
    """
    claimed = held.claimed
    advance = Advance(held)
    if not registry.has_entity(claimed.name):
        advance.abandon_reason = f"no worker has the code of entity {claimed.name}"
        return advance
    advance.abandon_reason = unreadable(messages, record)
    if advance.abandon_reason:
        return advance
    advance.entity = batch = run_batch(
        registry.entity(claimed.name),
        FUNCTIONS,
        _standing(claimed, record),
        [message.event for message in messages],
        now,
        seed=f"{claimed.instance_id}/{claimed.execution}/{claimed.last_sequence}/{now.isoformat()}",
        limits=_limits(claimed, bounded),
    )
    advance.consumed = [messages[position].pk for position in batch.taken]
    advance.deferred = [messages[position].pk for position in batch.deferred]
    for operation, error in batch.failures:
        if isinstance(error, PoisonMessage):
            advance.dead_letters = [_dead(claimed, messages, batch.taken, error)]
        logger.error("The operation %r failed. instance=%s", operation, claimed.instance_id, exc_info=error)
    return advance


def entity_checkpoint(advance: Advance, batch: EntityBatch, now: datetime) -> Checkpoint:
    """What to write of a batch. Its number is the instance's ``last_sequence``, so that none is written twice."""
    claimed, standing = advance.held.claimed, batch.standing
    is_last = claimed.last_sequence >= LAST_VERSION
    lock = standing.lock or EntityLock("", "")
    record = EntityRecord(
        standing.entity_id.name,
        standing.entity_id.key,
        standing.state,
        now,
        lock.owner,
        lock.request_id,
        standing.backlog,
        encode_callers(standing.callers),
    )
    return Checkpoint(
        pk=claimed.pk,
        execution=claimed.execution,
        last_sequence=claimed.last_sequence,
        status=claimed.status,
        new_execution=claimed.execution + is_last,
        new_last_sequence=0 if is_last else claimed.last_sequence + 1,
        waiting_for=f"locked by {lock.owner}" if lock.owner else "",
        consumed=advance.consumed,
        messages=[deliver(action) for action in batch.actions if isinstance(action, DeliverEvent)],
        children=[_started(action) for action in batch.actions if isinstance(action, CreateSubOrchestration)],
        dead_letters=advance.dead_letters,
        entity=EntityChange(record, advance.deferred, [lock_key(key) for key in batch.withdrawn], batch.reveals),
    )


def deliver(action: DeliverEvent) -> Message:
    """The message that performs the action. A request for a lock can be found again by its key, to be withdrawn."""
    is_request = action.event.type is EventType.ENTITY_LOCK_REQUESTED
    key = lock_key(action.event.attributes["request_id"]) if is_request else None
    return Message(action.event, instance_id=action.instance_id, visible_at=action.visible_at, idempotency_key=key)


def _dead(
    claimed: ClaimedInstance, messages: Sequence[InboxEvent], taken: Sequence[int], error: BaseException
) -> NewDeadLetter:
    """Of the first operation that was taken: that is the one which is failed unrun."""
    operations = (messages[position].event for position in taken if messages[position].event.type in OPERATIONS)
    event = next(operations)
    is_kept = len((event.payload or "").encode()) <= LARGE_PAYLOAD_BYTES
    payload = event.payload if is_kept else DeadLetter.NOT_KEPT
    return dead_operation(claimed, event.name or "", payload, error)


def _standing(claimed: ClaimedInstance, record: EntityRecord | None) -> EntityStanding:
    entity_id = EntityId.parse(claimed.instance_id)
    if record is None:
        return EntityStanding(entity_id)
    lock = EntityLock(record.locked_by, record.lock_id) if record.locked_by else None
    return EntityStanding(entity_id, record.state, lock, record.backlog, decode_callers(record.callers))


def _limits(claimed: ClaimedInstance, bounded: Bounded) -> BatchLimits:
    """One operation at a time where workers have died of it before, so that the one that kills is found."""
    if claimed.attempts < SUSPICIOUS_ATTEMPTS:
        return BatchLimits(bounded, partial(_is_before, time.monotonic() + BATCH_SECONDS))
    deaths = claimed.attempts - 1
    error = poison("this operation", deaths, "mend the entity")
    is_poisoned = claimed.attempts > get_config().dispatch_attempts
    return BatchLimits(bounded, lambda: False, error if is_poisoned else None)


def _is_before(deadline: float) -> bool:
    return time.monotonic() < deadline


def _started(action: CreateSubOrchestration) -> NewInstance:
    version = action.version
    if version is None:
        version = registry.orchestrator(action.name).version if registry.has_orchestrator(action.name) else ""
    return NewInstance(action.instance_id, action.name, version, action.input, dict(action.tags))
