"""An instance's history as the file that ``manage.py durable replay`` and ``assert_replays`` read, in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from orchestrations.core.events import EventType
from orchestrations.core.events import HistoryEvent as Event
from orchestrations.errors import PayloadUnavailable
from orchestrations.interfaces.dashboard.presentation.payloads import without_secrets
from orchestrations.interfaces.dashboard.presentation.spans import attributes
from orchestrations.models import HistoryEvent, Instance
from orchestrations.reading import queries

encode = msgspec.json.encode


def exported(instance: Instance) -> Iterator[bytes]:
    """The present execution in the form of ``RecordedHistory``, an event a piece; secrets are hidden.

    A payload whose file can't be read is left out, and the record says so in ``unreadable``.
    """
    unreadable = ""
    try:
        given = instance.input
    except PayloadUnavailable as error:
        given, unreadable = None, str(error)
    head = {
        "instance_id": instance.instance_id,
        "name": instance.name,
        "version": instance.version,
        "execution": instance.execution,
        "input": None if given is None else without_secrets(given),
        "tags": dict(instance.tags),
        "parent_instance_id": instance.parent.instance_id if instance.parent is not None else None,
    }
    yield encode(head)[:-1] + b',"events":['
    separator = b"\n"
    for row in queries.whole_history(instance):
        try:
            payload = None if row.payload is None else without_secrets(row.payload)
        except PayloadUnavailable as error:
            payload, unreadable = None, unreadable or str(error)
        yield separator + encode(_event(row, payload))
        separator = b",\n"
    yield b'\n],"unreadable":' + encode(unreadable) + b"}\n"


def _event(row: HistoryEvent, payload: str | None) -> Event:
    return Event(
        EventType(row.type), row.timestamp, row.task_id, row.name, payload, row.attempt, attributes(row), row.sequence
    )
