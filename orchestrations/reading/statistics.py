"""How many instances were started when and what became of them, and how long orchestrators take.

Windows are cut into buckets that begin at whole multiples of their width since 1970, in UTC, so that a bucket keeps its
place while time goes on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import F, QuerySet

from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.limits import SLOWEST_SAMPLED
from orchestrations.models import Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.reading.tallies import Source, Span, Tally, since_each

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
    """The buckets of a window, the earliest first.

    ``purged`` is how many of the instances that they count are there no more.
    """

    window: Window
    source: Source
    buckets: Sequence[Bucket]
    purged: int

    @property
    def totals(self) -> dict[str, int]:
        """By status, of those that occur, in the usual order."""
        sums = {status: sum(bucket.counts.get(status, 0) for bucket in self.buckets) for status in STATUSES}
        return {status: count for status, count in sums.items() if count}


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the instances of an orchestrator took that ended last."""

    name: str
    count: int
    median: timedelta
    p95: timedelta


def histogram(hub: str, window: Window, now: datetime, name: str = "") -> Histogram:
    """What became of the instances that were created in the window, of one orchestrator or of all."""
    begin, end = window.bounds(now)
    tally = Tally.of(Span(hub, begin, end, name), window, by_time=True)
    return Histogram(window, tally.source, _buckets(window, begin, end, tally), tally.purged)


def outcomes(hub: str, window: Window, now: datetime, name: str = "") -> dict[str, dict[str, int]]:
    """The same by orchestrator: how many were created in the window, by the status that they have now."""
    begin, end = window.bounds(now)
    tally = Tally.of(Span(hub, begin, end, name), window, by_time=False)
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for (flow, status), count in tally.counts.items():
        found[str(flow)][status] = count
    return dict(found)


def durations(hub: str) -> list[Durations]:
    """How long instances took from their start to their completion, by orchestrator, the slowest first.

    Looks at the SLOWEST_SAMPLED that completed last.
    """
    columns = _completed(hub).order_by("-completed_at", "-pk").values_list("name", "started_at", "completed_at")
    took = defaultdict(list)
    for flow, started_at, completed_at in columns[:SLOWEST_SAMPLED]:
        assert started_at is not None and completed_at is not None
        took[flow].append(max(completed_at - started_at, timedelta()))
    found = [_durations(flow, spans) for flow, spans in took.items()]
    return sorted(found, key=lambda one: (-one.p95, one.name))


def by_window(hub: str, name: str, now: datetime) -> list[tuple[Window, dict[str, int], Durations | None]]:
    """For each window, what became of an orchestrator's instances that were created in it, and how long they took.

    The durations are of the SLOWEST_SAMPLED completed ones that were created last; None where there are none.
    """
    begins = [window.bounds(now)[0] for window in WINDOWS]
    rows = _completed(hub).filter(name=name, created_at__gte=min(begins)).order_by("-created_at", "-pk")
    took = rows.annotate(took=F("completed_at") - F("started_at")).values_list("created_at", "took")[:SLOWEST_SAMPLED]
    found: list[tuple[Window, dict[str, int], Durations | None]] = []
    for window, begin, counts in zip(WINDOWS, begins, since_each(hub, name, WINDOWS, now), strict=True):
        spans = [max(span, timedelta()) for created_at, span in took if created_at >= begin]
        found.append((window, dict(counts), _durations(name, spans) if spans else None))
    return found


def _completed(hub: str) -> QuerySet[Instance]:
    return Instance.objects.using(get_config().database).filter(
        ORCHESTRATION, hub=hub, status=RuntimeStatus.COMPLETED, completed_at__isnull=False, started_at__isnull=False
    )


def _durations(name: str, spans: list[timedelta]) -> Durations:
    return Durations(name, len(spans), _rank(spans, 0.5), _rank(spans, 0.95))


def _buckets(window: Window, begin: datetime, end: datetime, tally: Tally) -> list[Bucket]:
    width = int(window.width.total_seconds())
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for (number, status), count in tally.counts.items():
        counts[int(number)][status] = count
    first, last = int(begin.timestamp()) // width, int(end.timestamp()) // width
    return [
        Bucket(_instant(number * width), _instant((number + 1) * width), counts.get(number, {}))
        for number in range(first, last)
    ]


def _rank(spans: list[timedelta], share: float) -> timedelta:
    """The nearest rank, which is a span that occurred."""
    return sorted(spans)[max(math.ceil(share * len(spans)), 1) - 1]


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
