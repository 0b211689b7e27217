"""Single tasks of an instance, helped along by people: the next attempt, a timer, a result by hand."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrations.access.permissions import Action
from orchestrations.interfaces.api import task_serializers
from orchestrations.interfaces.api.schema import problems
from orchestrations.interfaces.api.views.acts import ACCEPTED
from orchestrations.interfaces.api.views.hub import HubView, needs

TASK = OpenApiParameter(
    "task_id",
    {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    OpenApiParameter.PATH,
    description="As in the instance's `waits`.",
)


class RetryTask(HubView):
    """The next attempt of a task that waits for it."""

    @needs(Action.RETRY_NOW)
    @extend_schema(
        operation_id="retry_task",
        parameters=[TASK],
        request=task_serializers.TaskBody,
        responses={**ACCEPTED, **problems(400, 403, 404, 409)},
    )
    def post(self, request: Request, instance_id: str, task_id: int) -> Response:
        """Make the next attempt of an activity or sub-orchestration now."""
        self.client.retry_now(instance_id, task_id, self.given(task_serializers.TaskBody)["reason"])
        return Response(status=202)


class SkipTimer(HubView):
    """A durable timer, fired before its time."""

    @needs(Action.SKIP_TIMER)
    @extend_schema(
        operation_id="skip_timer",
        parameters=[TASK],
        request=task_serializers.TaskBody,
        responses={**ACCEPTED, **problems(400, 403, 404, 409)},
    )
    def post(self, request: Request, instance_id: str, task_id: int) -> Response:
        """Fire a durable timer now; of the deadline of a wait: let it time out."""
        self.client.skip_timer(instance_id, task_id, self.given(task_serializers.TaskBody)["reason"])
        return Response(status=202)


class CompleteTask(HubView):
    """An activity, completed by hand."""

    @needs(Action.COMPLETE_TASK)
    @extend_schema(
        operation_id="complete_task",
        parameters=[TASK],
        request=task_serializers.CompleteBody,
        responses={**ACCEPTED, **problems(400, 403, 404, 409)},
    )
    def post(self, request: Request, instance_id: str, task_id: int) -> Response:
        """Give an open activity its result; nobody takes that of its own run any more."""
        given = self.given(task_serializers.CompleteBody)
        self.client.complete_task(instance_id, task_id, given["result"], given["reason"])
        return Response(status=202)
