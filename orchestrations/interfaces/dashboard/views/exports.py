"""The instances of a filter, or those that are ticked, as a file."""

from __future__ import annotations

from functools import partial

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestrations.access.permissions import Action, can
from orchestrations.interfaces.dashboard import row_files
from orchestrations.interfaces.dashboard.access import needs, person, require
from orchestrations.interfaces.dashboard.asked import Asked
from orchestrations.interfaces.dashboard.bounded_reading import database
from orchestrations.interfaces.dashboard.counting import count
from orchestrations.interfaces.dashboard.instance_rows import WRITERS, exported
from orchestrations.interfaces.dashboard.shown_rows import keys_in
from orchestrations.limits import INSTANCES_EXPORTED
from orchestrations.models import Instance
from orchestrations.reading.queries import InstanceFilter, filter_instances
from orchestrations.search.language import QueryError


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
    payloads = bool(request.GET.get("payloads"))
    if payloads:
        require(request, Action.VIEW_PAYLOADS)
    if kind not in WRITERS:
        raise Http404(f"Instances are not exported as {kind}.")
    rows = exported(_chosen(request, hub), INSTANCES_EXPORTED + 1, payloads=payloads)
    write = partial(WRITERS[kind], payloads=payloads)
    return row_files.send(request, f"instances-{hub}", kind, rows, INSTANCES_EXPORTED, write)


def _chosen(request: HttpRequest, hub: str) -> QuerySet[Instance]:
    asked = _asked(request, hub)
    ticked = keys_in(",".join(request.GET.getlist("pk")))
    if ticked:
        return filter_instances(hub, InstanceFilter(visible=asked.visible), using=database()).filter(pk__in=ticked)
    return asked.listing().rows(hub)


def _asked(request: HttpRequest, hub: str) -> Asked:
    try:
        return Asked.of(request, hub)
    except QueryError as error:
        raise Http404(str(error)) from error
