"""Questions to people: whom they are put to, how many must agree, until when, and what the orchestrator gets.

Everything here is a plain value of the orchestrator's making, the same on every replay. What becomes of a question
outside (who saw it, who was reminded) is the affair of the task that the store keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from orchestrations.limits import QUESTION_BYTES, QUORUM

RAISE = "raise"
APPROVE: Final = "approve"
REJECT: Final = "reject"
REJECTING = ("reject", "rejected", "no", "false", "deny", "denied", "decline", "declined")
"""Verdicts that count as rejections, in any case; every other one approves."""


class HumanTimeout(TimeoutError):
    """Nobody answered a question to people before it was due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewers:
    """Whom a question is put to: members of ``groups``, ``users`` by name, holders of ``permission``; any of them.

    Nobody named means whoever may raise events. Those in ``exclude``, such as the one who asked, may look at it and
    never answer, whatever else they are. Raises ValueError for a name that is none: left out by mistake, it would let
    somebody in.
    """

    groups: Sequence[str] = ()
    users: Sequence[str] = ()
    permission: str | None = None
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("groups", "users", "exclude"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        lists = {name: list(getattr(self, name)) for name in ("groups", "users", "exclude")}
        return {**lists, "permission": self.permission}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """How many approving votes approve, and how many rejecting ones reject; with both at once it is rejected.

    The verdicts in ``rejecting`` count as rejections, in any case, and all others as approvals. Raises ValueError for a
    number below 1.
    """

    approve: int = 1
    reject: int = 1
    rejecting: Sequence[str] = REJECTING

    def __post_init__(self) -> None:
        for name in ("approve", "reject"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= QUORUM:
                raise ValueError(f"Quorum({name}={number!r}) is no number of votes. Pass one from 1 to {QUORUM}.")
        object.__setattr__(self, "rejecting", _names("rejecting", self.rejecting))

    def counts_as(self, outcome: str) -> Literal["approve", "reject"]:
        """What a vote with that verdict counts as."""
        return REJECT if outcome.casefold() in {verdict.casefold() for verdict in self.rejecting} else APPROVE


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's answer. ``outcome`` is the verdict as text, empty for a form that has none."""

    by: str
    at: datetime
    outcome: str = ""
    comment: str = ""
    via: str = ""


@dataclass(frozen=True, slots=True)
class HumanAnswer:
    """What a question to people came to.

    ``data`` is what the form let through, typed as it was declared: of the vote that decided. ``by`` and ``at`` are
    stamped by the site. ``votes`` has everybody's, in order. An answer that the deadline gave has ``via`` ``timeout``
    and nobody in ``by``; one that was raised as a bare event has no votes.
    """

    data: Any
    outcome: str
    approved: bool
    by: str
    at: datetime
    comment: str = ""
    votes: tuple[Vote, ...] = ()
    via: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """The form of a question that declares none: a verdict and a comment."""

    approved: bool
    comment: Annotated[str, {"format": "multiline"}] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question as an orchestrator puts it. ``form`` is described as plain data, and ``initial`` is JSON text."""

    title: str
    description: str = ""
    summary: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, Any] = field(default_factory=dict)
    initial: str | None = None
    assign: Reviewers = field(default_factory=Reviewers)
    quorum: Quorum = field(default_factory=Quorum)
    remind: tuple[timedelta, ...] = ()
    escalate: Reviewers | None = None
    escalate_after: timedelta | None = None
    on_timeout: str | None = None
    """The answer that the deadline gives, as JSON text; None where it raises, and where there is no deadline."""
    notify: tuple[str, ...] = ("inbox",)
    priority: int = 0
    undo: timedelta = timedelta()
    is_plain: bool = False
    """Whether it asks for a bare verdict, whose answer is ``{"approved": ..., "comment": ..., "by": ...}``."""

    def as_request(self) -> dict[str, Any]:
        """What lists of open waits say of it."""
        asked: dict[str, Any] = {
            "title": self.title,
            "summary": dict(self.summary),
            "groups": list(self.assign.groups),
            "permission": self.assign.permission,
        }
        if self.assign.users:
            asked["users"] = list(self.assign.users)
        if self.assign.exclude:
            asked["exclude"] = list(self.assign.exclude)
        return asked

    @property
    def escalates_after(self) -> timedelta | None:
        """When others are asked besides, counted from the asking."""
        if self.escalate is None:
            return None
        return self.escalate_after or max(self.remind, default=None)


def check(question: Question, due: timedelta | None) -> Question:
    """Return it. Raises ValueError for what contradicts itself or is too large to be asked."""
    for moment in (*question.remind, *([question.escalate_after] if question.escalate_after else [])):
        if moment <= timedelta():
            raise ValueError("A reminder or escalation counts from the asking. Pass a duration longer than nothing.")
    if question.escalate is not None and question.escalates_after is None and due is None:
        raise ValueError("Nothing says when to escalate. Pass escalate_after, remind or due.")
    if question.escalate is None and question.escalate_after is not None:
        raise ValueError("escalate_after says when, and nobody is to be asked then. Pass escalate=Reviewers(...).")
    if not timedelta() <= question.undo <= timedelta(days=1):
        raise ValueError("undo is how long a decision may be taken back: pass a duration of at most a day.")
    if not -100 <= question.priority <= 100:
        raise ValueError(f"The priority {question.priority!r} is outside of -100 to 100.")
    texts = [question.description, question.initial or "", question.on_timeout or "", *question.summary.values()]
    size = sum(len(text) for text in (*texts, *question.summary))
    if size > QUESTION_BYTES:
        raise ValueError(
            f"The question {question.title!r:.80} takes {size} characters, and {QUESTION_BYTES} are allowed. Show a "
            "summary, and link to the rest."
        )
    return question


def outcome_of(value: object) -> str:
    """A verdict as text: a boolean is ``approve`` or ``reject``."""
    if isinstance(value, bool):
        return APPROVE if value else REJECT
    return "" if value is None else str(value)


def verdict_in(payload: object, form: Mapping[str, Any]) -> str:
    """The verdict in an answer's JSON value, by the field that the form names for it; empty where there is none."""
    name = form.get("outcome")
    if name and isinstance(payload, Mapping):
        return outcome_of(payload.get(name))
    is_wrapped = name and (form.get("schema") or {}).get("wrapped")
    return outcome_of(payload) if is_wrapped else ""


def stamped(data: Any, payload: object, question: Question, stamps: Mapping[str, Any], at: datetime) -> HumanAnswer:
    """The answer from its value and what the site stamped on the event; a bare event has few stamps."""
    outcome = str(stamps.get("outcome") or verdict_in(payload, question.form))
    votes = tuple(_vote(told) for told in stamps.get("votes") or () if isinstance(told, Mapping))
    return HumanAnswer(
        data=data,
        outcome=outcome,
        approved=(stamps.get("counts_as") or question.quorum.counts_as(outcome)) == APPROVE,
        by=str(stamps.get("by") or ""),
        at=datetime.fromisoformat(stamps["at"]) if stamps.get("at") else at,
        comment=str(stamps.get("comment") or ""),
        votes=votes,
        via=str(stamps.get("via") or ""),
    )


def _vote(told: Mapping[str, Any]) -> Vote:
    return Vote(
        by=str(told.get("by") or ""),
        at=datetime.fromisoformat(told["at"]),
        outcome=str(told.get("outcome") or ""),
        comment=str(told.get("comment") or ""),
        via=str(told.get("via") or ""),
    )


def _names(what: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence | set | frozenset):
        raise TypeError(f"{what} takes a list of names, and was given {given!r:.80}. Write {what}=[...].")
    for name in given:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{what} has {name!r:.80}, which is nobody's name. Leave it out, or pass the name.")
    return tuple(sorted(given) if isinstance(given, set | frozenset) else given)
