"""How many instances of a span of time there are in each status, by the time of their creation or by orchestrator.

Up to HISTOGRAM_ROWS they are counted one by one. Where there are more, or some have been purged, what has ended comes
from the counts that workers keep by the minute and the hour, and only the rest is counted one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db.models import BigIntegerField, Count, F, Func, Q, QuerySet, Sum
from django.db.models.expressions import Combinable

from orchestrations.conf import get_config
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.limits import HISTOGRAM_ROWS
from orchestrations.models import CountMark, Instance, InstanceCount, MovedEnd
from orchestrations.models.counts import HOUR, MINUTE
from orchestrations.models.instances import ORCHESTRATION

if TYPE_CHECKING:
    from orchestrations.reading.statistics import Window

STATUSES = tuple(status.value for status in RuntimeStatus)
LIVE = tuple(status.value for status in RuntimeStatus if status not in TERMINAL)

Key = tuple[Any, str]
"""The number of a bucket, or an orchestrator; and the status."""


class Source(StrEnum):
    """Where the numbers come from."""

    ROWS = "rows"
    MINUTES = "minutes"
    HOURS = "hours"


class EpochBucket(Func):
    """The number of the bucket since 1970 that an instant falls into."""

    template = "CAST(FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / %(width)s) AS BIGINT)"
    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """SQLite keeps instants as text."""
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) / %(width)s"
        return self.as_sql(compiler, connection, template=template, **extra)


@dataclass(frozen=True, slots=True)
class Span:
    """The instances of a hub that were created in a span of time, of one orchestrator or, without a name, of all."""

    hub: str
    begin: datetime
    end: datetime
    name: str = ""

    def rows(self) -> QuerySet[Instance]:
        """Those that there are. Without a name all statuses are named: the index with the status has all that is asked.

        With one, the index with the name has.
        """
        rows = Instance.objects.using(get_config().database).filter(
            ORCHESTRATION, hub=self.hub, created_at__gte=self.begin, created_at__lt=self.end
        )
        return rows.filter(name=self.name) if self.name else rows.filter(status__in=STATUSES)

    def counted(self, width: int) -> QuerySet[InstanceCount]:
        """What workers have counted, whether or not it has been purged."""
        rows = InstanceCount.objects.using(get_config().database).filter(
            hub=self.hub, width=width, begins_at__gte=self.begin, begins_at__lt=self.end
        )
        return rows.filter(name=self.name) if self.name else rows

    def moved(self) -> QuerySet[MovedEnd]:
        """What is to be counted and has no row any more."""
        rows = MovedEnd.objects.using(get_config().database).filter(
            hub=self.hub, created_at__gte=self.begin, created_at__lt=self.end
        )
        return rows.filter(name=self.name) if self.name else rows


@dataclass(frozen=True, slots=True)
class Tally:
    """The numbers, where they come from, and how many of those instances have been purged."""

    counts: dict[Key, int]
    source: Source
    purged: int = 0

    @classmethod
    def of(cls, span: Span, window: Window, *, by_time: bool) -> Tally:
        """Count the span; ``by_time`` in buckets of the window, else by orchestrator."""
        seconds = int(window.width.total_seconds())
        width = _width(window)
        source = Source.MINUTES if width == MINUTE else Source.HOURS

        def key(instant: str) -> Combinable:
            return EpochBucket(instant, width=seconds) if by_time else F("name")

        counted = _grouped(span.counted(width), key("begins_at"), Sum("count"))
        marks = _marks(span.hub)
        uncounted = _grouped(span.rows().filter(_uncounted(marks)), key("created_at"), Count("pk"))
        moved = _grouped(span.moved().filter(_moved_later(marks)), key("created_at"), Sum("amount"))
        rows = _grouped(span.rows(), key("created_at"), Count("pk")) if _are_few(span, (counted, uncounted)) else None
        if rows is not None:
            ended = sum(count for (_, status), count in rows.items() if status in TERMINAL)
            if sum(counted.values()) <= ended - sum(uncounted.values()) and not moved:
                return cls(dict(rows), Source.ROWS)
            live = Counter({place: count for place, count in rows.items() if place[1] not in TERMINAL})
        else:
            live = _grouped(span.rows().filter(status__in=LIVE), key("created_at"), Count("pk"))
        total = Counter(counted)
        for part in (uncounted, live, moved):
            total.update(part)
        sums = {place: count for place, count in total.items() if count > 0}
        return cls(sums, source, 0 if rows is None else max(sum(sums.values()) - sum(rows.values()), 0))


def _are_few(span: Span, ended: Sequence[Counter[Key]]) -> bool:
    """Whether the rows are few enough to be counted one by one; they are counted only if more than that have ended."""
    if sum(sum(part.values()) for part in ended) <= HISTOGRAM_ROWS:
        return True  # the live ones are counted one by one in any case
    return span.rows()[: HISTOGRAM_ROWS + 1].count() <= HISTOGRAM_ROWS


def since_each(hub: str, name: str, windows: Sequence[Window], now: datetime) -> list[Counter[str]]:
    """How many instances of an orchestrator were created in each of the windows, by status.

    Six statements, whatever the number of windows: what has ended comes from the workers' counts, which nothing that is
    purged leaves, and the rest is counted.
    """
    begins = [window.bounds(now)[0] for window in windows]
    span = Span(hub, min(begins), max(window.bounds(now)[1] for window in windows), name)
    marks = _marks(hub)
    totals = [Counter[str]() for _ in windows]
    for rows, instant, number in (
        (span.rows().filter(status__in=LIVE), "created_at", _count),
        (span.rows().filter(_uncounted(marks)), "created_at", _count),
        (span.moved().filter(_moved_later(marks)), "created_at", partial(Sum, "amount")),
    ):
        for total, found in zip(totals, _by_begin(rows, instant, begins, number), strict=True):
            total.update(found)
    for width in (MINUTE, HOUR):
        chosen = [place for place, window in enumerate(windows) if _width(window) == width]
        if chosen:
            some = [begins[place] for place in chosen]
            kept = Span(hub, min(some), span.end, name).counted(width)
            for place, found in zip(chosen, _by_begin(kept, "begins_at", some, partial(Sum, "count")), strict=True):
                totals[place].update(found)
    return [Counter({status: count for status, count in total.items() if count > 0}) for total in totals]


def _by_begin(
    rows: QuerySet[Any], instant: str, begins: Sequence[datetime], number: Callable[..., Sum | Count]
) -> list[Counter[str]]:
    """The numbers by status of what came after each of the beginnings, in one pass."""
    wanted = {f"since_{place}": number(filter=Q((f"{instant}__gte", begin))) for place, begin in enumerate(begins)}
    found = list(rows.order_by().values("status").annotate(**wanted).values_list("status", *wanted))
    return [Counter({row[0]: row[place + 1] or 0 for row in found}) for place in range(len(begins))]


_count = partial(Count, "pk")


def _width(window: Window) -> int:
    """Of the counts that its buckets are made of."""
    return MINUTE if int(window.width.total_seconds()) % HOUR else HOUR


def _marks(hub: str) -> dict[str, datetime]:
    """Until when the ends of each status have been counted."""
    return dict(CountMark.objects.using(get_config().database).filter(hub=hub).values_list("status", "counted_to"))


def _grouped(rows: QuerySet[Any], key: Combinable, number: Sum | Count) -> Counter[Key]:
    found = rows.order_by().annotate(place=key).values("place", "status").annotate(number=number)
    return Counter({(place, status): count for place, status, count in found.values_list("place", "status", "number")})


def _uncounted(marks: dict[str, datetime]) -> Q:
    """Ends that no worker has counted yet."""
    condition = Q(pk__in=[])
    for status in sorted(TERMINAL):
        ends = Q(status=status, completed_at__isnull=False)
        condition |= ends & Q(completed_at__gte=marks[status]) if status in marks else ends
    return condition


def _moved_later(marks: dict[str, datetime]) -> Q:
    condition = Q(pk__in=[])
    for status in sorted(TERMINAL):
        condition |= Q(status=status, at__gte=marks[status]) if status in marks else Q(status=status)
    return condition
