"""The three views of every board: the page, one region of it, and the tick that says which regions have changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestrations.access.permissions import Action
from orchestrations.interfaces.dashboard.access import needs
from orchestrations.interfaces.dashboard.boards.board import Asked, Board
from orchestrations.interfaces.dashboard.boards.flows import FLOW, FLOWS
from orchestrations.interfaces.dashboard.boards.overview import OVERVIEW
from orchestrations.interfaces.dashboard.boards.retention import RETENTION
from orchestrations.interfaces.dashboard.boards.workers import WORKERS
from orchestrations.interfaces.dashboard.live.answering import answer

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True, slots=True)
class BoardViews:
    """The views of one board."""

    page: View
    region: View
    tick: View


def views_of(board: Board) -> BoardViews:
    """Make the views of a board."""

    @require_GET
    @needs(Action.VIEW)
    def page(request: HttpRequest, *, hub: str, flow: str = "") -> HttpResponse:
        asked = Asked.of(hub, request.GET.get("window"), flow)
        regions = {name: board.region(asked, name, fresh=True) for name in board.kinds}
        context = {
            "hub": hub,
            "flow": flow,
            "section": board.section,
            "regions": regions,
            "tick_url": board.url(asked, "tick"),
        }
        return render(request, board.template, context)

    @require_GET
    @needs(Action.VIEW)
    def region(request: HttpRequest, *, hub: str, region: str, flow: str = "") -> HttpResponse:
        if region not in board.kinds:
            raise Http404(f"The page has no region {region}.")
        shown = board.region(Asked.of(hub, request.GET.get("window"), flow), region)
        return render(request, "dashboard/parts/region.html", {"region": shown, "hub": hub})

    @require_GET
    @needs(Action.VIEW)
    def tick(request: HttpRequest, *, hub: str, flow: str = "") -> HttpResponseBase:
        return answer(request, board.topics(Asked.of(hub, request.GET.get("window"), flow)))

    return BoardViews(page, region, tick)


overview = views_of(OVERVIEW)
workers = views_of(WORKERS)
flows = views_of(FLOWS)
flow = views_of(FLOW)
retention = views_of(RETENTION)
