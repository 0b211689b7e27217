"""The audit trail of a task hub, read: filters, pages, and everything that a filter lets through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connections
from django.db.models import Q, QuerySet

from orchestrations.conf import get_config
from orchestrations.limits import LIST_PAGE
from orchestrations.models import AuditEntry
from orchestrations.reading.paging import CappedCount, Page, keyset_page
from orchestrations.search.filters import storable
from orchestrations.search.names import LAST_CHARACTER

CHUNK = 1_000  # rows read at once for an export
NEWER_COUNTED = 99  # acts that came while a page is read; more are "99+"


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which acts are shown; every field that is set narrows it. Instants are aware."""

    actor: str = ""
    action: str = ""
    via: str = ""
    instance_id: str = ""
    instance_prefix: str = ""
    job: int | None = None
    """Acts of that bulk job; no index serves it, so that ``at_from`` should be set too."""
    at_from: datetime | None = None
    at_to: datetime | None = None
    """Exclusive."""


def list_entries(
    hub: str, where: AuditFilter, *, cursor: str | None = None, limit: int = LIST_PAGE
) -> Page[AuditEntry]:
    """A page of acts, the latest first. Raises InvalidCursor."""
    return keyset_page(_filtered(hub, where), "at", cursor=cursor, limit=limit)


def newest_act(hub: str) -> int:
    """The key of the newest entry; 0 where there is none."""
    keys = AuditEntry.objects.using(get_config().database).filter(hub=hub).order_by("-pk").values_list("pk", flat=True)
    return keys.first() or 0


def count_newer(hub: str, where: AuditFilter, newest: int) -> CappedCount:
    """How many acts of the filter came after the entry of that key."""
    newer = _filtered(hub, where).filter(pk__gt=newest).order_by().values("pk")
    return CappedCount.of(newer[: NEWER_COUNTED + 1].count(), NEWER_COUNTED)


def all_entries(hub: str, where: AuditFilter) -> Iterator[AuditEntry]:
    """All acts that the filter lets through, the latest first; read CHUNK at a time by keyset."""
    rows, behind = _filtered(hub, where).order_by("-at", "-pk"), Q()
    while chunk := list(rows.filter(behind)[:CHUNK]):
        yield from chunk
        if len(chunk) < CHUNK:
            return
        last = chunk[-1]
        behind = Q(at__lte=last.at) & (Q(at__lt=last.at) | Q(pk__lt=last.pk))


def _filtered(hub: str, where: AuditFilter) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.using(get_config().database).filter(hub=hub)
    texts = {"actor_name": where.actor, "action": where.action, "via": where.via, "instance_id": where.instance_id}
    if not all(storable(text) for text in (*texts.values(), where.instance_prefix)):
        return rows.none()
    rows = rows.filter(**{column: text for column, text in texts.items() if text})
    if where.instance_prefix:
        rows = rows.filter(_prefix(where.instance_prefix, rows.db))
    if where.job is not None:
        rows = rows.filter(details__job=where.job)
    if where.at_from:
        rows = rows.filter(at__gte=where.at_from)
    if where.at_to:
        rows = rows.filter(at__lt=where.at_to)
    return rows


def _prefix(prefix: str, using: str) -> Q:
    """SQLite's LIKE ignores case and no index serves it, so there the prefix becomes a range."""
    if connections[using].vendor != "sqlite":
        return Q(instance_id__startswith=prefix)
    return Q(instance_id__gte=prefix, instance_id__lt=prefix + LAST_CHARACTER)
