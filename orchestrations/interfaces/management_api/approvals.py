"""Routes to the questions that an instance puts to people: those that are open, and answers of programs to them."""

from __future__ import annotations

import json

from django.http import HttpResponse

from orchestrations.access.permissions import Audience, audience_of
from orchestrations.errors import HumanTaskNotFound
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.parameters import row_number
from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.interfaces.management_api.reading import CONTINUATION_HEADER, TOP, page_response
from orchestrations.interfaces.management_api.rendering import instant_text, json_response
from orchestrations.interfaces.management_api.shapes import AnswerBody, Approval
from orchestrations.models import HumanTask
from orchestrations.reading import inbox


def list_approvals(call: Call, instance_id: str) -> HttpResponse:
    """A page of the questions that the instance puts to people now, in the order of asking; the token is as ever."""
    cursor, limit = call.request.headers.get(CONTINUATION_HEADER), call.query.count("top", TOP)
    page = inbox.open_of(call.instance(instance_id), cursor=cursor, limit=limit)
    return page_response([_told(call, instance_id, task) for task in page.items], page.next_cursor)


def answer(call: Call, instance_id: str, number: str) -> HttpResponse:
    """Decide a question in the name of the program that calls: checked by its form, once, and delivered at once.

    A link may be anybody's, so it is not enough where certain people are asked or left out.
    """
    row = call.instance(instance_id)
    pk = row_number(number)
    task = inbox.question_of(row, pk)
    if task is None:
        raise HumanTaskNotFound(pk)
    if call.caller.capability is not None:
        require_asked_of_anybody(audience_of(task), task.name)
    given = call.body(AnswerBody, "answer")
    decided = call.client.decide_task(task.pk, given.answer, given.comment)
    return json_response(_told(call, instance_id, decided))


def require_asked_of_anybody(audience: Audience, event_name: str) -> None:
    """Raise a 403 where certain people are asked, or left out: a link may be anybody's."""
    if audience.is_restricted or audience.exclude:
        raise Problem(403, f"The event {event_name!r} is the answer of certain people. They give it in the inbox.")


def _told(call: Call, instance_id: str, task: HumanTask) -> Approval:
    is_shown = call.caller.sees_payloads
    return Approval(
        id=task.pk,
        instance_id=instance_id,
        event=task.name,
        title=task.title,
        description=task.description if is_shown else None,
        summary=json.loads(task.summary) if is_shown else None,
        form=json.loads(task.schema).get("schema", {}),
        initial=json.loads(task.initial) if is_shown else None,
        state=task.state,
        priority=task.priority,
        asked_time=instant_text(task.asked_at),
        due_time=instant_text(task.due_at),
        approvals=task.approvals,
        approvals_needed=task.quorum_approve,
        rejections=task.rejections,
        rejections_needed=task.quorum_reject,
        answered_by=task.answered_by,
        outcome=task.outcome,
        closed_time=instant_text(task.closed_at),
    )
