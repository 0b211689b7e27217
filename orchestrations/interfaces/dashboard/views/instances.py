"""The instances list, kept up to date in place: rows are patched where they stand, new ones only announced."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from orchestrations import queries
from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InstanceNotFound, InvalidCursor
from orchestrations.interfaces.dashboard.access import is_partial, needs, signed_in
from orchestrations.interfaces.dashboard.forms import InstanceFilterForm
from orchestrations.interfaces.dashboard.listing import WAITING, Listing, marker, newest_of, rows_again, shown
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer
from orchestrations.interfaces.dashboard.presentation.statuses import BADGES, WAITING_FOR_HUMAN, Badge
from orchestrations.interfaces.dashboard.versions import newest_version, row_version, rows_version
from orchestrations.limits import LIST_PAGE_MAXIMUM
from orchestrations.models import Instance
from orchestrations.paging import CappedCount
from orchestrations.permissions import Action, can

FILTERS = ("status", "name", "id", "children")


@signed_in
def home(request: HttpRequest) -> HttpResponse:
    """Send people to what they may see: the overview, or their approvals."""
    if can(request.user, Action.VIEW):
        return redirect("dashboard:overview", hub=get_config().task_hub)
    return redirect("dashboard:approvals")


@require_GET
@needs(Action.VIEW)
def instances(request: HttpRequest, *, hub: str) -> HttpResponse:
    """A page of instances, newest first, by the filter of the query string."""
    form = InstanceFilterForm(request.GET)
    context: dict[str, object] = {"hub": hub, "section": "instances", "form": form}
    if form.is_valid():
        context |= _results(request, hub, form.listing())
    template = "dashboard/instances/_results.html" if is_partial(request) else "dashboard/instances/page.html"
    response = render(request, template, context, status=200 if form.is_valid() else 422)
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


@require_GET
@needs(Action.VIEW)
def rows(request: HttpRequest, *, hub: str) -> HttpResponse:
    """The rows that a page shows, as they stand now, with the counts and the number of newer instances beside them."""
    listing, pks = _listing(request), _shown(request)
    found = rows_again(hub, pks)
    matching = listing.matching(hub, pks)
    newest = request.GET.get("newest", "")
    newer = _newer(request, listing, hub)
    context = {"hub": hub, "chips": _chips(request, hub, listing), "newer_count": newer, "is_refresh": True}
    return render(
        request, "dashboard/instances/_rows.html", context | _live_rows(request, hub, found, newest, newer, matching)
    )


@require_GET
@needs(Action.VIEW)
def instances_tick(request: HttpRequest, *, hub: str) -> HttpResponseBase:
    """Whether any of the rows that a page shows has changed, or newer instances may have come."""
    watched = {"instances": topics.rows(hub, _shown(request))}
    if request.GET.get("first"):
        watched["newer"] = topics.newest(hub)
    return answer(request, watched)


@require_GET
@needs(Action.VIEW)
def names(request: HttpRequest, *, hub: str) -> HttpResponse:
    """The names that the filter suggests, as options."""
    return render(request, "dashboard/instances/_names.html", {"names": queries.orchestrator_names(hub)})


@require_GET
@needs(Action.VIEW)
def go(request: HttpRequest, *, hub: str) -> HttpResponse:
    """Open the instance whose exact id is given, or list those whose ids begin with it."""
    instance_id = request.GET.get("id", "").strip()
    try:
        found = queries.get_instance(hub, instance_id)
    except InstanceNotFound:
        query = urlencode({"id": instance_id, "children": "on"})
        return HttpResponseRedirect(f"{reverse('dashboard:instances', args=[hub])}?{query}")
    return redirect("dashboard:instance", hub=hub, instance_id=found.instance_id)


def _results(request: HttpRequest, hub: str, listing: Listing) -> dict[str, object]:
    cursor = request.GET.get("cursor")
    try:
        page = listing.page(hub, cursor)
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid
    newest = "" if cursor else marker(page)
    return {
        "chips": _chips(request, hub, listing),
        "newer": page.previous_cursor and _url(request, hub, cursor=page.previous_cursor),
        "older": page.next_cursor and _url(request, hub, cursor=page.next_cursor),
        "is_filtered": bool(request.GET.get("status") or request.GET.get("name") or request.GET.get("id")),
        "all_url": _url(request, hub, status="", name="", id=""),
        "first_url": _url(request, hub),
        "is_first_page": not cursor,
        **_live_rows(request, hub, page.items, newest, None if cursor else CappedCount(0)),
    }


def _live_rows(
    request: HttpRequest,
    hub: str,
    items: list[Instance],
    newest: str,
    newer: CappedCount | None,
    matching: set[int] | None = None,
) -> dict[str, object]:
    """What the table's body needs to be rendered and to keep itself up to date."""
    now = timezone.now()
    ids = request.GET.get("ids") or ",".join(str(row.pk) for row in items)
    query = urlencode({**_filters(request), "ids": ids, "newest": newest, "first": "" if newer is None else "1"})
    return {
        "rows": [shown(row, now, no_longer_matches=matching is not None and row.pk not in matching) for row in items],
        "rows_url": f"{reverse('dashboard:rows', args=[hub])}?{query}",
        "tick_url": f"{reverse('dashboard:instances_tick', args=[hub])}?{query}",
        "rows_version": rows_version((row.pk, row_version(row)) for row in items),
        "newest_version": "" if newer is None else newest_version(newest_of(items)),
        "first_url": _url(request, hub),
    }


def _chips(request: HttpRequest, hub: str, listing: Listing) -> list[dict[str, object]]:
    where = listing.where
    counts = queries.status_counts(hub, where)
    chosen = request.GET.get("status", "")
    chips: list[dict[str, object]] = [{"label": "All", "url": _url(request, hub, status=""), "current": not chosen}]
    for status in RuntimeStatus:
        if counts[status].value or status == chosen:
            chips.append(_chip(request, hub, status.value, BADGES[status], counts[status]))
        if status is RuntimeStatus.RUNNING and (counts[status].value or chosen == WAITING):
            chips.append(_chip(request, hub, WAITING, WAITING_FOR_HUMAN))
    return chips


def _chip(
    request: HttpRequest, hub: str, status: str, badge: Badge, count: CappedCount | None = None
) -> dict[str, object]:
    is_current = request.GET.get("status") == status
    url = _url(request, hub, status=status)
    return {"label": badge.label, "badge": badge, "count": count, "url": url, "current": is_current}


def _listing(request: HttpRequest) -> Listing:
    form = InstanceFilterForm(request.GET)
    if not form.is_valid():
        raise Http404("That is no filter of this list.")
    return form.listing()


def _newer(request: HttpRequest, listing: Listing, hub: str) -> CappedCount | None:
    """How many instances are newer than a first page; None for any other page, where nobody asks."""
    if not request.GET.get("first"):
        return None
    try:
        return listing.newer(hub, request.GET.get("newest", ""))
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid


def _shown(request: HttpRequest) -> list[int]:
    """The rows that the page shows, by primary key."""
    given = request.GET.get("ids", "").split(",")[:LIST_PAGE_MAXIMUM]
    return [int(text) for text in given if text.isdecimal() and len(text) < 19]


def _filters(request: HttpRequest) -> dict[str, str]:
    return {key: request.GET[key] for key in FILTERS if request.GET.get(key)}


def _url(request: HttpRequest, hub: str, **changes: str) -> str:
    """The list with the filter of this request, changed; without a cursor unless one is given."""
    query = {key: value for key, value in {**_filters(request), **changes}.items() if value}
    address = reverse("dashboard:instances", args=[hub])
    return f"{address}?{urlencode(query)}" if query else address
