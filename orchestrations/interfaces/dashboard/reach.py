"""What of a task hub is open to whoever reads a page, by permissions and by grants; for its links and buttons only.

Every view checks for itself (``access``). For who sees the whole hub, and so reads most pages, it costs no query unless
they hold grants too, which is remembered with the reader.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from orchestrations.access.permissions import Action, Function, can, can_somewhere
from orchestrations.interfaces.dashboard.reader import reader_of


@dataclass(frozen=True, slots=True)
class Reach:
    """Which pages of a task hub answer."""

    sees_all: bool = False
    sees_some: bool = False
    starts: bool = False
    audits: bool = False

    @classmethod
    def of(cls, request: HttpRequest, hub: str) -> Reach:
        """Look it up; without a task hub nothing answers."""
        if not hub or not request.user.is_authenticated:
            return cls()
        return cls(
            sees_all=_may_everywhere(request, Action.VIEW),
            sees_some=may_somewhere(request, Action.VIEW, hub),
            starts=may_somewhere(request, Action.START, hub),
            audits=_may_everywhere(request, Action.VIEW_AUDIT),
        )


def may_somewhere(request: HttpRequest, action: Action, hub: str, name: str = "") -> bool:
    """Whether the reader may do that to anything in the hub, or to what has that name."""
    if request.user.has_perm(action.permission):
        return True
    if not _has_grants(request):
        return False
    return can(request.user, action, Function(hub, name)) if name else can_somewhere(request.user, action, hub)


def _may_everywhere(request: HttpRequest, action: Action) -> bool:
    if request.user.has_perm(action.permission):
        return True
    return _has_grants(request) and can(request.user, action)


def _has_grants(request: HttpRequest) -> bool:
    return not request.user.has_perm(Action.VIEW.permission) or reader_of(request).has_grants
