"""One instance: its page with tabs for timeline, history, children, payloads and audit, and what keeps it live."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from orchestrations import queries
from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.errors import InvalidCursor, PayloadUnavailable
from orchestrations.interfaces.dashboard import instance_page
from orchestrations.interfaces.dashboard.access import find_instance, is_partial, needs, person, require
from orchestrations.interfaces.dashboard.listing import shown
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer
from orchestrations.interfaces.dashboard.presentation.events import present
from orchestrations.interfaces.dashboard.presentation.failures import failure_of
from orchestrations.interfaces.dashboard.presentation.payloads import read_payload
from orchestrations.interfaces.dashboard.presentation.spans import attributes, gather
from orchestrations.interfaces.dashboard.presentation.timeline import lay_out
from orchestrations.interfaces.dashboard.presentation.waits import read_waits
from orchestrations.limits import HISTORY_PAGE
from orchestrations.models import ActivityWorkItem, Instance
from orchestrations.paging import Page, Row
from orchestrations.permissions import Action, can

FAILURES = frozenset({EventType.TASK_FAILED.value, EventType.SUB_ORCHESTRATION_FAILED.value})
TIMELINE_EVENTS = 500  # newest events of an instance that its timeline draws
PAYLOAD_COLUMNS = {"input": "Input", "output": "Output"}


@require_GET
@needs(Action.VIEW)
def page(request: HttpRequest, *, hub: str, instance_id: str, tab: str = "timeline") -> HttpResponse:
    """The instance's page with one of its tabs."""
    instance = instance_page.load(hub, instance_id)
    context = {
        **instance_page.head(request, instance, tab),
        **instance_page.questions(request, instance),
        **_tab(request, instance, tab),
        "tabs": _tabs(instance),
    }
    return render(request, "dashboard/instance/page.html", context)


@require_GET
@needs(Action.VIEW)
def live(request: HttpRequest, *, hub: str, instance_id: str) -> HttpResponse:
    """The head and the open tab as they stand now. Holds no form, so that nobody's typing is lost."""
    instance = instance_page.load(hub, instance_id)
    tab = request.GET.get("tab", "timeline")
    context = {**instance_page.head(request, instance, tab), **_tab(request, instance, tab), "is_refresh": True}
    return render(request, "dashboard/instance/_live.html", context)


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
    pk = find_instance(hub, instance_id).pk
    return answer(request, {"instance": topics.instance(pk), "waits": topics.waits(pk)})


@require_GET
@needs(Action.VIEW)
def event(request: HttpRequest, *, hub: str, instance_id: str, execution: int, sequence: int) -> HttpResponse:
    """One history event with its whole payload."""
    instance = find_instance(hub, instance_id)
    found = queries.history_event(instance, execution, sequence)
    if found is None:
        raise Http404(f"Execution {execution} has no event {sequence}.")
    may_see = can(person(request), Action.VIEW_PAYLOADS, instance)
    is_failure = found.type in FAILURES or attributes(found).get("status") == "Failed"
    context = {
        "hub": hub,
        "section": "instances",
        "instance": instance,
        "event": found,
        "attributes": attributes(found),
        "causes": failure_of(lambda: found.payload) if is_failure else [],
        "payload": read_payload(lambda: found.payload) if may_see else None,
        "is_hidden": found.has_payload and not may_see,
        "previous": sequence - 1,
        "next": sequence + 1 if execution != instance.execution or sequence < instance.last_sequence else None,
    }
    template = "dashboard/instance/_event.html" if is_partial(request) else "dashboard/instance/event.html"
    response = render(request, template, context)
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


@require_GET
@needs(Action.VIEW)
def payload(request: HttpRequest, *, hub: str, instance_id: str, part: str) -> HttpResponse:
    """The whole input or output, as a file."""
    instance = find_instance(hub, instance_id, payloads=True)
    require(request, Action.VIEW_PAYLOADS, instance)
    try:
        text = getattr(instance, part) if part in PAYLOAD_COLUMNS else None
    except PayloadUnavailable as error:
        raise Http404(str(error)) from error
    if text is None:
        raise Http404(f"The instance has no {part}.")
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(instance_id, safe='')}.{part}.json"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _timeline(request: HttpRequest, instance: Instance) -> dict[str, object]:
    now = timezone.now()
    waits = read_waits(instance.waits) if not instance.runtime_status.is_terminal else []
    started: dict[int, datetime] = {}
    if any(wait.kind == "Activity" for wait in waits):
        items = ActivityWorkItem.objects.using(get_config().database).filter(
            instance_id=instance.pk, execution=instance.execution, started_at__isnull=False
        )
        found = items.values_list("task_id", "started_at")[:TIMELINE_EVENTS]
        started = {task_id: at for task_id, at in found if at is not None}
    earlier = max(instance.last_sequence - TIMELINE_EVENTS, 0)
    events = queries.history(instance, after=earlier, limit=TIMELINE_EVENTS).events
    return {"timeline": lay_out(gather(instance, events, waits, started), now, earlier)}


def _history(request: HttpRequest, instance: Instance) -> dict[str, object]:
    execution = _integer(request.GET.get("execution")) or instance.execution
    after = _integer(request.GET.get("after")) or 0
    found = queries.history(instance, execution, after)
    may_see = can(person(request), Action.VIEW_PAYLOADS, instance)
    address = reverse("dashboard:instance_tab", args=[instance.hub, instance.instance_id, "history"])
    later = f"{address}?execution={execution}&after={found.next_after}" if found.next_after else ""
    return {
        "events": [present(row, show_payload=may_see) for row in found.events],
        "execution": execution,
        "executions": queries.executions(instance) if instance.execution > 1 else [],
        "earlier_url": f"{address}?execution={execution}&after={max(after - HISTORY_PAGE, 0)}" if after else "",
        "later_url": later,
    }


def _children(request: HttpRequest, instance: Instance) -> dict[str, object]:
    found = _checked(lambda cursor: queries.children(instance, cursor=cursor), request)
    return {"children": [shown(row, timezone.now()) for row in found.items], **_pager(found)}


def _payloads(request: HttpRequest, instance: Instance) -> dict[str, object]:
    if not can(person(request), Action.VIEW_PAYLOADS, instance):
        return {"may_view_payloads": False}
    instance.refresh_from_db(fields=list(PAYLOAD_COLUMNS))
    has_ended = instance.runtime_status.is_terminal
    absent = {"input": "It was started without input.", "output": "None." if has_ended else "It has not ended yet."}
    parts = [
        {
            "slug": slug,
            "label": label,
            "payload": read_payload(partial(getattr, instance, slug)),
            "absent": absent[slug],
        }
        for slug, label in PAYLOAD_COLUMNS.items()
    ]
    return {"may_view_payloads": True, "parts": parts}


def _audit(request: HttpRequest, instance: Instance) -> dict[str, object]:
    found = _checked(lambda cursor: queries.audit(instance.hub, instance.instance_id, cursor=cursor), request)
    return {"entries": found.items, **_pager(found)}


Gather = Callable[[HttpRequest, Instance], dict[str, object]]
TABS: dict[str, tuple[str, Gather]] = {
    "timeline": ("Timeline", _timeline),
    "history": ("History", _history),
    "children": ("Children", _children),
    "payloads": ("Input and output", _payloads),
    "audit": ("Audit", _audit),
}


def _tab(request: HttpRequest, instance: Instance, tab: str) -> dict[str, object]:
    if tab not in TABS:
        raise Http404(f"An instance has no {tab}.")
    return {"tab": tab, "tab_template": f"dashboard/instance/_{tab}.html", **TABS[tab][1](request, instance)}


def _tabs(instance: Instance) -> list[dict[str, str]]:
    where = [instance.hub, instance.instance_id]
    first = reverse("dashboard:instance", args=where)
    return [
        {
            "slug": slug,
            "label": label,
            "url": first if slug == "timeline" else reverse("dashboard:instance_tab", args=[*where, slug]),
        }
        for slug, (label, _) in TABS.items()
    ]


def _checked(read: Callable[[str | None], Page[Row]], request: HttpRequest) -> Page[Row]:
    """The page that the query string's cursor points at; raises Http404 for a cursor that was altered."""
    try:
        return read(request.GET.get("cursor"))
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid


def _pager(found: Page[Row]) -> dict[str, str]:
    return {
        "newer": f"?cursor={found.previous_cursor}" if found.previous_cursor else "",
        "older": f"?cursor={found.next_cursor}" if found.next_cursor else "",
    }


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 10 else None
