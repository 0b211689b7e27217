"""Reading requests: JSON bodies, and query parameters in any letter case, where an unreadable value is none."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec
from django.http import HttpRequest

from orchestrations.authoring import payloads
from orchestrations.client import SerializedJson
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import PayloadRejected
from orchestrations.interfaces import bodies
from orchestrations.interfaces.management_api.problems import Problem, bad_argument, bad_json
from orchestrations.limits import HTTP_WAIT_SECONDS, LIST_PAGE_MAXIMUM, PAYLOAD_BYTES

STATUS_BY_NAME = {status.value.casefold(): status for status in RuntimeStatus}
REASON_PLACEHOLDER = "{text}"


def query_parameters(request: HttpRequest) -> dict[str, list[str]]:
    """All values of each parameter, under its name in lower case."""
    parameters: dict[str, list[str]] = {}
    for name, values in request.GET.lists():
        parameters.setdefault(name.casefold(), []).extend(str(value) for value in values)
    return parameters


class Query:
    """The query string of one request."""

    def __init__(self, request: HttpRequest) -> None:
        self._parameters = query_parameters(request)

    def text(self, name: str) -> str:
        """The first value, or nothing."""
        return (self._parameters.get(name.casefold()) or [""])[0]

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
            value = datetime.fromisoformat(text)
            return value.replace(tzinfo=UTC) if value.utcoffset() is None else value.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise bad_argument(f"{name!r} is no instant: {text!r:.60}. Write it as 2026-01-31T12:00:00Z.") from error

    def count(self, name: str, default: int) -> int:
        """A number of rows, from 1 to LIST_PAGE_MAXIMUM."""
        text = self.text(name).strip()
        if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) == 0:
            return default
        return min(int(text), LIST_PAGE_MAXIMUM)

    def statuses(self, name: str = "runtimeStatus") -> tuple[RuntimeStatus, ...]:
        """Runtime statuses, repeated or separated by commas, in any letter case; an unknown one is a 400."""
        names = [part.strip() for value in self._parameters.get(name.casefold(), ()) for part in value.split(",")]
        unknown = [part for part in names if part and part.casefold() not in STATUS_BY_NAME]
        if unknown:
            raise bad_argument(f"{unknown[0]!r:.60} is no runtime status. They are {', '.join(RuntimeStatus)}.")
        return tuple(dict.fromkeys(STATUS_BY_NAME[part.casefold()] for part in names if part))

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


def read_json(request: HttpRequest, subject: str, *, holds_json: bool = False) -> SerializedJson | None:
    """The body as JSON text, or None where it is empty or ``null``; a 400 for anything else.

    With ``holds_json`` a body that is a JSON string holds the JSON text that is meant.
    """
    body = bodies.read(request, PAYLOAD_BYTES)
    if not body.strip():
        return None
    try:
        text = payloads.check_text(body, subject)
        if holds_json and text is not None and text.startswith('"'):
            text = payloads.check_text(msgspec.json.decode(text, type=str), subject)
    except PayloadRejected as error:
        raise bad_json(error) from error
    return None if text is None else SerializedJson(text)


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
