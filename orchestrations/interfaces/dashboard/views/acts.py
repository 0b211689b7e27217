"""What people do to an instance: GET asks, POST acts. Each verb has its form and its one call of the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event

from orchestrations import queries
from orchestrations.client import OrchestrationClient
from orchestrations.errors import (
    AnswerRejected,
    FunctionNotRegistered,
    HumanTaskClosed,
    InstanceAlreadyExists,
    InvalidTransition,
    PayloadRejected,
    PermissionRefused,
)
from orchestrations.interfaces import raising
from orchestrations.interfaces.dashboard.access import (
    client_of,
    find_instance,
    is_partial,
    no_content,
    person,
    require,
    signed_in,
)
from orchestrations.interfaces.dashboard.forms import (
    PurgeForm,
    RaiseEventForm,
    ReasonForm,
    RequiredReasonForm,
    TerminateForm,
)
from orchestrations.interfaces.dashboard.presentation.verbs import RAISE, TERMINATE, VERBS, Verb
from orchestrations.models import Instance
from orchestrations.permissions import Action, can_somewhere, legal_actions, require_raise_event

FORMS: dict[Action, type[forms.Form]] = {
    Action.RAISE_EVENT: RaiseEventForm,
    Action.SUSPEND: ReasonForm,
    Action.RESUME: ReasonForm,
    Action.REWIND: RequiredReasonForm,
    Action.RESTART: forms.Form,
    Action.TERMINATE: TerminateForm,
    Action.PURGE: PurgeForm,
}


@require_http_methods(["GET", "POST"])
@signed_in
def act(request: HttpRequest, *, hub: str, instance_id: str, slug: str) -> HttpResponse:
    """Ask for what the act needs, and do it: 403 without the right, 409 in the wrong status, 422 for a bad form."""
    verb = _verb(slug)
    if not can_somewhere(person(request), verb.action, hub):
        require(request, verb.action)
    instance = find_instance(hub, instance_id)
    require(request, verb.action, instance)
    if verb.action not in legal_actions(instance.status):
        return _conflict(request, instance, verb)
    form = _form(request, instance, verb)
    if request.method != "POST":
        return _ask(request, instance, verb, form)
    if not form.is_valid():
        return _ask(request, instance, verb, form, status=422)
    try:
        url = PERFORM[verb.action](client_of(request, hub), instance, form, request)
    except InvalidTransition:
        return _conflict(request, find_instance(hub, instance_id), verb)
    except (PayloadRejected, AnswerRejected, HumanTaskClosed, FunctionNotRegistered, InstanceAlreadyExists) as refused:
        form.add_error(None, str(refused))
        return _ask(request, instance, verb, form, status=422)
    return _done(request, instance, verb, url)


def _verb(slug: str) -> Verb:
    if slug not in VERBS:
        raise Http404(f"There is no act {slug}.")
    return VERBS[slug]


def _form(request: HttpRequest, instance: Instance, verb: Verb) -> forms.Form:
    given = request.POST if request.method == "POST" else None
    extra: dict[str, Any] = {"instance_id": instance.instance_id} if verb.action is Action.PURGE else {}
    if verb is RAISE:
        extra["initial"] = {"name": request.GET.get("name", "")}
    return FORMS[verb.action](given, **extra)


def _raise(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    name = form.cleaned_data["name"]
    try:
        require_raise_event(person(request), instance, name)
    except PermissionRefused as refused:
        raise PermissionDenied(str(refused)) from refused
    raising.raise_event(client, person(request), instance, name, form.cleaned_data["payload"])
    return None


def _suspend(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    client.suspend(instance.instance_id, form.cleaned_data["reason"])
    return None


def _resume(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    client.resume(instance.instance_id, form.cleaned_data["reason"])
    return None


def _rewind(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    client.rewind(instance.instance_id, form.cleaned_data["reason"])
    return None


def _terminate(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    given = form.cleaned_data
    client.terminate(instance.instance_id, given["reason"], recursive=given["recursive"])
    return None


def _restart(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    return reverse("dashboard:instance", args=[instance.hub, client.restart(instance.instance_id)])


def _purge(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    given = form.cleaned_data
    client.purge_instance_history(instance.instance_id, recursive=given["recursive"], reason=given["reason"])
    return reverse("dashboard:instances", args=[instance.hub])


Perform = Callable[[OrchestrationClient, Instance, forms.Form, HttpRequest], str | None]
PERFORM: dict[Action, Perform] = {
    Action.RAISE_EVENT: _raise,
    Action.SUSPEND: _suspend,
    Action.RESUME: _resume,
    Action.REWIND: _rewind,
    Action.RESTART: _restart,
    Action.TERMINATE: _terminate,
    Action.PURGE: _purge,
}
"""Each returns where to go afterwards; None for the instance's own page."""


def _ask(request: HttpRequest, instance: Instance, verb: Verb, form: forms.Form, status: int = 200) -> HttpResponse:
    context = {
        "hub": instance.hub,
        "section": "instances",
        "instance": instance,
        "verb": verb,
        "form": form,
        "action_url": reverse("dashboard:act", args=[instance.hub, instance.instance_id, verb.slug]),
        "live_children": queries.live_children_count(instance) if verb is TERMINATE else None,
    }
    template = "dashboard/actions/_form.html" if is_partial(request) else "dashboard/actions/page.html"
    return render(request, template, context, status=status)


def _conflict(request: HttpRequest, instance: Instance, verb: Verb) -> HttpResponse:
    context = {"hub": instance.hub, "section": "instances", "instance": instance, "verb": verb}
    template = "dashboard/actions/_conflict.html" if is_partial(request) else "dashboard/actions/conflict.html"
    return render(request, template, context, status=409)


def _done(request: HttpRequest, instance: Instance, verb: Verb, url: str | None) -> HttpResponse:
    """Say what was done: in place for htmx, on the next page otherwise."""
    if not is_partial(request):
        messages.success(request, verb.done)
        return redirect(url or reverse("dashboard:instance", args=[instance.hub, instance.instance_id]))
    if url:
        messages.success(request, verb.done)
        return HttpResponseClientRedirect(url)
    response = no_content()
    trigger_client_event(response, "dash:done", {"message": verb.done})
    trigger_client_event(response, "dash:instance", {})
    return response
