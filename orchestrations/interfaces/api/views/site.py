"""The site itself: registered functions, workers, the audit trail."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrations.access import permissions
from orchestrations.access.api_keys import Verb
from orchestrations.access.permissions import Action, Function
from orchestrations.authoring.registry import registry
from orchestrations.errors import ConfigurationError
from orchestrations.interfaces.api import descriptions, serializers
from orchestrations.interfaces.api.pagination import page_response
from orchestrations.interfaces.api.schema import problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.reading import audit_trail, queries
from orchestrations.reading.audit_trail import AuditFilter


class Functions(HubView):
    """What this site can run."""

    @needs(Action.VIEW, Verb.LIST, narrowed=True)
    @extend_schema(
        operation_id="list_functions", responses={200: serializers.FunctionAnswer(many=True), **problems(403)}
    )
    def get(self, request: Request) -> Response:
        """The registered orchestrators, activities and entities by name, with the JSON schema of their input.

        An entity has an input for each operation, and so no schema.
        """
        definitions: list[Any] = [
            *registry.orchestrators().values(),
            *registry.activities().values(),
            *registry.entities().values(),
        ]
        visible = [definition for definition in definitions if self._sees(definition.name)]
        return Response([_function(definition) for definition in visible])

    def _sees(self, name: str) -> bool:
        return permissions.can(self.person, Action.VIEW, Function(self.hub, name))


class Workers(HubView):
    """Who runs it."""

    @needs(Action.VIEW, Verb.LIST)
    @extend_schema(operation_id="list_workers", responses={200: serializers.WorkerAnswer(many=True), **problems(403)})
    def get(self, request: Request) -> Response:
        """The registered worker processes. One whose ``expires_at`` is past is presumed dead."""
        return Response([descriptions.worker(row) for row in queries.workers(self.hub)])


class Audit(HubView):
    """Who has done what."""

    @needs(Action.VIEW_AUDIT)
    @extend_schema(
        operation_id="list_audit_entries",
        parameters=[serializers.AuditQuery],
        responses={200: serializers.AuditPage, **problems(400, 403, 404)},
    )
    def get(self, request: Request) -> Response:
        """A page of the audit trail, newest first. For people alone: no key opens it."""
        asked = self.asked(serializers.AuditQuery)
        cursor, limit = asked.pop("cursor", None), asked.pop("limit")
        page = audit_trail.list_entries(self.hub, AuditFilter(**asked), cursor=cursor, limit=limit)
        return page_response(request, page, descriptions.audit_entry)


def _function(definition: Any) -> dict[str, Any]:
    return {
        "name": definition.name,
        "kind": definition.kind,
        "version": getattr(definition, "version", ""),
        "description": inspect.getdoc(definition.function) or "",
        "input_schema": _input_schema(definition),
    }


def _input_schema(definition: Any) -> dict[str, Any] | None:
    conversion = getattr(definition, "conversion", None)  # entities have none
    if conversion is None or conversion.parameter is None:
        return None
    try:
        return msgspec.json.schema(conversion.input_decoder.type)
    except (TypeError, ConfigurationError):  # a type with a hook of its own, or one that is not defined
        return None
