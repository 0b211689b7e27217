"""Chores of a task hub, each done by one worker at a time; and which ended instances have been kept long enough."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef

from orchestrations.core.status import TERMINAL
from orchestrations.models import Chore, ChoreRun, Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.store.tables import Tables
from orchestrations.store.upkeep_contract import EndedInstance, Place, Run

RUNS_KEPT = timedelta(days=14)
TROUBLE_LENGTH = 300  # characters, as the column


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


def finish(tables: Tables, name: str, pause: timedelta, run: Run | None) -> None:
    """Say when a chore that was taken is due again, and add its run to those of the hour."""
    now = tables.now()
    Chore.objects.using(tables.using).filter(hub=tables.hub, name=name).update(due_at=now + pause)
    if run is not None:
        _keep(tables, name, run, now)


def _keep(tables: Tables, name: str, run: Run, now: datetime) -> None:
    hour = now.replace(minute=0, second=0, microsecond=0)
    runs = ChoreRun.objects.using(tables.using).filter(hub=tables.hub, name=name)
    if not runs.filter(hour=hour).exists():
        fresh = ChoreRun(hub=tables.hub, name=name, hour=hour, last_at=now)
        ChoreRun.objects.using(tables.using).bulk_create([fresh], ignore_conflicts=True)
        runs.filter(hour__lt=now - RUNS_KEPT).delete()
    runs.filter(hour=hour).update(
        runs=F("runs") + 1,
        done=F("done") + run.done,
        seconds=F("seconds") + run.seconds,
        last_at=now,
        **({"trouble": run.trouble[:TROUBLE_LENGTH]} if run.trouble else {}),
    )


def look_at_ended(
    tables: Tables, before: datetime, after: Place | None, limit: int, *, status: str, name: str
) -> list[EndedInstance]:
    """Up to ``limit`` instances, the earliest first, from behind ``after`` on, by the index of one or the other."""
    rows = Instance.objects.using(tables.using).filter(ORCHESTRATION, hub=tables.hub)
    if status:
        instant, rows = "completed_at", rows.filter(status=status, completed_at__isnull=False)
    else:
        instant, rows = "created_at", rows.filter(name=name)
    rows = rows.filter(**{f"{instant}__lt": before})
    if after is not None:
        rows = rows.filter(**{f"{instant}__gte": after[0]}).exclude(**{instant: after[0], "pk__lte": after[1]})
    live = Instance.objects.filter(pk=OuterRef("parent_id")).exclude(status__in=TERMINAL)
    found = rows.annotate(has_live_parent=Exists(live)).order_by(instant, "pk")
    columns = found.values_list("pk", instant, "name", "status", "completed_at", "has_live_parent")[:limit]
    return [EndedInstance(pk, (at, pk), *rest) for pk, at, *rest in columns]
