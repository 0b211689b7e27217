"""Who calls: the holder of a key, or of a capability, which is a signed leave to do one thing to one instance.

A key opens much and is therefore never part of a URL that is handed out; a capability is. It ends by itself after a
day, with the key that vouches for it, and with the instance: what is started anew under the same id it does not open.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.core import signing
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare, salted_hmac

from orchestrations.access import api_keys
from orchestrations.access.api_keys import SYSTEM_KEY_NAME, KeyHolder, Program, SystemKeyHolder, Verb
from orchestrations.conf import get_config
from orchestrations.interfaces.management_api.parameters import query_parameters
from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.limits import CAPABILITY_CLOCK_SECONDS, CAPABILITY_SECONDS
from orchestrations.models import ApiKey
from orchestrations.patterns import ANY

SALT = "orchestrations.management_api.capability"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="Durable Functions", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class Capability:
    """Leave to do one thing to one instance. ``key_id`` is the API key that vouches for it; without, the system key."""

    hub: str
    instance_id: str
    verb: Verb
    key_id: int | None = None
    made_at: float = field(default_factory=time.time, compare=False)
    """Seconds since 1970, by the clock of the host that signed it."""

    def sign(self) -> str | None:
        """The text that proves it for CAPABILITY_SECONDS; None where no key could vouch for it."""
        voucher = self.key_id or _system_voucher()
        if voucher is None:
            return None
        made_at = int(self.made_at)
        return signing.dumps([self.hub, self.instance_id, self.verb.value, voucher, made_at], salt=SALT)

    @classmethod
    def read(cls, text: str) -> Capability | None:
        """The capability that the text proves, or None where it proves none."""
        try:
            hub, instance_id, verb, voucher, made_at = signing.loads(text, salt=SALT, max_age=CAPABILITY_SECONDS)
        except (signing.BadSignature, UnicodeError, ValueError):
            return None
        if isinstance(voucher, int):
            return cls(hub, instance_id, Verb(verb), voucher, made_at)
        expected = _system_voucher()
        if expected is None or not constant_time_compare(voucher, expected):
            return None
        return cls(hub, instance_id, Verb(verb), None, made_at)

    def covers(self, created_at: datetime) -> bool:
        """Whether it was made for an instance created then, and not for an earlier one of the same id."""
        made_at = datetime.fromtimestamp(self.made_at, UTC)
        return created_at <= made_at + timedelta(seconds=CAPABILITY_CLOCK_SECONDS)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. Without an API ``key`` it is the system key that opens; with a ``capability``, by its link."""

    key: ApiKey | None = None
    capability: Capability | None = None

    @property
    def name(self) -> str:
        """How audit rows call it."""
        if self.capability is not None:
            return "management link"
        return SYSTEM_KEY_NAME if self.key is None else f"API key {self.key.name}"

    @property
    def program(self) -> Program:
        """The caller where the permissions speak of a user. A link is no program: it has the rights of its key."""
        return SystemKeyHolder() if self.key is None else KeyHolder(self.key)

    @property
    def key_id(self) -> int | None:
        """The API key that vouches for links which the caller is given."""
        return None if self.key is None else self.key.pk

    @property
    def visible(self) -> tuple[str, ...] | None:
        """The names of what the caller may see, as ``queries`` take them; None for all."""
        return None if self.key is None or self.key.names == ANY else (self.key.names,)

    @property
    def sees_payloads(self) -> bool:
        """Whether the caller is shown inputs, outputs, custom statuses and states."""
        return self.key is None or Verb.READ_PAYLOADS.value in self.key.verbs

    def require_name(self, name: str) -> None:
        """Raise a 403 unless the caller's key is for orchestrators or entities of that name."""
        if self.key is not None and not api_keys.is_for(self.key, name):
            raise Problem(403, f"The API key {self.key.name!r} is for {self.key.names!r}, and not for {name!r:.60}.")

    def require_created(self, created_at: datetime | None) -> None:
        """Raise a 403 for a link to an instance that was replaced: its id stands for one created then."""
        if self.capability is not None and created_at is not None and not self.capability.covers(created_at):
            raise Problem(403, "This link is of an earlier instance. Another was started under the same id.")

    def require(self, verb: Verb | None, hub: str, instance_id: str | None) -> None:
        """Raise a 403 unless the caller may do that, None for any key. A link opens nothing that its key does not."""
        mine = self.capability
        if mine is not None and (mine.hub, mine.instance_id, mine.verb) != (hub, instance_id or "", verb):
            raise Problem(403, "This link allows another operation or another instance. Use a key, or the right link.")
        if self.key is not None and verb is not None and not api_keys.opens(self.key, verb, hub):
            raise Problem(403, f"The API key {self.key.name!r} does not allow {verb.value!r} in the task hub {hub!r}.")


def authenticate(request: HttpRequest) -> Caller:
    """Find out who calls, by the query's ``code``, the header ``x-functions-key`` or HTTP Basic; raises a 401."""
    presented = [text for text in _presented(request) if text]
    system_key = get_config().system_key
    if system_key is not None and any(constant_time_compare(text, system_key) for text in presented):
        return Caller()
    for text in presented:
        caller = _caller_by_key(text) or _caller_by_link(text)
        if caller is not None:
            return caller
    if system_key is None:
        raise Problem(
            401,
            "The request presents no valid key, and this site has no system key. Set DURABLE_SYSTEM_KEY in its "
            "environment, or make an API key in its admin, and present it with each request.",
            CHALLENGE,
        )
    raise Problem(
        401,
        "The request presents no valid key. Pass the system key or an API key in the header x-functions-key, or use a "
        "management link that is less than a day old.",
        CHALLENGE,
    )


def _caller_by_key(text: str) -> Caller | None:
    key = api_keys.find(text)
    return None if key is None else Caller(key)


def _caller_by_link(text: str) -> Caller | None:
    capability = Capability.read(text)
    if capability is None or capability.key_id is None:
        return None if capability is None else Caller(capability=capability)
    key = api_keys.get(capability.key_id)
    return None if key is None else Caller(key, capability)


def _presented(request: HttpRequest) -> Iterator[str]:
    yield from query_parameters(request).get("code", ())[:1]
    yield request.headers.get("x-functions-key", "")
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return
        yield password
        yield user


def _system_voucher() -> str | None:
    """What a changed system key changes in every capability. Keyed, so that a link helps nobody to guess the key."""
    system_key = get_config().system_key
    return None if system_key is None else salted_hmac(SALT, system_key, algorithm="sha256").hexdigest()[:32]
