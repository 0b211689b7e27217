"""How a page hears of changes: it asks again and again (a tick), or keeps one answer open (server-sent events).

Both are the same address. A page says what it shows as ``v=instances:5a1f,newer:90c2``, the version of each of its
topics; it is told the names of those that differ, and its regions fetch themselves anew. Under WSGI a stream would
hold a thread, so there it is refused with 204, and pages tick.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping

from asgiref.sync import SyncToAsync
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django_htmx.http import trigger_client_event

from orchestrations.interfaces.dashboard.live.topics import Topic, versions
from orchestrations.interfaces.dashboard.live.watching import WatchBroken, watcher

KEEP_ALIVE_SECONDS = 15.0
PAUSES_SECONDS = (2.0, 2.0, 4.0)  # after something was told; the last one for as long as the hub never rests
STREAM_SECONDS = 300.0  # then the page comes again, and whoever lost a right in between is turned away


def answer(request: HttpRequest, topics: Mapping[str, Topic]) -> HttpResponseBase:
    """Answer a tick, or open a stream where the browser asks for one.

    A tick is answered with 204 where the page is current, else with 200 and an event ``dash:<name>`` in ``HX-Trigger``
    for each topic that changed.
    """
    known = _known(request.GET.get("v", ""))
    if "text/event-stream" in request.headers.get("Accept", ""):
        return _stream(topics, known) if isinstance(request, ASGIRequest) else HttpResponse(status=204)
    found = versions(topics.values())
    changed = [name for name, topic in topics.items() if found[topic] != known.get(name)]
    response = HttpResponse(status=200 if changed else 204)
    for name in changed:
        trigger_client_event(response, f"dash:{name}", {})
    return response


def _stream(topics: Mapping[str, Topic], known: Mapping[str, str]) -> HttpResponseBase:
    give_connections_back()
    response = StreamingHttpResponse(_events(topics, known), content_type="text/event-stream; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"
    return response


def give_connections_back() -> None:
    """Close this thread's connections, which Django would keep out of the pool until the stream has ended."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def give_thread_back() -> None:
    """End the thread that has run the view, which would stand idle until the stream has ended.

    Whatever needs one afterwards, such as the signal at the end of the request, gets another.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is None or getattr(context, "_executor", None) is not None:  # the test client's, or somebody's own
        return
    executor = SyncToAsync.context_to_thread_executor.pop(context, None)
    if executor is not None:
        executor.shutdown(wait=False)


async def _events(topics: Mapping[str, Topic], known: Mapping[str, str]) -> AsyncIterator[str]:
    """The names of what changed, as JSON lists. When it ends, the page ticks and then opens the next one."""
    told = dict(known)
    until = time.monotonic() + STREAM_SECONDS
    lookout = watcher()
    give_thread_back()
    told_in_a_row = 0
    yield ": watching\n\n"
    async with lookout.watch(topics.values()) as watch:
        while time.monotonic() < until:
            try:
                has_news = await watch.changed(KEEP_ALIVE_SECONDS)
            except WatchBroken:
                return
            now = {name: watch.versions[topic] for name, topic in topics.items() if topic in watch.versions}
            changed = [name for name, version in now.items() if version != told.get(name)]
            told |= now
            if changed:
                yield f"data: {json.dumps(changed)}\n\n"
                await asyncio.sleep(PAUSES_SECONDS[min(told_in_a_row, len(PAUSES_SECONDS) - 1)])
                told_in_a_row = told_in_a_row + 1 if watch.has_news else 0
            elif not has_news:
                yield ": still here\n\n"


def _known(text: str) -> dict[str, str]:
    pairs = (pair.partition(":") for pair in text.split(","))
    return {name: version for name, colon, version in pairs if colon}
