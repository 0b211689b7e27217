"""How a log record becomes a line: readable text, or JSON for machines.

One record starts exactly one line, whatever user data its message holds; nothing here decides what is logged.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

SERVICE_VARIABLE = "DURABLE_SERVICE"  # set by `manage.py up`: which of its programs is talking
CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(32), 127, 0x85, 0x2028, 0x2029)}
CONTROL_CHARACTERS |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): " "}
STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def _time(record: logging.LogRecord) -> str:
    instant = datetime.fromtimestamp(record.created, tz=UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LineFormatter(logging.Formatter):
    """Formats a record as ``time LEVEL logger: message [request id]``; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line. Line breaks in the message are escaped, so that data can't forge a log line."""
        message = record.getMessage().translate(CONTROL_CHARACTERS)
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        if request_id := getattr(record, "request_id", ""):
            line += f" [request {request_id}]"
        if record.exc_info:
            traceback = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n    {part.translate(CONTROL_CHARACTERS)}" for part in traceback)
        return line


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: time, level, logger, message, and the record's plain extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the object on one line."""
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if service := os.environ.get(SERVICE_VARIABLE):
            fields["service"] = service
        for name, value in record.__dict__.items():
            # Django attaches whole requests: they may hold credentials, so only plain values are taken.
            if name not in STANDARD_FIELDS and isinstance(value, str | int | float | bool | None):
                fields.setdefault(name, value)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)
