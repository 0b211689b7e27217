"""The rows of the instances list: one page, its rows again, and how many newer ones there are by now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet

from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.limits import LIST_PAGE
from orchestrations.models import Instance, OpenWait
from orchestrations.paging import CappedCount, Cursor, Page, keyset_page
from orchestrations.queries import LIST_COLUMNS, InstanceFilter, filter_instances

WAITING = "waiting"  # the derived status: running, and a person is asked
NEWER_CAP = 99


@dataclass(frozen=True, slots=True)
class Listing:
    """What the list shows: a filter, and whether only instances that ask a person."""

    where: InstanceFilter
    asks_person: bool = False

    def rows(self, hub: str) -> QuerySet[Instance]:
        """The instances, in no order, each with ``asks_person``; no payload columns."""
        rows = with_asks(filter_instances(hub, self.where))
        return rows.filter(status=RuntimeStatus.RUNNING.value, asks_person=True) if self.asks_person else rows

    def page(self, hub: str, cursor: str | None) -> Page[Instance]:
        """One page, newest first. Raises InvalidCursor."""
        return keyset_page(self.rows(hub), "created_at", cursor=cursor, limit=LIST_PAGE)

    def newer(self, hub: str, newest: str) -> CappedCount:
        """How many instances were created after the row that ``newest`` marks. Raises InvalidCursor."""
        beyond = Cursor.read(newest).beyond("created_at") if newest else None
        rows = self.rows(hub).order_by()
        return CappedCount.of((rows.filter(beyond) if beyond else rows)[: NEWER_CAP + 1].count(), NEWER_CAP)

    def matching(self, hub: str, pks: Collection[int]) -> set[int]:
        """Those of the instances that the filter still lets through."""
        return set(self.rows(hub).filter(pk__in=pks).values_list("pk", flat=True))


def rows_again(hub: str, pks: Collection[int]) -> list[Instance]:
    """The instances that a page shows, as they stand now, in the page's order; purged ones are left out."""
    rows = Instance.objects.using(get_config().database).filter(hub=hub, pk__in=pks)
    found = {row.pk: row for row in with_asks(rows)}
    return [found[pk] for pk in pks if pk in found]


def marker(page: Page[Instance]) -> str:
    """What ``newer`` needs to know of a first page; empty for an empty page."""
    return Cursor(page.items[0].pk, page.items[0].created_at, backwards=True).sign() if page.items else ""


def with_asks(rows: QuerySet[Instance]) -> QuerySet[Instance]:
    """The rows with the list's columns and ``asks_person``: whether a person is asked."""
    asked = OpenWait.objects.filter(instance_id=OuterRef("pk")).exclude(title="")
    return rows.only(*LIST_COLUMNS).annotate(asks_person=Exists(asked))
