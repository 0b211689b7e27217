"""Chores of a task hub, each done by one worker at a time; and which ended instances have been kept long enough."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from orchestrations.core.status import TERMINAL
from orchestrations.models import Chore, Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.store.tables import Tables
from orchestrations.store.upkeep_contract import ExpiredInstance


def take(tables: Tables, name: str, duration: timedelta) -> bool:
    """Take a chore that is due, for that long; False where it is not due, or another has just taken it."""
    chores = Chore.objects.using(tables.using)
    now = tables.now()
    due = chores.filter(hub=tables.hub, name=name, due_at__lte=now)
    if due.update(due_at=now + duration):
        return True
    if chores.filter(hub=tables.hub, name=name).exists():
        return False
    chores.bulk_create([Chore(hub=tables.hub, name=name, due_at=now)], ignore_conflicts=True)
    return bool(due.update(due_at=now + duration))


def finish(tables: Tables, name: str, pause: timedelta) -> None:
    """Say when a chore that was taken is due again."""
    Chore.objects.using(tables.using).filter(hub=tables.hub, name=name).update(due_at=tables.now() + pause)


def expired(
    tables: Tables, status: str, before: datetime, after: tuple[datetime, int] | None, limit: int
) -> list[ExpiredInstance]:
    """Up to ``limit`` instances that ended so before that moment, the earliest first, from behind ``after`` on."""
    rows = Instance.objects.using(tables.using).filter(
        ORCHESTRATION, hub=tables.hub, status=status, completed_at__isnull=False, completed_at__lt=before
    )
    if after is not None:
        rows = rows.filter(completed_at__gte=after[0]).exclude(completed_at=after[0], pk__lte=after[1])
    live = Instance.objects.filter(pk=OuterRef("parent_id")).exclude(status__in=TERMINAL)
    found = rows.annotate(has_live_parent=Exists(live)).order_by("completed_at", "pk")
    columns = found.values_list("pk", "completed_at", "has_live_parent")[:limit]
    return [ExpiredInstance(pk, at, is_kept) for pk, at, is_kept in columns if at is not None]
