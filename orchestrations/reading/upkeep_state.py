"""What the rules of retention will delete and when, and what the chores of a task hub have done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrations.conf import get_config
from orchestrations.limits import COUNT_CAP
from orchestrations.models import Chore, ChoreRun, Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.reading.paging import CappedCount

RUNS_SHOWN = 48  # hours of chores


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule: what is kept for how long (None: for ever), how much of it is due, and when the next is to go.

    Without a ``name`` it is for the orchestrators that have no rule of their own for the status.
    """

    status: str
    name: str
    period: timedelta | None
    due: CappedCount
    next_at: datetime | None


def rules(hub: str, now: datetime) -> list[RuleState]:
    """The rules that this site's settings set, those for all orchestrators first. Two queries for each."""
    config = get_config()
    general = config.retention or {}
    own = config.retention_by_orchestrator or {}
    stated: list[tuple[str, str, timedelta | None]] = [("", status, period) for status, period in general.items()]
    stated += [(name, status, period) for name, periods in own.items() for status, period in periods.items()]
    return [_rule(hub, now, name, status, period) for name, status, period in stated]


def _rule(hub: str, now: datetime, name: str, status: str, period: timedelta | None) -> RuleState:
    if period is None:
        return RuleState(status, name, None, CappedCount(0), None)
    config = get_config()
    rows = Instance.objects.using(config.database).filter(
        ORCHESTRATION, hub=hub, status=status, completed_at__isnull=False
    )
    if name:
        rows = rows.filter(name=name)
    else:
        excepted = [one for one, periods in (config.retention_by_orchestrator or {}).items() if status in periods]
        rows = rows.exclude(name__in=excepted) if excepted else rows
    due = rows.filter(completed_at__lt=now - period)[: COUNT_CAP + 1].count()
    oldest = rows.order_by("completed_at", "pk").values_list("completed_at", flat=True).first()
    return RuleState(status, name, period, CappedCount.of(due, COUNT_CAP), oldest and oldest + period)


def chores(hub: str) -> list[tuple[str, datetime]]:
    """When each chore of the hub is due again."""
    rows = Chore.objects.using(get_config().database).filter(hub=hub)
    return list(rows.order_by("name").values_list("name", "due_at"))


def runs(hub: str) -> list[ChoreRun]:
    """What chores have done, by the hour, the latest first."""
    rows = ChoreRun.objects.using(get_config().database).filter(hub=hub)
    return list(rows.order_by("-hour", "name")[:RUNS_SHOWN])
