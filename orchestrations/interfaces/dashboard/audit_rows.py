"""The audit trail as text for other programs: CSV and newline-delimited JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from orchestrations.interfaces.dashboard.spreadsheets import csv_lines
from orchestrations.models import AuditEntry

COLUMNS = ("at", "actor", "action", "instance_id", "reason", "via", "address", "details")


def fields_of(entry: AuditEntry) -> dict[str, Any]:
    """The columns of an entry, as JSON values."""
    return {
        "at": entry.at.isoformat(),
        "actor": entry.actor_name,
        "action": entry.action,
        "instance_id": entry.instance_id,
        "reason": entry.reason,
        "via": entry.via,
        "address": entry.address,
        "details": entry.details,
    }


def as_csv(entries: Iterable[AuditEntry]) -> Iterator[bytes]:
    """A line for each entry, below one with the columns' names. No cell is taken for a formula."""
    return (line.encode() for line in csv_lines(COLUMNS, (_cells(entry) for entry in entries)))


def as_ndjson(entries: Iterable[AuditEntry]) -> Iterator[bytes]:
    """A JSON object on a line for each entry."""
    for entry in entries:
        yield json.dumps(fields_of(entry), ensure_ascii=False).encode() + b"\n"


WRITERS = {"csv": as_csv, "ndjson": as_ndjson}


def _cells(entry: AuditEntry) -> list[object]:
    cells = fields_of(entry) | {"details": json.dumps(entry.details) if entry.details else ""}
    return [cells[column] for column in COLUMNS]
