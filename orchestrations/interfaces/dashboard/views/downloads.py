"""What can be taken along from an instance's page: payloads, its history, its rows, and its timeline."""

from __future__ import annotations

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET

from orchestrations.access.permissions import Action
from orchestrations.errors import PayloadUnavailable
from orchestrations.interfaces.dashboard import instance_page
from orchestrations.interfaces.dashboard.access import find_instance, needs, require
from orchestrations.interfaces.dashboard.circumstances import circumstances
from orchestrations.interfaces.dashboard.exporting import exported
from orchestrations.interfaces.dashboard.presentation.payloads import without_secrets
from orchestrations.interfaces.dashboard.streams import download, stream
from orchestrations.interfaces.dashboard.tabs import raw as raw_tab
from orchestrations.interfaces.dashboard.tabs import timeline as timeline_tab

JSON = "application/json; charset=utf-8"
PARTS = ("input", "first_input", "output", "custom_status")


@require_GET
@needs(Action.VIEW)
def payload(request: HttpRequest, *, hub: str, instance_id: str, part: str) -> HttpResponseBase:
    """The whole input, output or custom status, as a file; what looks secret is hidden in it too."""
    instance = find_instance(hub, instance_id, payloads=True)
    require(request, Action.VIEW_PAYLOADS, instance)
    try:
        text = getattr(instance, part) if part in PARTS else None
    except PayloadUnavailable as error:
        raise Http404(str(error)) from error
    if text is None:
        raise Http404(f"The instance has no {part}.")
    return download(without_secrets(text), f"{instance_id}.{part}.json", JSON)


@require_GET
@needs(Action.VIEW)
def history(request: HttpRequest, *, hub: str, instance_id: str) -> HttpResponseBase:
    """The present execution's history, for a replay beside the tests."""
    instance = find_instance(hub, instance_id, payloads=True)
    require(request, Action.VIEW_PAYLOADS, instance)
    return stream(request, exported(instance), f"{instance_id}.history.json", JSON)


@require_GET
@needs(Action.VIEW)
def raw(request: HttpRequest, *, hub: str, instance_id: str) -> HttpResponseBase:
    """The rows of the instance, without payloads."""
    instance = find_instance(hub, instance_id)
    require(request, Action.VIEW_PAYLOADS, instance)
    return download(raw_tab.document(instance), f"{instance_id}.raw.json", JSON)


@require_GET
@needs(Action.VIEW)
def timeline(request: HttpRequest, *, hub: str, instance_id: str) -> HttpResponseBase:
    """The timeline as a picture of its own, in light colours."""
    instance = instance_page.load(hub, instance_id)
    about = circumstances(instance, timezone.now())
    context = {
        **timeline_tab.gather(request, instance, about),
        "hub": hub,
        "instance": instance,
        "address": f"{request.scheme}://{request.get_host()}",
    }
    picture = render_to_string("dashboard/instance/timeline.svg", context)
    return download(picture, f"{instance_id}.timeline.svg", "image/svg+xml; charset=utf-8")
