"""Writes the audit trail: one row for each act of a person, in the transaction of the act. Reads are in ``reading``."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrations.access.permissions import Action
from orchestrations.models import AuditEntry

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

ACTOR_NAME_LENGTH = 150


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and how it reached us. ``user`` is None where a key or a program acts under a name of its own."""

    name: str
    via: AuditEntry.Via
    user: AbstractBaseUser | None = None
    address: str | None = None

    @classmethod
    def of(
        cls, actor: AbstractBaseUser | AnonymousUser | str, via: AuditEntry.Via, address: str | None = None
    ) -> Actor:
        """Describe a signed-in user, or a name such as ``system key``. An address that is none is left out."""
        if isinstance(actor, str):
            return cls(actor[:ACTOR_NAME_LENGTH], via, None, valid_address(address))
        if not actor.is_authenticated:
            return cls("anonymous", via, None, valid_address(address))
        return cls(actor.get_username()[:ACTOR_NAME_LENGTH], via, actor, valid_address(address))


def record(
    actor: Actor,
    action: Action | str,
    hub: str,
    instance_ids: Iterable[str],
    using: str,
    *,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add one row for each instance, in the caller's transaction: there is a row if and only if the act holds."""
    AuditEntry.objects.using(using).bulk_create(
        [
            AuditEntry(
                hub=hub,
                instance_id=instance_id,
                action=str(action),
                actor_id=actor.user.pk if actor.user else None,
                actor_name=actor.name,
                reason=reason,
                details=dict(details or {}),
                via=actor.via,
                address=actor.address,
            )
            for instance_id in instance_ids
        ],
        batch_size=500,
    )


def valid_address(address: str | None) -> str | None:
    """The address in canonical form, or None where it is no IP address (a socket's name, a forged header)."""
    try:
        return str(ipaddress.ip_address((address or "").partition("%")[0]))
    except ValueError:
        return None
