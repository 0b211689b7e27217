"""API keys: issues them, finds the one that a program presents, and says what each opens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from orchestrations.access.grants import KEPT_AS, Right
from orchestrations.access.permissions import Action
from orchestrations.conf import get_config
from orchestrations.models import ApiKey
from orchestrations.patterns import ANY, check_pattern, matches

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MARK = "dfk_"  # so that a scan for leaked secrets finds them
SHOWN_CHARACTERS = 12
RANDOM_BYTES = 32
SYSTEM_KEY_NAME = "system key"


class Verb(StrEnum):
    """What a route of the two HTTP APIs does. The values are kept in keys and in signed links."""

    START = "start"
    STATUS = "status"
    LIST = "list"
    RAISE_EVENT = "raiseEvent"
    TERMINATE = "terminate"
    SUSPEND = "suspend"
    RESUME = "resume"
    REWIND = "rewind"
    RESTART = "restart"
    FORK = "fork"
    PURGE = "purge"
    PURGE_MANY = "purgeMany"
    SIGNAL_ENTITY = "signalEntity"
    READ_ENTITY = "readEntity"
    LIST_ENTITIES = "listEntities"
    MAKE_PRIMARY = "makePrimary"
    READ_PAYLOADS = "readPayloads"
    SET_TAGS = "setTags"
    READ_WEBHOOKS = "readWebhooks"
    MANAGE_WEBHOOKS = "manageWebhooks"
    BATCH = "batch"


ACTIONS: dict[Verb, tuple[Action, ...]] = {
    Verb.START: (Action.START,),
    Verb.STATUS: (Action.VIEW,),
    Verb.LIST: (Action.VIEW,),
    Verb.RAISE_EVENT: (Action.RAISE_EVENT,),
    Verb.TERMINATE: (Action.TERMINATE,),
    Verb.SUSPEND: (Action.SUSPEND,),
    Verb.RESUME: (Action.RESUME,),
    Verb.REWIND: (Action.REWIND,),
    Verb.RESTART: (Action.RESTART,),
    Verb.FORK: (Action.FORK,),
    Verb.PURGE: (Action.PURGE,),
    Verb.PURGE_MANY: (Action.PURGE,),
    Verb.SIGNAL_ENTITY: (Action.SIGNAL_ENTITY,),
    Verb.READ_ENTITY: (Action.VIEW,),
    Verb.LIST_ENTITIES: (Action.VIEW,),
    Verb.MAKE_PRIMARY: (),
    Verb.READ_PAYLOADS: (Action.VIEW_PAYLOADS,),
    Verb.SET_TAGS: (Action.SET_TAGS,),
    Verb.READ_WEBHOOKS: (),
    Verb.MANAGE_WEBHOOKS: (),
    Verb.BATCH: (),  # it goes with the verb of the act
}
"""Which acts a verb stands for: what a person must hold to give it away, since a key is no way to more."""

PERMISSIONS: dict[Verb, tuple[str, ...]] = {
    Verb.READ_WEBHOOKS: tuple(
        f"orchestrations.view_{model}" for model in ("outgoingwebhook", "webhookdelivery", "incomingwebhook")
    ),
    Verb.MANAGE_WEBHOOKS: tuple(
        f"orchestrations.{act}_{model}"
        for model in ("outgoingwebhook", "incomingwebhook")
        for act in ("add", "change", "delete")
    ),
}
"""What a person must hold beside these acts, where a verb stands for what is done to other things than instances."""


class Program(AnonymousUser):
    """A program that has presented a valid key, where Django and the permissions speak of a user.

    It has no Django permission and no group; its rights are the key's alone.
    """

    def __init__(self, name: str, right: Right) -> None:
        super().__init__()
        self._name = name
        setattr(self, KEPT_AS, (right,))

    def __str__(self) -> str:
        return self._name

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        """True: the key was checked."""
        return True

    @property
    def is_anonymous(self) -> bool:  # type: ignore[override]
        """False."""
        return False

    def get_username(self) -> str:
        """How audit rows call it."""
        return str(self)


class KeyHolder(Program):
    """The holder of an API key."""

    def __init__(self, key: ApiKey) -> None:
        self.key = key
        actions = frozenset(action.value for verb in key.verbs for action in _actions(verb))
        super().__init__(f"API key {key.name}", Right(actions, key.hub or ANY, key.names))


class SystemKeyHolder(Program):
    """The holder of the system key, which opens everything."""

    def __init__(self) -> None:
        super().__init__(SYSTEM_KEY_NAME, Right(frozenset(action.value for action in Action)))


def issue(
    name: str,
    verbs: Iterable[Verb] = tuple(Verb),
    *,
    hub: str = "",
    names: str = ANY,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    created_by: AbstractBaseUser | None = None,
) -> tuple[ApiKey, str]:
    """Make a key and return its row and its text, which is told this once and kept nowhere.

    It opens these verbs (all of them by default) of this hub and for orchestrators and entities of these ``names``
    (every one by default; see ``Grant``), as often in a minute as told (any number by default). Raises InvalidPattern,
    and IntegrityError for a name that is taken.
    """
    text = new_text()
    row = ApiKey(name=name, verbs=[verb.value for verb in verbs], hub=hub, names=check_pattern(names))
    row.expires_at, row.requests_per_minute = expires_at, requests_per_minute
    row.created_by_id = None if created_by is None else created_by.pk
    keep_digest(row, text)
    row.save(using=get_config().database)
    return row, text


def new_text() -> str:
    """The text of a new key: 256 random bits behind a mark."""
    return MARK + secrets.token_urlsafe(RANDOM_BYTES)


def keep_digest(row: ApiKey, text: str) -> None:
    """Note in the row, unsaved, how the key is recognised."""
    row.prefix = text[:SHOWN_CHARACTERS]
    row.digest = hashlib.sha256(text.encode()).hexdigest()


def find(text: str) -> ApiKey | None:
    """The key that a program presents, or None where it is unknown, has expired or was revoked."""
    if not text.startswith(MARK):
        return None
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    return _valid(ApiKey.objects.using(get_config().database).filter(digest=digest).first())


def get(pk: int) -> ApiKey | None:
    """The key of that number, or None where there is none that is valid now."""
    return _valid(ApiKey.objects.using(get_config().database).filter(pk=pk).first())


def is_valid(row: ApiKey) -> bool:
    """Whether the key still opens anything."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > timezone.now())


def opens(row: ApiKey, verb: Verb, hub: str) -> bool:
    """Whether the key allows that verb in that hub, for some names at least."""
    return verb.value in row.verbs and row.hub in ("", hub)


def is_for(row: ApiKey, name: str) -> bool:
    """Whether the key is for what has that name."""
    return matches(row.names, name)


def _actions(verb: str) -> tuple[Action, ...]:
    """None for a verb that only another release knows."""
    return ACTIONS[Verb(verb)] if verb in set(Verb) else ()


def _valid(row: ApiKey | None) -> ApiKey | None:
    return row if row is not None and is_valid(row) else None
