"""Histories taken out of the task hub, and replayed against today's code without touching anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
from django.db.models import Q

from orchestrations.authoring.functions import RegisteredFunctions
from orchestrations.authoring.registry import registry
from orchestrations.core.episode import open_execution
from orchestrations.core.errors import NonDeterminismError
from orchestrations.core.events import HistoryEvent
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.rewind import until_completed
from orchestrations.errors import FunctionNotRegistered, InstanceNotFound, PayloadUnavailable, VersionMismatch
from orchestrations.models import Instance
from orchestrations.runtime.code import replaying_code
from orchestrations.store import get_store
from orchestrations.store.contract import LoadedHistory

BATCH = 100  # histories in memory at once


@dataclass(frozen=True, slots=True)
class RecordedHistory:
    """One execution as it happened: all that replaying it takes. ``to_json`` and ``from_json`` keep it in a file."""

    instance_id: str
    name: str
    version: str
    execution: int
    input: str | None
    events: list[HistoryEvent]
    tags: dict[str, str] = field(default_factory=dict)
    parent_instance_id: str | None = None
    unreadable: str = ""
    """Why a payload could not be read from its file; such a record can't be replayed."""

    def to_json(self) -> str:
        """The record as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> RecordedHistory:
        """Read what ``to_json`` wrote. Raises ``msgspec.DecodeError``, or its ValidationError."""
        return msgspec.json.decode(text, type=cls)


def record_history(instance_id: str) -> RecordedHistory:
    """The present execution of an instance as the task hub has it. Raises InstanceNotFound and PayloadUnavailable."""
    for history in stored_histories(instance_id=instance_id):
        if history.unreadable:
            raise PayloadUnavailable(history.unreadable)
        return history
    raise InstanceNotFound(instance_id)


def stored_histories(
    *, name: str | None = None, instance_id: str | None = None, ended_within: timedelta | None = None
) -> Iterator[RecordedHistory]:
    """The present executions of the task hub's live instances, oldest first; with ``ended_within`` ended ones too.

    ``name`` keeps one orchestrator's; ``instance_id`` gives that instance alone, whatever its status.
    """
    store = get_store()
    rows = Instance.objects.using(store.using).select_related("parent").filter(hub=store.hub).order_by("pk")
    if instance_id is not None:
        rows = rows.filter(instance_id=instance_id)
    elif ended_within is not None:
        rows = rows.filter(Q(completed_at=None) | Q(completed_at__gte=store.now() - ended_within))
    else:
        rows = rows.filter(completed_at=None)
    if name is not None:
        rows = rows.filter(name=name)
    last = 0
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        last = batch[-1].pk
        loaded = store.load_history({row.pk: row.execution for row in batch})
        for row in batch:
            if row.pk in loaded:  # not purged meanwhile
                yield _record(row, loaded[row.pk])


def _record(row: Instance, loaded: LoadedHistory) -> RecordedHistory:
    return RecordedHistory(
        instance_id=row.instance_id,
        name=row.name,
        version=row.version,
        execution=row.execution,
        input=loaded.input,
        events=loaded.events,
        tags=dict(row.tags),
        parent_instance_id=row.parent.instance_id if row.parent is not None else None,
        unreadable=loaded.unreadable,
    )


def mismatch(history: RecordedHistory) -> str:
    """What today's code would do otherwise than the history says, in words; empty where it fits.

    The words name the event, what the history has, what the code did and at which line, or that there is no such
    orchestrator any more.
    """
    if history.unreadable:
        return history.unreadable
    facts = InstanceFacts(
        instance_id=history.instance_id,
        name=history.name,
        version=history.version,
        execution=history.execution,
        parent_instance_id=history.parent_instance_id,
        tags=dict(history.tags),
        input=history.input,
    )
    try:
        definition = replaying_code(history.name, history.version)
        execution = open_execution(definition, RegisteredFunctions(registry), facts, _seen_by_code(history.events))
    except (NonDeterminismError, FunctionNotRegistered, VersionMismatch) as error:
        return str(error)
    execution.discard()
    return ""


def _seen_by_code(events: Sequence[HistoryEvent]) -> Sequence[HistoryEvent]:
    """Without what was recorded and never run: it came after the end, or the code did not fit when it arrived."""
    events, _ = until_completed(events)
    undelivered_from = events[-1].attributes.get("undelivered_from") if events else None
    if not undelivered_from:
        return events
    return [event for event in events if event.sequence < int(undelivered_from)]
