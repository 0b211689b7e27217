"""Instances: lists, counts, starts, one instance, its history and its waits."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrations.access import permissions
from orchestrations.access.api_keys import Verb
from orchestrations.access.permissions import Action, Function
from orchestrations.client.arguments import check_idempotency_key
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.api import descriptions, serializers
from orchestrations.interfaces.api.pagination import page_response
from orchestrations.interfaces.api.schema import IDEMPOTENCY_KEY, problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.interfaces.raising import raise_event
from orchestrations.reading import counts, queries
from orchestrations.store.contract import OnDuplicate

STARTED_BY_KEY = uuid.UUID("6f0e1f0a-0f43-5a57-9a0a-3d1f8f8f6c52")


def instance_filter(hub: str, asked: dict[str, Any], visible: tuple[str, ...] | None = None) -> queries.InstanceFilter:
    """The filter that a checked query asks for, among what the caller may see. Raises InstanceNotFound for a parent
    that is none."""
    parent = asked.get("parent")
    return queries.InstanceFilter(
        statuses=tuple(RuntimeStatus(value) for value in asked.get("status", ())),
        name=asked.get("name", ""),
        id_prefix=asked.get("id_prefix", ""),
        created_from=asked.get("created_from"),
        created_to=asked.get("created_to"),
        version=asked.get("version"),
        tags=dict(asked.get("tag", ())),
        error_text=asked.get("error", ""),
        completed_from=asked.get("completed_from"),
        completed_to=asked.get("completed_to"),
        parent=queries.get_instance(hub, parent) if parent else None,
        roots_only=asked["roots_only"],
        visible=visible,
    )


class Instances(HubView):
    """All instances."""

    @needs(Action.VIEW, Verb.LIST, narrowed=True)
    @extend_schema(
        operation_id="list_instances",
        parameters=[serializers.InstanceListQuery],
        responses={200: serializers.InstancePage, **problems(400, 403, 404)},
    )
    def get(self, request: Request) -> Response:
        """A page of instances, newest first unless asked otherwise, without their payloads."""
        asked = self.asked(serializers.InstanceListQuery)
        where = instance_filter(self.hub, asked, self.visible)
        page = queries.list_instances(
            self.hub, where, cursor=asked.get("cursor"), limit=asked["limit"], oldest_first=asked["oldest_first"]
        )
        return page_response(request, page, lambda row: descriptions.summary(request, row))

    @needs(Action.START, Verb.START, narrowed=True)
    @extend_schema(
        operation_id="start_instance",
        parameters=[IDEMPOTENCY_KEY],
        request=serializers.StartBody,
        responses={
            201: serializers.Started,
            200: OpenApiResponse(serializers.Started, "It exists already, and nothing was started."),
            **problems(400, 403, 409),
        },
    )
    def post(self, request: Request) -> Response:
        """Start an orchestration.

        With ``Idempotency-Key`` and without ``instance_id``, the id is made of the key and your name: a repeated
        request finds the instance that the first one started.
        """
        given = self.given(serializers.StartBody)
        orchestrator, instance_id = given["orchestrator"], given.get("instance_id")
        permissions.require(self.person, Action.START, Function(self.hub, orchestrator))
        on_duplicate = OnDuplicate(given["on_duplicate"])
        key = check_idempotency_key(request.headers.get("Idempotency-Key"))
        if key is not None and instance_id is None:
            instance_id = uuid.uuid5(STARTED_BY_KEY, f"{self.caller_id}/{key}").hex
            on_duplicate = OnDuplicate.RETURN_EXISTING
        started = self.client.start(
            orchestrator,
            instance_id,
            given["input"],
            start_at=given.get("start_at"),
            tags=given.get("tags"),
            version=given.get("version"),
            on_duplicate=on_duplicate,
        )
        url = descriptions.instance_url(request, started.instance_id)
        code = status.HTTP_201_CREATED if started.is_new else status.HTTP_200_OK
        return Response({"instance_id": started.instance_id, "url": url}, status=code, headers={"Location": url})


class InstanceCounts(HubView):
    """How many instances there are."""

    @needs(Action.VIEW, Verb.LIST, narrowed=True)
    @extend_schema(
        operation_id="count_instances",
        parameters=[serializers.InstanceFilterQuery],
        responses={200: serializers.StatusCount(many=True), **problems(400, 403, 404)},
    )
    def get(self, request: Request) -> Response:
        """How many instances have each status, each counted to a cap."""
        asked = self.asked(serializers.InstanceFilterQuery)
        found = counts.status_counts(self.hub, instance_filter(self.hub, asked, self.visible))
        wanted = asked.get("status") or list(found)
        return Response([descriptions.count(name, found[RuntimeStatus(name)]) for name in wanted])


class InstanceView(HubView):
    """One instance."""

    @needs(Action.VIEW, Verb.STATUS)
    @extend_schema(
        operation_id="get_instance",
        parameters=[
            OpenApiParameter("If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, description="An ETag."),
        ],
        responses={
            200: serializers.InstanceDetail,
            304: OpenApiResponse(description="It has not changed since that ETag."),
            **problems(403, 404),
        },
    )
    def get(self, request: Request, instance_id: str) -> Response | HttpResponse:
        """How the instance stands, with an ETag that changes when it does."""
        row = self.instance(instance_id, payloads=True)
        body = descriptions.detail(request, row, payloads=self.sees_payloads(row))
        version = (
            row.pk,
            row.execution,
            row.last_sequence,
            row.last_updated_at.timestamp(),
            *body["actions"],
            body["payloads"],
        )
        etag = f'"{".".join(str(part) for part in version)}"'
        return Response(body, headers={"ETag": etag, "Cache-Control": "private, no-cache"})

    @needs(Action.PURGE, Verb.PURGE)
    @extend_schema(
        operation_id="purge_instance",
        parameters=[serializers.PurgeQuery],
        responses={200: serializers.Purged, **problems(400, 403, 404, 409)},
    )
    def delete(self, request: Request, instance_id: str) -> Response:
        """Delete the ended instance with its history."""
        asked = self.asked(serializers.PurgeQuery)
        purged = self.client.purge_instance_history(instance_id, recursive=asked["recursive"], reason=asked["reason"])
        return Response({"instances_deleted": purged.instances_deleted})

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer 304 to whoever has this version already."""
        response = super().finalize_response(request, response, *args, **kwargs)
        etag = response.headers.get("ETag")
        if etag and request.method == "GET":
            unchanged = get_conditional_response(request._request, etag=etag, response=response)
            if unchanged is not None and unchanged.status_code == status.HTTP_304_NOT_MODIFIED:
                return unchanged
        return response


class History(HubView):
    """The history of one instance."""

    @needs(Action.VIEW, Verb.STATUS)
    @extend_schema(
        operation_id="list_history",
        parameters=[serializers.HistoryQuery],
        responses={200: serializers.HistoryPageAnswer, **problems(400, 403, 404)},
    )
    def get(self, request: Request, instance_id: str) -> Response:
        """Events of one execution, in order."""
        asked = self.asked(serializers.HistoryQuery)
        row = self.instance(instance_id)
        execution = asked.get("execution") or row.execution
        types = [EventType(value) for value in asked.get("type", ())]
        page = queries.history(row, execution, asked["after"], asked["limit"], types=types)
        sees_payloads = self.sees_payloads(row)
        shown = [descriptions.history_event(event, payloads=sees_payloads) for event in page.events]
        payloads = descriptions.payload_state(is_shown=sees_payloads)
        return Response({"execution": execution, "next_after": page.next_after, "payloads": payloads, "results": shown})


class InstanceWaits(HubView):
    """What one instance waits for."""

    @needs(Action.VIEW, Verb.STATUS)
    @extend_schema(
        operation_id="list_instance_waits",
        responses={200: serializers.Wait(many=True), **problems(403, 404)},
    )
    def get(self, request: Request, instance_id: str) -> Response:
        """The external events that the instance waits for now, the most urgent first."""
        waits = queries.open_waits(self.hub, instance=self.instance(instance_id))
        return Response([descriptions.wait(row) for row in waits])


class RaiseEvent(HubView):
    """External events for one instance."""

    @needs(None, Verb.RAISE_EVENT)
    @extend_schema(
        operation_id="raise_event",
        parameters=[IDEMPOTENCY_KEY, serializers.RaiseQuery],
        request=OpenApiTypes.ANY,
        responses={202: OpenApiResponse(description="The event is on its way."), **problems(400, 403, 404, 409, 422)},
    )
    def post(self, request: Request, instance_id: str, event_name: str) -> Response:
        """Raise an external event; the body, any JSON value, is what the orchestrator gets.

        Where it answers a question that has a form, it is your answer to that question, and checked by the form.
        """
        row = queries.get_instance(self.hub, instance_id)
        permissions.require_raise_event(self.person, row, event_name)
        key = request.headers.get("Idempotency-Key")
        unvalidated = self.asked(serializers.RaiseQuery)["unvalidated"]
        if unvalidated:
            permissions.require(self.person, Action.RAISE_UNVALIDATED, row)
        person = None if self.is_program else self.person  # whose answer it is, where it is one
        raise_event(self.client, person, row, event_name, self.value, idempotency_key=key, unvalidated=unvalidated)
        return Response(status=status.HTTP_202_ACCEPTED)
