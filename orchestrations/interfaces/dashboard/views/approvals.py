"""The approval inbox, and the page of one question. Answering needs no other right than being asked."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import trigger_client_event

from orchestrations import queries
from orchestrations.conf import get_config
from orchestrations.errors import InvalidTransition
from orchestrations.interfaces.answers import QuestionClosed, answer, answer_given, on_its_way
from orchestrations.interfaces.dashboard import instance_page
from orchestrations.interfaces.dashboard.access import client_of, is_partial, person, signed_in
from orchestrations.interfaces.dashboard.asks import ask_of
from orchestrations.interfaces.dashboard.forms import AnswerForm
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer as answer_tick
from orchestrations.interfaces.dashboard.versions import approvals_version, arrivals_version, instance_version
from orchestrations.models import Instance, OpenWait
from orchestrations.permissions import Action, can, can_answer

BADGE_CAP = 99


@require_GET
@signed_in
def inbox(request: HttpRequest) -> HttpResponse:
    """The open questions that this person may answer, the most urgent first."""
    hub = get_config().task_hub
    context = {
        "hub": hub,
        "section": "approvals",
        "waits": queries.answerable_waits(person(request), hub),
        "now": timezone.now(),
        "version": approvals_version(hub),
    }
    template = "dashboard/approvals/_inbox.html" if is_partial(request) else "dashboard/approvals/page.html"
    response = render(request, template, context)
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


@require_GET
@signed_in
def inbox_tick(request: HttpRequest) -> HttpResponseBase:
    """Whether a question was asked or closed."""
    return answer_tick(request, {"approvals": topics.approvals(get_config().task_hub)})


@require_GET
@signed_in
def inbox_badge(request: HttpRequest) -> HttpResponse:
    """How many questions wait for this person."""
    waits = queries.answerable_waits(person(request), get_config().task_hub, limit=BADGE_CAP + 1)
    count = f"{BADGE_CAP}+" if len(waits) > BADGE_CAP else len(waits)
    return render(request, "dashboard/approvals/_badge.html", {"count": count})


@require_http_methods(["GET", "POST"])
@signed_in
def approval(request: HttpRequest, *, hub: str, instance_id: str, wait: int) -> HttpResponse:
    """One question with its form; the POST answers it, once, or says who was quicker (409)."""
    instance, asked = _find(request, hub, instance_id, wait)
    if request.method != "POST":
        return _show(request, instance, asked)
    form = AnswerForm(request.POST, auto_id=f"id_%s_{wait}")
    if asked is None or on_its_way(asked):
        return _too_late(request, instance, asked, form)
    if not can_answer(person(request), asked):
        raise PermissionDenied("This question is put to other people.")
    if not form.is_valid():
        return _show(request, instance, asked, form)
    comment = form.cleaned_data["comment"]
    try:
        answer(client_of(request, hub), person(request), asked, approved=form.approved, comment=comment)
    except (QuestionClosed, InvalidTransition):
        return _too_late(request, instance, asked, form)
    return _sent(request, instance, asked, form)


@require_GET
@signed_in
def outcome(request: HttpRequest, *, hub: str, instance_id: str, wait: int) -> HttpResponse:
    """What became of a question so far, and how the instance stands."""
    instance, asked = _find(request, hub, instance_id, wait)
    return render(request, "dashboard/approvals/_outcome.html", _outcome(request, instance, asked, wait))


@require_GET
@signed_in
def outcome_tick(request: HttpRequest, *, hub: str, instance_id: str, wait: int) -> HttpResponseBase:
    """Whether anything became of a question since."""
    instance, _ = _find(request, hub, instance_id, wait)
    return answer_tick(request, {"instance": topics.instance(instance.pk), "arrivals": topics.arrivals(instance.pk)})


def _find(request: HttpRequest, hub: str, instance_id: str, wait_pk: int) -> tuple[Instance, OpenWait | None]:
    """The instance, and the question if it is still open. Raises Http404 where the person may see neither."""
    instance = instance_page.load(hub, instance_id)
    asked = queries.get_wait(hub, wait_pk)
    if asked is not None and asked.instance_id != instance.pk:
        raise Http404("That instance asks no such question.")
    is_asked = asked is not None and can_answer(person(request), asked)
    if not (is_asked or can(person(request), Action.VIEW) or _took_part(request, instance)):
        raise Http404("That question is not put to you.")
    return instance, asked


def _took_part(request: HttpRequest, instance: Instance) -> bool:
    """Whether the person has answered this instance, and so may see what became of it."""
    entries = queries.audit(instance.hub, instance.instance_id).items
    return any(entry.actor_id == request.user.pk for entry in entries)


def _show(
    request: HttpRequest, instance: Instance, asked: OpenWait | None, form: AnswerForm | None = None
) -> HttpResponse:
    if asked is None:
        context = {**_outcome(request, instance, None, 0), "section": "approvals"}
        return render(request, "dashboard/approvals/closed.html", context, status=200)
    ask = ask_of(asked, instance, person(request), form)
    context = {**_outcome(request, instance, asked, asked.pk), "section": "approvals", "ask": ask}
    template = "dashboard/approvals/_decision.html" if is_partial(request) else "dashboard/approvals/request.html"
    return render(request, template, context, status=422 if form is not None else 200)


def _sent(request: HttpRequest, instance: Instance, asked: OpenWait, form: AnswerForm) -> HttpResponse:
    if not is_partial(request):
        return redirect("dashboard:approval", hub=instance.hub, instance_id=instance.instance_id, wait=asked.pk)
    context = {"wait_pk": asked.pk, "approved": form.approved}
    response = render(request, "dashboard/approvals/_sent.html", context)
    trigger_client_event(response, "dash:done", {"message": "Approved." if form.approved else "Rejected."})
    trigger_client_event(response, "dash:instance", {})
    return response


def _too_late(request: HttpRequest, instance: Instance, asked: OpenWait | None, form: AnswerForm) -> HttpResponse:
    """Who was quicker, and what this person had typed; nothing was sent."""
    wait_pk = asked.pk if asked else 0
    context = {
        **_outcome(request, instance, asked, wait_pk),
        "section": "approvals",
        "wait_pk": wait_pk,
        "was_refused": True,
        "typed": form.data.get("comment", ""),
    }
    template = "dashboard/approvals/_closed.html" if is_partial(request) else "dashboard/approvals/closed.html"
    return render(request, template, context, status=409)


def _outcome(request: HttpRequest, instance: Instance, asked: OpenWait | None, wait_pk: int) -> dict[str, object]:
    where = [instance.hub, instance.instance_id, wait_pk]
    given = on_its_way(asked) if asked else answer_given(instance)
    return {
        "hub": instance.hub,
        "instance": instance,
        "asks_person": asked is not None,
        "answer": given,
        "is_closed": asked is None,
        "may_view": can(person(request), Action.VIEW),
        "version": instance_version(instance),
        "arrivals_version": arrivals_version(queries.newest_message(instance)),
        "tick_url": reverse("dashboard:outcome_tick", args=where),
        "outcome_url": reverse("dashboard:outcome", args=where),
    }
