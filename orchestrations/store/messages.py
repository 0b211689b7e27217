"""Putting messages into inboxes: who gets them, when they become visible, and the one that tells of a refused child."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.status import TERMINAL
from orchestrations.errors import InstanceAlreadyExists
from orchestrations.models import RaisedEventKey
from orchestrations.store import large_payloads
from orchestrations.store.contract import Message, NewInstance
from orchestrations.store.entities import hold
from orchestrations.store.rows import INBOX_COLUMNS, inbox_row
from orchestrations.store.tables import Tables, Target

OWNER, PAYLOAD = INBOX_COLUMNS.index("instance_id"), INBOX_COLUMNS.index("payload")


def send(tables: Tables, messages: Sequence[Message]) -> int:
    """Put messages into the inboxes of instances that exist, and return how many were accepted.

    An external event for an ended instance is dropped. One for an instance whose start is still to come stays hidden
    until then. No lock is taken on any orchestration. A message to the id of an entity creates the entity.
    """
    if not messages:
        return 0
    ids = {message.instance_id for message in messages if message.instance_id is not None}
    entity_ids = {instance_id for instance_id in ids if is_entity_id(instance_id)}
    if not entity_ids and not any(_is_keyed_event(message) for message in messages):
        return _send(tables, messages, {}, ids)
    with tables.atomic():  # a key must not be remembered without its event
        held = hold(tables, entity_ids) if entity_ids else {}
        return _send(tables, messages, held, ids - entity_ids)


def _send(tables: Tables, messages: Sequence[Message], entities: Mapping[str, int], ids: Collection[str]) -> int:
    """``entities`` are held already; ``ids`` are those of other instances."""
    pks = {message.instance_pk for message in messages if message.instance_pk is not None}
    targets = tables.find(pks, ids)
    by_pk = {target.pk: target for target in targets}
    by_id = {target.instance_id: target for target in targets}
    accepted: list[tuple[int, Message, datetime | None]] = []
    repeated = 0
    for message in messages:
        pk, instance_id = message.instance_pk, message.instance_id
        if instance_id is not None and instance_id in entities:
            accepted.append((entities[instance_id], message, message.visible_at))
            continue
        target = by_pk.get(pk) if pk is not None else by_id.get(instance_id or "")
        if target is None or message.parent_pk not in (None, target.parent_pk):
            continue
        if message.event.type is EventType.EVENT_RAISED and target.status in TERMINAL:
            repeated += _is_keyed_event(message) and _has_seen(tables, target.pk, message)
            continue
        accepted.append((target.pk, message, _visible_at(message, target)))
    if inbox := [inbox_row(tables.hub, *one) for one in _unseen(tables, accepted)]:
        tables.insert_messages(inbox)
        large_payloads.record(tables, ((row[OWNER], row[PAYLOAD]) for row in inbox))
    return len(accepted) + repeated


def _unseen(
    tables: Tables, accepted: Sequence[tuple[int, Message, datetime | None]]
) -> Iterator[tuple[int, Message, datetime | None]]:
    """Without external events whose key their instance has seen; the keys of the others are remembered."""
    keys = {(pk, message.idempotency_key or "") for pk, message, _ in accepted if _is_keyed_event(message)}
    fresh = tables.remember_event_keys(sorted(keys)) if keys else set()
    for pk, message, visible_at in accepted:
        key = (pk, message.idempotency_key or "")
        if key in fresh or not _is_keyed_event(message):
            fresh.discard(key)
            yield pk, message, visible_at


def _is_keyed_event(message: Message) -> bool:
    return message.idempotency_key is not None and message.event.type is EventType.EVENT_RAISED


def _has_seen(tables: Tables, pk: int, message: Message) -> bool:
    """Whether the event was accepted before its instance ended: a client that had no answer asks again."""
    return RaisedEventKey.objects.using(tables.using).filter(instance_id=pk, key=message.idempotency_key).exists()


def _visible_at(message: Message, target: Target) -> datetime | None:
    if message.visible_at is None and message.event.type is EventType.EVENT_RAISED:
        return target.claimable_at
    return message.visible_at


def refusal_of(child: NewInstance, existing_status: str, now: datetime) -> Message:
    """What the parent of ``child`` is told when a live instance has the child's id."""
    failure = {
        "errorType": InstanceAlreadyExists.__name__,
        "errorMessage": str(InstanceAlreadyExists(child.instance_id, existing_status)),
        "stackTrace": None,
        "innerFailure": None,
        "isNonRetriable": False,
    }
    event = HistoryEvent(
        EventType.SUB_ORCHESTRATION_FAILED,
        now,
        task_id=child.parent_task_id,
        name=child.name,
        payload=msgspec.json.encode(failure).decode(),
    )
    return Message(event, instance_pk=child.parent_pk, execution=child.parent_execution)
