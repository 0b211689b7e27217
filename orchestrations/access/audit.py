"""Writes the audit trail: one row for each act of a person, in the transaction of the act. Reads are in ``reading``."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrations.access.permissions import Action
from orchestrations.models import AuditEntry
from orchestrations.models.audit import Deed

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

ACTOR_NAME_LENGTH = 150
UNTOLD = frozenset(
    {Action.VIEW, Action.VIEW_PAYLOADS, Action.VIEW_AUDIT, Action.PUBLISH_VIEW, Action.ANSWER, Action.OVERRIDE_TASK}
)
"""Actions that no row names: they leave no trace, or a deed tells of them."""

DEEDS: dict[str, str] = {
    **{act.value: act.value.replace("_", " ") for act in Action if act not in UNTOLD},
    **{deed.value: str(deed.label).lower() for deed in Deed},
}
"""All that a row can tell of, as ``action`` has it, and in words."""


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
    deed: Action | Deed,
    hub: str,
    instance_ids: Iterable[str],
    using: str,
    *,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add one row for each instance, in the caller's transaction: there is a row if and only if the act holds.

    An empty id is for what concerns the hub or the site.
    """
    record_each(actor, deed, hub, dict.fromkeys(instance_ids, details or {}), using, reason=reason)


def record_each(
    actor: Actor,
    deed: Action | Deed,
    hub: str,
    details: Mapping[str, Mapping[str, Any]],
    using: str,
    *,
    reason: str = "",
) -> None:
    """As ``record``, with the details of each instance by its id."""
    AuditEntry.objects.using(using).bulk_create(
        [
            AuditEntry(
                hub=hub,
                instance_id=instance_id,
                action=deed.value,
                actor_id=actor.user.pk if actor.user else None,
                actor_name=actor.name,
                reason=reason,
                details=dict(told),
                via=actor.via,
                address=actor.address,
            )
            for instance_id, told in details.items()
        ],
        batch_size=500,
    )


def valid_address(address: str | None) -> str | None:
    """The address in canonical form, or None where it is no IP address (a socket's name, a forged header)."""
    try:
        return str(ipaddress.ip_address((address or "").partition("%")[0]))
    except ValueError:
        return None
