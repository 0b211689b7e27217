"""What every view of this API is made of: who asks, the client that acts for them, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from orchestrations.access import api_keys, permissions
from orchestrations.access.api_keys import Verb
from orchestrations.access.permissions import Action, Function
from orchestrations.client import OrchestrationClient, SerializedJson
from orchestrations.conf import get_config
from orchestrations.errors import InstanceNotFound, PermissionRefused
from orchestrations.interfaces.api import envelopes, problems
from orchestrations.interfaces.api.authentication import KeyAuthentication
from orchestrations.interfaces.api.parsers import BodyRequest, PayloadParser
from orchestrations.interfaces.api.policy import POLICY
from orchestrations.interfaces.api.serializers import Asked
from orchestrations.models import ApiKey, AuditEntry, Instance
from orchestrations.reading import queries

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person

Handler = TypeVar("Handler", bound=Callable[..., Any])


def needs(
    action: Action | None, verb: Verb | None = None, *, narrowed: bool = False, permission: str = ""
) -> Callable[[Handler], Handler]:
    """Let through who may do that: to the address's instance, else to everything. Without it a handler decides itself.

    ``verb`` is what a program's key must open; a handler without one is closed to programs. ``narrowed`` marks one that
    looks at names itself, so that whoever may do it to anything gets in; with None for the action it decides all else.
    What is no act on instances needs a Django ``permission`` of a person, and the verb alone of a program.
    """

    def mark(handler: Handler) -> Handler:
        handler.__dict__["needs"] = Need(action, verb, narrowed, permission)
        return handler

    return mark


@dataclass(frozen=True, slots=True)
class Need:
    """What ``needs`` was told."""

    action: Action | None = None
    verb: Verb | None = None
    is_narrowed: bool = False
    permission: str = ""


class HubView(APIView):
    """A view of the site's task hub."""

    authentication_classes = (TokenAuthentication, KeyAuthentication, SessionAuthentication)
    permission_classes = (IsAuthenticated,)
    parser_classes = (PayloadParser,)
    renderer_classes = (JSONRenderer, BrowsableAPIRenderer, problems.ProblemRenderer)
    is_for_everybody = False  # whatever a program's key opens

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> BodyRequest:
        """A request whose body is read whether or not its length was declared."""
        return BodyRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Refuse whoever lacks the right, before anything is read."""
        super().initial(request, *args, **kwargs)
        need: Need = getattr(getattr(self, request.method.lower(), None), "needs", Need())
        if isinstance(request.auth, ApiKey) and not self.is_for_everybody:
            self._require_verb(request.auth, need.verb)
        elif need.permission:
            permissions.require_permission(self.person, need.permission)
        if need.action is None:
            return
        if "instance_id" in kwargs:
            self._require_of_instance(need.action, kwargs["instance_id"])
        elif not (need.is_narrowed and permissions.can_somewhere(self.person, need.action, self.hub)):
            permissions.require(self.person, need.action)

    def _require_verb(self, key: ApiKey, verb: Verb | None) -> None:
        if verb is None:
            raise PermissionRefused("That is for people alone, and no API key opens it. Sign in, or use a token.")
        if not api_keys.opens(key, verb, self.hub):
            raise PermissionRefused(f"The API key {key.name!r} does not allow {verb.value!r} in this task hub.")

    def _require_of_instance(self, action: Action, instance_id: str) -> None:
        """Who may not even see the instance is told what somebody is told who asks for one that never was."""
        if permissions.can(self.person, action):
            return
        if not permissions.can_somewhere(self.person, action, self.hub):
            permissions.require(self.person, action)
        row = self.instance(instance_id)
        if not permissions.can(self.person, action, row):
            if not permissions.can(self.person, Action.VIEW, row):
                raise InstanceNotFound(instance_id)
            permissions.require(self.person, action, row)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let a browsable page have its own scripts and styles."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if isinstance(getattr(response, "accepted_renderer", None), BrowsableAPIRenderer):
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

    @property
    def is_program(self) -> bool:
        """Whether a program asks, by its key."""
        return isinstance(self.request.auth, ApiKey)

    @property
    def caller_id(self) -> str:
        """What tells callers apart for good, people and programs alike."""
        key = self.request.auth
        return f"key-{key.pk}" if isinstance(key, ApiKey) else str(self.person.pk)

    def sees_payloads(self, target: Instance | Function) -> bool:
        """Whether the person may see its inputs, outputs and events' values."""
        return permissions.can(self.person, Action.VIEW_PAYLOADS, target)

    @property
    def sees_all_payloads(self) -> bool:
        """Whether the person may see the payloads of everything."""
        return permissions.can(self.person, Action.VIEW_PAYLOADS)

    @property
    def visible(self) -> tuple[str, ...] | None:
        """The names of what the person may see, for filters; None for all."""
        return permissions.names_open_to(self.person, Action.VIEW, self.hub)

    def instance(self, instance_id: str, *, payloads: bool = False) -> Instance:
        """The instance that the address names. Raises InstanceNotFound."""
        return queries.get_instance(self.hub, instance_id, payloads=payloads)

    def asked(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The query's parameters, checked; none is dropped. Raises ValidationError."""
        many = {name for name, field in kind().fields.items() if isinstance(field, serializers.ListField)}
        lists = dict(self.request.query_params.lists())
        lists.pop(api_settings.URL_FORMAT_OVERRIDE, None)  # read by DRF
        return _valid(kind(data={name: values if name in many else values[-1] for name, values in lists.items()}))

    def given(self, kind: type[Asked]) -> dict[str, Any]:
        """The body's members, checked; no body is an empty object. Raises ValidationError."""
        return _valid(kind(data=envelopes.members(self.body, kind)))

    @property
    def value(self) -> SerializedJson | None:
        """The body as a value, any JSON; None for null, and for no body."""
        body = self.body
        return None if body is None or body.text == "null" else body

    @property
    def body(self) -> SerializedJson | None:
        """The body as it was sent; None for no body."""
        sent: Any = self.request.data
        return sent if isinstance(sent, SerializedJson) else None


def _valid(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
