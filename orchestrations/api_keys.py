"""API keys: issues them, finds the one that a program presents, and says what each opens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from django.utils import timezone

from orchestrations.conf import get_config
from orchestrations.models import ApiKey

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MARK = "dfk_"  # so that a scan for leaked secrets finds them
SHOWN_CHARACTERS = 12
RANDOM_BYTES = 32


class Verb(StrEnum):
    """What a route of the management API does. The values are kept in keys and in signed links."""

    START = "start"
    STATUS = "status"
    LIST = "list"
    RAISE_EVENT = "raiseEvent"
    TERMINATE = "terminate"
    SUSPEND = "suspend"
    RESUME = "resume"
    REWIND = "rewind"
    RESTART = "restart"
    PURGE = "purge"
    PURGE_MANY = "purgeMany"
    SIGNAL_ENTITY = "signalEntity"
    READ_ENTITY = "readEntity"
    LIST_ENTITIES = "listEntities"
    MAKE_PRIMARY = "makePrimary"


def issue(
    name: str,
    verbs: Iterable[Verb] = tuple(Verb),
    *,
    hub: str = "",
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    created_by: AbstractBaseUser | None = None,
) -> tuple[ApiKey, str]:
    """Make a key and return its row and its text, which is told this once and kept nowhere.

    It opens these verbs (all of them by default) of this hub (every one by default), as often in a minute as told (any
    number by default). Raises IntegrityError for a name that is taken.
    """
    text = new_text()
    row = ApiKey(name=name, verbs=[verb.value for verb in verbs], hub=hub, expires_at=expires_at)
    row.requests_per_minute = requests_per_minute
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
    """Whether the key allows that verb in that hub."""
    return verb.value in row.verbs and row.hub in ("", hub)


def _valid(row: ApiKey | None) -> ApiKey | None:
    return row if row is not None and is_valid(row) else None
