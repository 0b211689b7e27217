"""How many instances were started when and what became of them, and how long orchestrators take.

Windows are cut into buckets that begin at whole multiples of their width since 1970, in UTC, so that a bucket keeps its
place while time goes on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, Count, Func, QuerySet

from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.limits import HISTOGRAM_ROWS, SLOWEST_SAMPLED
from orchestrations.models import Instance
from orchestrations.models.instances import ORCHESTRATION

STATUSES = tuple(status.value for status in RuntimeStatus)


@dataclass(frozen=True, slots=True)
class Window:
    """The span up to now that is looked at, and the width of its buckets."""

    slug: str
    label: str
    span: timedelta
    width: timedelta

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """Where its first bucket begins, and where the one with ``now`` in it ends."""
        width = int(self.width.total_seconds())
        end = (int(now.timestamp()) // width + 1) * width
        return _instant(end - int(self.span.total_seconds())), _instant(end)


WINDOWS = (
    Window("1h", "1 hour", timedelta(hours=1), timedelta(minutes=2)),
    Window("6h", "6 hours", timedelta(hours=6), timedelta(minutes=10)),
    Window("24h", "24 hours", timedelta(hours=24), timedelta(hours=1)),
    Window("7d", "7 days", timedelta(days=7), timedelta(hours=6)),
    Window("30d", "30 days", timedelta(days=30), timedelta(days=1)),
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The instances that were created from ``begins_at`` until the next bucket, by the status that they have now."""

    begins_at: datetime
    ends_at: datetime
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Of all statuses."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Histogram:
    """The buckets of a window, the earliest first; None in their place where there are too many rows to count."""

    window: Window
    buckets: Sequence[Bucket] | None

    @property
    def totals(self) -> dict[str, int]:
        """By status, of those that occur, in the usual order."""
        sums = {status: sum(bucket.counts.get(status, 0) for bucket in self.buckets or ()) for status in STATUSES}
        return {status: count for status, count in sums.items() if count}


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the instances of an orchestrator took that ended last."""

    name: str
    count: int
    median: timedelta
    p95: timedelta


class EpochBucket(Func):
    """The number of the bucket since 1970 that an instant falls into."""

    template = "CAST(FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / %(width)s) AS BIGINT)"
    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """SQLite keeps instants as text."""
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) / %(width)s"
        return self.as_sql(compiler, connection, template=template, **extra)


def histogram(hub: str, window: Window, now: datetime, name: str = "") -> Histogram:
    """What became of the instances that were created in the window, of one orchestrator or of all."""
    begin, end = window.bounds(now)
    rows = _created(hub, begin, end, name)
    if rows[: HISTOGRAM_ROWS + 1].count() > HISTOGRAM_ROWS:
        return Histogram(window, None)
    return Histogram(window, _buckets(window, begin, end, _counted_rows(rows, window.width)))


def durations(hub: str, name: str = "") -> list[Durations]:
    """How long instances took from their start to their completion, by orchestrator, the slowest first.

    Looks at the SLOWEST_SAMPLED that completed last.
    """
    rows = Instance.objects.using(get_config().database).filter(
        ORCHESTRATION, hub=hub, status=RuntimeStatus.COMPLETED, completed_at__isnull=False, started_at__isnull=False
    )
    if name:
        rows = rows.filter(name=name)
    columns = rows.order_by("-completed_at", "-pk").values_list("name", "started_at", "completed_at")
    took = defaultdict(list)
    for flow, started_at, completed_at in columns[:SLOWEST_SAMPLED]:
        assert started_at is not None and completed_at is not None
        took[flow].append(max(completed_at - started_at, timedelta()))
    found = [Durations(flow, len(spans), _rank(spans, 0.5), _rank(spans, 0.95)) for flow, spans in took.items()]
    return sorted(found, key=lambda one: (-one.p95, one.name))


def _created(hub: str, begin: datetime, end: datetime, name: str) -> QuerySet[Instance]:
    """All statuses are named, so that an index with the status in it answers without the rows."""
    rows = Instance.objects.using(get_config().database).filter(
        ORCHESTRATION, hub=hub, status__in=STATUSES, created_at__gte=begin, created_at__lt=end
    )
    return rows.filter(name=name) if name else rows


def _counted_rows(rows: QuerySet[Instance], width: timedelta) -> Iterable[tuple[int, str, int]]:
    bucket = EpochBucket("created_at", width=int(width.total_seconds()))
    return rows.order_by().annotate(bucket=bucket).values_list("bucket", "status").annotate(count=Count("pk"))


def _buckets(window: Window, begin: datetime, end: datetime, counted: Iterable[tuple[int, str, int]]) -> list[Bucket]:
    width = int(window.width.total_seconds())
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for number, status, count in counted:
        counts[number][status] += count
    first, last = int(begin.timestamp()) // width, int(end.timestamp()) // width
    return [
        Bucket(_instant(number * width), _instant((number + 1) * width), dict(counts.get(number, {})))
        for number in range(first, last)
    ]


def _rank(spans: list[timedelta], share: float) -> timedelta:
    """The nearest rank, which is a span that occurred."""
    return sorted(spans)[max(math.ceil(share * len(spans)), 1) - 1]


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
