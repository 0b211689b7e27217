"""The questions that an instance asks people, as its page shows them: each with its form, for who may answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.human.task_page import Ask, answer_of, question_of
from orchestrations.models import HumanTask, HumanVote, Instance

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person

ASKS_SHOWN = 5  # questions of one instance that its page shows with their forms


def asks_of(instance: Instance, user: Person) -> list[Ask]:
    """The questions that an instance asks, the most urgent first."""
    rows = HumanTask.objects.using(get_config().database).filter(
        instance_id=instance.pk, execution=instance.execution, state__in=HumanTask.LIVE
    )
    tasks = list(rows.select_related("assignee").order_by("urgent_at", "pk")[:ASKS_SHOWN])
    votes: dict[int, list[HumanVote]] = {task.pk: [] for task in tasks}
    if tasks:
        for vote in HumanVote.objects.using(get_config().database).filter(task_id__in=votes).order_by("pk"):
            votes[vote.task_id].append(vote)
    return [answer_of(question_of(user, task, votes[task.pk])) for task in tasks]
