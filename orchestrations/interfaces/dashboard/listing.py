"""The rows of the instances list: one page, its rows again, and how many newer ones there are by now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Exists, OuterRef, QuerySet, Subquery, When
from django.db.models.functions import Substr

from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.presentation.why import doing
from orchestrations.interfaces.dashboard.versions import row_version
from orchestrations.limits import LIST_PAGE
from orchestrations.models import Instance, OpenWait
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.paging import CappedCount, Cursor, Page, keyset_page
from orchestrations.queries import LIST_COLUMNS, InstanceFilter, filter_instances

WAITING = "waiting"  # the derived status: running, and a person is asked
NEWER_CAP = 99
ASKED = OpenWait.objects.filter(instance_id=OuterRef("pk")).exclude(title="")
NEWEST = Instance.objects.filter(ORCHESTRATION, hub=OuterRef("hub")).order_by("-created_at", "-pk").values("pk")[:1]
REASON_CHARACTERS = 200  # of a terminated instance's reason, in a list


@dataclass(frozen=True, slots=True)
class ListRow:
    """One instance as a list shows it. ``version`` changes when the row does."""

    instance: Instance
    asks_person: bool
    why: str
    version: str
    no_longer_matches: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """What the list shows: a filter, and whether only instances that ask a person."""

    where: InstanceFilter
    asks_person: bool = False

    def rows(self, hub: str) -> QuerySet[Instance]:
        """The instances, in no order."""
        rows = filter_instances(hub, self.where)
        if self.asks_person:
            rows = rows.filter(Exists(ASKED), status=RuntimeStatus.RUNNING.value)
        return rows

    def page(self, hub: str, cursor: str | None) -> Page[Instance]:
        """One page, newest first. Raises InvalidCursor."""
        return keyset_page(with_asks(self.rows(hub)), "created_at", cursor=cursor, limit=LIST_PAGE)

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


def shown(instance: Instance, now: datetime, *, no_longer_matches: bool = False) -> ListRow:
    """What a list shows of an instance, read by ``with_asks`` or without its annotations."""
    return ListRow(
        instance=instance,
        asks_person=getattr(instance, "asks_person", False),
        why=doing(instance, getattr(instance, "last_words", None), now),
        version=row_version(instance),
        no_longer_matches=no_longer_matches,
    )


def newest_of(items: Sequence[Instance]) -> int | None:
    """The key of the newest instance that the hub had when ``with_asks`` read those rows."""
    return items[0].newest if items else None  # type: ignore[attr-defined]


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
