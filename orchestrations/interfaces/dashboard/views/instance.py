"""One instance: its page with a tab for each way to look at it, and what keeps it live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRefresh, trigger_client_event

from orchestrations.access.permissions import Action
from orchestrations.interfaces.dashboard import instance_page
from orchestrations.interfaces.dashboard.access import find_instance, needs
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.facts import Facts
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer
from orchestrations.interfaces.dashboard.tabs import audit, diagram, history, io, raw, related, stack, timeline, tree
from orchestrations.models import Instance
from orchestrations.reading import queries

Gather = Callable[[HttpRequest, Instance, Circumstances], dict[str, object]]
Tools = Callable[[HttpRequest, Instance], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Tab:
    """A way to look at an instance. ``tools`` are what stands above it and no live update swaps: forms."""

    label: str
    gather: Gather
    tools: Tools | None = None


TABS = {
    "timeline": Tab("Timeline", timeline.gather),
    "history": Tab("History", history.gather, history.tools),
    "tree": Tab("Tree", tree.gather),
    "related": Tab("Related", related.gather),
    "io": Tab("Input and output", io.gather),
    "stack": Tab("Stack", stack.gather),
    "diagram": Tab("Diagram", diagram.gather),
    "audit": Tab("Audit", audit.gather),
    "raw": Tab("Raw", raw.gather),
}
FORMER = {"children": "tree", "payloads": "io"}  # names that links from outside may have


@require_GET
@needs(Action.VIEW)
def page(request: HttpRequest, *, hub: str, instance_id: str, tab: str = "timeline") -> HttpResponse:
    """The instance's page with one of its tabs; of an instance that is gone, what the audit trail has of it."""
    if tab in FORMER:
        return redirect("dashboard:instance_tab", hub, instance_id, FORMER[tab])
    if tab not in TABS:
        raise Http404(f"An instance has no {tab}.")
    try:
        instance = instance_page.load(hub, instance_id)
    except Http404:
        return _gone(request, hub, instance_id)
    context = {**_head(request, instance, tab), **instance_page.questions(request, instance)}
    context |= _tab(request, instance, cast("Circumstances", context["about"]), tab)
    tools = TABS[tab].tools
    if tools is not None:
        context |= {"tools_template": f"dashboard/instance/_{tab}_tools.html", **tools(request, instance)}
    return render(request, "dashboard/instance/page.html", context)


@require_GET
@needs(Action.VIEW)
def live(request: HttpRequest, *, hub: str, instance_id: str) -> HttpResponse:
    """The head and the open tab as they stand now. Holds no form, so that nobody's typing is lost."""
    try:
        instance = instance_page.load(hub, instance_id)
    except Http404:
        return HttpResponseClientRefresh()  # it was purged: the page says so
    tab = request.GET.get("tab", "timeline")
    if tab not in TABS:
        raise Http404(f"An instance has no {tab}.")
    context = _head(request, instance, tab)
    context |= _tab(request, instance, cast("Circumstances", context["about"]), tab)
    return render(request, "dashboard/instance/_live.html", {**context, "is_refresh": True})


@require_GET
@needs(Action.VIEW)
def answers(request: HttpRequest, *, hub: str, instance_id: str) -> HttpResponse:
    """The questions that the instance asks now."""
    instance = instance_page.load(hub, instance_id)
    return render(request, "dashboard/instance/_answers.html", instance_page.questions(request, instance))


@require_GET
@needs(Action.VIEW)
def tick(request: HttpRequest, *, hub: str, instance_id: str) -> HttpResponseBase:
    """Whether the instance's page has changed, or the questions on it."""
    try:
        pk = find_instance(hub, instance_id).pk
    except Http404:  # it was purged: the page fetches itself anew and says so
        return trigger_client_event(HttpResponse(), "dash:instance", {})
    return answer(request, {"instance": topics.instance(pk), "waits": topics.waits(pk)})


@require_GET
@needs(Action.VIEW)
def node(request: HttpRequest, *, hub: str, instance_id: str) -> HttpResponse:
    """Some children of an instance in the tree; without htmx, the tree of that instance."""
    rank, after = tree.place(request)
    if not request.headers.get("HX-Request"):
        address = reverse("dashboard:instance_tab", args=[hub, instance_id, "tree"])
        return redirect(f"{address}?rank={rank}&after={after}" if after is not None else address)
    instance = instance_page.load(hub, instance_id)
    about = Circumstances(timezone.now())
    branch = tree.branch(instance, about, rank, after)
    context = {"hub": hub, "instance": instance, "branch": branch, "is_lazy": True}
    template = "_branch.html" if after is None else "_branch_items.html"
    return render(request, f"dashboard/instance/{template}", context)


def _gone(request: HttpRequest, hub: str, instance_id: str) -> HttpResponse:
    """What is left of a purged instance: who deleted it, when and why. Raises Http404 where nothing is known of it."""
    if not queries.storable(instance_id):
        raise Http404("No instance has such an id.")
    trail = audit.trail(request, hub, instance_id)
    entries = cast("list[object]", trail["entries"])
    if not entries:
        raise Http404(f"No instance has the id {instance_id}.")
    purged = audit.purge_of(hub, instance_id)
    context = {"hub": hub, "section": "instances", "instance_id": instance_id, "purged": purged, **trail}
    return render(request, "dashboard/instance/gone.html", context, status=410)


def _tab(request: HttpRequest, instance: Instance, about: Circumstances, tab: str) -> dict[str, object]:
    return {"tab": tab, "tab_template": f"dashboard/instance/_{tab}.html", **TABS[tab].gather(request, instance, about)}


def _head(request: HttpRequest, instance: Instance, tab: str) -> dict[str, object]:
    context = instance_page.head(request, instance, tab)
    children = cast("Facts", context["facts"]).children
    counts = {"history": f"{instance.last_sequence:,}", "tree": str(children) if children.total else ""}
    return {**context, "tabs": _tabs(instance, counts)}


def _tabs(instance: Instance, counts: dict[str, str]) -> list[dict[str, str]]:
    """The links to all of them, with what is counted anyway."""
    where = [instance.hub, instance.instance_id]
    first = reverse("dashboard:instance", args=where)
    return [
        {
            "slug": slug,
            "label": tab.label,
            "count": counts.get(slug, ""),
            "url": first if slug == "timeline" else reverse("dashboard:instance_tab", args=[*where, slug]),
        }
        for slug, tab in TABS.items()
    ]
