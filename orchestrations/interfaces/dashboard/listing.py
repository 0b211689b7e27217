"""The rows of the instances list: one page, its rows again, and how many newer ones there are by now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from django.core.cache import cache
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Substr

from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.errors import InvalidCursor
from orchestrations.interfaces.dashboard.bounded_reading import database
from orchestrations.interfaces.dashboard.presentation.why import doing
from orchestrations.interfaces.dashboard.versions import digest, row_version
from orchestrations.limits import LIST_PAGE
from orchestrations.models import Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.reading.paging import CappedCount, Cursor, Page, keyset_page
from orchestrations.reading.queries import LIST_COLUMNS, InstanceFilter, filter_instances
from orchestrations.search.filters import filter_of
from orchestrations.search.language import Mark, Query
from orchestrations.search.marks import ASKED, column_of, with_marks

NEWER_CAP = 99
NEWER_SECONDS = 3  # that what came last is used again, for the many who look at the same list
NEWEST = Instance.objects.filter(ORCHESTRATION, hub=OuterRef("hub")).order_by("-created_at", "-pk").values("pk")[:1]
REASON_CHARACTERS = 200  # of a terminated instance's reason, in a list
BESIDE = tuple(mark for mark in Mark if mark is not Mark.WAITING_FOR_HUMAN)
"""Marks that stand beside the status; who waits for a person has a status of its own."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order that an index has: the column, and which end comes first."""

    column: str
    oldest_first: bool = False


ORDERS = {
    "": Order("created_at"),
    "created": Order("created_at", oldest_first=True),
    "id": Order("instance_id", oldest_first=True),
    "-id": Order("instance_id"),
    "completed": Order("completed_at", oldest_first=True),
    "-completed": Order("completed_at"),
}
"""By what an address calls them. Those by the end need one ended status: that is what their index begins with."""


@dataclass(frozen=True, slots=True)
class ListRow:
    """One instance as a list shows it. ``version`` changes when the row does."""

    instance: Instance
    asks_person: bool
    marks: tuple[Mark, ...]
    why: str
    version: str
    no_longer_matches: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """What the list shows: a filter and an order."""

    where: InstanceFilter
    order: Order = ORDERS[""]

    @classmethod
    def of(cls, query: Query, sort: str, now: datetime, visible: tuple[str, ...] | None = None) -> Listing:
        """What a query shows at that moment; in the usual order where it can't be had in the one that is asked for.

        ``visible`` as in ``InstanceFilter``.
        """
        order = ORDERS.get(sort, ORDERS[""])
        if order.column == "completed_at" and not has_one_end(query):
            order = ORDERS[""]
        return cls(replace(filter_of(query, now), visible=visible), order)

    def rows(self, hub: str) -> QuerySet[Instance]:
        """The instances, in no order."""
        rows = filter_instances(hub, self.where, using=database())
        return rows.filter(completed_at__isnull=False) if self.order.column == "completed_at" else rows

    def page(self, hub: str, cursor: str | None) -> Page[Instance]:
        """One page, with what a row shows. Raises InvalidCursor."""
        return keyset_page(
            self.rows(hub),
            self.order.column,
            cursor=cursor,
            limit=LIST_PAGE,
            oldest_first=self.order.oldest_first,
            dress=partial(with_row_columns, hub=hub),
        )

    def newer(self, hub: str, newest: str, newest_pk: int | None) -> CappedCount:
        """How many instances were created after the row that ``newest`` marks. Raises InvalidCursor.

        ``newest_pk`` is the hub's newest instance: until there is a newer one, or for a few seconds, the answer for
        everybody with the same filter, names that they may see included, comes from one statement.
        """
        after = _place(newest) if newest else None
        since = after[0].replace(second=0, microsecond=0) if after else None
        key = f"durable:newer:{hub}:{digest([self.where, since])}:{newest_pk}"
        places: list[tuple[datetime, int]] | None = cache.get(key)
        if places is None:
            rows = self.rows(hub).filter(Cursor(0, since, backwards=True).beyond("created_at") if since else Q())
            places = list(rows.order_by("-created_at", "-pk").values_list("created_at", "pk")[: NEWER_CAP + 1])
            cache.set(key, places, NEWER_SECONDS)
        found = sum(place > after for place in places) if after else len(places)
        return CappedCount.of(found, NEWER_CAP)

    def matching(self, hub: str, pks: Collection[int]) -> set[int]:
        """Those of the instances that the filter still lets through."""
        return set(self.rows(hub).filter(pk__in=pks).values_list("pk", flat=True))


def _place(newest: str) -> tuple[datetime, int]:
    """What ``marker`` has made a text of. Raises InvalidCursor."""
    cursor = Cursor.read(newest)
    if not isinstance(cursor.at, datetime):
        raise InvalidCursor
    return cursor.at, cursor.pk


def has_one_end(query: Query) -> bool:
    """Whether the query is about one ended status, whose instances an index has in the order of their ends."""
    return len(query.statuses) == 1 and query.statuses[0] in TERMINAL


def rows_again(hub: str, pks: Collection[int], visible: tuple[str, ...] | None) -> list[Instance]:
    """The instances that a page shows, as they stand now, in the page's order; purged ones are left out.

    ``visible`` as in ``InstanceFilter``.
    """
    rows = filter_instances(hub, InstanceFilter(visible=visible), using=database()).filter(pk__in=pks)
    found = {row.pk: row for row in with_row_columns(rows, hub)}
    return [found[pk] for pk in pks if pk in found]


def shown(instance: Instance, now: datetime, *, no_longer_matches: bool = False) -> ListRow:
    """What a list shows of an instance, read by ``with_row_columns`` or without its columns."""
    marks = tuple(mark for mark in BESIDE if getattr(instance, column_of(mark), False))
    return ListRow(
        instance=instance,
        asks_person=is_asking(instance),
        marks=marks,
        why=doing(instance, getattr(instance, "last_words", None), now),
        version=digest((row_version(instance), *marks)),
        no_longer_matches=no_longer_matches,
    )


def newest_of(items: Sequence[Instance]) -> int | None:
    """The key of the newest instance that the hub had when ``with_asks`` read those rows."""
    return items[0].newest if items else None  # type: ignore[attr-defined]


def is_asking(instance: Instance) -> bool:
    """Whether it asks a person, of an instance read by ``with_asks``; False without its columns."""
    return bool(getattr(instance, "asks_person", False))


def marker(page: Page[Instance]) -> str:
    """What ``newer`` needs to know of a first page; empty for an empty page."""
    return Cursor(page.items[0].pk, page.items[0].created_at, backwards=True).sign() if page.items else ""


def with_asks(rows: QuerySet[Instance]) -> QuerySet[Instance]:
    """The rows with the list's columns, ``asks_person`` (whether a person is asked), ``last_words`` and ``newest``.

    ``last_words`` is the beginning of a terminated instance's output, which is the reason; no other payload is touched.
    ``newest`` is the key of the hub's newest instance.
    """
    reason = Case(When(status=RuntimeStatus.TERMINATED.value, then=Substr("output", 1, REASON_CHARACTERS)))
    return rows.only(*LIST_COLUMNS).annotate(asks_person=Exists(ASKED), last_words=reason, newest=Subquery(NEWEST))


def with_row_columns(rows: QuerySet[Instance], hub: str) -> QuerySet[Instance]:
    """The same with the marks and the id of the parent: all that a row of the list may show."""
    return with_marks(with_asks(rows), hub, rows.db).annotate(parent_instance_id=F("parent__instance_id"))
