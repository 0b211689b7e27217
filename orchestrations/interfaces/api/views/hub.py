"""What every view of this API is made of: who asks, the client that acts for them, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from orchestrations import permissions, queries
from orchestrations.client import OrchestrationClient
from orchestrations.conf import get_config
from orchestrations.interfaces.api import problems
from orchestrations.interfaces.api.parsers import PayloadParser
from orchestrations.interfaces.api.policy import POLICY
from orchestrations.models import AuditEntry, Instance
from orchestrations.permissions import Action

if TYPE_CHECKING:
    from orchestrations.permissions import Person

Handler = TypeVar("Handler", bound=Callable[..., Any])


def needs(action: Action) -> Callable[[Handler], Handler]:
    """Let through who holds the action's permission. A handler without it decides for itself."""

    def mark(handler: Handler) -> Handler:
        handler.__dict__["needs"] = action
        return handler

    return mark


class HubView(APIView):
    """A view of the site's task hub."""

    authentication_classes = (TokenAuthentication, SessionAuthentication)
    permission_classes = (IsAuthenticated,)
    parser_classes = (PayloadParser,)
    renderer_classes = (JSONRenderer, BrowsableAPIRenderer, problems.ProblemRenderer)

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Refuse whoever lacks the permission, before anything is read."""
        super().initial(request, *args, **kwargs)
        action = getattr(getattr(self, request.method.lower(), None), "needs", None)
        if action is not None:
            permissions.require(self.person, action)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let a browsable page have its own scripts and styles."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if isinstance(response.accepted_renderer, BrowsableAPIRenderer):
            response.headers["Content-Security-Policy"] = POLICY
        return response

    def get_exception_handler(self) -> Callable[..., Any]:
        """Problem details for every error."""
        return problems.handle

    @property
    def person(self) -> Person:
        """Who asks."""
        return self.request.user

    @cached_property
    def client(self) -> OrchestrationClient:
        """A client that acts for the person, so that what it does is in the audit trail under their name."""
        address = self.request.META.get("REMOTE_ADDR")
        return OrchestrationClient(via=AuditEntry.Via.API, actor=self.request.user, address=address)

    @property
    def hub(self) -> str:
        """The task hub's name."""
        return get_config().task_hub

    @cached_property
    def sees_payloads(self) -> bool:
        """Whether the person may see inputs, outputs and events' values."""
        return permissions.can(self.person, Action.VIEW_PAYLOADS)

    def instance(self, instance_id: str, *, payloads: bool = False) -> Instance:
        """The instance that the address names. Raises InstanceNotFound."""
        return queries.get_instance(self.hub, instance_id, payloads=payloads)

    def asked(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The query's parameters, checked; none is dropped. Raises ValidationError."""
        many = {name for name, field in kind().fields.items() if isinstance(field, serializers.ListField)}
        lists = dict(self.request.query_params.lists())
        lists.pop(api_settings.URL_FORMAT_OVERRIDE, None)  # read by DRF
        return _valid(kind(data={name: values if name in many else values[-1] for name, values in lists.items()}))

    def given(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The body's members, checked; no body is an empty object. Raises ValidationError."""
        return _valid(kind(data=self.request.data))

    @property
    def value(self) -> Any:
        """The body as it is, any JSON value; no body is null."""
        has_body = self.request.META.get("CONTENT_LENGTH") not in (None, "", "0", 0)
        return self.request.data if has_body else None


def _valid(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
