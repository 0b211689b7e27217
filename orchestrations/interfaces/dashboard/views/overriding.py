"""Deciding a question alone, over the heads of those who were asked: for whoever holds the right, with a reason."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from orchestrations.access.permissions import Action, audience_of
from orchestrations.authoring.forms import binding
from orchestrations.errors import AnswerRejected, HumanTaskClosed, PermissionRefused
from orchestrations.interfaces.dashboard.access import client_of, person, require, signed_in
from orchestrations.interfaces.dashboard.human import task_page
from orchestrations.interfaces.dashboard.human.task_page import Question
from orchestrations.interfaces.dashboard.views.tasks import too_late
from orchestrations.limits import REASON_LENGTH


class OverrideForm(forms.Form):
    """Why one person decides alone. Its prefix keeps it apart from the question's own fields."""

    prefix = "override"
    reason = forms.CharField(
        label="Why you decide this alone",
        max_length=REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Those who were asked read it, and the audit trail keeps it.",
        error_messages={"required": "Say why: those who were asked will want to know."},
    )


@require_http_methods(["GET", "POST"])
@signed_in
def override(request: HttpRequest, *, pk: int) -> HttpResponse:
    """The question's form with a reason; the POST decides it: 403 without the right, 409 too late, 422 for bad data."""
    question = task_page.load(request, pk)
    require(request, Action.OVERRIDE_TASK)
    if audience_of(question.task).excludes(person(request)):
        raise PermissionDenied(question.standing.why_not)
    if request.method != "POST":
        if not task_page.override_url(person(request), question):  # closed, or their own vote decides it
            return redirect(question.url)
        return _ask(request, question, task_page.form_for(question.task), OverrideForm())
    form, why = task_page.form_for(question.task, request), OverrideForm(request.POST)
    if binding.wants_more_rows(form):
        binding.leave_unchecked(form)
        return _ask(request, question, form, OverrideForm(initial={"reason": request.POST.get("override-reason", "")}))
    if not why.is_valid():
        binding.check_form(form)
        return _ask(request, question, form, why, status=422)
    try:
        client_of(request, question.task.hub).override_task(pk, form, why.cleaned_data["reason"])
    except AnswerRejected:
        return _ask(request, question, form, why, status=422)
    except HumanTaskClosed as closed:
        return too_late(request, task_page.load(request, pk), form, str(closed))
    except PermissionRefused as refused:
        raise PermissionDenied(str(refused)) from refused
    messages.success(request, "You decided this alone. The answer is on its way to the orchestrator.")
    return redirect(question.url)


def _ask(
    request: HttpRequest, question: Question, form: forms.Form, why: OverrideForm, *, status: int = 200
) -> HttpResponse:
    context = {
        "ask": task_page.answer_of(question),
        "task": question.task,
        "hub": question.task.hub,
        "section": "approvals",
        "form": form,
        "why": why,
    }
    return render(request, "dashboard/approvals/override.html", context, status=status)
