"""The rows of entities: created by their first message, written with their operations, removed when they are empty.

An entity that is locked keeps the messages of others in its inbox without ``visible_at``, where no claim sees them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from django.db import OperationalError
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce

from orchestrations.core.entities import unlock
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.events import EventType
from orchestrations.models import Entity, HistoryEvent, InboxMessage, Instance
from orchestrations.store import large_payloads, rows
from orchestrations.store.contract import Checkpoint, EntityRecord, Message
from orchestrations.store.tables import BATCH, Tables, chunks

ATTEMPTS = 3


def hold(tables: Tables, instance_ids: Collection[str]) -> dict[str, int]:
    """The primary keys of these entities by id, creating those that are missing; nobody removes them meanwhile.

    Raises OperationalError where they are removed again and again just then. Trying again helps.
    """
    held: dict[str, int] = {}
    for _ in range(ATTEMPTS):
        held |= tables.hold_entities(instance_ids - held.keys())
        missing = sorted(instance_ids - held.keys())
        if not missing:
            return held
        held |= tables.insert_entities([EntityId.parse(instance_id) for instance_id in missing])
        if len(held) == len(instance_ids):
            return held
    raise OperationalError("Entities were being removed while they were sent to. Send again.")


def load(using: str, pks: Collection[int]) -> dict[int, EntityRecord]:
    """The entities of these instances."""
    found = {}
    columns = rows.ENTITY_COLUMNS[1:]
    for batch in chunks(pks, BATCH):
        for pk, *values in Entity.objects.using(using).filter(instance_id__in=batch).values_list(*columns):
            found[pk] = EntityRecord(*values)
    return found


def write(tables: Tables, checkpoints: Sequence[Checkpoint], now: datetime) -> None:
    """Write what the checkpoints make of their entities, and of the messages that wait for a lock."""
    changes = {checkpoint.pk: checkpoint.entity for checkpoint in checkpoints if checkpoint.entity is not None}
    tables.write_entities([rows.entity_row(tables.hub, pk, change.entity, now) for pk, change in changes.items()])
    inbox = InboxMessage.objects.using(tables.using)
    for batch in chunks([pk for pk, change in changes.items() if change.reveals], BATCH):
        inbox.filter(instance_id__in=batch, visible_at__isnull=True).update(visible_at=now)
    for batch in chunks([row for change in changes.values() for row in change.deferred], BATCH):
        inbox.filter(pk__in=batch).update(visible_at=None)
    withdrawn = [(pk, key) for pk, change in changes.items() for key in change.withdrawn]
    if withdrawn:
        tables.delete(InboxMessage, ("instance_id", "idempotency_key"), withdrawn)
        _count_waiting(tables.using, {pk for pk, _ in withdrawn})


def _count_waiting(using: str, pks: Collection[int]) -> None:
    """Set the backlogs anew: a withdrawal goes to all entities of its request, and waited for at most one of them."""
    inbox = InboxMessage.objects.using(using).filter(instance_id=OuterRef("instance_id"), visible_at__isnull=True)
    waiting = inbox.order_by().values("instance_id").annotate(size=Count("pk")).values("size")
    for batch in chunks(sorted(pks), BATCH):
        Entity.objects.using(using).filter(instance_id__in=batch).update(backlog=Coalesce(Subquery(waiting), 0))


def release_of_locks(using: str, pk: int, execution: int) -> list[Message]:
    """What releases the entities that an orchestration holds, or has asked for, when it ends without its code.

    Its history says which: the last event about locks is a request. Costs one query.
    """
    kinds = [EventType.ENTITY_LOCK_REQUESTED.value, EventType.ENTITY_UNLOCK_SENT.value]
    history = HistoryEvent.objects.using(using).filter(instance_id=pk, execution=execution, type__in=kinds)
    last = history.order_by("-sequence").values_list("type", "attributes", "timestamp").first()
    if last is None or last[0] != EventType.ENTITY_LOCK_REQUESTED:
        return []
    asked = msgspec.json.decode(last[1] or "{}")
    entities = asked["entities"]
    return [Message(unlock(asked["request_id"], entities, last[2]), instance_id=entities[0])]


def remove(tables: Tables, pks: Collection[int]) -> int:
    """Delete those of the entities that are idle and empty, in batches of a few hundred, each a transaction."""
    removed = 0
    for batch in chunks(sorted(pks), BATCH):
        with tables.atomic():
            locked = set(tables.lock_idle_entities(batch))
            # Statements of their own: they see what was committed before the locks were granted.
            locked.difference_update(_wanted(tables, locked))
            gone = [(pk,) for pk in sorted(locked)]
            if gone:
                large_payloads.forget_all(tables, sorted(locked))
                tables.delete(Entity, ("instance_id",), gone)
                tables.delete(Instance, ("id",), gone)
        removed += len(gone)
    return removed


def _wanted(tables: Tables, pks: Collection[int]) -> set[int]:
    """Those that have a state, a lock or a message, or that a worker has taken up just now."""
    inbox = InboxMessage.objects.using(tables.using).filter(instance_id__in=pks)
    entities = Entity.objects.using(tables.using).filter(instance_id__in=pks)
    used = entities.exclude(state__isnull=True, locked_by="")
    return {*inbox.values_list("instance_id", flat=True), *used.values_list("instance_id", flat=True)}
