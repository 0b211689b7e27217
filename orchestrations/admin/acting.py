"""The page between choosing instances and acting on them: says what will happen, and asks what the dashboard asks.

A page's selection is acted on at once. A whole filter, whatever its number of instances, becomes a bulk job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from orchestrations.admin.looking import hub_of
from orchestrations.bulk import jobs
from orchestrations.bulk.selections import Selection
from orchestrations.client import OrchestrationClient
from orchestrations.errors import DurableError
from orchestrations.interfaces.dashboard.act_forms import ReasonForm
from orchestrations.interfaces.dashboard.bulk_forms import ManyForm
from orchestrations.interfaces.dashboard.consequences import consequences, surroundings
from orchestrations.interfaces.dashboard.presentation.verbs import Verb
from orchestrations.limits import COUNT_CAP, LIST_PAGE_MAXIMUM
from orchestrations.models import AuditEntry
from orchestrations.reading.queries import InstanceFilter

if TYPE_CHECKING:
    from django.db.models import QuerySet

CONFIRMED = "confirmed"
TOLD = 3  # refusals that the next page tells in full
TEMPLATE = "admin/orchestrations/instance/act.html"


Act = Callable[..., object]
"""The client's verb for one instance: called with the client, the id, the reason, and the parameters that
``acts.checked_parameters`` has made. Raises DurableError where it can't be done."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the page says of the selection."""

    count: str
    shown: list[str]
    note: str = ""
    effects: list[str] = field(default_factory=list)
    """What it will do to the one instance that is chosen, in numbers."""


def confirm_and_act(
    model_admin: Any, request: HttpRequest, rows: QuerySet[Any], verb: Verb, act: Act, where: InstanceFilter
) -> HttpResponse | None:
    """Ask first; with the answer, act on each of the rows, or on all of the filter where that was chosen."""
    form = ManyForm(request.POST if CONFIRMED in request.POST else None, action=verb.action)
    is_whole_filter = request.POST.get("select_across") == "1"
    if not form.is_valid():
        chosen = _chosen_by_filter(request, verb, where) if is_whole_filter else _chosen_one_by_one(rows, verb)
        return ask(model_admin, request, chosen, form, label=verb.label, effect=verb.effect)
    if is_whole_filter:
        _make_job(model_admin, request, verb, where, form)
    else:
        _act_on_each(model_admin, request, rows, act, form)
    return None


def _chosen_one_by_one(rows: QuerySet[Any], verb: Verb) -> Chosen:
    chosen = list(rows.order_by("pk")[:LIST_PAGE_MAXIMUM])
    effects = consequences(verb.action, surroundings(chosen[0], verb.action)) if len(chosen) == 1 else []
    return Chosen(_counted(len(chosen)), [row.instance_id for row in chosen], effects=effects)


def _chosen_by_filter(request: HttpRequest, verb: Verb, where: InstanceFilter) -> Chosen:
    preview = jobs.preview(request.user, hub_of(request), verb.action, Selection(where))
    number = f"{COUNT_CAP:,} or more instances" if preview.count.is_capped else _counted(preview.count.value)
    note = "They are acted on by a job, which can be watched and stopped."
    if preview.left_out:
        note += f" {_counted(preview.left_out)} of the filter will be left out: their status does not allow it."
    return Chosen(number, [row.instance_id for row in preview.first], note)


def _counted(number: int) -> str:
    return f"{number:,} instance{'s' if number != 1 else ''}"


def _act_on_each(model_admin: Any, request: HttpRequest, rows: QuerySet[Any], act: Act, form: ManyForm) -> None:
    """Say how many took it, and why others did not."""
    done, refused = 0, []
    for hub, instance_id in rows.order_by("pk").values_list("hub", "instance_id")[:LIST_PAGE_MAXIMUM]:
        try:
            act(client_of(request, hub), instance_id, form.cleaned_data["reason"], **form.parameters)
            done += 1
        except DurableError as error:
            refused.append(str(error))
    if done:
        model_admin.message_user(request, f"Sent to {_counted(done)}.", messages.SUCCESS)
    tell(model_admin, request, refused)


def client_of(request: HttpRequest, hub: str) -> OrchestrationClient:
    """A client that acts for the signed-in person, so that what it does is in the audit trail under their name."""
    return OrchestrationClient(
        hub, via=AuditEntry.Via.ADMIN, actor=request.user, address=request.META.get("REMOTE_ADDR")
    )


def _make_job(model_admin: Any, request: HttpRequest, verb: Verb, where: InstanceFilter, form: ManyForm) -> None:
    job, _ = jobs.create(
        request.user,
        hub_of(request),
        verb.action,
        Selection(where),
        parameters=form.parameters,
        reason=form.cleaned_data["reason"],
        via=AuditEntry.Via.ADMIN,
        address=request.META.get("REMOTE_ADDR"),
    )
    url = reverse("dashboard:bulk_job", args=[job.hub, job.pk])
    text = format_html('Job {} begins. <a href="{}">See how far it has come.</a>', job.pk, url)
    model_admin.message_user(request, text, messages.SUCCESS)


def ask(
    model_admin: Any, request: HttpRequest, chosen: Chosen, form: ReasonForm, *, label: str, effect: str
) -> HttpResponse:
    """The page that says what will happen to what, and asks why."""
    context = {
        **model_admin.admin_site.each_context(request),
        "title": label,
        "opts": model_admin.opts,
        "label": label,
        "effect": effect,
        "form": form,
        "media": model_admin.media + form.media,
        "chosen": chosen,
        "action": request.POST.get("action", ""),
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "select_across": request.POST.get("select_across", "0"),
    }
    return TemplateResponse(request, TEMPLATE, context, status=422 if form.errors else 200)


def tell(model_admin: Any, request: HttpRequest, refused: Sequence[str]) -> None:
    """Say why some were refused: the first in full, the others as a number."""
    for text in refused[:TOLD]:
        model_admin.message_user(request, text, messages.WARNING)
    if len(refused) > TOLD:
        model_admin.message_user(request, f"{len(refused) - TOLD} more were refused.", messages.WARNING)
