"""The instances list, kept up to date in place: rows are patched where they stand, new ones only announced."""

from __future__ import annotations

from contextlib import suppress

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from orchestrations.access.permissions import Action, can, can_somewhere, names_open_to
from orchestrations.conf import get_config
from orchestrations.errors import InstanceNotFound, InvalidCursor
from orchestrations.interfaces.dashboard.access import is_partial, needs, signed_in
from orchestrations.interfaces.dashboard.asked import Asked, text_of
from orchestrations.interfaces.dashboard.bounded_reading import TookTooLong, bounded
from orchestrations.interfaces.dashboard.counting import count
from orchestrations.interfaces.dashboard.list_page import chips_again, news, problem, results, table
from orchestrations.interfaces.dashboard.listing import rows_again
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer
from orchestrations.interfaces.dashboard.reader import reader_of
from orchestrations.interfaces.dashboard.shown_rows import keys_in
from orchestrations.patterns import matches
from orchestrations.reading import queries
from orchestrations.search.language import Query, QueryError, Text, write

SUGGESTIONS = 8


@signed_in
def home(request: HttpRequest) -> HttpResponse:
    """Send people to what they may see: the overview, the list of some instances, or their approvals."""
    hub = get_config().task_hub
    if can(request.user, Action.VIEW):
        return redirect("dashboard:overview", hub=hub)
    if can_somewhere(request.user, Action.VIEW, hub):
        return redirect("dashboard:instances", hub=hub)
    return redirect("dashboard:approvals")


@require_GET
@needs(Action.VIEW, narrowed=True)
def instances(request: HttpRequest, *, hub: str) -> HttpResponse:
    """A page of instances by the query of the address, the newest first unless asked otherwise."""
    try:
        asked = Asked.of(request, hub)
    except QueryError as error:
        return _refuse(request, hub, error)
    if not is_partial(request) and _moves(request, asked):
        return HttpResponseRedirect(asked.url())
    zone = reader_of(request).zone
    context = {"hub": hub, "section": "instances", "text": write(asked.query, zone), "asked": asked}
    try:
        context |= results(asked, request)
        status = 200
    except TookTooLong:
        context |= {"took_too_long": True, "last_day": f"{asked.text} created:-24h".strip()}
        status = 422
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid
    template = "dashboard/instances/_results.html" if is_partial(request) else "dashboard/instances/page.html"
    response = render(request, template, context | {"is_part": is_partial(request)}, status=status)
    response.headers["Vary"] = "HX-Request, Cookie"
    if is_partial(request):
        response.headers["HX-Push-Url"] = asked.url()
    return response


@require_GET
@needs(Action.VIEW, narrowed=True)
def rows(request: HttpRequest, *, hub: str) -> HttpResponse:
    """The rows that a page shows, as they stand now, with the counts beside them."""
    asked, pks = _asked(request, hub), _shown(request)
    listing = asked.listing()
    with bounded():
        found = rows_again(hub, pks, asked.visible)
        matching = listing.matching(hub, pks)
    newest, is_first = request.GET.get("newest", ""), bool(request.GET.get("first"))
    context = {
        "hub": hub,
        **table(asked, request, found, newest=newest, is_first=is_first, matching=matching),
        **chips_again(asked, count(hub, listing.where)),
    }
    return render(request, "dashboard/instances/_rows.html", context)


@require_GET
@needs(Action.VIEW, narrowed=True)
def newer(request: HttpRequest, *, hub: str) -> HttpResponse:
    """How many instances have come since a first page was made, with the counts beside it."""
    asked, newest = _asked(request, hub), request.GET.get("newest", "")
    listing = asked.listing()
    with bounded():
        try:
            newest_pk = queries.newest_instance(hub)
            found = listing.newer(hub, newest, newest_pk)
        except InvalidCursor as invalid:
            raise Http404(str(invalid)) from invalid
    context = {
        **news(asked, newest, found, newest_pk),
        **chips_again(asked, count(hub, listing.where, is_recent_enough=True)),
    }
    return render(request, "dashboard/instances/_newer.html", context)


@require_GET
@needs(Action.VIEW, narrowed=True)
def instances_tick(request: HttpRequest, *, hub: str) -> HttpResponseBase:
    """Whether any of the rows that a page shows has changed, or newer instances may have come."""
    watched = {"instances": topics.rows(hub, _shown(request))}
    if request.GET.get("first"):
        watched["newer"] = topics.newest(hub)
    return answer(request, watched)


@require_GET
@needs(Action.VIEW, narrowed=True)
def names(request: HttpRequest, *, hub: str) -> HttpResponse:
    """The names that the filter suggests, as options."""
    options = queries.orchestrator_names(hub)
    visible = names_open_to(request.user, Action.VIEW, hub)
    if visible is not None:
        options = [name for name in options if any(matches(pattern, name) for pattern in visible)]
    return render(request, "dashboard/instances/_options.html", {"options": options})


@require_GET
@needs(Action.VIEW, narrowed=True)
def suggest(request: HttpRequest, *, hub: str) -> HttpResponse:
    """Ids that begin with what is typed into the go-to box, as options."""
    prefix = request.GET.get("id", "").strip()
    visible = names_open_to(request.user, Action.VIEW, hub)
    where = queries.InstanceFilter(id_prefix=prefix, nothing=not prefix, visible=visible)
    with bounded():
        found = queries.filter_instances(hub, where).order_by("instance_id").values_list("instance_id", flat=True)
        options = list(found[:SUGGESTIONS])
    return render(request, "dashboard/instances/_options.html", {"options": options})


@require_GET
@needs(Action.VIEW, narrowed=True)
def go(request: HttpRequest, *, hub: str) -> HttpResponse:
    """Open the instance whose exact id is given; list those with that tag, or whose ids begin with it."""
    text = request.GET.get("id", "").strip()
    with suppress(InstanceNotFound):
        found = queries.get_instance(hub, text)
        if can(request.user, Action.VIEW, found):
            return redirect("dashboard:instance", hub=hub, instance_id=found.instance_id)
    name, is_tag, value = text.partition("=")
    if is_tag and name:
        query = Query(tags=((name.strip(), value.strip()),), children=True)
    else:
        query = Query(id=Text(text, is_prefix=True)) if text else Query()
    return HttpResponseRedirect(Asked(hub, query).url())


def _refuse(request: HttpRequest, hub: str, error: QueryError) -> HttpResponse:
    """Say where the query goes wrong. In a page with results they stay, and so does its address."""
    text = text_of(request.GET)
    context = {"hub": hub, "section": "instances", "text": text, **problem(text, error)}
    template = "dashboard/instances/_problem.html" if is_partial(request) else "dashboard/instances/page.html"
    response = render(request, template, context, status=422)
    response.headers["Vary"] = "HX-Request, Cookie"
    if is_partial(request):
        response.headers["HX-Retarget"] = "#query-problem"
        response.headers["HX-Reswap"] = "innerHTML"
        response.headers["HX-Push-Url"] = "false"
    return response


def _moves(request: HttpRequest, asked: Asked) -> bool:
    """Whether the address would show something else to a person in another time zone."""
    has_instant = any(term.startswith(("created>", "created<", "completed")) for term in asked.text.split())
    return has_instant and request.GET.get("q", "") != asked.text


def _asked(request: HttpRequest, hub: str) -> Asked:
    try:
        return Asked.of(request, hub)
    except QueryError as error:
        raise Http404(str(error)) from error


def _shown(request: HttpRequest) -> list[int]:
    """The rows that the page shows, by primary key."""
    return keys_in(request.GET.get("ids", ""))
