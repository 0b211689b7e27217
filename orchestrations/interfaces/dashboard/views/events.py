"""One history event, as a page and as a part that a row opens."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestrations.access.permissions import Action, can
from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.access import find_instance, is_partial, needs, person
from orchestrations.interfaces.dashboard.forks import fork_url
from orchestrations.interfaces.dashboard.presentation.failures import failure_of
from orchestrations.interfaces.dashboard.presentation.payloads import read_payload
from orchestrations.interfaces.dashboard.presentation.redaction import redact
from orchestrations.interfaces.dashboard.presentation.spans import FAILED, attributes
from orchestrations.interfaces.dashboard.tabs.reading import events_of
from orchestrations.interfaces.dashboard.tabs.stack import ShownCause, stretches
from orchestrations.models import HistoryEvent, Instance
from orchestrations.reading import queries

FAILURES = frozenset(kind.value for kind in FAILED)
LINKED = "instance_id"  # the attribute that names another instance
PARTNERS = 20  # other events of the same task that are named


@require_GET
@needs(Action.VIEW)
def event(
    request: HttpRequest, *, hub: str, instance_id: str, sequence: int, execution: int | None = None
) -> HttpResponse:
    """One event with its whole payload; of the present execution where the address names none."""
    instance = find_instance(hub, instance_id)
    found = queries.history_event(instance, execution or instance.execution, sequence)
    if found is None:
        raise Http404(f"Execution {execution or instance.execution} has no event {sequence}.")
    context = {"hub": hub, "section": "instances", "instance": instance, **_details(request, instance, found)}
    if is_partial(request):
        response = render(request, "dashboard/instance/_event.html", context)
    else:
        response = render(request, "dashboard/instance/event.html", {**context, **_neighbours(instance, found)})
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


def _details(request: HttpRequest, instance: Instance, found: HistoryEvent) -> dict[str, object]:
    may_see = can(person(request), Action.VIEW_PAYLOADS, instance)
    told = attributes(found)
    is_failure = found.type in FAILURES or (
        found.type == EventType.EXECUTION_COMPLETED and told.get("status") == "Failed"
    )
    causes = failure_of(lambda: found.payload) if is_failure else []
    target = told.pop(LINKED, None)
    shown = redact(told)
    return {
        "event": found,
        "target": str(target) if isinstance(target, str) and target else "",
        "attributes": shown,
        "causes": [ShownCause(cause, stretches(cause.trace)) for cause in causes],
        "payload": read_payload(lambda: found.payload) if may_see and not causes else None,
        "fork_url": fork_url(request, instance, found.execution),
        "is_hidden": found.has_payload and not may_see and not causes,
    }


def _neighbours(instance: Instance, found: HistoryEvent) -> dict[str, object]:
    """The events before and behind it, and the others of its task."""
    is_last = found.execution == instance.execution and found.sequence >= instance.last_sequence
    same = events_of(instance, found.execution).filter(task_id=found.task_id).exclude(pk=found.pk)
    near = same.filter(sequence__gt=found.sequence - 2_000, sequence__lt=found.sequence + 2_000)
    return {
        "previous": found.sequence - 1,
        "next": None if is_last else found.sequence + 1,
        "partners": list(near[:PARTNERS]) if found.task_id is not None else [],
    }
