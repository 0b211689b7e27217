"""From the questions of an orchestrator to the tasks that the store keeps, and to what has become of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from orchestrations.core.execution import Execution
from orchestrations.core.human import Question, verdict_in
from orchestrations.core.tasks import ExternalEventTask
from orchestrations.models import HumanTask
from orchestrations.store.human_tasks import audience_keys
from orchestrations.store.task_contract import NewTask, SettledTask

State = HumanTask.State


def asked(execution: Execution, opened: Mapping[int, ExternalEventTask]) -> list[NewTask]:
    """The tasks of those waits that put a question to people."""
    return [
        _task(execution, wait_id, wait, wait.question) for wait_id, wait in opened.items() if wait.question is not None
    ]


def settled(execution: Execution, closed: Iterable[int]) -> list[SettledTask]:
    """What has become of the questions among the waits that are closed now."""
    questions = execution.external_events.questions
    return [_settled(wait_id, questions[wait_id]) for wait_id in closed if wait_id in questions]


def _task(execution: Execution, wait_id: int, wait: ExternalEventTask, question: Question) -> NewTask:
    due_at = wait.timer.due_at if wait.timer is not None else None
    reminders = [wait.since + after for after in question.remind]
    escalate_at = _escalate_at(question, wait.since, due_at)
    is_mailed = any(channel != "inbox" for channel in question.notify)
    notices = [*reminders, *([wait.since] if is_mailed else []), *([escalate_at] if escalate_at else [])]
    return NewTask(
        wait_id=wait_id,
        generation=execution.generation,
        name=wait.name,
        title=question.title,
        asked_at=wait.since,
        due_at=due_at,
        description=question.description,
        summary=_json(question.summary),
        form=str(question.form.get("path") or ""),
        form_version=int(question.form.get("version") or 1),
        schema=_json({**question.form, "plain": True} if question.is_plain else question.form),
        initial=question.initial or "null",
        assignment=_json({**question.assign.as_dict(), "rejecting": list(question.quorum.rejecting)}),
        quorum_approve=question.quorum.approve,
        quorum_reject=question.quorum.reject,
        on_timeout=question.on_timeout or "",
        escalation=_json(question.escalate.as_dict()) if question.escalate is not None else None,
        escalate_at=escalate_at,
        reminders=_json([moment.isoformat() for moment in reminders]),
        notify=_json(question.notify),
        next_notice_at=min(notices, default=None),
        priority=question.priority,
        undo_seconds=int(question.undo.total_seconds()),
        audience=tuple(audience_keys(question.assign.as_dict())),
    )


def _escalate_at(question: Question, since: datetime, due_at: datetime | None) -> datetime | None:
    """As asked for, else with the last reminder, else half-way to the deadline."""
    after: timedelta | None = question.escalates_after
    if after is not None:
        return since + after
    if question.escalate is None or due_at is None:
        return None
    return since + (due_at - since) / 2


def _settled(wait_id: int, wait: ExternalEventTask) -> SettledTask:
    if wait.event is None:
        is_expired = wait.has_ended and not wait.is_cancelled
        state = State.EXPIRED if is_expired else State.WITHDRAWN
        return SettledTask(wait_id, state, wait.name, wait.title)
    by = str(wait.event.attributes.get("by") or "")
    payload = msgspec.json.decode(wait.event.payload) if wait.event.payload else None
    form = wait.question.form if wait.question is not None else {}
    return SettledTask(wait_id, State.ANSWERED, wait.name, wait.title, by, verdict_in(payload, form))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
