"""The page between choosing instances and acting on them: says what will happen, and asks why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from orchestrations.client import OrchestrationClient
from orchestrations.errors import DurableError
from orchestrations.interfaces.dashboard.presentation.verbs import Verb
from orchestrations.limits import ACTED_ON_AT_ONCE, REASON_LENGTH
from orchestrations.models import AuditEntry

if TYPE_CHECKING:
    from django.db.models import QuerySet

CONFIRMED = "confirmed"
SHOWN = 20  # ids that the page names
TOLD = 3  # refusals that the next page tells in full
TEMPLATE = "admin/orchestrations/instance/act.html"

Act = Callable[[OrchestrationClient, str, str], object]


class ReasonForm(forms.Form):
    """Why it is done."""

    reason = forms.CharField(
        max_length=REASON_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autofocus": True}),
        help_text="Kept in the history and in the audit trail.",
        error_messages={"required": "Say why: whoever looks at these instances later will ask."},
    )


def confirm_and_act(
    model_admin: Any, request: HttpRequest, rows: QuerySet[Any], verb: Verb, act: Act
) -> HttpResponse | None:
    """Ask first; with the answer, act on each of the rows, and say how many took it and why others did not."""
    chosen = list(rows.order_by("pk").values_list("hub", "instance_id")[: ACTED_ON_AT_ONCE + 1])
    form = ReasonForm(request.POST if CONFIRMED in request.POST else None)
    form.fields["reason"].required = verb.needs_reason
    if len(chosen) > ACTED_ON_AT_ONCE or not form.is_valid():
        return _ask(model_admin, request, chosen, verb, form)
    reason = form.cleaned_data["reason"]
    done, refused = 0, []
    for hub, instance_id in chosen:
        client = OrchestrationClient(
            hub, via=AuditEntry.Via.ADMIN, actor=request.user, address=request.META.get("REMOTE_ADDR")
        )
        try:
            act(client, instance_id, reason)
            done += 1
        except DurableError as error:
            refused.append(str(error))
    _tell(model_admin, request, done, refused)
    return None


def _ask(
    model_admin: Any, request: HttpRequest, chosen: list[tuple[str, str]], verb: Verb, form: ReasonForm
) -> HttpResponse:
    is_too_many = len(chosen) > ACTED_ON_AT_ONCE
    context = {
        **model_admin.admin_site.each_context(request),
        "title": verb.label,
        "opts": model_admin.opts,
        "verb": verb,
        "form": form,
        "media": model_admin.media + form.media,
        "count": len(chosen),
        "shown": [instance_id for _, instance_id in chosen[:SHOWN]],
        "more": max(len(chosen) - SHOWN, 0),
        "limit": ACTED_ON_AT_ONCE,
        "is_too_many": is_too_many,
        "action": request.POST.get("action", ""),
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "select_across": request.POST.get("select_across", "0"),
    }
    return TemplateResponse(request, TEMPLATE, context, status=422 if form.errors else 200)


def _tell(model_admin: Any, request: HttpRequest, done: int, refused: Iterable[str]) -> None:
    told = list(refused)
    if done:
        model_admin.message_user(request, f"Sent to {done} instance{'s' if done != 1 else ''}.", messages.SUCCESS)
    for text in told[:TOLD]:
        model_admin.message_user(request, text, messages.WARNING)
    if len(told) > TOLD:
        model_admin.message_user(request, f"{len(told) - TOLD} more were refused.", messages.WARNING)
