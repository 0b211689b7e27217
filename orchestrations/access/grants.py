"""What people have been given: Django's permissions, groups, and rights that end at certain names.

Such a right is for some acts on some orchestrators and entities in some task hubs. People get it by a row of ``Grant``,
programs by their API key. ``permissions`` asks for it where Django's permissions, which hold for everything, say no.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Group, Permission
from django.db.models import QuerySet, TextField, Value
from django.db.models.functions import Cast

from orchestrations.conf import get_config
from orchestrations.models import Grant
from orchestrations.patterns import ANY, matches

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

HELD_AS = "_durable_holdings"  # on the user object, so that one request asks once
KEPT_AS = "_durable_rights"  # on what stands for a program


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


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a person has been given: Django's permissions, their own and those of their groups, and grants likewise."""

    permissions: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    rights: tuple[Right, ...] = ()


def holdings_of(user: User | AnonymousUser) -> Holdings:
    """All of it, read with one query for each user object, whatever the number of asks.

    Inactive and anonymous users hold nothing.
    """
    kept: Holdings | None = getattr(user, HELD_AS, None)
    if kept is None:
        kept = _read(user.pk) if user.is_authenticated and user.is_active else Holdings()
        setattr(user, HELD_AS, kept)
    return kept


def rights_of(user: User | AnonymousUser) -> tuple[Right, ...]:
    """The user's own rights and those of their groups; those of a program are its key's."""
    kept: tuple[Right, ...] | None = getattr(user, KEPT_AS, None)
    return holdings_of(user).rights if kept is None else kept


def _read(user_pk: int) -> Holdings:
    held: dict[str, dict[tuple[str, str, str], None]] = {"permission": {}, "group": {}, "grant": {}}
    for kind, *texts in _rows(user_pk):
        held[kind][texts[0], texts[1], texts[2]] = None
    return Holdings(
        frozenset(f"{app}.{codename}" for app, codename, _ in held["permission"]),
        frozenset(name for name, *_ in held["group"]),
        tuple(Right(frozenset(json.loads(actions)), hub, names) for hub, names, actions in held["grant"]),
    )


def _rows(user_pk: int) -> QuerySet[Any, tuple[str, str, str, str]]:
    """Each row is a kind and three texts."""
    database = get_config().database
    permissions = Permission.objects.using(database).order_by()
    grants = Grant.objects.using(database)
    none = Value("")
    permission = (Value("permission"), "content_type__app_label", "codename", none)
    grant = (Value("grant"), "hub", "names", Cast("actions", TextField()))
    return (
        permissions.filter(user=user_pk)
        .values_list(*permission)
        .union(
            permissions.filter(group__user=user_pk).values_list(*permission),
            Group.objects.using(database).filter(user=user_pk).values_list(Value("group"), "name", none, none),
            grants.filter(user=user_pk).values_list(*grant),
            grants.filter(group__user=user_pk).values_list(*grant),
        )
    )
