"""How the store keeps payloads: short ones in their column, large ones in a file that the column refers to.

Files are written before the transaction that refers to them and recorded in it, so that a reference which can be seen
has its file; they are deleted after the transaction that forgets them. What a crash leaves is swept by its age. All of
it costs no statement for instances without a large payload.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from django.db import models, transaction

from orchestrations import payload_files
from orchestrations.conf import get_config
from orchestrations.core.events import HistoryEvent as Event
from orchestrations.errors import PayloadUnavailable
from orchestrations.models import Entity, HistoryEvent, InboxMessage, Instance, LargePayload
from orchestrations.payload_files import is_large, is_reference
from orchestrations.store.contract import (
    ActivityCompletion,
    Checkpoint,
    ClaimedActivity,
    EntityRecord,
    InboxEvent,
    LoadedHistory,
    Message,
    NewInstance,
)
from orchestrations.store.fork_contract import NewFork
from orchestrations.store.tables import BATCH, Tables, chunks

Columns = tuple[tuple[type[models.Model], str, str], ...]

COLUMNS: Columns = (
    (Instance, "pk", "input"),
    (Instance, "pk", "first_input"),
    (Instance, "pk", "output"),
    (Instance, "pk", "failure"),
    (HistoryEvent, "instance_id", "payload"),
    (InboxMessage, "instance_id", "payload"),
    (Entity, "instance_id", "state"),
)
"""Every column that may hold a reference, with the one that names the instance."""


# Writing: before the transaction --------------------------------------------------------------------------------------


def kept_instances(hub: str, instances: Sequence[NewInstance]) -> Sequence[NewInstance]:
    """The same with references for large inputs, whose files are written; the very sequence where there is none."""
    limit = get_config().large_payload_bytes
    if not any(is_large(instance.input, limit) for instance in instances):
        return instances
    return [
        replace(instance, input=payload_files.write(hub, instance.input))
        if is_large(instance.input, limit)
        else instance
        for instance in instances
    ]


def kept_messages(hub: str, messages: Sequence[Message]) -> Sequence[Message]:
    """The same for messages. Each has a file of its own, which goes when it is consumed."""
    limit = get_config().large_payload_bytes
    if not any(is_large(message.event.payload, limit) for message in messages):
        return messages
    return [replace(message, event=_kept_event(hub, message.event, limit)) for message in messages]


def kept_completions(hub: str, completions: Sequence[ActivityCompletion]) -> Sequence[ActivityCompletion]:
    """The same for the ends of activities, which become messages."""
    limit = get_config().large_payload_bytes
    if not any(is_large(completion.event.payload, limit) for completion in completions):
        return completions
    return [replace(completion, event=_kept_event(hub, completion.event, limit)) for completion in completions]


def kept_checkpoints(hub: str, checkpoints: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
    """The same for all that checkpoints hold."""
    limit = get_config().large_payload_bytes
    return [
        _kept_checkpoint(hub, checkpoint, limit) if _has_large(checkpoint, limit) else checkpoint
        for checkpoint in checkpoints
    ]


def kept_fork(hub: str, fork: NewFork) -> NewFork:
    """The same for all that a fork begins with, so that it has files of its own."""
    limit = get_config().large_payload_bytes
    files = _Files(hub, limit)
    return replace(
        fork,
        start=replace(fork.start, input=files.text(fork.start.input)),
        first_input=files.text(fork.first_input),
        history=[files.event(event) for event in fork.history],
        messages=[_Files(hub, limit).event(event) for event in fork.messages],
    )


class _Files:
    """Writes the large ones among the texts of one instance's rows; a text that occurs twice is one file."""

    def __init__(self, hub: str, limit: int) -> None:
        self._hub = hub
        self._limit = limit
        self._written: dict[str, str] = {}

    def text(self, text: str | None) -> str | None:
        if not is_large(text, self._limit):
            return text
        if text not in self._written:
            self._written[text] = payload_files.write(self._hub, text)
        return self._written[text]

    def event(self, event: Event) -> Event:
        return replace(event, payload=self.text(event.payload)) if is_large(event.payload, self._limit) else event


def _kept_event(hub: str, event: Event, limit: int) -> Event:
    """With a file of its own."""
    return _Files(hub, limit).event(event)


def _own_texts(checkpoint: Checkpoint) -> Iterator[str | None]:
    """What a checkpoint writes into rows of its own instance."""
    yield checkpoint.output
    yield checkpoint.failure
    if checkpoint.new_input is not None:
        yield checkpoint.new_input[0]
    if checkpoint.entity is not None:
        yield checkpoint.entity.entity.state
    for event in checkpoint.history:
        yield event.payload


def _has_large(checkpoint: Checkpoint, limit: int) -> bool:
    for text in _own_texts(checkpoint):
        if is_large(text, limit):
            return True
    if not (checkpoint.messages or checkpoint.children):
        return False
    sent = [message.event.payload for message in checkpoint.messages]
    return any(is_large(text, limit) for text in (*sent, *(child.input for child in checkpoint.children)))


def _kept_checkpoint(hub: str, checkpoint: Checkpoint, limit: int) -> Checkpoint:
    files = _Files(hub, limit)
    entity = checkpoint.entity
    if entity is not None:
        entity = replace(entity, entity=replace(entity.entity, state=files.text(entity.entity.state)))
    return replace(
        checkpoint,
        output=files.text(checkpoint.output),
        failure=files.text(checkpoint.failure),
        new_input=None if checkpoint.new_input is None else (files.text(checkpoint.new_input[0]),),
        entity=entity,
        history=[files.event(event) for event in checkpoint.history],
        messages=list(kept_messages(hub, checkpoint.messages)),
        children=list(kept_instances(hub, checkpoint.children)),
    )


# Writing: in the transaction ------------------------------------------------------------------------------------------


def record(tables: Tables, written: Iterable[tuple[int, str | None]]) -> None:
    """Record which files the texts of instances refer to; texts that are none cost a comparison each."""
    new = {payload_files.name_of(text): pk for pk, text in written if is_reference(text)}
    if new:
        LargePayload.objects.using(tables.using).bulk_create(
            [LargePayload(hub=tables.hub, instance_id=pk, name=name) for name, pk in new.items()]
        )


def record_checkpoints(tables: Tables, checkpoints: Iterable[Checkpoint]) -> None:
    """Record what checkpoints have written into rows of their own instances."""
    record(tables, ((checkpoint.pk, text) for checkpoint in checkpoints for text in _own_texts(checkpoint)))


def forget_consumed(tables: Tables, messages: Collection[int]) -> None:
    """Before messages of the inbox are deleted: forget the files that are theirs."""
    if messages:
        inbox = InboxMessage.objects.using(tables.using).filter(payload__startswith=payload_files.PREFIX)
        for batch in chunks(messages, BATCH):
            references = inbox.filter(pk__in=batch).values_list("payload", flat=True)
            _forget(tables, [payload_files.name_of(text) for text in references if is_reference(text)])


def forget_all(tables: Tables, pks: Collection[int]) -> None:
    """Forget all files of these instances, whose other rows go in the same transaction."""
    files = LargePayload.objects.using(tables.using)
    for batch in chunks(pks, BATCH):
        _forget(tables, list(files.filter(instance_id__in=batch).values_list("name", flat=True)))


def forget_unused(tables: Tables, pks: Collection[int]) -> None:
    """Forget those files of the instances that no row refers to any more.

    Records are read first: one that is visible has its row, unless this transaction has just deleted that.
    """
    if not pks:
        return
    recorded = LargePayload.objects.using(tables.using).filter(instance_id__in=pks, vote=None)
    unused = set(recorded.values_list("name", flat=True))
    for model, owner, column in COLUMNS:
        rows = model._default_manager.using(tables.using).filter(
            **{f"{owner}__in": pks, f"{column}__startswith": payload_files.PREFIX}
        )
        unused.difference_update(payload_files.name_of(text) for text in rows.values_list(column, flat=True))
    _forget(tables, sorted(unused))


def _forget(tables: Tables, names: Sequence[str]) -> None:
    if not names:
        return
    for batch in chunks(names, BATCH):
        LargePayload.objects.using(tables.using).filter(name__in=batch).delete()
    transaction.on_commit(partial(payload_files.delete, names), using=tables.using, robust=True)


# Reading -------------------------------------------------------------------------------------------------------------


def read_messages(messages: Iterable[InboxEvent]) -> None:
    """Put the texts in the place of references; a message whose file can't be read says so."""
    for message in messages:
        if is_reference(message.event.payload):
            message.event.payload, message.unreadable = _read(message.event.payload)


def read_histories(histories: dict[int, LoadedHistory]) -> dict[int, LoadedHistory]:
    """The same for the inputs and events of executions."""
    for loaded in histories.values():
        if is_reference(loaded.input):
            loaded.input, problem = _read(loaded.input)
            loaded.unreadable = loaded.unreadable or problem
        for event in loaded.events:
            if is_reference(event.payload):
                event.payload, problem = _read(event.payload)
                loaded.unreadable = loaded.unreadable or problem
    return histories


def read_activities(activities: list[ClaimedActivity]) -> list[ClaimedActivity]:
    """The same for the inputs of activities."""
    for activity in activities:
        if is_reference(activity.input):
            activity.input, activity.unreadable = _read(activity.input)
    return activities


def read_entities(entities: dict[int, EntityRecord]) -> dict[int, EntityRecord]:
    """The same for the states of entities."""
    for entity in entities.values():
        if is_reference(entity.state):
            entity.state, entity.unreadable = _read(entity.state)
    return entities


def _read(reference: str) -> tuple[str, str]:
    """The text and no problem, or the reference and what is wrong with its file."""
    try:
        return payload_files.read(reference), ""
    except PayloadUnavailable as error:
        return reference, str(error)


# Looking after files --------------------------------------------------------------------------------------------------


def sweep_strays(tables: Tables, age: timedelta, part: int | None) -> int:
    """Delete files older than that which no transaction has recorded; returns how many there were.

    ``age`` must be longer than any transaction that starts instances or sends to them.
    """
    swept = 0
    for batch in _batches(payload_files.names(tables.hub, tables.now() - age, part)):
        recorded = LargePayload.objects.using(tables.using).filter(name__in=batch)
        strays = sorted(set(batch).difference(recorded.values_list("name", flat=True)))
        payload_files.delete(strays)
        swept += len(strays)
    return swept


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for name in names:
        batch.append(name)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
