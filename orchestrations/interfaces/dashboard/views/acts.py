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
from django.utils import timezone
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event

from orchestrations.access.permissions import Action, can_somewhere, legal_actions, require_raise_event
from orchestrations.client import OrchestrationClient
from orchestrations.conf import get_config
from orchestrations.errors import (
    AnswerRejected,
    FunctionNotRegistered,
    HumanTaskClosed,
    InstanceAlreadyExists,
    InvalidTransition,
    PayloadRejected,
    PayloadUnavailable,
    PermissionRefused,
    StepRefused,
    TaskNotOpen,
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
from orchestrations.interfaces.dashboard.act_forms import (
    CompleteForm,
    FamilyForm,
    PurgeForm,
    RaiseEventForm,
    ReasonForm,
    RequiredReasonForm,
    TagsForm,
    TerminateForm,
    say_where_reason_is_kept,
)
from orchestrations.interfaces.dashboard.consequences import Surroundings, consequences, surroundings
from orchestrations.interfaces.dashboard.forks import look_ahead, step_of
from orchestrations.interfaces.dashboard.presentation.verbs import TASK_VERBS, VERBS, WAITS_OF, Verb
from orchestrations.interfaces.dashboard.presentation.waits import Wait, read_waits
from orchestrations.models import HumanTask, Instance, OpenWait
from orchestrations.reading import queries

FORMS: dict[Action, type[forms.Form]] = {
    Action.RAISE_EVENT: RaiseEventForm,
    Action.SUSPEND: FamilyForm,
    Action.RESUME: FamilyForm,
    Action.REWIND: RequiredReasonForm,
    Action.RESTART: forms.Form,
    Action.FORK: ReasonForm,
    Action.TERMINATE: TerminateForm,
    Action.PURGE: PurgeForm,
    Action.SET_TAGS: TagsForm,
    Action.RETRY_NOW: ReasonForm,
    Action.SKIP_TIMER: ReasonForm,
    Action.COMPLETE_TASK: CompleteForm,
}
WAITS_SHOWN = 10  # of an instance, above the form that raises an event
REFUSED = (
    PayloadRejected,
    PayloadUnavailable,
    AnswerRejected,
    HumanTaskClosed,
    FunctionNotRegistered,
    InstanceAlreadyExists,
    StepRefused,
)
"""What the person can do something about, or at least should read where they typed."""


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
    wait = _awaited(request, instance, verb)
    if verb in TASK_VERBS and wait is None:
        return _conflict(request, instance, verb)
    around = surroundings(instance, verb.action)
    form = _form(request, instance, verb, around)
    if request.method != "POST":
        return _ask(request, instance, verb, form, around, wait)
    if not form.is_valid():
        return _ask(request, instance, verb, form, around, wait, status=422)
    try:
        url = PERFORM[verb.action](client_of(request, hub), instance, form, request)
    except (InvalidTransition, TaskNotOpen):
        return _conflict(request, find_instance(hub, instance_id), verb)
    except REFUSED as refused:
        form.add_error(None, str(refused))
        return _ask(request, instance, verb, form, around, wait, status=422)
    return _done(request, instance, verb, url)


def _verb(slug: str) -> Verb:
    if slug not in VERBS:
        raise Http404(f"There is no act {slug}.")
    return VERBS[slug]


def _awaited(request: HttpRequest, instance: Instance, verb: Verb) -> Wait | None:
    """The wait that the address names, where the act is for one of its kind."""
    task = _task_id(request)
    kinds = WAITS_OF.get(verb, frozenset())
    return next((wait for wait in read_waits(instance.waits) if wait.task_id == task and wait.kind in kinds), None)


def _task_id(request: HttpRequest) -> int:
    given = request.GET.get("task", "")
    return int(given) if given.isdecimal() and len(given) < 10 else -1


def _form(request: HttpRequest, instance: Instance, verb: Verb, around: Surroundings) -> forms.Form:
    given = request.POST if request.method == "POST" else None
    extra: dict[str, Any] = {}
    match verb.action:
        case Action.PURGE:
            extra["typed_id"] = instance.instance_id
        case Action.TERMINATE:
            extra |= {"typed_id": instance.instance_id, "has_children": around.has_children}
        case Action.SUSPEND:
            extra |= {"has_children": around.has_children, "label": "Suspend its sub-orchestrations too"}
        case Action.RESUME:
            extra |= {"has_children": around.has_children, "label": "Resume its sub-orchestrations too"}
        case Action.SET_TAGS:
            extra["present"] = instance.tags
        case Action.RAISE_EVENT:
            extra["initial"] = {"name": request.GET.get("name", "")}
    form = FORMS[verb.action](given, **extra)
    say_where_reason_is_kept(form, verb.action)
    return form


def _raise(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    name = form.cleaned_data["name"]
    try:
        require_raise_event(person(request), instance, name)
    except PermissionRefused as refused:
        raise PermissionDenied(str(refused)) from refused
    raising.raise_event(client, person(request), instance, name, form.cleaned_data["payload"])
    return None


def _suspend(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    given = form.cleaned_data
    client.suspend(instance.instance_id, given["reason"], recursive=given.get("recursive", False))
    return None


def _resume(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    given = form.cleaned_data
    client.resume(instance.instance_id, given["reason"], recursive=given.get("recursive", False))
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


def _fork(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    forked = client.fork(instance.instance_id, step_of(request), reason=form.cleaned_data["reason"])
    return reverse("dashboard:instance", args=[instance.hub, forked])


def _purge(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    given = form.cleaned_data
    client.purge_instance_history(instance.instance_id, recursive=given["recursive"], reason=given["reason"])
    return reverse("dashboard:instance", args=[instance.hub, instance.instance_id])


def _set_tags(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    changes = form.cleaned_data["tags"]
    set_to = {name: value for name, value in changes.items() if value is not None}
    removed = [name for name, value in changes.items() if value is None]
    client.set_tags(instance.instance_id, set_to, remove=removed, reason=form.cleaned_data["reason"])
    return None


def _retry_now(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    client.retry_now(instance.instance_id, _task_id(request), form.cleaned_data["reason"])
    return None


def _skip_timer(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    client.skip_timer(instance.instance_id, _task_id(request), form.cleaned_data["reason"])
    return None


def _complete(client: OrchestrationClient, instance: Instance, form: forms.Form, request: HttpRequest) -> str | None:
    given = form.cleaned_data
    client.complete_task(instance.instance_id, _task_id(request), given["result"], given["reason"])
    return None


Perform = Callable[[OrchestrationClient, Instance, forms.Form, HttpRequest], str | None]
PERFORM: dict[Action, Perform] = {
    Action.RAISE_EVENT: _raise,
    Action.SUSPEND: _suspend,
    Action.RESUME: _resume,
    Action.REWIND: _rewind,
    Action.RESTART: _restart,
    Action.FORK: _fork,
    Action.TERMINATE: _terminate,
    Action.PURGE: _purge,
    Action.SET_TAGS: _set_tags,
    Action.RETRY_NOW: _retry_now,
    Action.SKIP_TIMER: _skip_timer,
    Action.COMPLETE_TASK: _complete,
}
"""Each returns where to go afterwards; None for the instance's own page."""


def _ask(
    request: HttpRequest,
    instance: Instance,
    verb: Verb,
    form: forms.Form,
    around: Surroundings,
    wait: Wait | None,
    status: int = 200,
) -> HttpResponse:
    address = reverse("dashboard:act", args=[instance.hub, instance.instance_id, verb.slug])
    ahead = look_ahead(instance, step_of(request)) if verb.action is Action.FORK else None
    query = f"?task={wait.task_id}" if wait else f"?step={step_of(request)}" if ahead else ""
    context = {
        "hub": instance.hub,
        "section": "instances",
        "instance": instance,
        "verb": verb,
        "form": form,
        "action_url": f"{address}{query}",
        "ahead": ahead,
        "consequences": ahead.sentences if ahead else consequences(verb.action, around),
        "wait": wait and wait.sentence(timezone.now()),
        "open_waits": _open_waits(instance) if verb.action is Action.RAISE_EVENT else None,
    }
    template = "dashboard/actions/_form.html" if is_partial(request) else "dashboard/actions/page.html"
    return render(request, template, context, status=409 if ahead and ahead.problem else status)


def _open_waits(instance: Instance) -> list[tuple[OpenWait, int | None]]:
    """What the instance waits for now, the most urgent first, and the task of each that asks people."""
    waits = queries.open_waits(instance.hub, instance=instance, limit=WAITS_SHOWN)
    asking = [wait.wait_id for wait in waits if wait.title]
    asked = HumanTask.objects.using(get_config().database).filter(instance_id=instance.pk, execution=instance.execution)
    by_wait = dict(asked.filter(wait_id__in=asking).values_list("wait_id", "pk")) if asking else {}
    return [(wait, by_wait.get(wait.wait_id) if wait.title else None) for wait in waits]


def _conflict(request: HttpRequest, instance: Instance, verb: Verb) -> HttpResponse:
    lapsed = verb.action in legal_actions(instance.status)
    context = {"hub": instance.hub, "section": "instances", "instance": instance, "verb": verb, "lapsed": lapsed}
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
