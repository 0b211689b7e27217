"""The route that tells of an instance as things happen to it, by server-sent events."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
from django.http.response import HttpResponseBase

from orchestrations.access.api_keys import Verb
from orchestrations.errors import DurableError, PermissionRefused
from orchestrations.interfaces import streams
from orchestrations.interfaces.management_api.authentication import authenticate
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.problems import Problem, bad_argument, problem_of
from orchestrations.interfaces.management_api.rendering import empty_response, event_items, status_payload
from orchestrations.models import HistoryEvent, Instance
from orchestrations.reading import queries
from orchestrations.reading.places import Place

LAST_EVENT_ID = "Last-Event-ID"


def stream(call: Call, instance_id: str) -> HttpResponseBase:
    """Server-sent events: each event of the history, and the status whenever it has changed, without the input.

    ``from`` begins with an event of the current execution; by default it tells what comes from now on.
    """
    row = call.instance(instance_id)
    begin = call.query.number("from")
    after = None if begin is None else max(begin - 1, 0)
    stream = streams.opened(call.request, row, _teller(call), last_event_id=_last_event_id(call), after=after)
    if stream is None:
        return empty_response(204)
    stream.headers["Referrer-Policy"] = "no-referrer"
    return stream


def _teller(call: Call) -> streams.Teller:
    payloads, using = call.caller.sees_payloads, call.client.using
    show_input = call.query.flag("showInput", True) and payloads
    show_output = call.query.flag("showHistoryOutput", False) and payloads

    def status_of(row: Instance) -> str:
        return _json(status_payload(row, using, show_input=False, payloads=payloads))

    def event_of(event: HistoryEvent) -> str:
        [item] = event_items([event], show_input=show_input, show_output=show_output, payloads=payloads)
        return _json(item)

    def end_of(error: DurableError) -> str:
        return _json(problem_of(error).body)

    history = partial(queries.history_with_payloads, using=using)
    return streams.Teller(_checker(call), status_of, event_of, end_of, history, with_payloads=True)


def _checker(call: Call) -> Callable[[Instance], None]:
    """Asks anew who calls, of the request as it came. Raises PermissionRefused where a key or link has ended."""

    def check(row: Instance) -> None:
        try:
            caller = authenticate(call.request)
            caller.require(Verb.STATUS, row.hub, row.instance_id)
            caller.require_name(row.name)
            caller.require_created(row.created_at)
        except Problem as problem:
            raise PermissionRefused(str(problem)) from problem
        if call.caller.sees_payloads and not caller.sees_payloads:
            raise PermissionRefused("The key may not see payloads any more. Open the stream again.")

    return check


def _last_event_id(call: Call) -> Place | None:
    text = call.request.headers.get(LAST_EVENT_ID)
    try:
        return Place.read(text) if text else None
    except ValueError as error:
        message = f"{LAST_EVENT_ID} is {text!r:.60}. Send the id of an event of this stream, such as 1.17."
        raise bad_argument(message) from error


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
