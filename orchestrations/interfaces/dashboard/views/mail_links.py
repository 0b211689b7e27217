"""The page that the link of a message opens. Reading it changes nothing, however often and whoever reads it.

What decides is a session, or the six digits in the text of the message, typed by hand: mail scanners follow links, and
some press buttons.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import decorator_from_middleware
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from orchestrations.authoring.forms import binding
from orchestrations.client import OrchestrationClient
from orchestrations.conf import get_config
from orchestrations.errors import AnswerRejected, DurableError, HumanTaskClosed
from orchestrations.interfaces.dashboard.human import task_page, words
from orchestrations.interfaces.dashboard.signing_in import to_sign_in
from orchestrations.limits import LINK_CODES
from orchestrations.models import AuditEntry, HumanVote
from orchestrations.notices.links import InvalidLink, Link, check_code, open_link

View = Callable[..., HttpResponseBase]


class CsrfWithoutReferrer(CsrfViewMiddleware):
    """Asks for the page's token as everywhere, and takes ``Origin: null``: that is what browsers send from a page whose
    address is to be kept from others."""

    def _origin_verified(self, request: HttpRequest) -> bool:
        if request.META["HTTP_ORIGIN"] == "null":
            return True
        is_own: bool = super()._origin_verified(request)  # type: ignore[misc]
        return is_own


csrf_without_referrer = decorator_from_middleware(CsrfWithoutReferrer)


class CodeForm(forms.Form):
    """The code of the message."""

    code = forms.CharField(
        label="Code from the message",
        max_length=20,
        help_text="Six digits. They show that a person answers, and not a program that follows links.",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "class": "code"}),
        error_messages={"required": "Type the six digits that stand below the link in the message."},
    )


def private(view: View) -> View:
    """Keep the address out of other sites' logs and of search engines: whoever has it sees the question."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return guarded


@csrf_exempt  # from the check of every page, which the next line has in its place
@csrf_without_referrer
@never_cache
@private
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def approval_link(request: HttpRequest, *, token: str) -> HttpResponseBase:
    """The question of a message. Who is signed in goes to its page; others sign in, or answer with the code."""
    try:
        link = open_link(token, get_config().database)
    except InvalidLink:
        return render(request, "dashboard/approvals/link_invalid.html", status=404)
    if request.user.is_authenticated:
        return redirect("dashboard:task", pk=link.task.pk)
    if get_config().link_answers != "code":
        return to_sign_in(request, reverse("dashboard:task", args=[link.task.pk]))
    if not link.is_good:
        return _over(request, link)
    return _answer(request, link, token) if request.method == "POST" else _show(request, link)


def _answer(request: HttpRequest, link: Link, token: str) -> HttpResponse:
    form = task_page.form_for(link.task, request)
    if binding.wants_more_rows(form):
        binding.leave_unchecked(form)
        return _show(request, link, form)
    code = CodeForm(request.POST)
    if not code.is_valid():
        binding.leave_unchecked(form)
        return _show(request, link, form, code, status=422)
    if not check_code(link, code.cleaned_data["code"], get_config().database):
        return _wrong_code(request, link, form, code)
    client = OrchestrationClient(
        link.task.hub,
        via=AuditEntry.Via.EMAIL_LINK,
        actor=link.recipient,
        address=request.META.get("REMOTE_ADDR"),
    )
    try:
        client.answer_task(link.task.pk, form)
    except AnswerRejected:
        return _show(request, link, form, code, status=422)
    except HumanTaskClosed as closed:
        link.task.refresh_from_db()
        return _over(request, link, str(closed), form)
    except DurableError as refused:  # no longer asked, for example
        return _over(request, link, str(refused), form)
    return HttpResponseRedirect(reverse("dashboard:approval_link", args=[token]))


def _wrong_code(request: HttpRequest, link: Link, form: forms.Form, code: CodeForm) -> HttpResponse:
    link.notice.refresh_from_db(fields=["wrong_codes"])
    binding.leave_unchecked(form)
    left = LINK_CODES - link.notice.wrong_codes
    if left <= 0:
        return _over(request, link, "Too many wrong codes were typed", form, status=429)
    more = f"{left} more {'try' if left == 1 else 'tries'}"
    code.add_error("code", f"That is not the code of this message. {more}, then only signing in helps.")
    return _show(request, link, form, code, status=422)


def _show(
    request: HttpRequest,
    link: Link,
    form: forms.Form | None = None,
    code: CodeForm | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    if link.notice.wrong_codes >= LINK_CODES:
        return _over(request, link, "Too many wrong codes were typed", form, status=429)
    form = form or task_page.form_for(link.task)
    context = {
        **_shown(link),
        "form": form,
        "code_form": code or CodeForm(),
        "is_stand_in": binding.is_stand_in(form),
        "if_nobody": words.without_answer(link.task),
        "if_nobody_then": words.then(link.task),
        "summary": task_page.summary_of(link.task),
        "recipient": link.recipient,
    }
    return render(request, "dashboard/approvals/link.html", context, status=status)


def _over(
    request: HttpRequest, link: Link, refusal: str = "", form: forms.Form | None = None, *, status: int = 0
) -> HttpResponse:
    """Say why the link answers nothing any more, and keep what was typed."""
    context = {**_shown(link), "refusal": refusal or _why(link), "typed": task_page.typed_in(form) if form else []}
    if not status:
        status = 409 if form is not None else 410
    return render(request, "dashboard/approvals/link_over.html", context, status=status)


def _why(link: Link) -> str:
    if link.is_used:
        return "You have already answered this"
    votes = HumanVote.objects.using(get_config().database).filter(task_id=link.task.pk).order_by("pk")
    closing = words.closing_of(link.task, votes)
    if closing is not None:
        return str(task_page.closing_lines(closing)["sentence"])
    if link.is_void:
        return "This was passed on to somebody after the message was sent"
    if not link.recipient.is_active:
        return "The account that this message was sent to is closed"
    return "The time to answer is over"


def _shown(link: Link) -> dict[str, object]:
    return {"task": link.task, "login_url": f"{reverse('login')}?next={reverse('dashboard:task', args=[link.task.pk])}"}
