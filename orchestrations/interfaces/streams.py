"""Server-sent events of one instance, for any interface: what a stream tells, in which order, and when it ends.

Nothing here polls: the watcher of live pages looks once a second for all streams of a process together, and a stream
reads the instance only when there is news of it. Each reading asks anew whether the caller may still see it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from weakref import WeakSet

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, InterfaceError, connections
from django.http import HttpRequest, StreamingHttpResponse

from orchestrations.errors import DurableError, InstanceNotFound, PermissionRefused
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import give_connections_back
from orchestrations.interfaces.dashboard.live.watching import WatchBroken, watcher
from orchestrations.limits import STREAM_SECONDS, STREAMS
from orchestrations.models import HistoryEvent, Instance
from orchestrations.reading import queries
from orchestrations.reading.places import Place

KEEP_ALIVE_SECONDS = 15.0
RETRY_SECONDS = 15  # after which there may be room again
NO_STREAMS = "This site is served by WSGI, which can't keep streams open. Poll the instance instead."
TOO_MANY = "Too many streams are open. Try again later, or poll the instance."
RETRY_MILLISECONDS = 2_000  # after which a browser comes again


class StreamRefused(Exception):
    """A stream that is not opened, with the status, the code and the headers of the answer."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Teller:
    """How rows are shown to the caller, as JSON. ``check`` raises once the caller may not see the instance any more."""

    check: Callable[[Instance], None]
    status: Callable[[Instance], str]
    event: Callable[[HistoryEvent], str]
    end: Callable[[DurableError], str]
    history: Callable[[Instance, int, int], queries.HistoryPage] = queries.history
    """Reads events of an execution behind a number, with what ``event`` shows of them."""
    with_payloads: bool = False
    """Whether ``status`` looks at the columns with payloads."""


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
            return [_message("end", self.place, self.teller.end(error))]
        finally:
            connections.close_all()

    def _read(self) -> list[str]:
        row = queries.get_instance(self.hub, self.instance_id, payloads=self.teller.with_payloads)
        if row.pk != self.pk:
            raise InstanceNotFound(self.instance_id)
        self.teller.check(row)
        if row.execution != self.place.execution:
            self.place = Place(row.execution, 0)
        page = self.teller.history(row, row.execution, self.place.sequence)
        messages = []
        for event in page.events:
            self.place = Place(row.execution, event.sequence)
            messages.append(_message("history", self.place, self.teller.event(event)))
        self.has_more = page.next_after is not None
        status = self.teller.status(row)
        if not self.has_more and status != self.told:
            self.told = status
            messages.append(_message("status", self.place, status))
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


def opened(
    request: HttpRequest, row: Instance, teller: Teller, *, last_event_id: Place | None, after: int | None
) -> EventStream | None:
    """A stream of the instance; None where it has ended and the caller was told everything.

    It begins behind the last event that the caller has, else behind the number ``after`` of the current execution, else
    with what comes now. Raises StreamRefused where the server can't keep streams open, or serves as many as it may.
    """
    if not isinstance(request, ASGIRequest):  # a WSGI server holds a thread for each answer
        raise StreamRefused(501, "no_streams", NO_STREAMS)
    if last_event_id == Place.of(row) and row.runtime_status.is_terminal:
        return None
    if len(open_streams) >= STREAMS:
        raise StreamRefused(503, "too_many_streams", TOO_MANY, {"Retry-After": str(RETRY_SECONDS)})
    place = last_event_id or (Place.of(row) if after is None else Place(row.execution, after))
    stream = EventStream(Telling(row.hub, row.instance_id, row.pk, teller, place))
    give_connections_back()
    return stream


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
            except (DatabaseError, InterfaceError, WatchBroken):
                return  # the browser comes again with the id of what it was told last
            if time.monotonic() >= until:
                return


def _message(kind: str, place: Place, data: str) -> str:
    """A line break would end the line of data, and JSON as it was sent may have some between its values."""
    lines = data.replace("\r", "\n").replace("\n", "\ndata: ")
    return f"event: {kind}\nid: {place}\ndata: {lines}\n\n"
