"""Who reads a page: their time zone, density, columns and views, remembered for a minute."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.core.cache import cache
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from orchestrations.access.grants import rights_of
from orchestrations.interfaces.dashboard.columns import Column, chosen
from orchestrations.interfaces.dashboard.links import view_url
from orchestrations.models import Preferences, SavedView

REMEMBERED_SECONDS = 60
"""How long another browser of the same person, or a member of a group, may see what was before a change."""
STAMP = "durable_reader"
"""In the session: renewed with each change, so that who made it sees it at once, whichever process answers."""
VIEWS_SHOWN = 100
PINNED = 12  # views that the navigation shows


@dataclass(frozen=True, slots=True)
class View:
    """A saved view, as navigation shows it."""

    pk: int
    hub: str
    name: str
    query: str
    sort: str
    is_pinned: bool
    is_mine: bool

    @property
    def url(self) -> str:
        """The list as it shows it."""
        return view_url(self.hub, self.query, self.sort)


@dataclass(frozen=True, slots=True)
class Reader:
    """What a page must know of its reader."""

    time_zone: str = ""
    theme: str = "system"
    density: str = "normal"
    shortcuts: bool = True
    columns: list[Column] = field(default_factory=lambda: chosen(()))
    views: list[View] = field(default_factory=list)
    has_grants: bool = False

    @property
    def zone(self) -> tzinfo:
        """The zone in which they read times."""
        return zone_named(self.time_zone)

    @property
    def zone_name(self) -> str:
        """Its name as the database of zones has it: ``Europe/Berlin``."""
        return str(self.zone)

    @property
    def zone_label(self) -> str:
        """Its name as people know it: ``Berlin`` of Europe/Berlin."""
        return (self.time_zone or timezone.get_default_timezone_name()).rpartition("/")[2].replace("_", " ")


class ReadersZone(tzinfo):
    """The zone of a request's reader, looked up when the first time is shown: many answers show none."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """As the reader's zone has it."""
        return self._zone.utcoffset(moment)

    def dst(self, moment: datetime | None) -> timedelta | None:
        """As the reader's zone has it."""
        return self._zone.dst(moment)

    def tzname(self, moment: datetime | None) -> str | None:
        """As the reader's zone has it."""
        return self._zone.tzname(moment)

    def fromutc(self, moment: datetime) -> datetime:
        """As the reader's zone has it."""
        return self._zone.fromutc(moment.replace(tzinfo=self._zone)).replace(tzinfo=self)

    @property
    def label(self) -> str:
        """Its name as people know it."""
        return reader_of(self._request).zone_label

    @property
    def _zone(self) -> tzinfo:
        return reader_of(self._request).zone


def zone_named(name: str) -> tzinfo:
    """The zone of that name; the site's own for an empty one, or one that this host no longer knows."""
    try:
        return ZoneInfo(name) if name else timezone.get_default_timezone()
    except (KeyError, ValueError, OSError):
        return timezone.get_default_timezone()


def reader_of(request: HttpRequest) -> Reader:
    """Who reads; for somebody who is not signed in, everything as it comes."""
    known: Reader | None = getattr(request, "_durable_reader", None)
    if known is None:
        known = _load(request) if request.user.is_authenticated else Reader()
        request._durable_reader = known  # type: ignore[attr-defined]
    return known


def forget_reader(request: HttpRequest) -> None:
    """What was remembered of the reader has changed."""
    request.session[STAMP] = secrets.token_hex(4)
    if hasattr(request, "_durable_reader"):
        del request._durable_reader


def preferences_of(user: Any) -> Preferences:
    """The person's choices: their row, or a new one that is not saved yet."""
    return Preferences.objects.filter(user=user.pk).first() or Preferences(user_id=user.pk)


def visible_views(user: Any) -> Q:
    """The saved views that this person sees: their own, those of their groups, and those for everybody."""
    return Q(owner_id=user.pk) | Q(for_everybody=True) | Q(group__in=user.groups.values("pk"))


def _load(request: HttpRequest) -> Reader:
    key = f"durable:reader:{request.session.session_key}:{request.session.get(STAMP, '')}"
    told: dict[str, Any] | None = cache.get(key) if request.session.session_key else None
    if told is None:
        told = _tell(request.user)
        cache.set(key, told, REMEMBERED_SECONDS)
    views = [View(**view) for view in told["views"]]
    return Reader(**{**told, "columns": chosen(told["columns"]), "views": views})


def _tell(user: Any) -> dict[str, Any]:
    """Preferences and views, as values that any cache keeps."""
    rows = list(
        SavedView.objects.filter(visible_views(user))
        .order_by("name", "pk")
        .values("pk", "hub", "name", "query", "sort", "is_pinned", "owner_id")[:VIEWS_SHOWN]
    )
    preferences = preferences_of(user)
    return {
        "time_zone": preferences.time_zone,
        "theme": preferences.theme,
        "density": preferences.density,
        "shortcuts": preferences.shortcuts,
        "columns": preferences.columns,
        "has_grants": bool(rights_of(user)),
        "views": [
            {key: value for key, value in row.items() if key != "owner_id"} | {"is_mine": row["owner_id"] == user.pk}
            for row in rows
        ],
    }
