"""Starting an orchestration: choose it, fill in the form that is made from its input's type, and go to the instance."""

from __future__ import annotations

import inspect
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from orchestrations.access.permissions import Action, Function, can, can_somewhere
from orchestrations.authoring.forms.binding import check_form, cleaned_payload, leave_unchecked, wants_more_rows
from orchestrations.authoring.forms.files import keep_with_input
from orchestrations.authoring.forms.shapes import JSON_BOX
from orchestrations.authoring.orchestrators import RegisteredOrchestrator
from orchestrations.authoring.registry import registry
from orchestrations.client.instance_ids import check_instance_id
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import DurableError, InstanceNotFound, InvalidInstanceId, PayloadUnavailable
from orchestrations.interfaces.dashboard.access import check_hub, client_of, find_instance, person, signed_in
from orchestrations.interfaces.dashboard.start_forms import StartForm, describe_input, input_form
from orchestrations.models import Instance
from orchestrations.reading import queries
from orchestrations.store.contract import OnDuplicate

STARTED_BY_FORM = uuid.UUID("0c3b4c6e-5f7a-5d0a-8d5e-2f4d1a9b7c11")
NEEDED = f"the permission {Action.START.permission}"
SENT = "durable_started"  # in the session: what this browser has started lately, by the token of the form
SENT_KEPT = 20


@dataclass(frozen=True, slots=True)
class Like:
    """The instance like which another one is to start, as far as the reader may see it."""

    instance: Instance | None = None
    input: str | None = None
    note: str = ""


@require_http_methods(["GET", "POST"])
@signed_in
def start(request: HttpRequest, *, hub: str) -> HttpResponse:
    """Choose an orchestrator, or fill in its form and start it: 403 without the right, 422 for a form that is wrong."""
    check_hub(hub)
    _require_somewhere(request, hub)
    like = _like(request, hub)
    name = like.instance.name if like.instance else request.GET.get("name", "")
    if not name:
        return _choose(request, hub)
    definition = registry.orchestrators().get(name)
    if definition is None:
        return _choose(request, hub, f"No orchestrator named {name} is installed here. Choose another one.", 404)
    if not can(person(request), Action.START, Function(hub, name)):
        raise PermissionDenied(f"That needs {NEEDED} for {name}.")
    given = request.POST if request.method == "POST" else None
    version, tags = (like.instance.start_version, like.instance.tags) if like.instance else ("", {})
    form = StartForm(given, version=version, tags=tags)
    asked = _input(request, definition, like)
    if given is None:
        return _ask(request, hub, definition, form, asked, like)
    if asked is not None and wants_more_rows(asked):
        leave_unchecked(asked)
        return _ask(request, hub, definition, form, asked, like)
    is_valid = form.is_valid()
    if not (asked is None or check_form(asked)) or not is_valid:
        return _ask(request, hub, definition, form, asked, like, 422)
    return _start(request, hub, definition, form, asked, like)


@require_GET
@signed_in
def check(request: HttpRequest, *, hub: str) -> HttpResponse:
    """What stands in the way of an instance id, while it is typed."""
    check_hub(hub)
    _require_somewhere(request, hub)
    return render(request, "dashboard/start/_check.html", {"hub": hub, **_verdict(request, hub)})


def _verdict(request: HttpRequest, hub: str) -> dict[str, object]:
    typed = request.GET.get("instance_id", "").strip()
    if not typed:
        return {}
    try:
        found = queries.get_instance(hub, check_instance_id(typed))
    except InvalidInstanceId as invalid:
        return {"problem": str(invalid)}
    except InstanceNotFound:
        return {"is_free": True}
    if not can(person(request), Action.VIEW, found):
        return {"problem": "This id is taken. Choose another one."}
    return {"found": found, "is_ended": RuntimeStatus(found.status).is_terminal}


def _require_somewhere(request: HttpRequest, hub: str) -> None:
    if not can_somewhere(person(request), Action.START, hub):
        raise PermissionDenied(
            f"That needs the permission {Action.START.permission}, which your account does not have."
        )


def _like(request: HttpRequest, hub: str) -> Like:
    instance_id = request.GET.get("like", "")
    if not instance_id:
        return Like()
    instance = find_instance(hub, instance_id)
    user = person(request)
    if not can(user, Action.VIEW, instance):
        raise Http404(f"No instance has the id {instance_id}.")
    if not can(user, Action.VIEW_PAYLOADS, instance):
        return Like(
            instance, note=f"Its input is not shown: that needs the permission {Action.VIEW_PAYLOADS.permission}."
        )
    try:
        return Like(instance, find_instance(hub, instance_id, payloads=True).start_input)
    except PayloadUnavailable as unavailable:
        return Like(instance, note=str(unavailable))


def _input(request: HttpRequest, definition: RegisteredOrchestrator, like: Like) -> forms.Form | None:
    described = describe_input(definition, as_json=bool(request.GET.get("json")))
    if described is None:
        return None
    given, files = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    return input_form(definition, described, given, files, like.input)


def _choose(request: HttpRequest, hub: str, problem: str = "", status: int = 200) -> HttpResponse:
    user = person(request)
    offered = [
        {"name": name, "about": (inspect.getdoc(definition.function) or "").partition("\n")[0]}
        for name, definition in sorted(registry.orchestrators().items())
        if can(user, Action.START, Function(hub, name))
    ]
    context = {"hub": hub, "section": "start", "offered": offered, "problem": problem}
    return render(request, "dashboard/start/choose.html", context, status=status)


def _ask(
    request: HttpRequest,
    hub: str,
    definition: RegisteredOrchestrator,
    form: StartForm,
    asked: forms.Form | None,
    like: Like,
    status: int = 200,
) -> HttpResponse:
    query = request.GET.copy()
    as_json = query.pop("json", None)
    context = {
        "hub": hub,
        "section": "start",
        "name": definition.name,
        "about": inspect.getdoc(definition.function) or "",
        "form": form,
        "input": asked,
        "like": like,
        "is_multipart": asked is not None and asked.is_multipart(),
        "is_json": bool(as_json),
        "has_type": asked is not None and describe_input(definition) is not JSON_BOX,
        "form_url": f"?{query.urlencode()}",
        "json_url": f"?{query.urlencode()}&json=1",
        "check_url": reverse("dashboard:start_check", args=[hub]),
    }
    return render(request, "dashboard/start/form.html", context, status=status)


def _start(
    request: HttpRequest,
    hub: str,
    definition: RegisteredOrchestrator,
    form: StartForm,
    asked: forms.Form | None,
    like: Like,
) -> HttpResponse:
    given = form.cleaned_data
    sent: dict[str, str] = request.session.get(SENT, {})
    if (started := sent.get(given["token"])) is None:
        try:
            value = None if asked is None else cleaned_payload(asked, partial(keep_with_input, hub))
            started = _start_once(request, hub, definition, given, value)
        except (DurableError, ValueError) as refused:
            form.add_error(None, str(refused))
            return _ask(request, hub, definition, form, asked, like, 422)
        request.session[SENT] = dict([*sent.items(), (given["token"], started)][-SENT_KEPT:])
        messages.success(request, "It is started." if not given["start_at"] else "It is going to start then.")
    return redirect("dashboard:instance", hub=hub, instance_id=started)


def _start_once(
    request: HttpRequest, hub: str, definition: RegisteredOrchestrator, given: dict[str, Any], value: Any
) -> str:
    """Start it. Without an id of the person's the form's token gives one, so that of two sendings one counts."""
    instance_id, on_duplicate = given["instance_id"], OnDuplicate.REPLACE_TERMINAL
    if not instance_id:
        instance_id = uuid.uuid5(STARTED_BY_FORM, f"{request.user.pk}/{given['token']}").hex
        on_duplicate = OnDuplicate.RETURN_EXISTING
    return client_of(request, hub).start_new(
        definition.name,
        instance_id,
        value,
        start_at=given["start_at"],
        tags=given["tags"],
        version=given["version"] or None,
        on_duplicate=on_duplicate,
    )
