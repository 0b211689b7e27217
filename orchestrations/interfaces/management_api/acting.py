"""Routes that act on instances: events, control operations and purging."""

from __future__ import annotations

from django.http import HttpResponse

from orchestrations.access.permissions import Audience
from orchestrations.client.purging import purge_in_batches
from orchestrations.client.tagging import parted
from orchestrations.errors import InstanceEnded
from orchestrations.interfaces import raising
from orchestrations.interfaces.management_api.approvals import require_asked_of_anybody
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.parameters import require_json_media_type
from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.interfaces.management_api.reading import instance_filter
from orchestrations.interfaces.management_api.rendering import empty_response, json_response
from orchestrations.interfaces.management_api.shapes import TagChanges
from orchestrations.limits import PURGED_BY_REQUEST
from orchestrations.models import Instance


def raise_event(call: Call, instance_id: str, event_name: str) -> HttpResponse:
    """Raise an external event with the body as its payload; ``Idempotency-Key`` makes a repeated request harmless.

    What answers a question with a form is checked by it, unless the holder of a key says ``unvalidated=true``.
    """
    target = call.instance(instance_id)
    if target.runtime_status.is_terminal:  # told before anything about the body
        raise InstanceEnded(instance_id, target.status, "raising an event", "Pending, Running or Suspended")
    if call.caller.capability is not None:
        _require_nobody_asked(target, event_name)
    require_json_media_type(call.request)
    event_data = call.json(f"event {event_name!r}")
    raising.raise_event(
        call.client,
        None,
        target,
        event_name,
        event_data,
        idempotency_key=call.request.headers.get("Idempotency-Key"),
        unvalidated=call.caller.capability is None and call.query.flag("unvalidated", False),
    )
    return empty_response(202)


def terminate(call: Call, instance_id: str) -> HttpResponse:
    """End the instance, and with ``recursive`` (the default) its sub-orchestrations."""
    call.client.terminate(instance_id, call.query.reason(), recursive=call.query.flag("recursive", True))
    return empty_response(202)


def suspend(call: Call, instance_id: str) -> HttpResponse:
    """Pause the instance."""
    call.client.suspend(instance_id, call.query.reason())
    return empty_response(202)


def resume(call: Call, instance_id: str) -> HttpResponse:
    """Let the suspended instance go on."""
    call.client.resume(instance_id, call.query.reason())
    return empty_response(202)


def rewind(call: Call, instance_id: str) -> HttpResponse:
    """Let the failed instance go on from before its failure."""
    call.client.rewind(instance_id, call.query.reason())
    return empty_response(202)


def purge(call: Call, instance_id: str) -> HttpResponse:
    """Delete the ended instance."""
    recursive, reason = call.query.flag("recursive", False), call.query.reason()
    purged = call.client.purge_instance_history(instance_id, recursive=recursive, reason=reason)
    return json_response({"instancesDeleted": purged.instances_deleted})


def purge_many(call: Call) -> HttpResponse:
    """Delete ended instances by creation time and status, PURGED_BY_REQUEST at most."""
    where = instance_filter(call)
    if where.created_from is None:
        return json_response("Please provide value for 'createdTimeFrom' parameter.", 400)
    *_, purged = purge_in_batches(call.client, where, limit=PURGED_BY_REQUEST, reason=call.query.reason())
    if not purged.instances_deleted:
        raise Problem(404, "No ended instance matches. Nothing was deleted.")
    return json_response({"instancesDeleted": purged.instances_deleted})


def set_tags(call: Call, instance_id: str) -> HttpResponse:
    """Set tags, and remove those that are null; the others stay. Tells all that the instance has then."""
    tags, removed = parted(call.body(TagChanges, "tags"))
    return json_response(call.client.set_tags(instance_id, tags, remove=removed, reason=call.query.reason()))


def make_primary(call: Call) -> HttpResponse:
    """Do nothing: every host of a site may work on its hub, so that there is no primary one."""
    return empty_response(200)


def _require_nobody_asked(target: Instance, event_name: str) -> None:
    """Raise a 403 where the event answers a question to certain people: a link may be anybody's."""
    for wait in target.open_waits.all():
        if wait.name.casefold() == event_name.casefold():
            require_asked_of_anybody(Audience.of(wait.request), event_name)
