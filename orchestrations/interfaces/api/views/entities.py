"""Entities: lists, one entity, and signals to it."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrations.access import permissions
from orchestrations.access.api_keys import Verb
from orchestrations.access.permissions import Action, Function
from orchestrations.core.entity_ids import EntityId
from orchestrations.interfaces.api import descriptions, serializers
from orchestrations.interfaces.api.pagination import address
from orchestrations.interfaces.api.schema import problems
from orchestrations.interfaces.api.views.hub import HubView, needs


class Entities(HubView):
    """All entities."""

    @needs(Action.VIEW, Verb.LIST_ENTITIES, narrowed=True)
    @extend_schema(
        operation_id="list_entities",
        parameters=[serializers.EntityQuery],
        responses={200: serializers.EntityPageAnswer, **problems(400, 403, 404)},
    )
    def get(self, request: Request) -> Response:
        """A page of entities, the latest operation first."""
        asked = self.asked(serializers.EntityQuery)
        has_states = permissions.can_somewhere(self.person, Action.VIEW_PAYLOADS, self.hub)
        page = self.client.list_entities(**asked, include_state=has_states, visible=self.visible)
        shown = [
            descriptions.entity(state, payloads=self.sees_payloads(Function(self.hub, state.entity_id.name)))
            for state in page.items
        ]
        return Response({"next": address(request, page.next_cursor), "results": shown})


class EntityView(HubView):
    """One entity."""

    @needs(Action.VIEW, Verb.READ_ENTITY, narrowed=True)
    @extend_schema(operation_id="get_entity", responses={200: serializers.EntityAnswer, **problems(403, 404)})
    def get(self, request: Request, name: str, key: str = "") -> Response:
        """How the entity stands."""
        entity_id = _entity_id(name, key)
        target = Function(self.hub, entity_id.name)
        permissions.require(self.person, Action.VIEW, target)
        state = self.client.get_entity(entity_id)
        if state is None:
            raise NotFound("There is no such entity.")
        return Response(descriptions.entity(state, payloads=self.sees_payloads(target)))

    @needs(Action.SIGNAL_ENTITY, Verb.SIGNAL_ENTITY, narrowed=True)
    @extend_schema(
        operation_id="signal_entity",
        request=serializers.SignalBody,
        responses={202: OpenApiResponse(description="The signal is on its way."), **problems(400, 403, 404)},
    )
    def post(self, request: Request, name: str, key: str = "") -> Response:
        """Ask an operation of the entity, which need not exist."""
        given = self.given(serializers.SignalBody)
        entity_id = _entity_id(name, key)
        permissions.require(self.person, Action.SIGNAL_ENTITY, Function(self.hub, entity_id.name))
        self.client.signal_entity(entity_id, given["operation"], given["input"], given.get("signal_time"))
        return Response(status=status.HTTP_202_ACCEPTED)


def _entity_id(name: str, key: str) -> EntityId:
    try:
        return EntityId(name, key)
    except ValueError as error:
        raise NotFound(str(error)) from error
