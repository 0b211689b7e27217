"""Where the bars of a histogram stand: stacked by status, in the units of an SVG that is stretched to its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from orchestrations.interfaces.dashboard.presentation.statuses import Badge, badge
from orchestrations.reading.statistics import Bucket, Histogram

WIDTH, HEIGHT = 1_000, 160  # units of the drawing
GAP = 0.15  # of a bucket's width, between two bars
LABELS = 5  # under the bars
LEAST_HEIGHT = 2.0  # of what is not nothing
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a bar that one status makes up."""

    badge: Badge
    count: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A bucket: its parts from the bottom up, the space that can be clicked, and what it says."""

    x: float
    width: float
    slot_x: float
    slot_width: float
    parts: Sequence[Part]
    span: str
    words: str
    url: str
    counts: Sequence[int]
    total: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, and the same numbers as a table: a row for each bar with something in it, a column for each status."""

    bars: Sequence[Bar]
    columns: Sequence[tuple[Badge, int]]
    labels: Sequence[str]
    highest: int
    total: int


def chart(histogram: Histogram, link: Callable[[datetime, datetime], str]) -> Chart:
    """Lay out a histogram that has buckets; ``link`` gives the address of the instances of a bucket."""
    buckets = histogram.buckets
    totals = histogram.totals
    highest = max((bucket.total for bucket in buckets), default=0)
    is_long = histogram.window.span >= ONE_DAY
    slot = WIDTH / max(len(buckets), 1)
    bars = [
        _bar(
            bucket,
            number * slot,
            slot,
            highest,
            list(totals),
            is_long=is_long,
            url=link(bucket.begins_at, bucket.ends_at),
        )
        for number, bucket in enumerate(buckets)
    ]
    return Chart(
        bars=bars,
        columns=[(badge(status), count) for status, count in totals.items()],
        labels=_labels(buckets, is_long=is_long),
        highest=highest,
        total=sum(totals.values()),
    )


def _bar(
    bucket: Bucket, x: float, slot: float, highest: int, statuses: Sequence[str], *, is_long: bool, url: str
) -> Bar:
    parts: list[Part] = []
    top = float(HEIGHT)
    for status in statuses:
        count = bucket.counts.get(status, 0)
        if count:
            height = max(count / highest * (HEIGHT - 8), LEAST_HEIGHT)
            top -= height
            parts.append(Part(badge(status), count, round(top, 2), round(height, 2)))
    span = f"{_moment(bucket.begins_at, is_long=is_long)} to {_moment(bucket.ends_at, is_long=is_long)}"
    told = ", ".join(f"{part.count:,} {part.badge.label}" for part in parts) or "none"
    return Bar(
        x=round(x + slot * GAP / 2, 2),
        width=round(slot * (1 - GAP), 2),
        slot_x=round(x, 2),
        slot_width=round(slot, 2),
        parts=parts,
        span=span,
        words=f"{span}: {told}",
        url=url,
        counts=[bucket.counts.get(status, 0) for status in statuses],
        total=bucket.total,
    )


def _labels(buckets: Sequence[Bucket], *, is_long: bool) -> list[str]:
    if not buckets:
        return []
    begin, end = buckets[0].begins_at, buckets[-1].ends_at
    return [_moment(begin + (end - begin) * step / (LABELS - 1), is_long=is_long) for step in range(LABELS)]


def _moment(instant: datetime, *, is_long: bool) -> str:
    instant = timezone.localtime(instant)
    return f"{instant:%b} {instant.day}, {instant:%H:%M}" if is_long else f"{instant:%H:%M}"
