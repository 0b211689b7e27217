"""A history event as a row of the table: what only its type has in words, and the beginning of its payload."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.presentation.durations import duration, parse_instant
from orchestrations.interfaces.dashboard.presentation.redaction import redact, redact_text
from orchestrations.interfaces.dashboard.presentation.spans import FAILED, attributes
from orchestrations.models import HistoryEvent

PREVIEW_CHARACTERS = 120
INDENTED: dict[str, Any] = {"indent": 2, "ensure_ascii": False}
MESSAGE_CHARACTERS = 200
TOLD = {"fire_at": "fires at", "instance_id": "instance", "status": "as", "by": "by", "reason": "because"}
FIELD = r'"{}"\s*:\s*("(?:[^"\\]|\\.)*")'  # the text is cut, so it can't be parsed whole
ERROR_TYPE, ERROR_MESSAGE = re.compile(FIELD.format("errorType")), re.compile(FIELD.format("errorMessage"))


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row. ``failure_line`` is set for events that tell of a failure, ``preview`` for others with a payload."""

    sequence: int
    type: str
    name: str | None
    timestamp: datetime
    detail: str
    failure_line: str
    preview: str

    @property
    def is_failure(self) -> bool:
        """Whether it tells of a failure, whose details can be opened."""
        return bool(self.failure_line)


def present(event: HistoryEvent, *, show_payload: bool) -> EventRow:
    """The row of an event that ``queries.history`` has read; its payload only with ``show_payload``."""
    told = attributes(event)
    text: str = getattr(event, "payload_preview", None) or ""
    is_failure = event.type in FAILED or (
        event.type == EventType.EXECUTION_COMPLETED and told.get("status") == "Failed"
    )
    return EventRow(
        sequence=event.sequence,
        type=event.type,
        name=event.name,
        timestamp=event.timestamp,
        detail=_detail(event, told),
        failure_line=_failure_line(text) if is_failure else "",
        preview=_cut(redact_text(text), PREVIEW_CHARACTERS) if show_payload and not is_failure else "",
    )


def event_json(event: HistoryEvent, *, show_payload: bool) -> str:
    """The event that a page of history has read as indented JSON; a payload that is cut as the text that is there."""
    document: dict[str, object] = {
        "sequence": event.sequence,
        "type": event.type,
        "timestamp": event.timestamp.isoformat(),
        "name": event.name,
        "taskId": event.task_id,
        "attempt": event.attempt,
        "attributes": redact(attributes(event)),
    }
    text: str = getattr(event, "payload_preview", None) or ""
    length: int | None = getattr(event, "payload_length", None)
    if length is not None:
        document["payload"] = _document(text, length) if show_payload else f"{length} characters, not shown to you"
    return json.dumps({key: value for key, value in document.items() if value not in (None, {})}, **INDENTED)


def _document(text: str, length: int) -> object:
    if length > len(text):
        return f"{redact_text(text)}… ({length} characters)"
    try:
        return redact(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _detail(event: HistoryEvent, told: dict[str, object]) -> str:
    parts = []
    if event.task_id is not None:
        parts.append(f"task {event.task_id}" + (f", attempt {event.attempt}" if event.attempt > 1 else ""))
    if event.type in (EventType.TASK_COMPLETED, EventType.TASK_FAILED):
        began = parse_instant(told.get("started_at"))
        if began:
            parts.append(f"ran {duration(event.timestamp - began)}")
        if told.get("worker"):
            parts.append(f"on {told['worker']}")
    parts += [f"{words} {told[key]}" for key, words in TOLD.items() if told.get(key)]
    return " · ".join(parts)


def _failure_line(text: str) -> str:
    kind, message = ERROR_TYPE.search(text), ERROR_MESSAGE.search(text)
    words = [_unquoted(found[1]) for found in (kind, message) if found]
    return _cut(": ".join(word for word in words if word), MESSAGE_CHARACTERS) or "Failed"


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
