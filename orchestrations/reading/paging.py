"""Pages by keyset and capped counts: how a list of a million rows stays as cheap as one of a hundred."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core import signing
from django.db.models import CharField, IntegerField, Model, Q, QuerySet, Subquery

from orchestrations.errors import InvalidCursor
from orchestrations.limits import LIST_PAGE_MAXIMUM

Row = TypeVar("Row", bound=Model)

SALT = "orchestrations.reading.paging"


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of a list. A cursor is None where nothing follows on that side."""

    items: list[Row]
    next_cursor: str | None = None
    """Leads to the following page: older rows, unless the oldest come first."""
    previous_cursor: str | None = None
    """Leads to the page before."""


@dataclass(frozen=True, slots=True)
class CappedCount:
    """A number that was counted up to a cap. ``str`` gives ``10,000+`` where there are more."""

    value: int
    is_capped: bool = False

    @classmethod
    def of(cls, counted: int, cap: int) -> CappedCount:
        """Read the count of a query that was allowed one row more than the cap."""
        return cls(min(counted, cap), counted > cap)

    def __str__(self) -> str:
        return f"{self.value:,}{'+' if self.is_capped else ''}"


class CountOf(Subquery):
    """The number of rows of a sub-query, as a column. Slice the sub-query to cap the count."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: just beyond the row with that key, towards older rows or, ``backwards``, newer ones."""

    pk: int
    at: datetime | str | None
    backwards: bool

    def sign(self) -> str:
        """The text that a client carries; it can't be altered, and tells nothing secret."""
        at = self.at.isoformat() if isinstance(self.at, datetime) else self.at and [self.at]
        return signing.dumps([self.pk, at, self.backwards], salt=SALT)

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Check and read a signed cursor; raises InvalidCursor."""
        try:
            pk, at, backwards = signing.loads(text, salt=SALT)
        except (signing.BadSignature, UnicodeError) as error:
            raise InvalidCursor from error
        if isinstance(at, list):
            return cls(pk, at[0], backwards)
        return cls(pk, datetime.fromisoformat(at) if at else None, backwards)

    def beyond(self, column: str | None) -> Q:
        """The rows on the cursor's far side. The first condition is one that an index on ``column`` can start at."""
        side = "gt" if self.backwards else "lt"
        if column is None:
            return Q((f"pk__{side}", self.pk))
        return Q((f"{column}__{side}e", self.at)) & (Q((f"{column}__{side}", self.at)) | Q((f"pk__{side}", self.pk)))

    def is_of(self, rows: QuerySet[Any], column: str | None) -> bool:
        """Whether it was made in a list by such a column: by an instant, by a text, or by the key alone."""
        if column is None or self.at is None:
            return column is self.at
        return isinstance(self.at, str) == isinstance(rows.model._meta.get_field(column), CharField)


def keyset_page(
    rows: QuerySet[Row],
    column: str | None,
    *,
    cursor: str | None,
    limit: int,
    oldest_first: bool = False,
    dress: Callable[[QuerySet[Row]], QuerySet[Row]] | None = None,
) -> Page[Row]:
    """Cut one page out of ``rows``, newest first by (``column``, id), or by id alone where ``column`` is None.

    ``column`` holds instants or texts, and no NULL. With ``oldest_first`` the other way round; a cursor of the one
    order is of no use in the other. ``dress`` adds columns to the rows of the page, once it is known which these are: a
    planner that sees them beside the whole list would prepare for all of its rows.
    At most LIST_PAGE_MAXIMUM rows. Raises InvalidCursor for a cursor that was altered or belongs to another order.
    """
    limit = max(1, min(limit, LIST_PAGE_MAXIMUM))
    place = Cursor.read(cursor) if cursor else None
    if place is not None:
        if not place.is_of(rows, column):
            raise InvalidCursor
        rows = rows.filter(place.beyond(column))
    to_newer = oldest_first if place is None else place.backwards
    is_onwards = to_newer == oldest_first
    keys = [field for field in (column, "pk") if field]
    order = keys if to_newer else [f"-{key}" for key in keys]
    cut = rows.order_by(*order)[: limit + 1]
    if dress is not None:
        page = rows.model._default_manager.using(rows.db).filter(pk__in=cut.values("pk"))
        cut = dress(page).order_by(*order)
    found = list(cut)
    items = found[:limit]
    if not is_onwards:
        items.reverse()
    if not items:
        return Page([])
    has_more = len(found) > limit
    has_next, has_previous = (has_more, place is not None) if is_onwards else (True, has_more)
    return Page(
        items,
        next_cursor=_cursor_at(items[-1], column, backwards=oldest_first) if has_next else None,
        previous_cursor=_cursor_at(items[0], column, backwards=not oldest_first) if has_previous else None,
    )


def merged(first: Page[Row], second: Page[Row], column: str, limit: int) -> Page[Row]:
    """One page, onwards and newest first, of two lists that were read by the same cursor: each by an index of its own.

    It leads on only; there is no cursor to the page before.
    """
    found = sorted([*first.items, *second.items], key=lambda row: (getattr(row, column), row.pk), reverse=True)
    items = found[:limit]
    has_more = len(found) > limit or bool(first.next_cursor or second.next_cursor)
    return Page(items, next_cursor=_cursor_at(items[-1], column, backwards=False) if items and has_more else None)


def _cursor_at(row: Model, column: str | None, *, backwards: bool) -> str:
    return Cursor(row.pk, getattr(row, column) if column else None, backwards).sign()
