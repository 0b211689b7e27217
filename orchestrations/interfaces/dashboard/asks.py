"""Questions to people: what is asked, whether this person may answer, what became of it, and the answer itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.urls import reverse

from orchestrations import queries
from orchestrations.client import OrchestrationClient
from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.errors import PayloadUnavailable
from orchestrations.interfaces.dashboard.forms import AnswerForm
from orchestrations.interfaces.dashboard.versions import digest
from orchestrations.models import HistoryEvent, InboxMessage, Instance, OpenWait
from orchestrations.permissions import can_answer, require_answer

if TYPE_CHECKING:
    from orchestrations.permissions import Person

ASKS_SHOWN = 5  # questions of one instance that its page shows with their forms
ANSWERS_SEARCHED = 20  # newest events of an instance among which the answer to a question is looked for


class QuestionClosed(Exception):
    """The question was answered by somebody else, or its wait has ended; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answered. ``approved`` is None for an event that is no verdict; ``is_taken`` once it is history."""

    by: str
    approved: bool | None
    comment: str
    at: datetime
    is_taken: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, as a page shows it."""

    wait: OpenWait
    form: AnswerForm
    summary: list[tuple[str, str]]
    groups: list[str]
    may_answer: bool
    url: str


def ask_of(wait: OpenWait, instance: Instance, user: Person, form: AnswerForm | None = None) -> Ask:
    """What to show of one wait to this person."""
    told = _object(wait.request)
    summary, groups = told.get("summary"), told.get("groups")
    return Ask(
        wait=wait,
        form=form or AnswerForm(auto_id=f"id_%s_{wait.pk}"),
        summary=[(str(label), _words(text)) for label, text in summary.items()] if isinstance(summary, dict) else [],
        groups=[str(name) for name in groups] if isinstance(groups, list) else [],
        may_answer=can_answer(user, wait),
        url=reverse("dashboard:approval", args=[instance.hub, instance.instance_id, wait.pk]),
    )


def asks_of(instance: Instance, user: Person) -> list[Ask]:
    """The questions that an instance asks, the most urgent first."""
    waits = queries.open_waits(instance.hub, instance=instance, asked_only=True, limit=ASKS_SHOWN)
    return [ask_of(wait, instance, user) for wait in waits]


def asks_version(waits: Iterable[OpenWait]) -> str:
    """What changes when the set of questions does."""
    return digest(sorted(wait.pk for wait in waits))


def answer(client: OrchestrationClient, user: Person, wait: OpenWait, *, approved: bool, comment: str) -> None:
    """Send the person's verdict as the external event that the wait is for, once.

    The wait's row is locked while it is sent, so that of two people who answer at once one is told that they came
    second. Raises QuestionClosed, and PermissionRefused for who is not asked.
    """
    with transaction.atomic(using=client.using):
        locked = OpenWait.objects.using(client.using).select_for_update().filter(pk=wait.pk).first()
        if locked is None or on_its_way(locked):
            raise QuestionClosed
        require_answer(user, locked)
        verdict = {"approved": approved, "comment": comment, "by": user.get_username()}
        client.raise_event(wait.instance.instance_id, locked.name, verdict, idempotency_key=answer_key(locked.pk))


def answer_key(wait_pk: int) -> str:
    """The idempotency key of the answer to one wait."""
    return f"wait-{wait_pk}"


def on_its_way(wait: OpenWait) -> Answer | None:
    """The answer that was sent to an open wait and that no worker has taken up yet."""
    rows = InboxMessage.objects.using(get_config().database).filter(
        instance_id=wait.instance_id, type=EventType.EVENT_RAISED.value, idempotency_key=f"event:{answer_key(wait.pk)}"
    )
    message = rows.first()
    return _answer(message, message.created_at, is_taken=False) if message else None


def answer_given(instance: Instance) -> Answer | None:
    """The newest verdict that the instance has received: who answered, for somebody who came second."""
    rows = HistoryEvent.objects.using(get_config().database).filter(
        instance_id=instance.pk, execution=instance.execution, type=EventType.EVENT_RAISED.value
    )
    for event in rows.order_by("-sequence")[:ANSWERS_SEARCHED]:
        given = _answer(event, event.timestamp, is_taken=True)
        if given.approved is not None:
            return given
    return None


def _answer(row: HistoryEvent | InboxMessage, at: datetime, *, is_taken: bool) -> Answer:
    try:
        payload, told = _object(row.payload), _object(row.attributes)
    except PayloadUnavailable:  # what can't be read is no verdict that could be shown
        payload, told = {}, _object(row.attributes)
    verdict = payload.get("approved")
    return Answer(
        by=str(payload.get("by") or told.get("by") or ""),
        approved=verdict if isinstance(verdict, bool) else None,
        comment=str(payload.get("comment") or ""),
        at=at,
        is_taken=is_taken,
    )


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
