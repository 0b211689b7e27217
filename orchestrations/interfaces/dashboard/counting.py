"""How many instances a list's chips say there are: counted to a cap, so that a million cost what ten thousand do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from django.core.cache import cache
from django.db import connections
from django.db.models import Count, Exists, Q

from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.bounded_reading import TookTooLong, bounded, database
from orchestrations.interfaces.dashboard.listing import is_asking
from orchestrations.interfaces.dashboard.versions import digest
from orchestrations.limits import COUNT_CAP
from orchestrations.models import Instance
from orchestrations.reading.paging import CappedCount, CountOf
from orchestrations.reading.queries import InstanceFilter, filter_instances
from orchestrations.search.language import Mark, Query
from orchestrations.search.marks import ASKED

TOTAL_SECONDS = 30  # that a hub's estimated total is used again
COUNTS_SECONDS = 10  # that the counts of a large hub are
RECENT_SECONDS = 3  # that those of any hub are, for the many who only look on


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known of a filter without its statuses; None where the database took too long to tell."""

    by_status: dict[RuntimeStatus, CappedCount] | None = None
    waiting_for_human: CappedCount | None = None
    total: str = ""
    """``1,240``, ``10,000+``, or an estimate such as ``≈ 1.0 M``."""

    def __hash__(self) -> int:
        return hash((self.by_status and tuple(self.by_status.items()), self.waiting_for_human, self.total))

    def of(self, query: Query) -> str:
        """How many the query finds, as far as these tell; empty where they don't."""
        if self.by_status is None:
            return ""
        if Mark.WAITING_FOR_HUMAN in query.marks:
            return str(self.waiting_for_human)
        if not query.statuses:
            return self.total
        found = [self.by_status[status] for status in query.statuses]
        return str(CappedCount(sum(number.value for number in found), any(number.is_capped for number in found)))


def count(hub: str, where: InstanceFilter, *, is_recent_enough: bool = False) -> Counts:
    """One statement, and one more for a large hub's total twice a minute.

    Where a status has more instances than are counted, what was counted is used again for some seconds; so is any
    count of the last seconds where that is recent enough.
    """
    where = replace(where, statuses=(), marks=tuple(mark for mark in where.marks if mark is not Mark.WAITING_FOR_HUMAN))
    key = f"durable:counts:{hub}:{digest([where])}"
    recent = f"{key}:recent"
    counts: Counts | None = cache.get(key) or (cache.get(recent) if is_recent_enough else None)
    if counts is not None:
        return counts
    try:
        with bounded():
            counts = _indexed(hub, where) if _is_plain(where) else _looked_through(hub, where)
    except TookTooLong:
        counts = Counts()
    if counts.by_status is None or any(number.is_capped for number in counts.by_status.values()):
        cache.set(key, counts, COUNTS_SECONDS)
    elif is_recent_enough:
        cache.set(recent, counts, RECENT_SECONDS)
    return counts


def count_shown(instances: Collection[Instance]) -> Counts:
    """The same where the page shows all that the filter finds in any status: nothing need be asked."""
    found = Counter(instance.status for instance in instances)
    human = sum(instance.status == RuntimeStatus.RUNNING and is_asking(instance) for instance in instances)
    by_status = {status: CappedCount(found[status.value]) for status in RuntimeStatus}
    return Counts(by_status, CappedCount(human), f"{len(instances):,}")


def _is_plain(where: InstanceFilter) -> bool:
    """Whether an index has each status of the filter, so that each can be counted by itself."""
    window = InstanceFilter(created_from=where.created_from, created_to=where.created_to, roots_only=where.roots_only)
    return where == window


def _indexed(hub: str, where: InstanceFilter) -> Counts:
    """Each status to the cap."""
    using = database()
    counted = {
        status.name.lower(): _counted(hub, replace(where, statuses=(status,)), using) for status in RuntimeStatus
    }
    human = _counted(hub, replace(where, marks=(Mark.WAITING_FOR_HUMAN,)), using)
    # The first row of the hub only carries the sub-queries; a hub without a row has nothing to count.
    first = filter_instances(hub, InstanceFilter(), using=using).order_by("created_at", "pk")
    row = first.annotate(**counted, human=human).values(*counted, "human").first() or {}
    by_status = {status: CappedCount.of(row.get(status.name.lower(), 0), COUNT_CAP) for status in RuntimeStatus}
    return Counts(by_status, CappedCount.of(row.get("human", 0), COUNT_CAP), _total(hub, where, by_status))


def _counted(hub: str, where: InstanceFilter, using: str) -> CountOf:
    return CountOf(filter_instances(hub, where, using=using).order_by().values("pk")[: COUNT_CAP + 1])


def _looked_through(hub: str, where: InstanceFilter) -> Counts:
    """The first rows that match, whichever they are: where there are more than the cap, each number is a least one."""
    rows = filter_instances(hub, where, using=database()).order_by().annotate(is_asking=Exists(ASKED))
    wanted: dict[str, Any] = {
        status.name.lower(): Count("pk", filter=Q(status=status.value)) for status in RuntimeStatus
    }
    wanted["human"] = Count("pk", filter=Q(status=RuntimeStatus.RUNNING.value, is_asking=True))
    found = rows[: COUNT_CAP + 1].aggregate(**wanted)
    is_capped = sum(found[status.name.lower()] for status in RuntimeStatus) > COUNT_CAP
    by_status = {status: CappedCount(found[status.name.lower()], is_capped) for status in RuntimeStatus}
    total = f"{COUNT_CAP:,}+" if is_capped else f"{sum(count.value for count in by_status.values()):,}"
    return Counts(by_status, CappedCount(found["human"], is_capped), total)


def _total(hub: str, where: InstanceFilter, by_status: dict[RuntimeStatus, CappedCount]) -> str:
    if not any(count.is_capped for count in by_status.values()):
        return f"{sum(count.value for count in by_status.values()):,}"
    key = f"durable:total:{hub}:{where.roots_only}"
    if where.created_from or where.created_to or connections[database()].vendor != "postgresql":
        return f"{COUNT_CAP:,}+"
    estimate: int | None = cache.get(key)
    if estimate is None:
        estimate = _estimate(hub, where)
        cache.set(key, estimate, TOTAL_SECONDS)
    return roughly(max(estimate, COUNT_CAP))


def _estimate(hub: str, where: InstanceFilter) -> int:
    """What PostgreSQL's planner expects, from the statistics that it keeps of the table."""
    plan = json.loads(filter_instances(hub, where, using=database()).order_by().values("pk").explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


def roughly(count: int) -> str:
    """A large number as people say it: ``≈ 24 k``, ``≈ 1.0 M``."""
    if count < 1_000_000:
        return f"≈ {round(count / 1000)} k"
    return f"≈ {count / 1_000_000:.1f} M"
