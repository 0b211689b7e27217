"""Open waits of the whole hub, and the questions that are put to a person; no program is asked."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth import get_user_model
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as drf
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestrations.access.api_keys import Verb
from orchestrations.access.permissions import Action, why_not
from orchestrations.interfaces.api import approval_serializers, descriptions, serializers
from orchestrations.interfaces.api.pagination import page_response
from orchestrations.interfaces.api.schema import problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.limits import LIST_PAGE_MAXIMUM
from orchestrations.models import HumanTask
from orchestrations.reading import inbox, queries

ANSWERED: dict[Any, Any] = {200: approval_serializers.ApprovalDetail, **problems(400, 403, 404, 409, 422)}
DONE: dict[Any, Any] = {200: approval_serializers.ApprovalDetail, **problems(400, 403, 404, 409)}


class Waits(HubView):
    """What instances wait for."""

    @needs(Action.VIEW, Verb.LIST, narrowed=True)
    @extend_schema(operation_id="list_waits", responses={200: serializers.Wait(many=True), **problems(403)})
    def get(self, request: Request) -> Response:
        """The external events that instances wait for now, the most urgent first."""
        waits = queries.open_waits(self.hub, visible=self.visible, limit=LIST_PAGE_MAXIMUM)
        return Response([descriptions.wait(row) for row in waits])


class Approvals(HubView):
    """Your inbox."""

    @extend_schema(
        operation_id="list_approvals",
        parameters=[approval_serializers.ApprovalListQuery],
        responses={200: approval_serializers.ApprovalPage, **problems(400, 404)},
    )
    def get(self, request: Request) -> Response:
        """A page of questions: put to you by name, to you among others, asked by you, or answered by you.

        What is due first comes first, but the newest of what you asked or answered.
        It takes no other right than being asked.
        """
        asked = self.asked(approval_serializers.ApprovalListQuery)
        page = inbox.page(self.person, self.hub, asked["tab"], cursor=asked.get("cursor"), limit=asked["limit"])
        return page_response(request, page, lambda task: _summary(request, task))


class ApprovalView(HubView):
    """What the views of one question share."""

    def answer_with(self, task_id: int) -> Response:
        """The question as it stands."""
        return Response(_detail(self.request, self.find(task_id)))

    def find(self, task_id: int) -> HumanTask:
        """The question; who may not know of it is told what somebody is told who asks for one that never was."""
        task = inbox.find(self.person, self.hub, task_id)
        if task is None:
            raise NotFound("There is no such question, or it is put to other people.")
        return task


class Approval(ApprovalView):
    """One question."""

    @extend_schema(operation_id="get_approval", responses={200: approval_serializers.ApprovalDetail, **problems(404)})
    def get(self, request: Request, task_id: int) -> Response:
        """A question with its form, votes and thread, open or not."""
        return self.answer_with(task_id)

    @extend_schema(operation_id="answer_approval", request=approval_serializers.ApprovalAnswerBody, responses=ANSWERED)
    def post(self, request: Request, task_id: int) -> Response:
        """Give your vote. 409 says who was quicker, and 422 which field the form refuses."""
        given = self.given(approval_serializers.ApprovalAnswerBody)
        self.client.answer_task(task_id, given["answer"], given["comment"])
        return self.answer_with(task_id)


class Override(ApprovalView):
    """A decision by one person alone."""

    @extend_schema(operation_id="override_approval", request=approval_serializers.OverrideBody, responses=ANSWERED)
    def post(self, request: Request, task_id: int) -> Response:
        """Decide a question whoever is asked, with a reason; needs the permission for it."""
        given = self.given(approval_serializers.OverrideBody)
        self.client.override_task(task_id, given["answer"], given["reason"])
        return self.answer_with(task_id)


class Delegate(ApprovalView):
    """Passing a question on."""

    @extend_schema(operation_id="delegate_approval", request=approval_serializers.DelegateBody, responses=DONE)
    def post(self, request: Request, task_id: int) -> Response:
        """Let another person answer instead; the deadline stays."""
        given = self.given(approval_serializers.DelegateBody)
        users: Any = get_user_model()._default_manager
        to = users.filter(**{get_user_model().USERNAME_FIELD: given["to"], "is_active": True}).first()
        if to is None:
            raise drf.ValidationError({"to": ["Nobody who can sign in has that name."]})
        self.client.delegate_task(task_id, to, given["reason"])
        return self.answer_with(task_id)


ACTS = {
    "claim": "Take the question for yourself.",
    "release": "Give the question back to all who were asked.",
    "undo": "Take back your decision while its undo time lasts.",
}


class Act(ApprovalView):
    """Acts that need no more than their name."""

    @extend_schema(
        operation_id="act_on_approval",
        parameters=[OpenApiParameter("act", str, OpenApiParameter.PATH, enum=list(ACTS))],
        request=None,
        responses=DONE,
    )
    def post(self, request: Request, task_id: int, act: str) -> Response:
        """Take the question, give it back, or take back your decision."""
        acts = {
            "claim": self.client.claim_task,
            "release": self.client.release_task,
            "undo": self.client.undo_answer,
        }
        if act not in acts:
            raise NotFound(f"There is no act {act!r}. Known are {', '.join(acts)}.")
        acts[act](task_id)
        return self.answer_with(task_id)


class Comments(ApprovalView):
    """Talking about a question."""

    @extend_schema(operation_id="comment_approval", request=approval_serializers.CommentBody, responses=DONE)
    def post(self, request: Request, task_id: int) -> Response:
        """Say something without answering."""
        self.client.comment_task(task_id, self.given(approval_serializers.CommentBody)["text"])
        return self.answer_with(task_id)


def _summary(request: Request, task: HumanTask) -> dict[str, Any]:
    return {
        "id": task.pk,
        "instance_id": task.instance.instance_id,
        "orchestrator": task.instance.name,
        "event": task.name,
        "title": task.title,
        "state": task.state,
        "priority": task.priority,
        "asked_at": task.asked_at,
        "due_at": task.due_at,
        "approvals": task.approvals,
        "approvals_needed": task.quorum_approve,
        "rejections": task.rejections,
        "rejections_needed": task.quorum_reject,
        "assignee": task.assignee.get_username() if task.assignee is not None else None,
        "answered_by": task.answered_by,
        "outcome": task.outcome,
        "closed_at": task.closed_at,
        "url": reverse("api:approval", args=[task.pk], request=request),
    }


def _detail(request: Request, task: HumanTask) -> dict[str, Any]:
    return {
        **_summary(request, task),
        "description": task.description,
        "summary": json.loads(task.summary),
        "form": json.loads(task.schema).get("schema", {}),
        "initial": json.loads(task.initial),
        "on_timeout": json.loads(task.on_timeout or "null"),
        "may_not_answer": why_not(request.user, task),
        "votes": [
            {"by": v.username, "at": v.at, "outcome": v.outcome, "comment": v.comment, "via": v.via}
            for v in inbox.votes(task)
        ],
        "thread": [
            {"kind": line.kind, "by": line.username, "at": line.at, "text": line.text, "to": line.to}
            for line in inbox.thread(task)
        ],
    }
