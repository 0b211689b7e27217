"""Reading requests: JSON bodies, and query parameters in any letter case, where an unreadable value is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from django.http import HttpRequest

from orchestrations.authoring import payloads
from orchestrations.client import SerializedJson
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import PayloadRejected
from orchestrations.interfaces import bodies
from orchestrations.interfaces.management_api.problems import Problem, bad_argument, bad_json
from orchestrations.limits import HTTP_WAIT_SECONDS, LIST_PAGE_MAXIMUM, PAYLOAD_BYTES
from orchestrations.models import WebhookDelivery

Shape = TypeVar("Shape")
Member = TypeVar("Member", bound=str)

STATUS_BY_NAME = {status.value.casefold(): status for status in RuntimeStatus}
TYPE_BY_NAME = {kind.value.casefold(): kind for kind in EventType}
STATE_BY_NAME = {state.value.casefold(): state for state in WebhookDelivery.State}
REASON_PLACEHOLDER = "{text}"


def query_parameters(request: HttpRequest) -> dict[str, list[str]]:
    """All values of each parameter, under its name in lower case."""
    parameters: dict[str, list[str]] = {}
    for name, values in request.GET.lists():
        parameters.setdefault(name.casefold(), []).extend(str(value) for value in values)
    return parameters


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def row_number(text: str) -> int:
    """The number of a row in a path; 0, which no row has, for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


class Query:
    """The query string of one request."""

    def __init__(self, request: HttpRequest) -> None:
        self._parameters = query_parameters(request)

    def text(self, name: str) -> str:
        """The first value, or nothing."""
        return (self._parameters.get(name.casefold()) or [""])[0]

    def optional(self, name: str) -> str | None:
        """The first value, which may be empty; None where the parameter is not there."""
        return self.text(name) if name.casefold() in self._parameters else None

    def flag(self, name: str, default: bool) -> bool:
        """``true`` or ``false`` in any letter case."""
        return {"true": True, "false": False}.get(self.text(name).strip().casefold(), default)

    def seconds(self, name: str) -> float | None:
        """A finite number of seconds, zero or more."""
        try:
            value = float(self.text(name))
        except ValueError:
            return None
        return value if math.isfinite(value) and value >= 0 else None

    def instant(self, name: str) -> datetime | None:
        """An ISO 8601 instant, without a zone in UTC. An unreadable one is a 400: dropping a filter would show, or
        delete, more than was meant."""
        text = self.text(name).strip()
        if not text:
            return None
        try:
            return in_utc(datetime.fromisoformat(text))
        except (ValueError, OverflowError) as error:
            raise bad_argument(f"{name!r} is no instant: {text!r:.60}. Write it as 2026-01-31T12:00:00Z.") from error

    def count(self, name: str, default: int) -> int:
        """A number of rows, from 1 to LIST_PAGE_MAXIMUM."""
        return min(self.number(name) or default, LIST_PAGE_MAXIMUM)

    def number(self, name: str) -> int | None:
        """A whole number, zero or more."""
        text = self.text(name).strip()
        return int(text) if _is_number(text) else None

    def statuses(self, name: str = "runtimeStatus") -> tuple[RuntimeStatus, ...]:
        """Runtime statuses, repeated or separated by commas, in any letter case; an unknown one is a 400."""
        return self._members(name, STATUS_BY_NAME, "runtime status")

    def event_types(self, name: str = "type") -> tuple[EventType, ...]:
        """Types of history events, as ``statuses`` has statuses."""
        return self._members(name, TYPE_BY_NAME, "type of history event")

    def tags(self, name: str = "tag") -> dict[str, str]:
        """Tags as ``name:value``, repeated for several; one without a colon is a 400."""
        tags = [value.partition(":") for value in self._parameters.get(name.casefold(), ())]
        if bare := [tag for tag, colon, _ in tags if not (tag and colon)]:
            raise bad_argument(f"{bare[0]!r:.60} is no tag. Write it as name:value.")
        return {tag: value for tag, _, value in tags}

    def place(self, name: str) -> int | datetime | None:
        """A number of a history event, or an instant; a 400 for what is neither."""
        text = self.text(name).strip()
        return int(text) if _is_number(text) else self.instant(name)

    def delivery_states(self, name: str = "state") -> tuple[WebhookDelivery.State, ...]:
        """States of messages to webhooks, as ``statuses`` has statuses."""
        return self._members(name, STATE_BY_NAME, "state of a message")

    def _members(self, name: str, known: Mapping[str, Member], what: str) -> tuple[Member, ...]:
        words = [part.strip() for value in self._parameters.get(name.casefold(), ()) for part in value.split(",")]
        unknown = [word for word in words if word and word.casefold() not in known]
        if unknown:
            raise bad_argument(f"{unknown[0]!r:.60} is no {what}. They are {', '.join(known.values())}.")
        return tuple(dict.fromkeys(known[word.casefold()] for word in words if word))

    def reason(self) -> str:
        """The reason of a control operation; the placeholder of the management links counts as none."""
        reason = self.text("reason")
        return "" if reason == REASON_PLACEHOLDER else reason

    def wait_seconds(self) -> float | None:
        """How long a start waits for the instance's end, if ``timeout`` and ``pollingInterval`` together ask for it.

        The interval is only checked; this site looks more often. HTTP_WAIT_SECONDS is the most.
        """
        timeout, interval = self.seconds("timeout"), self.seconds("pollingInterval")
        if timeout is None or interval is None:
            return None
        if interval > timeout:
            raise bad_argument("'pollingInterval' is longer than 'timeout'. Make it shorter.")
        return min(timeout, HTTP_WAIT_SECONDS)


def read_json(
    request: HttpRequest, subject: str, *, holds_json: bool = False, limit: int | None = None
) -> SerializedJson | None:
    """The body as JSON text, or None where it is empty or ``null``; a 400 for anything else.

    With ``holds_json`` a body that is a JSON string holds the JSON text that is meant.
    """
    body = bodies.read(request, PAYLOAD_BYTES if limit is None else limit)
    if not body.strip():
        return None
    try:
        text = payloads.check_text(body, subject)
        if holds_json and text is not None and text.startswith('"'):
            text = payloads.check_text(msgspec.json.decode(text, type=str), subject)
    except PayloadRejected as error:
        raise bad_json(error) from error
    return None if text is None else SerializedJson(text)


def in_utc(instant: datetime) -> datetime:
    """The instant in UTC; one without a zone is in it."""
    return instant.replace(tzinfo=UTC) if instant.utcoffset() is None else instant.astimezone(UTC)


def decode(text: str, shape: type[Shape]) -> Shape:
    """JSON text as such an object; a 400 says at which ``Path`` it is not."""
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        path = place.removeprefix("`key` in ").strip("`") or "$"
        raise bad_argument(f"{message}.", "payload_rejected", Path=path) from error


def read_json_or_text(request: HttpRequest, subject: str, *, holds_json: bool = False) -> SerializedJson | None:
    """As ``read_json`` where the body is declared as JSON; any other body becomes a JSON string as it stands."""
    if declares_json(request):
        return read_json(request, subject, holds_json=holds_json)
    body = bodies.read(request, PAYLOAD_BYTES)
    try:
        text = payloads.encode(body.decode(), subject) if body else None
    except UnicodeDecodeError as error:
        raise bad_argument(f"The body is not UTF-8 at byte {error.start}. Send UTF-8, or JSON.") from error
    return None if text is None else SerializedJson(text)


def declares_json(request: HttpRequest) -> bool:
    """Whether the body is declared as ``application/json``."""
    return (request.content_type or "").casefold() == "application/json"


def require_json_media_type(request: HttpRequest) -> None:
    """Raise a 400 unless the body is declared as ``application/json``."""
    if not declares_json(request):
        raise Problem(400, "Only application/json request content is supported")
