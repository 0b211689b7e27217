"""The audit trail as text for other programs: CSV and newline-delimited JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any

from orchestrations.models import AuditEntry

COLUMNS = ("at", "actor", "action", "instance_id", "reason", "via", "address", "details")
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet would take a text for a formula


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


def as_csv(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """A line for each entry, below one with the columns' names. No cell is taken for a formula."""
    writer = csv.writer(_Lines())
    yield writer.writerow(COLUMNS)
    for entry in entries:
        cells = fields_of(entry) | {"details": json.dumps(entry.details) if entry.details else ""}
        yield writer.writerow([_harmless(str(cells[column] or "")) for column in COLUMNS])


def as_ndjson(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """A JSON object on a line for each entry."""
    for entry in entries:
        yield json.dumps(fields_of(entry), ensure_ascii=False) + "\n"


class _Lines:
    """Hands what a csv writer writes to whoever asked it to."""

    def write(self, text: str) -> str:
        return text


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA_BEGINS) else cell
