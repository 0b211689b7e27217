"""What the templates of the instances list are given."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import get_language

from orchestrations.interfaces.dashboard import filter_links
from orchestrations.interfaces.dashboard.asked import Asked
from orchestrations.interfaces.dashboard.bounded_reading import bounded
from orchestrations.interfaces.dashboard.columns import Column
from orchestrations.interfaces.dashboard.counting import Counts, count, count_shown
from orchestrations.interfaces.dashboard.listing import has_one_end, marker, newest_of, shown
from orchestrations.interfaces.dashboard.reader import reader_of
from orchestrations.interfaces.dashboard.versions import newest_version, row_version, rows_version
from orchestrations.models import Instance
from orchestrations.reading.paging import CappedCount
from orchestrations.search.language import Mark, Query, QueryError
from orchestrations.search.moments import ANY_TIME

Context = dict[str, object]
CHIPS_REMEMBERED = 500
SORTED = {"": "newest first", "created": "oldest first"}


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's head: a link where an index has the order. ``aria`` is what ``aria-sort`` says, or empty."""

    column: Column
    url: str
    aria: str


def results(asked: Asked, request: HttpRequest) -> Context:
    """A whole page of results. Raises InvalidCursor and TookTooLong."""
    with bounded():
        page = asked.listing().page(asked.hub, asked.cursor or None)
    is_live_first = not asked.cursor and not asked.sort
    newest = marker(page) if is_live_first else ""
    query = asked.query
    is_all = not (asked.cursor or page.next_cursor or query.statuses or Mark.WAITING_FOR_HUMAN in query.marks)
    counts = count_shown(page.items) if is_all else count(asked.hub, asked.listing().where)
    return {
        **table(asked, request, page.items, newest=newest, is_first=is_live_first),
        **chips(asked, counts),
        **(news(asked, newest, CappedCount(0), newest_of(page.items)) if is_live_first else {}),
        "newer": asked.at(page.previous_cursor),
        "older": asked.at(page.next_cursor),
        "marks": filter_links.mark_links(asked),
        "windows": filter_links.window_links(asked),
        "children": filter_links.children_link(asked),
        "terms": filter_links.term_links(asked, reader_of(request).zone),
        "is_filtered": query != Query(children=query.children),
        "all_url": Asked(asked.hub, Query(), asked.sort).url(),
        "is_first_page": not asked.cursor,
        "sorted": SORTED.get(asked.sort, ""),
        "share_url": request.build_absolute_uri(_fixed(asked).url()),
        "fields": _fields(asked),
        "save_url": asked.url("dashboard:view_new"),
        "export_url": asked.url("dashboard:export"),
    }


def table(
    asked: Asked,
    request: HttpRequest,
    items: list[Instance],
    *,
    newest: str,
    is_first: bool,
    matching: Collection[int] | None = None,
) -> Context:
    """What the table needs to be rendered and to keep itself up to date."""
    now = timezone.now()
    ids = request.GET.get("ids") or ",".join(str(row.pk) for row in items)
    more = {"ids": ids, "newest": newest, "first": "1" if is_first else ""}
    first = replace(asked, cursor="")
    return {
        "rows": [shown(row, now, no_longer_matches=matching is not None and row.pk not in matching) for row in items],
        "rows_url": first.url("dashboard:rows", **more),
        "tick_url": first.url("dashboard:instances_tick", **more),
        "rows_version": rows_version((row.pk, row_version(row)) for row in items),
        "first_url": first.url(),
        "headings": [_heading(column, first) for column in reader_of(request).columns],
        "columns": [column.key for column in reader_of(request).columns],
        "css": {column.key: column.css for column in reader_of(request).columns},
    }


def chips(asked: Asked, counts: Counts) -> Context:
    """The statuses with their counts."""
    first = replace(asked, cursor="")
    return {"chips": filter_links.status_links(first, counts), "counted": counts.by_status is not None}


def chips_again(asked: Asked, counts: Counts) -> Context:
    """The same as it replaces what a page shows: rendered once for all who are to see the same."""
    same_for_all = Asked(asked.hub, asked.query, asked.sort)
    return {"chips_again": _rendered_chips(same_for_all, asked.text, counts, get_language())}


@lru_cache(CHIPS_REMEMBERED)
def _rendered_chips(asked: Asked, text: str, counts: Counts, language: str | None) -> str:
    """All that the template is told of is among the arguments; the text, as equal times may be of different zones."""
    return render_to_string("dashboard/instances/_chips.html", {"is_refresh": True, **chips(asked, counts)})


def news(asked: Asked, newest: str, newer: CappedCount, newest_pk: int | None) -> Context:
    """What says how many instances have come since a first page was made, and keeps that up to date."""
    first = replace(asked, cursor="")
    return {
        "newer_count": newer,
        "newer_url": first.url("dashboard:newer", newest=newest),
        "newest_version": newest_version(newest_pk),
        "first_url": first.url(),
    }


def problem(text: str, error: QueryError) -> Context:
    """A query that can't be read, cut where it goes wrong."""
    before, wrong, after = text[: error.position], text[error.position : error.end], text[error.end :]
    return {"problem": error, "before": before, "wrong": wrong or " ", "after": after}


def _heading(column: Column, asked: Asked) -> Heading:
    """A link turns the order round where the list has it; else ids begin with the lowest, times with the latest."""
    if not column.sort or (column.sort == "completed" and not has_one_end(asked.query)):
        return Heading(column, "", "")
    down, up = ("", "created") if column.sort == "created" else (f"-{column.sort}", column.sort)
    current = {down: "descending", up: "ascending"}.get(asked.sort, "")
    first = up if column.key == "id" else down
    following = {"descending": up, "ascending": down}.get(current, first)
    return Heading(column, replace(asked, sort=following).url(), current)


def _fixed(asked: Asked) -> Asked:
    """The same list with hours ago as instants: what it shows now, for whoever opens the link later."""
    query, now = asked.query, timezone.now().replace(microsecond=0)
    created, completed = (
        replace(span, start=span.at(now)[0], end=span.at(now)[1]) for span in (query.created, query.completed)
    )
    return replace(asked, query=replace(query, created=created, completed=completed))


def _fields(asked: Asked) -> Context:
    """The form for those who would rather not type a query: its values, and the query without what has a field."""
    query = asked.query
    start, end = (
        bound.astimezone(timezone.get_current_timezone()) if isinstance(bound, datetime) else None
        for bound in (query.created.start, query.created.end)
    )
    absolute = start is not None or end is not None
    rest = replace(
        query,
        name=None,
        id=query.id if query.id and not query.id.is_prefix else None,
        tags=query.tags[1:],
        version=None,
        error=None,
        created=ANY_TIME if absolute else query.created,
    )
    return {
        "rest": replace(asked, query=rest).text,
        "name": f"{query.name.value}{'*' if query.name.is_prefix else ''}" if query.name else "",
        "id": query.id.value if query.id and query.id.is_prefix else "",
        "tag": "=".join(query.tags[0]) if query.tags else "",
        "version": query.version or "",
        "error": query.error or "",
        "from": f"{start:%Y-%m-%dT%H:%M}" if start else "",
        "to": f"{end:%Y-%m-%dT%H:%M}" if end else "",
    }
