"""What was said and done about a question: votes, the thread and the trail of the audit, read with one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet, Value

from orchestrations.models import AuditEntry, HumanComment, HumanTask, HumanVote

SAID: dict[str, str] = {
    HumanComment.Kind.CLAIMED: "took this on",
    HumanComment.Kind.RELEASED: "gave this back",
    HumanComment.Kind.OVERRIDDEN: "overrode this",
    HumanComment.Kind.ESCALATED: "asked others besides",
}
THREAD_SHOWN = 200  # lines of a thread, the newest
TRAIL_SHOWN = 50  # entries of the audit, the newest

NOTHING = Value("")
VOTE = ("username", "outcome", NOTHING, "comment")
COMMENT = ("username", "kind", "to", "text")
ENTRY = ("actor_name", "action", NOTHING, "reason")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the thread. ``did`` says what its author did, where it was more than to speak."""

    pk: int
    username: str
    did: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """Each part with its oldest first. Of the rows there are the columns that pages show."""

    votes: list[HumanVote]
    thread: list[Line]
    trail: list[AuditEntry]


def told_of(task: HumanTask) -> Told:
    """All votes, and the newest of the thread and of the trail; the task comes with its instance."""
    database = task._state.db
    votes = HumanVote.objects.using(database).filter(task=task.pk)
    comments = HumanComment.objects.using(database).filter(task=task.pk)
    entries = AuditEntry.objects.using(database).filter(
        hub=task.hub, instance_id=task.instance.instance_id, details__title=task.title
    )
    told = Told([], [], [])
    for kind, pk, at, who, what, whom, text in sorted(
        _columns("vote", votes, VOTE).union(
            _columns("comment", _newest(comments, THREAD_SHOWN), COMMENT),
            _columns("entry", _newest(entries, TRAIL_SHOWN), ENTRY),
            all=True,
        )
    ):
        if kind == "vote":
            told.votes.append(HumanVote(pk=pk, at=at, username=who, outcome=what, comment=text))
        elif kind == "comment":
            told.thread.append(Line(pk, who, _did(what, whom), text, at))
        else:
            told.trail.append(AuditEntry(pk=pk, at=at, actor_name=who, action=what, reason=text))
    return told


def _columns(kind: str, rows: QuerySet[Any], columns: tuple[str | Value, ...]) -> QuerySet[Any, Any]:
    """The rows in the shape that all parts share: kind, key, when, who, what, whom and the words."""
    return rows.order_by().values_list(Value(kind), "pk", "at", *columns)


def _newest(rows: QuerySet[Any], limit: int) -> QuerySet[Any]:
    """So many of them; a part of a union can't be cut short by itself."""
    some: QuerySet[Any] = rows.model._default_manager.using(rows.db)
    return some.filter(pk__in=rows.order_by("-pk").values("pk")[:limit])


def _did(kind: str, to: str) -> str:
    return f"handed this on to {to}" if kind == HumanComment.Kind.DELEGATED else SAID.get(kind, "")
