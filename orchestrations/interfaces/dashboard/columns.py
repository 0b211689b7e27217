"""The columns of the instances list, of which each person chooses some, in an order of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """``sort`` is what the list's address calls its order, where an index has one. ``css`` is its cells' class."""

    key: str
    title: str
    css: str = ""
    sort: str = ""


COLUMNS = {
    column.key: column
    for column in (
        Column("status", "Status"),
        Column("id", "Instance", "mono id", sort="id"),
        Column("name", "Orchestrator", "minor"),
        Column("doing", "Now doing / why", "clip"),
        Column("created", "Created", "minor", sort="created"),
        Column("updated", "Updated", "minor"),
        Column("duration", "Duration", "end corner nowrap"),
        Column("started", "Started", "minor"),
        Column("ended", "Ended", "minor", sort="completed"),
        Column("version", "Version", "minor"),
        Column("tags", "Tags", "minor tags"),
        Column("parent", "Parent", "mono id minor"),
        Column("execution", "Execution", "end minor"),
        Column("blocked", "Blocked at", "mono id minor"),
    )
}
USUAL = ("status", "id", "name", "doing", "created", "updated", "duration")
ALWAYS = "id"
"""It links to the instance: no list is without it."""


def chosen(keys: Iterable[object]) -> list[Column]:
    """These columns in this order, without what is no column; the usual ones where none is left."""
    known = [COLUMNS[key] for key in dict.fromkeys(keys) if isinstance(key, str) and key in COLUMNS]
    if not known:
        known = [COLUMNS[key] for key in USUAL]
    return known if COLUMNS[ALWAYS] in known else [COLUMNS[ALWAYS], *known]
