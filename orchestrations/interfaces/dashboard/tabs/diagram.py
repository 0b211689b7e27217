"""The sequence diagram: who told whom what, up to two hundred messages, as a picture and as Mermaid text."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse

from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.presentation.diagram import draw, mermaid, messages
from orchestrations.interfaces.dashboard.tabs.reading import events_of, number
from orchestrations.models import Instance

MESSAGES = 200  # drawn
EVENTS = 2_000  # read for them: like messages in a row are one


def gather(request: HttpRequest, instance: Instance, about: Circumstances) -> dict[str, object]:
    """The messages from some event on, and where they go on."""
    first = number(request.GET.get("seq")) or 1
    events = list(events_of(instance).filter(sequence__gte=first)[:EVENTS])
    told = messages(instance, events)
    shown = told[:MESSAGES]
    last = shown[-1].last_sequence if shown else 0
    address = reverse("dashboard:instance_tab", args=[instance.hub, instance.instance_id, "diagram"])
    return {
        "diagram": draw(instance, shown),
        "mermaid": mermaid(instance, shown),
        "is_empty": not shown,
        "first": first,
        "last": last,
        "earlier_url": address if first > 1 else "",
        "later_url": f"{address}?seq={last + 1}" if last < instance.last_sequence and shown else "",
    }
