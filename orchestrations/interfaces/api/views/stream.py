"""Server-sent events of one instance: who may listen, from where on, and where that is impossible."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from orchestrations.access import api_keys, permissions
from orchestrations.access.api_keys import KeyHolder, Verb
from orchestrations.access.permissions import Action
from orchestrations.errors import DurableError, PermissionRefused
from orchestrations.interfaces import streams
from orchestrations.interfaces.api import descriptions, serializers
from orchestrations.interfaces.api.problems import ProblemRenderer
from orchestrations.interfaces.api.schema import problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.models import ApiKey, HistoryEvent, Instance
from orchestrations.reading.places import Place

LAST_EVENT_ID = "Last-Event-ID"
MEDIA_TYPE = "text/event-stream"


class EventStreamRenderer(ProblemRenderer):
    """Lets clients ask for a stream; what is rendered is only ever a problem."""

    media_type = MEDIA_TYPE


class InstanceStream(HubView):
    """What happens to one instance, as it happens."""

    renderer_classes = (JSONRenderer, EventStreamRenderer, ProblemRenderer)  # type: ignore[assignment]

    @needs(Action.VIEW, Verb.STATUS)
    @extend_schema(
        operation_id="stream_instance",
        parameters=[
            serializers.StreamQuery,
            OpenApiParameter(
                LAST_EVENT_ID,
                {"type": "string", "pattern": r"^[0-9]{1,9}\.[0-9]{1,9}$"},
                OpenApiParameter.HEADER,
                description="The `id` of the last event that was received; what came after it is sent.",
            ),
        ],
        responses={
            (200, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.STR, "Events `history`, `status` and `end`."),
            204: OpenApiResponse(description="It has ended, and you have been told everything: do not come again."),
            **problems(400, 403, 404, 501, 503),
        },
    )
    def get(self, request: Request, instance_id: str) -> HttpResponseBase:
        """Server-sent events of one instance.

        Each `history` event is an event of its history, and each `status` event the instance as lists show it, with its
        custom status, whenever that has changed. The `id` is `execution.sequence`. The stream ends when the instance
        does, when you may not see it any more (an `end` event says so), and after some minutes; browsers then come
        again by themselves. Needs a site that is served by ASGI.
        """
        after = self.asked(serializers.StreamQuery).get("after")
        last = _last_event_id(request)
        row = self.instance(instance_id)
        teller = self._teller(row)
        stream = streams.opened(request._request, row, teller, last_event_id=last, after=after)
        return Response(status=status.HTTP_204_NO_CONTENT) if stream is None else stream

    def _teller(self, row: Instance) -> streams.Teller:
        sees_payloads = self.sees_payloads(row)

        def status_of(row: Instance) -> str:
            return _json(descriptions.streamed(self.request, row, payloads=sees_payloads))

        def event_of(event: HistoryEvent) -> str:
            return _json(descriptions.history_event(event, payloads=sees_payloads))

        def end_of(error: DurableError) -> str:
            return _json({"code": error.code, "detail": str(error)})

        return streams.Teller(self._checker(sees_payloads), status_of, event_of, end_of)

    def _checker(self, sees_payloads: bool) -> Callable[[Instance], None]:
        """Asks of a caller who is read anew. Raises PermissionRefused for who has lost the right, or the key."""
        rights = [Action.VIEW, *([Action.VIEW_PAYLOADS] if sees_payloads else [])]
        key, user_pk = self.request.auth, self.person.pk

        def check(row: Instance) -> None:
            person: Any
            if isinstance(key, ApiKey):
                valid = api_keys.get(key.pk)
                person = None if valid is None else KeyHolder(valid)
            else:
                person = get_user_model()._default_manager.filter(pk=user_pk or 0, is_active=True).first()
            if person is None:
                raise PermissionRefused("The account or key that opened the stream is no longer valid.")
            for action in rights:
                permissions.require(person, action, row)

        return check


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, cls=JSONEncoder, ensure_ascii=False, separators=(",", ":"))


def _last_event_id(request: Request) -> Place | None:
    text = request.headers.get(LAST_EVENT_ID)
    try:
        return Place.read(text) if text else None
    except ValueError as error:
        raise ValidationError({LAST_EVENT_ID: ["Send the id of an event of this stream, such as 1.17."]}) from error
