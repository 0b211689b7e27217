"""One request whose caller is known, with the client that acts for it."""

from __future__ import annotations

from typing import TypeVar

from django.http import HttpRequest

from orchestrations.client import OrchestrationClient, SerializedJson
from orchestrations.interfaces.management_api.authentication import Caller
from orchestrations.interfaces.management_api.parameters import Query, decode, read_json, read_json_or_text
from orchestrations.limits import MEMBER_BYTES
from orchestrations.models import AuditEntry, Instance
from orchestrations.reading import queries

Shape = TypeVar("Shape")


class Call:
    """What a route's handler gets beside the parts of the path.

    With ``holds_json`` it came by the RPC base, whose client sends JSON strings that hold JSON.
    """

    def __init__(self, request: HttpRequest, caller: Caller, *, holds_json: bool = False) -> None:
        self.request = request
        self.caller = caller
        self.query = Query(request)
        self.client = OrchestrationClient(
            via=AuditEntry.Via.MANAGEMENT_API, actor=caller.name, address=request.META.get("REMOTE_ADDR")
        )
        self._holds_json = holds_json

    def instance(self, instance_id: str, *, payloads: bool = False) -> Instance:
        """The instance that the path names; raises InstanceNotFound."""
        return queries.get_instance(self.client.hub, instance_id, payloads=payloads, using=self.client.using)

    def json(self, subject: str) -> SerializedJson | None:
        """The body, whatever its media type; see ``read_json``."""
        return read_json(self.request, subject, holds_json=self._holds_json)

    def body(self, shape: type[Shape], subject: str) -> Shape:
        """The body as such an object, of at most MEMBER_BYTES; a 400 says at which ``Path`` it is not.

        No body is an empty object.
        """
        sent = read_json(self.request, subject, holds_json=self._holds_json, limit=MEMBER_BYTES)
        return decode(sent.text if sent else "{}", shape)

    def json_or_text(self, subject: str) -> SerializedJson | None:
        """The body by its media type; see ``read_json_or_text``."""
        return read_json_or_text(self.request, subject, holds_json=self._holds_json)
