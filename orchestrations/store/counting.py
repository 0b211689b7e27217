"""Counts of ended instances by the minute and the hour of their creation, which stay when instances are purged.

Each end is counted exactly once. Whoever counts takes the ends of one status between the mark and a moment so long ago
that no transaction with an earlier end is still open, adds them up and moves the mark, in one transaction that holds
the mark. An end that its instance stops telling of is written down in the transaction that makes it so (``MovedEnd``),
and both are read by one statement, hence as of one moment; what is written down behind the mark has been counted from
its instance already. A rewind writes the end that it takes back once more, with the opposite sign and the present time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import TruncMinute

from orchestrations.core.status import TERMINAL
from orchestrations.models import CountMark, Instance, InstanceCount, MovedEnd
from orchestrations.models.counts import HOUR, MINUTE
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.store.contract import Checkpoint
from orchestrations.store.locking import locked, skip_locked
from orchestrations.store.tables import BATCH, Tables, chunks
from orchestrations.store.upkeep_contract import Counted

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEPT = {MINUTE: timedelta(days=2), HOUR: timedelta(days=400)}
"""How long counts are kept: whoever looks further back than two days looks at hours."""

Key = tuple[datetime, str]
"""The minute of the creation, and the orchestrator."""


def count_ends(tables: Tables, status: str, before: datetime, limit: int) -> Counted:
    """Count ends of that status up to that moment, about ``limit`` of them; none where another is counting them."""
    with tables.atomic():
        marks = CountMark.objects.using(tables.using).filter(hub=tables.hub, status=status)
        if not marks.exists():
            CountMark.objects.using(tables.using).bulk_create(
                [CountMark(hub=tables.hub, status=status, counted_to=EPOCH)], ignore_conflicts=True
            )
        mark = skip_locked(marks).first()
        if mark is None or mark.counted_to >= before:
            return Counted(0, has_more=False)
        ends = _ends(tables, status).filter(completed_at__gte=mark.counted_to, completed_at__lt=before)
        to = _until(ends, mark.counted_to, before, limit)
        moved = MovedEnd.objects.using(tables.using).filter(hub=tables.hub, status=status)
        found = _by_minute(ends.filter(completed_at__lt=to), moved.filter(at__gte=mark.counted_to, at__lt=to))
        _add(tables, status, found, before - KEPT[MINUTE])
        moved.filter(at__lt=to).delete()
        marks.update(counted_to=to)
    return Counted(sum(found.values()), has_more=to < before)


def keep_ends(tables: Tables, rows: QuerySet[Instance]) -> None:
    """Before these instances stop telling of their ends: write down the ends that may not have been counted.

    One statement where all have been. The rows that are written down are locked, by ascending key.
    """
    mark = CountMark.objects.filter(hub=tables.hub, status=OuterRef("status")).values("counted_to")
    not_counted = Q(mark=None) | Q(completed_at=None) | Q(completed_at__gte=F("mark"))
    ends = rows.using(tables.using).filter(ORCHESTRATION, hub=tables.hub, status__in=TERMINAL)
    ends = ends.annotate(mark=Subquery(mark[:1])).filter(not_counted).order_by("pk")
    found = list(locked(ends).values_list("status", "completed_at", "name", "created_at"))
    if found:
        now = tables.now()
        _write_down(
            tables, [_moved(tables, status, at or now, name, created_at) for status, at, name, created_at in found]
        )


def take_back(tables: Tables, checkpoints: Iterable[Checkpoint], now: datetime) -> None:
    """Write down the ends that are taken back."""
    undone = [checkpoint.undone_end for checkpoint in checkpoints if checkpoint.undone_end is not None]
    _write_down(
        tables,
        [
            _moved(tables, end.status, at, end.name, end.created_at, amount)
            for end in undone
            for at, amount in ((end.at, 1), (now, -1))
        ],
    )


def drop_old_counts(tables: Tables, limit: int) -> int:
    """Delete up to ``limit`` counts of each width that are older than KEPT; returns how many there were."""
    dropped, now = 0, tables.now()
    for width, age in KEPT.items():
        counts = InstanceCount.objects.using(tables.using)
        old = counts.filter(hub=tables.hub, width=width, begins_at__lt=now - age).order_by("begins_at")
        dropped += counts.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()[0]
    return dropped


def _ends(tables: Tables, status: str) -> QuerySet[Instance]:
    return Instance.objects.using(tables.using).filter(
        ORCHESTRATION, hub=tables.hub, status=status, completed_at__isnull=False
    )


def _until(ends: QuerySet[Instance], since: datetime, before: datetime, limit: int) -> datetime:
    """A moment behind about ``limit`` of the ends, of which many may be at the same."""
    instants = ends.order_by("completed_at").values_list("completed_at", flat=True)
    nth = instants[limit : limit + 1].first() if limit else None
    if nth is not None and nth <= since:
        nth = instants.filter(completed_at__gt=since).first()
    return min(nth or before, before)


def _by_minute(ends: QuerySet[Instance], moved: QuerySet[MovedEnd]) -> Counter[Key]:
    minute = TruncMinute("created_at", tzinfo=UTC)
    columns = ("minute", "name", "total")
    told = ends.order_by().annotate(minute=minute).values("minute", "name").annotate(total=Count("pk"))
    written = moved.order_by().annotate(minute=minute).values("minute", "name").annotate(total=Sum("amount"))
    found: Counter[Key] = Counter()
    for begins_at, name, total in told.values_list(*columns).union(written.values_list(*columns), all=True):
        found[begins_at, name] += total
    return found


def _add(tables: Tables, status: str, found: Counter[Key], oldest: datetime) -> None:
    """Add to what is counted, by the minute from ``oldest`` on. Nobody else adds to this status: the mark is held."""
    hours: Counter[Key] = Counter()
    for (begins_at, name), total in found.items():
        hours[begins_at.replace(minute=0), name] += total
    minutes = Counter({key: total for key, total in found.items() if key[0] >= oldest})
    for width, totals in ((MINUTE, minutes), (HOUR, hours)):
        for batch in chunks(sorted(key for key, total in totals.items() if total), BATCH):
            known = _known(tables, status, width, batch)
            InstanceCount.objects.using(tables.using).bulk_create(
                [
                    InstanceCount(
                        hub=tables.hub,
                        width=width,
                        begins_at=begins_at,
                        name=name,
                        status=status,
                        count=known.get((begins_at, name), 0) + totals[begins_at, name],
                    )
                    for begins_at, name in batch
                ],
                update_conflicts=True,
                unique_fields=["hub", "width", "begins_at", "name", "status"],
                update_fields=["count"],
            )


def _known(tables: Tables, status: str, width: int, keys: Sequence[Key]) -> dict[Key, int]:
    rows = InstanceCount.objects.using(tables.using).filter(
        hub=tables.hub,
        status=status,
        width=width,
        begins_at__in={begins_at for begins_at, _ in keys},
        name__in={name for _, name in keys},
    )
    return {(begins_at, name): count for begins_at, name, count in rows.values_list("begins_at", "name", "count")}


def _moved(tables: Tables, status: str, at: datetime, name: str, created_at: datetime, amount: int = 1) -> MovedEnd:
    return MovedEnd(hub=tables.hub, status=status, at=at, name=name, created_at=created_at, amount=amount)


def _write_down(tables: Tables, ends: Collection[MovedEnd]) -> None:
    if ends:
        MovedEnd.objects.using(tables.using).bulk_create(ends, batch_size=BATCH)
