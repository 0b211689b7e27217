"""What a checkpoint says of questions to people: those that it asks, and what has become of those it has asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A question to put to people. What is named JSON is JSON text; see HumanTask for the rest.

    One that was withdrawn only because the orchestrator looked away for a while is opened again, with its votes.
    """

    wait_id: int
    generation: int
    name: str
    title: str
    asked_at: datetime
    due_at: datetime | None = None
    description: str = ""
    summary: str = "{}"
    form: str = ""
    form_version: int = 1
    schema: str = "{}"
    initial: str = "{}"
    assignment: str = "{}"
    quorum_approve: int = 1
    quorum_reject: int = 1
    on_timeout: str = ""
    escalation: str | None = None
    escalate_at: datetime | None = None
    reminders: str = "[]"
    notify: str = "[]"
    next_notice_at: datetime | None = None
    priority: int = 0
    undo_seconds: int = 0
    audience: tuple[str, ...] = ("anyone",)
    """Keys of HumanAudience."""


@dataclass(frozen=True, slots=True)
class SettledTask:
    """What has become of a question: ``answered`` once the orchestrator has the answer, ``expired``, ``withdrawn``.

    ``by``, ``outcome`` and ``why`` are for one that was not closed before, by an event that was raised past it.
    """

    wait_id: int
    state: str
    name: str = ""
    title: str = ""
    by: str = ""
    outcome: str = ""
