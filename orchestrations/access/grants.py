"""Rights that end at certain names: some acts on some orchestrators and entities in some task hubs.

People get them by rows of ``Grant``, programs by their API key. ``permissions`` asks here where Django's permissions,
which hold for everything, say no.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q

from orchestrations.conf import get_config
from orchestrations.models import Grant
from orchestrations.patterns import ANY, matches

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

KEPT_AS = "_durable_rights"  # on the user object, so that one request asks once


@dataclass(frozen=True, slots=True)
class Right:
    """Leave to do these acts (values of ``Action``) where hub and name match their patterns."""

    actions: frozenset[str]
    hub: str = ANY
    names: str = ANY

    def covers(self, action: str, hub: str, name: str) -> bool:
        """Whether it allows the act on what has that name in that task hub."""
        return self.is_of(action, hub) and matches(self.names, name)

    def is_of(self, action: str, hub: str) -> bool:
        """Whether it allows the act on anything in that task hub."""
        return action in self.actions and matches(self.hub, hub)


def rights_of(user: User | AnonymousUser) -> tuple[Right, ...]:
    """The user's own rights and those of their groups; one query for each user object, whatever the number of asks.

    Inactive and anonymous users have none.
    """
    kept: tuple[Right, ...] | None = getattr(user, KEPT_AS, None)
    if kept is None:
        kept = _read(user.pk) if user.is_authenticated and user.is_active else ()
        setattr(user, KEPT_AS, kept)
    return kept


def _read(user_pk: int) -> tuple[Right, ...]:
    rows = Grant.objects.using(get_config().database).filter(Q(user=user_pk) | Q(group__user=user_pk))
    return tuple(
        dict.fromkeys(
            Right(frozenset(actions), hub, names)
            for actions, hub, names in rows.order_by("pk").values_list("actions", "hub", "names")
        )
    )
