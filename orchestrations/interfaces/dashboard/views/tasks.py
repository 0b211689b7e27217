"""The page of one question to people: its form, what one can do besides answering, and what became of it."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import trigger_client_event

from orchestrations.authoring.forms import binding
from orchestrations.errors import AnswerRejected, DurableError, HumanTaskClosed, PermissionRefused
from orchestrations.interfaces.dashboard.access import client_of, is_partial, no_content, person, signed_in
from orchestrations.interfaces.dashboard.human import inbox, task_page, words
from orchestrations.interfaces.dashboard.human.acts import FORMS, Act, CommentForm, act_of, acts_of, perform
from orchestrations.interfaces.dashboard.human.task_page import Question, WholeQuestion
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer as answer_tick
from orchestrations.interfaces.dashboard.signing_in import AGAIN, ask_to_sign_in


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def task(request: HttpRequest, *, pk: int) -> HttpResponseBase:
    """One question with its form; the POST answers it, once, or says who was quicker (409).

    Who was signed out meanwhile signs in on the way, and loses nothing that was typed.
    """
    if request.method == "POST" and (not request.user.is_authenticated or AGAIN in request.POST):
        return ask_to_sign_in(request, looks_over=True) or _typed_again(request, pk)
    return _task(request, pk=pk)


@signed_in
def _task(request: HttpRequest, *, pk: int) -> HttpResponse:
    question = task_page.load_whole(request, pk)
    if request.method == "POST":
        return _answer(request, question)
    if question.standing.is_asked and question.task.seen_at is None:
        client_of(request, question.task.hub).see_task(pk)
    return _show(request, question)


@require_GET
@signed_in
def state(request: HttpRequest, *, pk: int) -> HttpResponse:
    """How the question stands, and what was said and done. Nobody types in any of it, so that no typing is lost."""
    question = task_page.load_whole(request, pk)
    context = {**task_page.state_of(request, question), **_acts(request, question), "is_refresh": True}
    return render(request, "dashboard/approvals/_refresh.html", context)


@require_GET
@signed_in
def tick(request: HttpRequest, *, pk: int) -> HttpResponseBase:
    """Whether anything was said or done about the question since."""
    question = task_page.load(request, pk)
    return answer_tick(request, {"task": topics.task(question.task.pk)})


@require_GET
@signed_in
def of_instance(request: HttpRequest, *, hub: str, instance_id: str) -> HttpResponse:
    """The most urgent question that an instance asks."""
    asked = inbox.first_of(hub, instance_id)
    if asked is None:
        raise Http404("That instance asks nobody anything now.")
    return redirect("dashboard:task", pk=asked)


@require_http_methods(["POST"])
@signed_in
def comment(request: HttpRequest, *, pk: int) -> HttpResponse:
    """Add a line to the thread, which answers nothing, and leaves alone what is typed into the answer beside it."""
    question = task_page.load_whole(request, pk)
    form = CommentForm(request.POST)
    if not form.is_valid() and is_partial(request):
        return render(request, "dashboard/approvals/_thread.html", _thread(request, question, form), status=422)
    if not form.is_valid():
        return _show(request, question, comment_form=form, status=422)
    try:
        client_of(request, question.task.hub).comment_task(pk, form.cleaned_data["text"])
    except PermissionRefused as refused:
        raise PermissionDenied(str(refused)) from refused
    if not is_partial(request):
        return HttpResponseRedirect(f"{question.url}#thread")
    context = {**_thread(request, task_page.load_whole(request, pk), CommentForm()), "is_added": True}
    response = render(request, "dashboard/approvals/_thread.html", context)
    return trigger_client_event(response, "dash:done", {"message": "Your comment is added."})


@require_http_methods(["GET", "POST"])
@signed_in
def act(request: HttpRequest, *, pk: int, slug: str) -> HttpResponse:
    """Claim, release, hand on or put off: a page or dialog with its form, and the act itself."""
    question = task_page.load(request, pk)
    if slug not in FORMS:
        raise Http404("That is nothing that can be done with a question.")
    chosen = act_of(slug, question)
    if slug not in {one.slug for one in acts_of(person(request), question)}:
        closing = words.closing_of(question.task, question.votes)
        why = f"{task_page.closing_lines(closing)['sentence']}." if closing else question.standing.why_not
        return _refuse_act(request, question, chosen, why)
    form = FORMS[slug](request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return _ask_act(request, question, chosen, form)
    try:
        said = perform(slug, client_of(request, question.task.hub), pk, form)
    except HumanTaskClosed as closed:
        return _refuse_act(request, question, chosen, str(closed))
    except DurableError as refused:
        form.add_error(None, str(refused))
        return _ask_act(request, question, chosen, form)
    if chosen.keeps_answer and is_partial(request):  # the page shows it by itself
        return trigger_client_event(no_content(), "dash:done", {"message": said})
    messages.success(request, said)
    return _go(request, question.url if chosen.is_plain else reverse("dashboard:approvals"))


def _answer(request: HttpRequest, question: WholeQuestion) -> HttpResponse:
    task = question.task
    form = task_page.form_for(task, request)
    if binding.wants_more_rows(form):
        binding.leave_unchecked(form)
        return _show(request, question, form)
    try:
        client_of(request, task.hub).answer_task(task.pk, form)
    except AnswerRejected:
        return _show(request, question, form, status=422)
    except HumanTaskClosed as closed:
        return too_late(request, task_page.load(request, task.pk), form, str(closed))
    except PermissionRefused as refused:
        raise PermissionDenied(str(refused)) from refused
    return _sent(request, question)


def _show(
    request: HttpRequest,
    question: WholeQuestion,
    form: Form | None = None,
    *,
    status: int = 200,
    comment_form: CommentForm | None = None,
    signed_in_again: bool = False,
) -> HttpResponse:
    in_place = is_partial(request)
    context: dict[str, object] = {
        "ask": task_page.answer_of(question, form),
        "in_place": in_place,
        "signed_in_again": signed_in_again,
    }
    if in_place:
        return render(request, "dashboard/approvals/_answer.html", context, status=status)
    context |= {
        "has_next": question.standing.may_answer and inbox.next_after(person(request), question.task) is not None,
        **_acts(request, question),
        **_thread(request, question, comment_form or CommentForm()),
        "title_state": "" if status == 200 else "Not sent: ",
    }
    return render(request, "dashboard/approvals/task.html", context, status=status)


def _sent(request: HttpRequest, question: Question) -> HttpResponse:
    asked = question.task
    fresh = task_page.load(request, asked.pk)
    mine = next((vote for vote in fresh.votes if vote.username == person(request).get_username()), None)
    said = f"You {words.did(asked, mine.outcome if mine is not None else '')} this."
    goes_on = "It waits for others now." if fresh.task.is_live else "The answer is on its way to the orchestrator."
    if is_partial(request):
        context = {"task": asked, "sent_words": said, "sent_next": goes_on}
        response = render(request, "dashboard/approvals/_sent.html", context)
        trigger_client_event(response, "dash:done", {"message": said})
        return trigger_client_event(response, "dash:instance", {})
    following = inbox.next_after(person(request), asked) if request.POST.get("send") == "next" else None
    messages.success(request, f"{said} {goes_on}" if following is None else f"{asked.title}: {said}")
    if request.POST.get("send") == "next":
        return redirect("dashboard:task", pk=following) if following else redirect("dashboard:approvals")
    return redirect(question.url)


def too_late(request: HttpRequest, question: Question, form: Form | None, refusal: str) -> HttpResponse:
    """Who was quicker, when and why, and what this person had typed; nothing was sent."""
    following = inbox.next_after(person(request), question.task)
    closing = words.closing_of(question.task, question.votes)
    context = {
        "task": question.task,
        "hub": question.task.hub,
        "section": "approvals",
        "task_url": question.url,
        "refusal": task_page.closing_lines(closing)["sentence"] if closing else refusal,
        "refused_at": closing.at if closing else None,
        "refusal_comment": closing.comment if closing else "",
        "typed": task_page.typed_in(form) if form is not None else [],
        "next_url": reverse("dashboard:task", args=[following]) if following else "",
    }
    template = "dashboard/approvals/_late.html" if is_partial(request) else "dashboard/approvals/late.html"
    return render(request, template, context, status=409)


def _thread(request: HttpRequest, question: WholeQuestion, form: CommentForm) -> dict[str, object]:
    address = reverse("dashboard:task_comment", args=[question.task.pk])
    return {**task_page.state_of(request, question), "comment_form": form, "comment_url": address}


def _acts(request: HttpRequest, question: Question) -> dict[str, object]:
    who = person(request)
    return {"acts": acts_of(who, question), "override_url": task_page.override_url(who, question)}


def _ask_act(request: HttpRequest, question: Question, chosen: Act, form: Form) -> HttpResponse:
    return _act_page(request, question, chosen, 422 if form.is_bound else 200, form=form)


def _refuse_act(request: HttpRequest, question: Question, chosen: Act, why: str) -> HttpResponse:
    return _act_page(request, question, chosen, 409, why=why)


def _act_page(request: HttpRequest, question: Question, chosen: Act, status: int, **told: object) -> HttpResponse:
    context = {"task": question.task, "task_url": question.url, "hub": question.task.hub, "act": chosen, **told}
    is_dialog = is_partial(request)
    template = "dashboard/approvals/_act.html" if is_dialog else "dashboard/approvals/act.html"
    context |= {"section": "approvals", "is_dialog": is_dialog, "is_refused": status == 409}
    return render(request, template, context, status=status)


def _go(request: HttpRequest, address: str) -> HttpResponse:
    if not is_partial(request):
        return HttpResponseRedirect(address)
    response = HttpResponse(status=204)
    response.headers["HX-Redirect"] = address
    return response


def _typed_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what was typed once more, to be looked over and sent."""
    question = task_page.load_whole(request, pk)
    typed = task_page.form_for(question.task, request)
    binding.leave_unchecked(typed)
    return _show(request, question, typed, signed_in_again=True)
