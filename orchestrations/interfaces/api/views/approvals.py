"""Open waits of the whole hub, and the questions that a person may answer; no program is asked."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrations import permissions, queries
from orchestrations.api_keys import Verb
from orchestrations.interfaces.answers import QuestionClosed, answer, on_its_way
from orchestrations.interfaces.api import descriptions, serializers
from orchestrations.interfaces.api.problems import Conflict
from orchestrations.interfaces.api.schema import problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.limits import LIST_PAGE_MAXIMUM
from orchestrations.models import OpenWait
from orchestrations.permissions import Action


class Waits(HubView):
    """What instances wait for."""

    @needs(Action.VIEW, Verb.LIST, narrowed=True)
    @extend_schema(operation_id="list_waits", responses={200: serializers.Wait(many=True), **problems(403)})
    def get(self, request: Request) -> Response:
        """The external events that instances wait for now, the most urgent first."""
        waits = queries.open_waits(self.hub, visible=self.visible, limit=LIST_PAGE_MAXIMUM)
        return Response([descriptions.wait(row) for row in waits])


class Approvals(HubView):
    """Questions to people."""

    @extend_schema(operation_id="list_approvals", responses={200: serializers.Wait(many=True), **problems()})
    def get(self, request: Request) -> Response:
        """The open questions that you may answer, the most urgent first. It takes no other right than being asked."""
        waits = queries.answerable_waits(self.person, self.hub, limit=LIST_PAGE_MAXIMUM)
        return Response([descriptions.wait(row) for row in waits])


class Approval(HubView):
    """One question."""

    @extend_schema(operation_id="get_approval", responses={200: serializers.Wait, **problems(404)})
    def get(self, request: Request, wait_id: int) -> Response:
        """One open question that you may answer."""
        return Response(descriptions.wait(self._find(wait_id)))

    @extend_schema(
        operation_id="answer_approval",
        request=serializers.AnswerBody,
        responses={
            202: OpenApiResponse(description="The answer is on its way."),
            **problems(400, 404, 409),
        },
    )
    def post(self, request: Request, wait_id: int) -> Response:
        """Answer an open question, once; 409 where somebody else was quicker."""
        given = self.given(serializers.AnswerBody)
        asked = self._find(wait_id)
        try:
            answer(self.client, self.person, asked, approved=given["approved"], comment=given["comment"])
        except QuestionClosed as closed:
            earlier = on_its_way(asked)
            by = f" by {earlier.by}" if earlier and earlier.by else ""
            raise Conflict(f"The question was answered{by} before. Nothing was sent.", "question_closed") from closed
        return Response(status=status.HTTP_202_ACCEPTED)

    def _find(self, wait_id: int) -> OpenWait:
        """The question; who is not asked is told what somebody is told who asks for one that never was."""
        asked = queries.get_wait(self.hub, wait_id)
        if asked is None or not asked.title or not permissions.can_answer(self.person, asked):
            raise NotFound("No such question is open, or it is put to other people.")
        return asked
