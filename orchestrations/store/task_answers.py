"""The event by which an instance gets what people decided: the deciding vote's data, with who said what stamped on."""

from __future__ import annotations

import json
from typing import Any

from orchestrations.authoring import payloads
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.models import HumanTask, HumanVote
from orchestrations.store.contract import Message


def answer_message(task: HumanTask, vote: HumanVote, using: str) -> Message:
    """The message to the instance. A bare verdict is what it always was: approved, comment, by."""
    attributes = {
        "by": vote.username,
        "wait_id": task.wait_id,
        "generation": task.generation,
        "answer": _stamps(task, vote, using),
    }
    payload: str | None = vote.data
    if is_plain(task):
        verdict = {"approved": json.loads(vote.data)["approved"], "comment": vote.comment, "by": vote.username}
        payload = payloads.encode(verdict, "the answer")
    event = HistoryEvent(EventType.EVENT_RAISED, vote.at, name=task.name, payload=payload, attributes=attributes)
    return Message(event, instance_pk=task.instance_id)


def is_plain(task: HumanTask) -> bool:
    """Whether the task asks for a bare verdict, without a form of its own."""
    return bool(json.loads(task.schema).get("plain"))


def _stamps(task: HumanTask, vote: HumanVote, using: str) -> dict[str, Any]:
    votes = HumanVote.objects.using(using).filter(task_id=task.pk).order_by("at", "pk")
    return {
        **_told(vote),
        "counts_as": vote.counts_as,
        "votes": [_told(one) for one in votes],
    }


def _told(vote: HumanVote) -> dict[str, Any]:
    return {
        "by": vote.username,
        "at": vote.at.isoformat(),
        "outcome": vote.outcome,
        "comment": vote.comment,
        "via": vote.via,
    }
