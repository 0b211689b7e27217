"""A question to people in words: whom it asks, what happens without an answer, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrations.authoring.forms.binding import outcome_of
from orchestrations.authoring.forms.shapes import JSON_BOX, FormDescription
from orchestrations.core.human import APPROVE, Quorum
from orchestrations.models import HumanTask, HumanVote

State = HumanTask.State
PAST = {"approve": "approved", "reject": "rejected"}


@dataclass(frozen=True, slots=True)
class Closing:
    """What became of a question: who did what, when and with which words. ``kind`` is the colour of its status."""

    kind: str
    who: str
    did: str
    at: datetime | None
    comment: str = ""


def read_json(text: str | None, kind: type) -> Any:
    """The JSON value of a column where it is of that kind, else an empty one: stored text is data from elsewhere."""
    try:
        value = json.loads(text or "null")
    except ValueError:
        value = None
    return value if isinstance(value, kind) else kind()


def form_of(task: HumanTask) -> FormDescription:
    """The description of the task's form; a box for JSON where what is stored can't be read."""
    try:
        return FormDescription.of(read_json(task.schema, dict)) if task.schema else JSON_BOX
    except (KeyError, TypeError, ValueError):
        return JSON_BOX


def asked_of(task: HumanTask) -> list[str]:
    """Whom the question is put to, one name each."""
    assignment: Mapping[str, Any] = read_json(task.assignment, dict)
    named = [*_texts(assignment.get("groups")), *_texts(assignment.get("users"))]
    if permission := assignment.get("permission"):
        named.append(f"whoever has the permission {permission}")
    if task.state == State.ESCALATED or task.escalated_at:
        besides: Mapping[str, Any] = read_json(task.escalation, dict)
        named += [*_texts(besides.get("groups")), *_texts(besides.get("users"))]
    return list(dict.fromkeys(named)) or ["whoever may raise events"]


def excluded_from(task: HumanTask) -> list[str]:
    """Who may look and not answer, such as the one who asked."""
    return _texts(read_json(task.assignment, dict).get("exclude"))


def quorum_of(task: HumanTask) -> Quorum:
    """How many votes the question needs."""
    rejecting = _texts(read_json(task.assignment, dict).get("rejecting"))
    return Quorum(
        approve=max(task.quorum_approve, 1),
        reject=max(task.quorum_reject, 1),
        **({"rejecting": rejecting} if rejecting else {}),
    )


def without_answer(task: HumanTask) -> str:
    """What the deadline brings, as the end of "If nobody answers: "; a page adds the moment."""
    if task.due_at is None:
        return "it stays open"
    if not task.on_timeout:
        return "it expires"
    return automatic(task)


def then(task: HumanTask) -> str:
    """What follows the moment in such a sentence."""
    return ", and the orchestrator goes on without an answer" if task.due_at is not None and not task.on_timeout else ""


def automatic(task: HumanTask) -> str:
    """The answer that the deadline gives, as a verb: ``rejected``, or ``answered “later”``."""
    form = form_of(task)
    outcome = outcome_of(form, _value(task.on_timeout))
    return did(task, outcome) if outcome else "answered as the orchestrator says"


def did(task: HumanTask, outcome: str) -> str:
    """A verdict as what somebody did: ``approved``, ``rejected``, or ``answered “later”``."""
    if outcome.casefold() in PAST:
        return PAST[outcome.casefold()]
    shape = form_of(task).shape(form_of(task).outcome)
    labels = {str(value): label for value, label in shape.choices} if shape is not None else {}
    return f"answered “{labels.get(outcome, outcome)}”" if outcome else "answered"


def closing_of(task: HumanTask, votes: Iterable[HumanVote]) -> Closing | None:
    """What became of a question; None while it is open."""
    if task.state == State.ANSWERED:
        last = next((vote for vote in reversed(list(votes)) if vote.username == task.answered_by), None)
        counts = quorum_of(task).counts_as(task.outcome) if task.outcome else APPROVE
        kind = "completed" if counts == APPROVE else "failed"
        who = task.answered_by or "A program"
        return Closing(kind, who, did(task, task.outcome), task.closed_at, last.comment if last else "")
    if task.state == State.EXPIRED:
        how = f", {automatic(task)} automatically" if task.on_timeout else ", without an answer"
        return Closing("canceled", "", f"Expired{how}", task.closed_at)
    if task.state == State.WITHDRAWN:
        return Closing("pending", "", "Withdrawn: the orchestrator no longer waits for it", task.closed_at)
    return None


def is_overdue(task: HumanTask, now: datetime) -> bool:
    """Whether its time is over, and only a worker has yet to say so."""
    return task.is_live and task.due_at is not None and task.due_at <= now


def is_open(task: HumanTask, now: datetime) -> bool:
    """Whether it can be answered still."""
    return task.is_live and not is_overdue(task, now)


def progress(task: HumanTask) -> str:
    """The votes as a list has them: ``1 of 2``; with rejections ``1 of 2, 1 against``."""
    return f"{task.approvals} of {task.quorum_approve}{_against(task)}"


def approvals(task: HumanTask) -> str:
    """The same in a sentence: ``1 of 2 approvals, 1 against``."""
    plural = "" if task.quorum_approve == 1 else "s"
    return f"{task.approvals} of {task.quorum_approve} approval{plural}{_against(task)}"


def _against(task: HumanTask) -> str:
    return f", {task.rejections} against" if task.rejections else ""


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
