"""Responses: JSON with the key names and order of the wire format. Stored JSON text is copied, never re-encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, overload

import msgspec
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from orchestrations.client.orchestration_status import OrchestrationStatus, format_time
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.models import HistoryEvent, Instance
from orchestrations.reading import queries
from orchestrations.reading.history_events import describe_event, project_history

CONTENT_TYPE = "application/json; charset=utf-8"


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """A response with that body as JSON."""
    return _response(msgspec.json.encode(body), status, headers)


def empty_response(status: int) -> HttpResponse:
    """A response without a body."""
    return _response(b"", status, None)


def problem_response(problem: Problem) -> HttpResponse:
    """The refusal as a response."""
    return json_response(problem.body, problem.status, problem.headers)


def stored_json(text: str | None) -> msgspec.Raw | str | None:
    """Stored JSON text, to be copied into a response as it stands; text that is no JSON becomes a string."""
    if text is None:
        return None
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return text
    return msgspec.Raw(text.encode())


@overload
def instant_text(instant: datetime) -> str: ...
@overload
def instant_text(instant: None) -> None: ...
@overload
def instant_text(instant: datetime | None) -> str | None: ...
def instant_text(instant: datetime | None) -> str | None:
    """Whole seconds of UTC; null for none."""
    return None if instant is None else format_time(instant)


def status_payload(
    row: Instance,
    using: str,
    *,
    show_input: bool = True,
    show_history: bool = False,
    show_history_output: bool = False,
    payloads: bool = True,
) -> dict[str, Any]:
    """What the API tells of an instance, from a row whose payload columns are loaded.

    ``historyEvents`` is there only with ``show_history``, and never for an instance that is still Pending. Without
    ``payloads`` everything that the instance's code was given or gave is null or left out.
    """
    history: list[dict[str, Any]] | None = None
    show_input, show_history_output = show_input and payloads, show_history_output and payloads
    if show_history and row.runtime_status is not RuntimeStatus.PENDING:
        events = queries.whole_history(row, using=using)
        history = project_history(
            events if payloads else map(_without_payload, events),
            value=stored_json,
            show_input=show_input,
            show_output=show_history_output,
        )
    status = OrchestrationStatus.of(row, show_input=show_input, history=history)
    return (status if payloads else status.without_payloads()).to_json(stored_json)


def event_items(
    events: Iterable[HistoryEvent], *, show_input: bool, show_output: bool, payloads: bool = True
) -> list[dict[str, Any]]:
    """What the API tells of history events, each by itself. Without ``payloads`` not how something failed, either."""
    told = events if payloads else map(_without_payload, events)
    return [describe_event(event, value=stored_json, show_input=show_input, show_output=show_output) for event in told]


def _without_payload(event: HistoryEvent) -> HistoryEvent:
    event.payload = None
    return event


def withhold(response: HttpResponseBase) -> HttpResponseBase:
    """Say of a response that payloads are null in it because the caller may not see them."""
    response.headers["X-Durable-Payloads"] = "withheld"
    return response


def ended_response(status: OrchestrationStatus, *, error_on_failure: bool) -> HttpResponse:
    """What whoever waited for the end is told: the output if it Completed, else the status, as a 500 on demand."""
    if status.runtime_status is RuntimeStatus.COMPLETED:
        return json_response(stored_json(status.serialized_output))
    is_error = error_on_failure and status.runtime_status is RuntimeStatus.FAILED
    return json_response(status.to_json(stored_json), 500 if is_error else 200)


def _response(body: bytes, status: int, headers: Mapping[str, str] | None) -> HttpResponse:
    response = HttpResponse(body, status=status, headers=dict(headers or {}), content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"  # management links carry capabilities
    return response
