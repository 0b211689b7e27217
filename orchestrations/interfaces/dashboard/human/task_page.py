"""What the page of one question shows, gathered with few queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.forms import Form
from django.forms.boundfield import BoundField
from django.http import Http404, HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.datastructures import MultiValueDict

from orchestrations.access.permissions import Action, audience_of, can
from orchestrations.authoring.forms import binding
from orchestrations.authoring.forms.nested import ADD
from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.access import person
from orchestrations.interfaces.dashboard.human import words
from orchestrations.interfaces.dashboard.human.standing import Standing, standing_of
from orchestrations.interfaces.dashboard.human.told import Line, told_of
from orchestrations.interfaces.dashboard.versions import task_version
from orchestrations.models import AuditEntry, HumanTask, HumanVote

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person


@dataclass(frozen=True, slots=True)
class Question:
    """A task with its votes, and how the person who asks stands to it."""

    task: HumanTask
    votes: list[HumanVote]
    standing: Standing
    username: str
    now: datetime

    @property
    def url(self) -> str:
        """Where its page is."""
        return reverse("dashboard:task", args=[self.task.pk])


@dataclass(frozen=True, slots=True)
class WholeQuestion(Question):
    """A question with all that its page tells of it."""

    thread: list[Line]
    trail: list[AuditEntry]


AnyQuestion = TypeVar("AnyQuestion", bound=Question)


@dataclass(frozen=True, slots=True)
class Ask:
    """A question with its form, as its own page and the one of its instance show it."""

    task: HumanTask
    url: str
    form: Form | None
    why_not: str
    may_answer: bool
    is_stand_in: bool
    is_overdue: bool
    summary: list[tuple[str, str]]
    asked_of: list[str]
    progress: str
    if_nobody: str
    if_nobody_then: str


def load(request: HttpRequest, pk: int) -> Question:
    """The task with its votes. Raises Http404 where there is none, and where this person may not know of it."""
    task = _find(pk)
    return _shown(question_of(person(request), task, list(task.humanvotes.order_by("pk"))))


def load_whole(request: HttpRequest, pk: int) -> WholeQuestion:
    """The same with what was said and done about it."""
    task, who, now = _find(pk), person(request), timezone.now()
    told = told_of(task)
    standing = standing_of(who, task, told.votes, now)
    return _shown(WholeQuestion(task, told.votes, standing, who.get_username(), now, told.thread, told.trail))


def _find(pk: int) -> HumanTask:
    rows = HumanTask.objects.using(get_config().database).select_related("instance", "assignee")
    task = rows.defer("instance__input", "instance__output").filter(pk=pk).first()
    if task is None:
        raise Http404("There is no such question, or it went with its instance.")
    return task


def _shown(question: AnyQuestion) -> AnyQuestion:
    if not question.standing.may_see:
        raise Http404("That question is not put to you.")
    return question


def override_url(user: Person, question: Question) -> str:
    """Where this person may decide it alone; empty where they may not, or where their vote decides it anyway."""
    task = question.task
    is_theirs = question.standing.may_answer and task.quorum_approve == 1
    if is_theirs or not words.is_open(task, question.now) or not can(user, Action.OVERRIDE_TASK):
        return ""
    return "" if audience_of(task).excludes(user) else reverse("dashboard:task_override", args=[task.pk])


def question_of(user: Person, task: HumanTask, votes: list[HumanVote]) -> Question:
    """The task as this person stands to it."""
    now = timezone.now()
    return Question(task, votes, standing_of(user, task, votes, now), user.get_username(), now)


def state_of(request: HttpRequest, question: WholeQuestion) -> dict[str, object]:
    """What changes while the page is open: how the question stands. Holds no form."""
    task, now = question.task, question.now
    closing = words.closing_of(task, question.votes)
    return {
        "task": task,
        "instance": task.instance,
        "hub": task.hub,
        "section": "approvals",
        "is_live": task.is_live,
        "is_followed": task.is_live or not task.instance.runtime_status.is_terminal,
        "is_overdue": words.is_overdue(task, now),
        "question_state": task.state if not words.is_overdue(task, now) else "overdue",
        "closing": closing and closing_lines(closing),
        "if_nobody": words.without_answer(task),
        "if_nobody_then": words.then(task),
        "asked_of": words.asked_of(task),
        "excluded": words.excluded_from(task),
        "quorum_words": quorum_words(task),
        "may_answer": question.standing.may_answer,
        "deliver_at": task.deliver_at if task.deliver_at is not None and task.deliver_at > now else None,
        "summary": summary_of(task),
        "needs_more_than_one": task.quorum_approve > 1,
        "progress": words.approvals(task),
        "votes": [{"username": v.username, "did": words.did(task, v.outcome), "at": v.at, "comment": v.comment}
                  for v in question.votes],
        "version": version_of(task, question.thread),
        "task_url": question.url,
        "state_url": reverse("dashboard:task_state", args=[task.pk]),
        "tick_url": reverse("dashboard:task_tick", args=[task.pk]),
        "instance_url": _instance_url(request, task),
        "thread": question.thread,
        "trail": question.trail,
    }  # fmt: skip


def answer_of(question: Question, form: Form | None = None) -> Ask:
    """What is asked and the form of it: as typed where ``form`` is given, else as it begins."""
    task, standing = question.task, question.standing
    if form is None and standing.may_answer:
        form = form_for(task)
    return Ask(
        task=task,
        url=question.url,
        form=form if standing.may_answer else None,
        why_not=standing.why_not,
        may_answer=standing.may_answer,
        is_stand_in=form is not None and binding.is_stand_in(form),
        is_overdue=words.is_overdue(task, question.now),
        summary=summary_of(task),
        asked_of=words.asked_of(task),
        progress=words.approvals(task),
        if_nobody=words.without_answer(task),
        if_nobody_then=words.then(task),
    )


def form_for(task: HumanTask, request: HttpRequest | None = None) -> Form:
    """The task's form, bound to what a POST holds. Its ids are the task's own: an instance may ask several."""
    initial = words.read_json(task.initial, dict) or None
    data, files = (request.POST, request.FILES) if request is not None else (None, None)
    return binding.bind_form(words.form_of(task), data, files, initial, auto_id=f"id_{task.pk}_%s")


def summary_of(task: HumanTask) -> list[tuple[str, str]]:
    """The labels and texts beside the question."""
    return [(str(label), str(text)) for label, text in words.read_json(task.summary, dict).items()]


def quorum_words(task: HumanTask) -> str:
    """How many of whom it takes, as a sentence."""
    who = ", ".join(words.asked_of(task))
    if task.quorum_approve == 1 and task.quorum_reject == 1:
        return f"Any one of {who}."
    against = "one rejection" if task.quorum_reject == 1 else f"{task.quorum_reject} rejections"
    return (
        f"{task.quorum_approve} of {who} have to approve; {against} reject{'s' if task.quorum_reject == 1 else ''} it."
    )


def version_of(task: HumanTask, thread: list[Line]) -> str:
    """What changes when the page's state does, as the topic of the task reads it."""
    return task_version(task.row_version, task.state, task.instance.status, thread[-1].pk if thread else None)


def closing_lines(closing: words.Closing) -> dict[str, object]:
    """What became of it, as the page says it."""
    sentence = f"{closing.who} {closing.did} this" if closing.who else closing.did
    return {
        "kind": closing.kind,
        "sentence": sentence,
        "at": closing.at,
        "comment": closing.comment,
        "is_moot": not closing.who,
    }


def typed_in(form: Form) -> list[tuple[str, str]]:
    """What somebody typed, for them to copy: the label and the text of each field that holds any."""
    found = []
    for field in form:
        texts = [_label(field, str(text)) for text in _given(form, field.html_name) if text]
        if texts:
            found.append((str(field.label), ", ".join(texts)))
    return found


def _given(form: Form, name: str) -> list[Any]:
    """What was sent for the field and for those inside of it, but for the button that adds a row."""
    given: list[Any] = []
    for key in form.data:
        if key == name or (key.startswith(f"{name}-") and key != f"{name}-{ADD}"):
            given += form.data.getlist(key) if isinstance(form.data, MultiValueDict) else [form.data[key]]
    return given


def _label(field: BoundField, text: str) -> str:
    labels = {str(value): str(label) for value, label in getattr(field.field, "choices", ())}
    return labels.get(text, text)


def _instance_url(request: HttpRequest, task: HumanTask) -> str:
    """The instance's page, where the site has one and the person may see it."""
    if not can(person(request), Action.VIEW, task.instance):
        return ""
    try:
        return reverse("dashboard:instance", args=[task.hub, task.instance.instance_id])
    except NoReverseMatch:
        return ""
