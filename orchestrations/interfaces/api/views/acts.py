"""What people and programs do to one instance: one view for each verb, all alike."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrations.access.api_keys import Verb
from orchestrations.access.permissions import Action
from orchestrations.interfaces.api import descriptions, serializers
from orchestrations.interfaces.api.schema import IDEMPOTENCY_KEY, problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.interfaces.forks import fork_once

ACCEPTED = {202: OpenApiResponse(description="It is on its way to the instance.")}


def _accepted() -> Response:
    return Response(status=status.HTTP_202_ACCEPTED)


class Terminate(HubView):
    """Ends an instance."""

    @needs(Action.TERMINATE, Verb.TERMINATE)
    @extend_schema(
        operation_id="terminate_instance",
        request=serializers.TerminateBody,
        responses={**ACCEPTED, **problems(400, 403, 404, 409)},
    )
    def post(self, request: Request, instance_id: str) -> Response:
        """End a live instance; no code of its orchestrator runs any more."""
        given = self.given(serializers.TerminateBody)
        self.client.terminate(instance_id, given["reason"], recursive=given["recursive"])
        return _accepted()


class Suspend(HubView):
    """Pauses an instance."""

    @needs(Action.SUSPEND, Verb.SUSPEND)
    @extend_schema(
        operation_id="suspend_instance",
        request=serializers.ReasonBody,
        responses={**ACCEPTED, **problems(400, 403, 404, 409)},
    )
    def post(self, request: Request, instance_id: str) -> Response:
        """Pause a live instance; what arrives is kept in order. Has no effect on one that is suspended."""
        self.client.suspend(instance_id, self.given(serializers.ReasonBody)["reason"])
        return _accepted()


class Resume(HubView):
    """Lets a suspended instance go on."""

    @needs(Action.RESUME, Verb.RESUME)
    @extend_schema(
        operation_id="resume_instance",
        request=serializers.ReasonBody,
        responses={**ACCEPTED, **problems(400, 403, 404, 409)},
    )
    def post(self, request: Request, instance_id: str) -> Response:
        """Let a suspended instance go on. Has no effect on one that is not suspended."""
        self.client.resume(instance_id, self.given(serializers.ReasonBody)["reason"])
        return _accepted()


class Rewind(HubView):
    """Continues a failed instance."""

    @needs(Action.REWIND, Verb.REWIND)
    @extend_schema(
        operation_id="rewind_instance",
        request=serializers.ReasonBody,
        responses={**ACCEPTED, **problems(400, 403, 404, 409)},
    )
    def post(self, request: Request, instance_id: str) -> Response:
        """Let a failed instance go on from before its failure."""
        self.client.rewind(instance_id, self.given(serializers.ReasonBody)["reason"])
        return _accepted()


class Restart(HubView):
    """Starts an orchestration again."""

    @needs(Action.RESTART, Verb.RESTART)
    @extend_schema(
        operation_id="restart_instance",
        request=serializers.RestartBody,
        responses={201: serializers.Started, **problems(400, 403, 404, 409)},
    )
    def post(self, request: Request, instance_id: str) -> Response:
        """Start the orchestration as it was first started, under a new id or, once it has ended, under its own."""
        given = self.given(serializers.RestartBody)
        started = self.client.restart(instance_id, given["with_new_instance_id"])
        url = descriptions.instance_url(request, started)
        body = {"instance_id": started, "url": url}
        return Response(body, status=status.HTTP_201_CREATED, headers={"Location": url})


class Fork(HubView):
    """Runs an instance again from a step."""

    @needs(Action.FORK, Verb.FORK)
    @extend_schema(
        operation_id="fork_instance",
        parameters=[IDEMPOTENCY_KEY],
        request=serializers.ForkBody,
        responses={
            201: serializers.Started,
            200: OpenApiResponse(serializers.Started, "It exists already, and nothing was started."),
            **problems(400, 403, 404, 409, 503),
        },
    )
    def post(self, request: Request, instance_id: str) -> Response:
        """Run the instance again from a step of its present execution, as a new one; the original is left alone.

        What had ended before that step is not done again. With ``Idempotency-Key`` and without ``new_instance_id``, the
        id is made of the key, the step and your name: a repeated request finds the instance that the first one started.
        """
        given = self.given(serializers.ForkBody)
        started = fork_once(
            self.client,
            instance_id,
            given["step"],
            new_instance_id=given.get("new_instance_id"),
            version=given.get("version"),
            reason=given["reason"],
            key=request.headers.get("Idempotency-Key"),
            caller_id=self.caller_id,
        )
        url = descriptions.instance_url(request, started.instance_id)
        body = {"instance_id": started.instance_id, "url": url}
        code = status.HTTP_201_CREATED if started.is_new else status.HTTP_200_OK
        return Response(body, status=code, headers={"Location": url})
