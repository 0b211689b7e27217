"""Entities: lists, one entity, and signals to it."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrations.core.entity_ids import EntityId
from orchestrations.interfaces.api import descriptions, serializers
from orchestrations.interfaces.api.pagination import address
from orchestrations.interfaces.api.schema import problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.permissions import Action


class Entities(HubView):
    """All entities."""

    @needs(Action.VIEW)
    @extend_schema(
        operation_id="list_entities",
        parameters=[serializers.EntityQuery],
        responses={200: serializers.EntityPageAnswer, **problems(400, 403, 404)},
    )
    def get(self, request: Request) -> Response:
        """A page of entities, the latest operation first."""
        asked = self.asked(serializers.EntityQuery)
        page = self.client.list_entities(**asked, include_state=self.sees_payloads)
        shown = [descriptions.entity(state, payloads=self.sees_payloads) for state in page.items]
        return Response({"next": address(request, page.next_cursor), "results": shown})


class EntityView(HubView):
    """One entity."""

    @needs(Action.VIEW)
    @extend_schema(operation_id="get_entity", responses={200: serializers.EntityAnswer, **problems(403, 404)})
    def get(self, request: Request, name: str, key: str = "") -> Response:
        """How the entity stands."""
        state = self.client.get_entity(_entity_id(name, key))
        if state is None:
            raise NotFound("There is no such entity.")
        return Response(descriptions.entity(state, payloads=self.sees_payloads))

    @needs(Action.SIGNAL_ENTITY)
    @extend_schema(
        operation_id="signal_entity",
        request=serializers.SignalBody,
        responses={202: OpenApiResponse(description="The signal is on its way."), **problems(400, 403, 404)},
    )
    def post(self, request: Request, name: str, key: str = "") -> Response:
        """Ask an operation of the entity, which need not exist."""
        given = self.given(serializers.SignalBody)
        self.client.signal_entity(_entity_id(name, key), given["operation"], given["input"], given.get("signal_time"))
        return Response(status=status.HTTP_202_ACCEPTED)


def _entity_id(name: str, key: str) -> EntityId:
    try:
        return EntityId(name, key)
    except ValueError as error:
        raise NotFound(str(error)) from error
