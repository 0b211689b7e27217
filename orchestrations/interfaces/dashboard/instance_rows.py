"""The instances of a filter as text for other programs: CSV and newline-delimited JSON, read while it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import F, QuerySet

from orchestrations import payload_files
from orchestrations.errors import PayloadUnavailable
from orchestrations.interfaces.dashboard.spreadsheets import csv_lines
from orchestrations.models import Instance

CHUNK = 2_000  # rows that the database hands over at once
COLUMNS = (
    "instance_id", "name", "version", "status", "tags", "parent_instance_id", "execution", "created_at", "started_at",
    "last_updated_at", "completed_at", "waiting_for", "error",
)  # fmt: skip
PAYLOADS = ("input", "output", "custom_status")

Row = dict[str, Any]


def exported(rows: QuerySet[Instance], limit: int, *, payloads: bool) -> Iterator[Row]:
    """The rows, newest first, by a cursor that the database keeps; payloads as they are stored where asked for."""
    columns = (*COLUMNS, *PAYLOADS) if payloads else COLUMNS
    rows = rows.order_by("-created_at", "-pk").annotate(parent_instance_id=F("parent__instance_id"))
    for row in rows.values(*columns)[:limit].iterator(chunk_size=CHUNK):
        for column in PAYLOADS if payloads else ():
            if payload_files.is_reference(row[column]):
                row[column] = _read(row[column])
        yield row


def _read(reference: str) -> str:
    """The text, or in its place why it can't be read: what has begun to be sent can't fail any more."""
    try:
        return payload_files.read(reference)
    except PayloadUnavailable as error:
        return msgspec.json.encode({"unreadable": str(error)}).decode()


def as_csv(rows: Iterator[Row], *, payloads: bool) -> Iterator[bytes]:
    """A line for each instance, below one with the columns' names. No cell is taken for a formula."""
    columns = (*COLUMNS, *PAYLOADS) if payloads else COLUMNS
    return (line.encode() for line in csv_lines(columns, ([_cell(row[column]) for column in columns] for row in rows)))


def as_ndjson(rows: Iterator[Row], *, payloads: bool) -> Iterator[bytes]:
    """A JSON object on a line for each instance; payloads are values of it, not texts."""
    for row in rows:
        for column in PAYLOADS if payloads else ():
            row[column] = None if row[column] is None else json.loads(row[column])
        yield json.dumps(row, ensure_ascii=False, default=_text).encode() + b"\n"


WRITERS = {"csv": as_csv, "ndjson": as_ndjson}


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) and value else value or None


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
