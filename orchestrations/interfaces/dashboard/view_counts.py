"""How many instances each saved view finds: counted with one statement, to a cap, and used again for some seconds."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.cache import cache
from django.utils import timezone

from orchestrations.interfaces.dashboard.bounded_reading import TookTooLong, bounded, database
from orchestrations.interfaces.dashboard.listing import Listing
from orchestrations.interfaces.dashboard.reader import View
from orchestrations.interfaces.dashboard.versions import digest
from orchestrations.models import Instance
from orchestrations.reading.paging import CappedCount, CountOf
from orchestrations.search.language import QueryError, parse

CAP = 999
SECONDS = 10


def count_views(hub: str, views: Sequence[View], visible: tuple[str, ...] | None) -> dict[int, CappedCount]:
    """The count of each by its key; without those that can't be read any more, and empty where it took too long.

    ``visible`` as in ``InstanceFilter``.
    """
    key = f"durable:views:{hub}:{digest([visible, *((view.pk, view.query) for view in views)])}"
    known: dict[int, CappedCount] | None = cache.get(key)
    if known is None:
        try:
            with bounded():
                known = _count(hub, views, visible)
        except TookTooLong:
            known = {}
        cache.set(key, known, SECONDS)
    return known


def _count(hub: str, views: Sequence[View], visible: tuple[str, ...] | None) -> dict[int, CappedCount]:
    counted = {}
    for view in views:
        try:
            rows = Listing.of(parse(view.query), "", timezone.now(), visible).rows(hub)
        except QueryError:
            continue
        counted[f"view_{view.pk}"] = CountOf(rows.order_by().values("pk")[: CAP + 1])
    # The first row of the hub only carries the sub-queries; a hub without a row has nothing to count.
    first = Instance.objects.using(database()).filter(hub=hub).order_by("pk")
    row = (first.annotate(**counted).values(*counted).first() if counted else None) or dict.fromkeys(counted, 0)
    return {int(name.removeprefix("view_")): CappedCount.of(number, CAP) for name, number in row.items()}
