"""What one can do with a question besides answering it: claim, release, hand on, put off. With the forms for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from orchestrations.client import OrchestrationClient
from orchestrations.interfaces.dashboard.human.task_page import Question
from orchestrations.interfaces.dashboard.human.words import is_open
from orchestrations.limits import REASON_LENGTH
from orchestrations.models import HumanTask
from orchestrations.models.human import USERNAME_LENGTH

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person

FURTHEST_FOLLOW_UP = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Act:
    """One act as the page offers it.

    ``is_plain`` ones need no more than a press of the button; those that leave the form of the answer on the page as it
    is have ``keeps_answer``.
    """

    slug: str
    label: str
    effect: str
    is_plain: bool
    keeps_answer: bool
    url: str


PLAIN = ("claim", "release", "undo")
KEEPING = ("claim", "release")
EFFECTS = {
    "claim": ("Claim", "You take this on: the others see that, and it moves to your own questions."),
    "release": ("Release", "It goes back to all who were asked."),
    "undo": ("Take it back", "Your answer has not been delivered yet. The question is open again."),
    "delegate": ("Delegate", "Somebody else is to answer in your place. The deadline stays."),
    "follow-up": ("Follow up", "It is out of your inbox until a date that you choose. The deadline stays."),
}


def acts_of(user: Person, question: Question) -> list[Act]:
    """What this person can do with the question now: as the client would let them."""
    task, standing = question.task, question.standing
    if may_undo(task, question.username, question.now):
        return [act_of("undo", question)]
    slugs = []
    if standing.may_answer:
        is_mine = task.assignee_id is not None and task.assignee_id == user.pk
        slugs += ["release"] if is_mine else ["claim"] if task.assignee_id is None else []
        slugs += ["delegate"]
    if standing.is_asked and not standing.has_voted and is_open(task, question.now):
        slugs += ["follow-up"]
    return [act_of(slug, question) for slug in slugs]


def may_undo(task: HumanTask, username: str, now: datetime) -> bool:
    """Whether it is this person's decision, and can still be taken back."""
    return task.answered_by == username and task.deliver_at is not None and task.deliver_at > now


def act_of(slug: str, question: Question) -> Act:
    """The act of that name."""
    label, effect = EFFECTS[slug]
    url = reverse("dashboard:task_act", args=[question.task.pk, slug])
    return Act(slug, label, effect, slug in PLAIN, slug in KEEPING, url)


class CommentForm(forms.Form):
    """A line for the thread."""

    text = forms.CharField(
        label="Comment",
        max_length=REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Does not answer the question. Everybody who is asked can read it.",
        error_messages={"required": "Write something, or leave it."},
    )


class ReasonlessForm(forms.Form):
    """Nothing to fill in: the button says it all."""


class DelegateForm(forms.Form):
    """Hands the question on to one person."""

    to = forms.CharField(
        label="To whom",
        max_length=USERNAME_LENGTH,
        help_text="Their user name.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    reason = forms.CharField(
        max_length=REASON_LENGTH, widget=forms.Textarea(attrs={"rows": 3}), help_text="They will read it."
    )

    def clean_to(self) -> Any:
        """The person of that name, who has to be active."""
        name = self.cleaned_data["to"].strip()
        users = get_user_model()
        found = users._default_manager.filter(**{users.USERNAME_FIELD: name, "is_active": True}).first()
        if found is None:
            raise forms.ValidationError("Nobody with that user name can sign in here.")
        return found


class FollowUpForm(forms.Form):
    """Puts the question off for this person."""

    until = forms.DateField(
        label="Show it again on",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="The others still see it, and its deadline stays.",
    )

    def clean_until(self) -> datetime:
        """The beginning of that day, which has to come."""
        day = self.cleaned_data["until"]
        moment = timezone.make_aware(datetime.combine(day, datetime.min.time()))
        now = timezone.now()
        if not now < moment < now + FURTHEST_FOLLOW_UP:
            raise forms.ValidationError("Choose a day after today, within a year.")
        return moment


FORMS: dict[str, type[forms.Form]] = {
    "claim": ReasonlessForm,
    "release": ReasonlessForm,
    "undo": ReasonlessForm,
    "delegate": DelegateForm,
    "follow-up": FollowUpForm,
}


def perform(slug: str, client: OrchestrationClient, pk: int, form: forms.Form) -> str:
    """Do what a valid form says, and return what happened as a sentence. Raises as the client does."""
    told = form.cleaned_data
    if slug == "claim":
        client.claim_task(pk)
        return "You took this on."
    if slug == "release":
        client.release_task(pk)
        return "It is back with all who were asked."
    if slug == "undo":
        client.undo_answer(pk)
        return "You took your answer back. The question is open again."
    if slug == "delegate":
        client.delegate_task(pk, told["to"], told["reason"])
        return f"{told['to'].get_username()} is asked now."
    client.follow_up_task(pk, told["until"])
    return f"It is back in your inbox on {told['until']:%Y-%m-%d}."
