"""Server-sent events of one instance: what a stream tells, in which order, and when it ends.

Nothing here polls: the watcher of live pages looks once a second for all streams of a process together, and a stream
reads the instance only when there is news of it. Each reading asks anew whether the caller may still see it.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connections
from django.http import StreamingHttpResponse
from rest_framework.utils.encoders import JSONEncoder

from orchestrations.errors import InstanceNotFound, PermissionRefused
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.watching import WatchBroken, watcher
from orchestrations.limits import STREAM_SECONDS
from orchestrations.models import HistoryEvent, Instance
from orchestrations.reading import queries

KEEP_ALIVE_SECONDS = 15.0
RETRY_MILLISECONDS = 2_000  # after which a browser comes again


@dataclass(frozen=True, slots=True)
class Place:
    """How far a stream has come in an instance's history; as the ``id`` of its events, ``execution.sequence``."""

    execution: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.execution}.{self.sequence}"

    @classmethod
    def read(cls, text: str) -> Place:
        """The place of a ``Last-Event-ID``. Raises ValueError."""
        execution, dot, sequence = text.partition(".")
        if not (dot and all(part.isascii() and part.isdigit() and len(part) < 10 for part in (execution, sequence))):
            raise ValueError(text)
        return cls(int(execution), int(sequence))

    @classmethod
    def of(cls, row: Instance) -> Place:
        """Where the instance is now."""
        return cls(row.execution, row.last_sequence)


@dataclass(frozen=True, slots=True)
class Teller:
    """How rows are shown to the caller. ``check`` raises once the caller may not see the instance any more."""

    check: Callable[[Instance], None]
    status: Callable[[Instance], dict[str, Any]]
    event: Callable[[HistoryEvent], dict[str, Any]]


@dataclass(slots=True)
class Telling:
    """One stream: what it has told, and what is left to tell."""

    hub: str
    instance_id: str
    pk: int
    teller: Teller
    place: Place
    told: str = field(default="")
    is_over: bool = False
    has_more: bool = False

    def read(self) -> list[str]:
        """What is new, as text for the wire; at most one page of history, and then the status where it has changed."""
        try:
            return self._read()
        except (InstanceNotFound, PermissionRefused) as error:
            self.is_over, self.has_more = True, False
            return [_message("end", str(self.place), {"code": error.code, "detail": str(error)})]
        finally:
            connections.close_all()

    def _read(self) -> list[str]:
        row = queries.get_instance(self.hub, self.instance_id)
        if row.pk != self.pk:
            raise InstanceNotFound(self.instance_id)
        self.teller.check(row)
        if row.execution != self.place.execution:
            self.place = Place(row.execution, 0)
        page = queries.history(row, row.execution, self.place.sequence)
        messages = []
        for event in page.events:
            self.place = Place(row.execution, event.sequence)
            messages.append(_message("history", str(self.place), self.teller.event(event)))
        self.has_more = page.next_after is not None
        status = _json(self.teller.status(row))
        if not self.has_more and status != self.told:
            self.told = status
            messages.append(f"event: status\nid: {self.place}\ndata: {status}\n\n")
        self.is_over = not self.has_more and row.runtime_status.is_terminal
        return messages


class EventStream(StreamingHttpResponse):
    """A stream as an answer; only under ASGI. It ends with the instance, or for the browser to come again."""

    def __init__(self, telling: Telling) -> None:
        super().__init__(_events(telling, self), content_type="text/event-stream; charset=utf-8")
        self.headers["Cache-Control"] = "no-store"
        self.headers["X-Accel-Buffering"] = "no"
        open_streams.add(self)


open_streams: WeakSet[EventStream] = WeakSet()
"""Those of this process."""


async def _events(telling: Telling, stream: EventStream) -> AsyncGenerator[str, None]:
    try:
        async with aclosing(_told(telling)) as messages:
            async for message in messages:
                yield message
    finally:
        open_streams.discard(stream)


async def _told(telling: Telling) -> AsyncGenerator[str, None]:
    until = time.monotonic() + STREAM_SECONDS
    read = sync_to_async(telling.read, thread_sensitive=False)  # a few threads for all streams
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    async with watcher().watch([topics.instance(telling.pk)]) as watch:
        while True:
            try:
                for message in await read():
                    yield message
                if telling.is_over:
                    return
                if telling.has_more:
                    continue
                if not await watch.changed(KEEP_ALIVE_SECONDS):
                    yield ": still here\n\n"
            except (DatabaseError, WatchBroken):
                return  # the browser comes again with the id of what it was told last
            if time.monotonic() >= until:
                return


def _message(kind: str, place: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\nid: {place}\ndata: {_json(data)}\n\n"


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, cls=JSONEncoder, ensure_ascii=False, separators=(",", ":"))
