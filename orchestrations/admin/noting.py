"""Rows of the audit trail for what people change in the admin itself: keys, grants, webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from orchestrations.access.audit import Actor, record_each
from orchestrations.conf import get_config
from orchestrations.models import AuditEntry
from orchestrations.models.audit import Deed
from orchestrations.patterns import ANY


def note(request: HttpRequest, deed: Deed, details: Mapping[str, Any], *, hub: str = "", reason: str = "") -> None:
    """Say that the signed-in person did it.

    What is for every task hub, or for those of a pattern, is told in the trail of the site's own.
    """
    note_each(request, deed, {"": details}, hub=hub, reason=reason)


def note_each(
    request: HttpRequest, deed: Deed, details: Mapping[str, Mapping[str, Any]], *, hub: str = "", reason: str = ""
) -> None:
    """As ``note``, for instances by their ids."""
    config = get_config()
    actor = Actor.of(request.user, AuditEntry.Via.ADMIN, request.META.get("REMOTE_ADDR"))
    where = config.task_hub if not hub or ANY in hub else hub
    record_each(actor, deed, where, details, config.database, reason=reason)
