"""How a person stands to a question: whether they may answer it, and if not, why not, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrations.access.permissions import audience_of, may_see_task, why_not
from orchestrations.interfaces.dashboard.human.words import is_open, is_overdue
from orchestrations.models import HumanTask, HumanVote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrations.access.permissions import Person


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person may do with a question."""

    may_see: bool
    may_answer: bool
    why_not: str = ""
    """The reason in words where they may not answer."""
    is_asked: bool = False
    """Whether they are among those whom it asks, whatever has become of it."""
    has_voted: bool = False


def standing_of(user: Person, task: HumanTask, votes: Iterable[HumanVote], now: datetime) -> Standing:
    """How the person stands to the task. Costs at most the queries of their groups and permissions."""
    voted = next((vote for vote in votes if vote.username == user.get_username()), None)
    refused = why_not(user, task)
    is_asked = not refused or (task.assignee_id is not None and audience_of(task).includes(user))
    return Standing(
        may_see=voted is not None or may_see_task(user, task),
        may_answer=not refused and voted is None and is_open(task, now),
        why_not=_words(task, voted, refused, now),
        is_asked=is_asked,
        has_voted=voted is not None,
    )


def _words(task: HumanTask, voted: HumanVote | None, refused: str, now: datetime) -> str:
    if not task.is_live:
        return "This question is closed."
    if voted is not None:
        return "You have answered. It waits for others now."
    if refused:
        return f"You may look, but not answer. {refused}"
    return "The time to answer is over." if is_overdue(task, now) else ""
