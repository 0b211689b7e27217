"""How many instances of a filter there are in each status, or of each name, version or value of a tag.

Every number is counted to a cap. Nothing here writes or takes a lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.limits import COUNT_CAP, COUNTED_NAMES, PATTERN_NAMES
from orchestrations.patterns import matches
from orchestrations.reading.paging import CappedCount, CountOf
from orchestrations.search.filters import InstanceFilter, filter_instances
from orchestrations.search.names import orchestrator_names

Group = TypeVar("Group", bound=Hashable)

COUNTED_AT_ONCE = 50  # groups of one statement


def status_counts(
    hub: str, where: InstanceFilter | None = None, *, cap: int = COUNT_CAP
) -> dict[RuntimeStatus, CappedCount]:
    """How many instances there are in each status, each counted to the cap, in one query."""
    where = where or InstanceFilter()
    return _counted(hub, {status: replace(where, statuses=(status,)) for status in RuntimeStatus}, cap)


def name_counts(hub: str, where: InstanceFilter, *, cap: int = COUNT_CAP) -> dict[str, CappedCount]:
    """How many instances there are of each orchestrator, each counted to the cap, by name.

    Of more than COUNTED_NAMES visible orchestrators the first by name. Those without an instance are left out.
    """
    names = [where.name] if where.name else _visible_names(hub, where.visible)[:COUNTED_NAMES]
    counts = _counted(hub, {name: replace(where, name=name) for name in names}, cap)
    return {name: count for name, count in counts.items() if count.value}


def version_counts(hub: str, where: InstanceFilter, *, cap: int = COUNT_CAP) -> dict[str | None, CappedCount]:
    """How many instances there are of each version, the empty one among them, the most frequent first.

    Counted among the newest ``cap`` of the filter; where there are more, every number is capped.
    """
    return _among_newest(hub, where, "version", cap)


def tag_counts(hub: str, where: InstanceFilter, tag: str, *, cap: int = COUNT_CAP) -> dict[str | None, CappedCount]:
    """How many instances there are with each value of the tag, None for those without it. As ``version_counts``."""
    return _among_newest(hub, where, "tags", cap, tag)


def _visible_names(hub: str, patterns: tuple[str, ...] | None) -> list[str]:
    names = orchestrator_names(hub, get_config().database, PATTERN_NAMES)
    return [name for name in names if patterns is None or any(matches(one, name) for one in patterns)]


def _counted(hub: str, filters: Mapping[Group, InstanceFilter], cap: int) -> dict[Group, CappedCount]:
    """The first row of the hub only carries the sub-queries; a hub without a row has nothing to count."""
    carrier = filter_instances(hub, InstanceFilter()).order_by("created_at", "pk")
    counts: dict[Group, CappedCount] = {}
    groups = list(filters)
    for begin in range(0, len(groups), COUNTED_AT_ONCE):
        some = groups[begin : begin + COUNTED_AT_ONCE]
        counted = {
            f"count_{place}": CountOf(filter_instances(hub, filters[group]).order_by().values("pk")[: cap + 1])
            for place, group in enumerate(some)
        }
        row = carrier.annotate(**counted).values_list(*counted).first()
        counts |= {group: CappedCount.of(row[place] if row else 0, cap) for place, group in enumerate(some)}
    return counts


def _among_newest(
    hub: str, where: InstanceFilter, column: str, cap: int, member: str | None = None
) -> dict[str | None, CappedCount]:
    rows = filter_instances(hub, where).order_by("-created_at", "-pk").values_list(column, flat=True)
    values: list[Any] = list(rows[: cap + 1])
    found = values[:cap] if member is None else [value.get(member) for value in values[:cap]]
    is_capped = len(values) > cap
    return {value: CappedCount(number, is_capped) for value, number in Counter(found).most_common()}
