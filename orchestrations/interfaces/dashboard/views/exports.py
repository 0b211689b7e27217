"""The instances of a filter, or those that are ticked, as a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from orchestrations.access.permissions import Action, can
from orchestrations.interfaces.dashboard.access import needs, person, require
from orchestrations.interfaces.dashboard.asked import Asked
from orchestrations.interfaces.dashboard.bounded_reading import database
from orchestrations.interfaces.dashboard.counting import count
from orchestrations.interfaces.dashboard.instance_rows import Row, as_csv, as_ndjson, exported
from orchestrations.interfaces.dashboard.streams import ended_at, stream
from orchestrations.limits import INSTANCES_EXPORTED, LIST_PAGE_MAXIMUM
from orchestrations.models import Instance
from orchestrations.reading.queries import InstanceFilter, filter_instances
from orchestrations.search.language import QueryError

Write = Callable[..., Iterator[bytes]]
KINDS: dict[str, tuple[str, Write]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "ndjson": ("application/x-ndjson", as_ndjson),
}


def _left_out(limit: int) -> str:
    return f"The rest is left out: an export has at most {limit:,} instances. Narrow the filter."


ENDINGS: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "csv": (1, lambda limit: f'"{_left_out(limit)}"\r\n'.encode()),
    "ndjson": (0, lambda limit: json.dumps({"left_out": _left_out(limit)}).encode() + b"\n"),
}
"""How many lines of a file are heads, and the last line of one that leaves something out."""


@require_GET
@needs(Action.VIEW, narrowed=True)
def choose(request: HttpRequest, *, hub: str) -> HttpResponse:
    """Say what would be exported, and ask in which form."""
    asked = _asked(request, hub)
    total = count(hub, asked.listing().where).of(asked.query)
    context = {
        "hub": hub,
        "section": "instances",
        "asked": asked,
        "total": total,
        "limit": f"{INSTANCES_EXPORTED:,}",
        "may_be_cut": total.endswith("+") or total.startswith("≈"),  # then they are not counted to the end
        "may_see_payloads": can(person(request), Action.VIEW_PAYLOADS),
        "needed": Action.VIEW_PAYLOADS.permission,
    }
    return render(request, "dashboard/instances/export.html", context)


@require_GET
@needs(Action.VIEW, narrowed=True)
def instances(request: HttpRequest, *, hub: str, kind: str) -> HttpResponseBase:
    """Send them while they are read, the newest first, INSTANCES_EXPORTED at most; with ``payloads`` theirs too."""
    if kind not in KINDS:
        raise Http404(f"Instances are not exported as {kind}.")
    payloads = bool(request.GET.get("payloads"))
    if payloads:
        require(request, Action.VIEW_PAYLOADS)
    content_type, write = KINDS[kind]
    rows: Iterator[Row] = exported(_chosen(request, hub), INSTANCES_EXPORTED + 1, payloads=payloads)
    head, ending = ENDINGS[kind]
    lines = ended_at(write(rows, payloads=payloads), INSTANCES_EXPORTED + head, ending(INSTANCES_EXPORTED))
    name = f"instances-{hub}-{timezone.now():%Y%m%d-%H%M%S}.{kind}"
    return stream(request, lines, name, content_type)


def _chosen(request: HttpRequest, hub: str) -> QuerySet[Instance]:
    asked = _asked(request, hub)
    ticked = [int(pk) for pk in request.GET.getlist("pk")[:LIST_PAGE_MAXIMUM] if pk.isdecimal() and len(pk) < 19]
    if ticked:
        return filter_instances(hub, InstanceFilter(visible=asked.visible), using=database()).filter(pk__in=ticked)
    return asked.listing().rows(hub)


def _asked(request: HttpRequest, hub: str) -> Asked:
    try:
        return Asked.of(request, hub)
    except QueryError as error:
        raise Http404(str(error)) from error
