"""Who calls: the holder of the system key, or of a capability, which is a signed leave to do one thing to one instance.

The system key opens everything and is therefore never part of a URL that is handed out; a capability is, and ends by
itself after a day, or at once when the system key is changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.core import signing
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from orchestrations.conf import get_config
from orchestrations.interfaces.management_api.parameters import query_parameters
from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.limits import CAPABILITY_SECONDS

SALT = "orchestrations.management_api.capability"
CHALLENGE = 'Basic realm="Durable Functions", charset="UTF-8"'


class Verb(StrEnum):
    """What a route does; the values are those in signed capabilities."""

    START = "start"
    STATUS = "status"
    RAISE_EVENT = "raiseEvent"
    TERMINATE = "terminate"
    SUSPEND = "suspend"
    RESUME = "resume"
    REWIND = "rewind"
    RESTART = "restart"
    PURGE = "purge"
    LIST = "list"
    PURGE_MANY = "purgeMany"


@dataclass(frozen=True, slots=True)
class Capability:
    """Leave to do one thing to one instance."""

    hub: str
    instance_id: str
    verb: Verb

    def sign(self) -> str | None:
        """The text that proves it for CAPABILITY_SECONDS; None where no system key is set, since nothing is let in."""
        system_key = get_config().system_key
        if system_key is None:
            return None
        return signing.dumps([self.hub, self.instance_id, self.verb.value], salt=_salt(system_key))

    @classmethod
    def read(cls, text: str, system_key: str) -> Capability | None:
        """The capability that the text proves, or None where it proves none."""
        try:
            hub, instance_id, verb = signing.loads(text, salt=_salt(system_key), max_age=CAPABILITY_SECONDS)
        except (signing.BadSignature, UnicodeError):
            return None
        return cls(hub, instance_id, Verb(verb))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, by the name that audit rows give. Without a ``capability`` it is the holder of the system key."""

    capability: Capability | None = None

    @property
    def name(self) -> str:
        """How audit rows call it."""
        return "system key" if self.capability is None else "management link"

    def require(self, verb: Verb, hub: str, instance_id: str | None) -> None:
        """Raise a 403 unless the caller may do that."""
        if self.capability is not None and self.capability != Capability(hub, instance_id or "", verb):
            raise Problem(
                403, "This link allows another operation or another instance. Use the system key, or the right link."
            )


def authenticate(request: HttpRequest) -> Caller:
    """Find out who calls, by the query's ``code``, the header ``x-functions-key`` or HTTP Basic; raises a 401."""
    system_key = get_config().system_key
    if system_key is None:
        raise Problem(
            401,
            "This site has no system key, so its management API lets nobody in. "
            "Set DURABLE_SYSTEM_KEY in its environment and present the key with each request.",
            {"WWW-Authenticate": CHALLENGE},
        )
    presented = list(_presented(request))
    if any(constant_time_compare(key, system_key) for key in presented):
        return Caller()
    for text in presented:
        capability = Capability.read(text, system_key)
        if capability is not None:
            return Caller(capability)
    raise Problem(
        401,
        "The request presents no valid key. Pass the system key in the header x-functions-key, or use a management "
        "link that is less than a day old.",
        {"WWW-Authenticate": CHALLENGE},
    )


def _presented(request: HttpRequest) -> Iterator[str]:
    yield from query_parameters(request).get("code", ())[:1]
    if key := request.headers.get("x-functions-key"):
        yield key
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return
        yield password or user


def _salt(system_key: str) -> str:
    return f"{SALT}.{hashlib.sha256(system_key.encode()).hexdigest()[:16]}"
