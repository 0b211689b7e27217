"""One answer for many questions: only where all have the same form in the same version, and it allows that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.forms import Form
from django.http import HttpRequest

from orchestrations.access.permissions import may_see_task
from orchestrations.authoring.forms import binding
from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.access import client_of, person
from orchestrations.interfaces.dashboard.human import words
from orchestrations.models import HumanTask


@dataclass(frozen=True, slots=True)
class Chosen:
    """The questions that one answer is to be given to, and why it can't be where it can't."""

    tasks: list[HumanTask]
    problem: str = ""

    def form(self, request: HttpRequest | None = None) -> Form:
        """Their form, empty or bound to what was posted. What one of them begins with is not the others'."""
        stored = words.form_of(self.tasks[0])
        return binding.bind_form(stored, *((request.POST, request.FILES) if request is not None else ()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question."""

    task: HumanTask
    problem: str


def choose(request: HttpRequest, pks: Sequence[int]) -> Chosen:
    """The questions of those keys that this person may know of."""
    rows = HumanTask.objects.using(get_config().database).filter(hub=get_config().task_hub, pk__in=pks)
    found = {task.pk: task for task in rows.select_related("instance").defer("instance__input", "instance__output")}
    tasks = [found[pk] for pk in pks if pk in found and may_see_task(person(request), found[pk])]
    if not tasks:
        return Chosen([], "No question was chosen. Tick those that you want to answer alike.")
    if len({(task.form, task.form_version, task.schema) for task in tasks}) > 1:
        return Chosen(tasks, "These questions have different forms, so that one answer can't be given to all of them.")
    if not words.form_of(tasks[0]).bulk:
        return Chosen(tasks, "The form of these questions wants each to be answered by itself.")
    return Chosen(tasks)


def answer(request: HttpRequest, chosen: Chosen, form: Form) -> list[Outcome] | None:
    """Send the answer to each; what one refuses does not hold up the others. None where the form itself refuses."""
    if not binding.check_form(form):
        return None
    client = client_of(request, get_config().task_hub)
    refused = client.answer_tasks([task.pk for task in chosen.tasks], form)
    return [Outcome(task, str(refused[task.pk] or "")) for task in chosen.tasks]
