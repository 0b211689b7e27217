"""Answering a question that an orchestration puts to people: once, by one who is asked, whatever the interface."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction

from orchestrations.access.permissions import require_answer
from orchestrations.client import OrchestrationClient
from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.errors import HumanTaskClosed, PayloadUnavailable
from orchestrations.models import HumanTask, HumanVote, InboxMessage, OpenWait

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person


class QuestionClosed(Exception):
    """The question was answered by somebody else, or its wait has ended; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answered. ``approved`` is None for an event that is no verdict."""

    by: str
    approved: bool | None
    comment: str
    at: datetime


def answer(client: OrchestrationClient, user: Person, wait: OpenWait, *, approved: bool, comment: str) -> None:
    """Give the person's verdict on the question that the wait puts, once.

    Of two people who answer at once one is told that they came second. Raises QuestionClosed, and PermissionRefused for
    who is not asked.
    """
    task = task_of(wait)
    if task is not None:
        acting = OrchestrationClient(client.hub, client.using)
        acting.actor = client.actor
        try:
            acting.answer_task(task.pk, {"approved": approved, "comment": comment}, comment)
        except HumanTaskClosed as closed:
            raise QuestionClosed from closed
        return
    with transaction.atomic(using=client.using):
        locked = OpenWait.objects.using(client.using).select_for_update().filter(pk=wait.pk).first()
        if locked is None or on_its_way(locked):
            raise QuestionClosed
        require_answer(user, locked)
        verdict = {"approved": approved, "comment": comment, "by": user.get_username()}
        client.raise_event(wait.instance.instance_id, locked.name, verdict, idempotency_key=answer_key(locked.pk))


def task_of(wait: OpenWait) -> HumanTask | None:
    """The task for people that belongs to the wait; none where it was asked by an earlier release."""
    rows = HumanTask.objects.using(get_config().database)
    return rows.filter(instance_id=wait.instance_id, execution=wait.execution, wait_id=wait.wait_id).first()


def answer_key(wait_pk: int) -> str:
    """The idempotency key of the answer to one wait."""
    return f"wait-{wait_pk}"


def on_its_way(wait: OpenWait) -> Answer | None:
    """The answer that was sent to an open wait and that no worker has taken up yet."""
    task = task_of(wait)
    if task is not None and task.state == HumanTask.State.ANSWERED and task.delivered_at is None:
        vote = task.humanvotes.filter(username=task.answered_by).first()
        approved = vote is not None and vote.counts_as == HumanVote.CountsAs.APPROVE
        comment = vote.comment if vote is not None else ""
        return Answer(task.answered_by, approved, comment, task.closed_at or wait.since)
    rows = InboxMessage.objects.using(get_config().database).filter(
        instance_id=wait.instance_id, type=EventType.EVENT_RAISED.value, idempotency_key=f"event:{answer_key(wait.pk)}"
    )
    message = rows.first()
    return _answer(message) if message else None


def _answer(message: InboxMessage) -> Answer:
    told = json_object(message.attributes)
    try:
        payload = json_object(message.payload)
    except PayloadUnavailable:  # what can't be read is no verdict that could be shown
        payload = {}
    verdict = payload.get("approved")
    return Answer(
        by=str(payload.get("by") or told.get("by") or ""),
        approved=verdict if isinstance(verdict, bool) else None,
        comment=str(payload.get("comment") or ""),
        at=message.created_at,
    )


def json_object(text: str | None) -> dict[str, Any]:
    """The JSON object that the text holds; an empty one where it holds none."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
