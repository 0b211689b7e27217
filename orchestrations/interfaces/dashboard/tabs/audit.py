"""The audit trail of one instance id, whether or not the instance still exists."""

from __future__ import annotations

from django.http import Http404, HttpRequest

from orchestrations.access.permissions import Action
from orchestrations.conf import get_config
from orchestrations.errors import InvalidCursor
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.models import AuditEntry, Instance
from orchestrations.reading import queries


def gather(request: HttpRequest, instance: Instance, about: Circumstances) -> dict[str, object]:
    """A page of it, newest first."""
    return trail(request, instance.hub, instance.instance_id)


def purge_of(hub: str, instance_id: str) -> AuditEntry | None:
    """The act that deleted it, where a person's or a program's was recorded."""
    rows = AuditEntry.objects.using(get_config().database).filter(hub=hub, instance_id=instance_id)
    return rows.filter(action=Action.PURGE.value).order_by("-pk").first()


def trail(request: HttpRequest, hub: str, instance_id: str) -> dict[str, object]:
    """A page of what was done to that id; raises Http404 for a cursor that was altered."""
    try:
        found = queries.audit(hub, instance_id, cursor=request.GET.get("cursor"))
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid
    return {
        "entries": found.items,
        "newer": f"?cursor={found.previous_cursor}" if found.previous_cursor else "",
        "older": f"?cursor={found.next_cursor}" if found.next_cursor else "",
    }
