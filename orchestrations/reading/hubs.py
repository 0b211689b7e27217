"""The task hubs of the database, each with what is live in it and what needs somebody. A handful of queries for all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min

from orchestrations.conf import get_config
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.limits import HUBS_SHOWN
from orchestrations.models import ActivityWorkItem, InboxMessage, Instance, OpenWait, WorkerLease
from orchestrations.models.instances import ORCHESTRATION

LIVE = tuple(status.value for status in RuntimeStatus if status not in TERMINAL)
LATELY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class HubState:
    """A task hub. ``oldest_at`` is since when the oldest message or activity waits for a worker."""

    name: str
    live: int
    failed: int
    questions: int
    workers: int
    oldest_at: datetime | None


def hub_names() -> list[str]:
    """The site's own hub and those that have instances, in alphabetical order: a short query for each of them."""
    config = get_config()
    rows = Instance.objects.using(config.database).order_by("hub").values_list("hub", flat=True)
    names = {config.task_hub}
    name = rows.first()
    while name is not None and len(names) < HUBS_SHOWN:
        names.add(name)
        name = rows.filter(hub__gt=name).first()
    return sorted(names)


def states(names: Collection[str], now: datetime) -> list[HubState]:
    """What is going on in each of them."""
    using = get_config().database
    instances = Instance.objects.using(using).filter(ORCHESTRATION, hub__in=names).order_by()
    live = instances.filter(status__in=LIVE)
    failed = instances.filter(status=RuntimeStatus.FAILED, completed_at__gte=now - LATELY)
    asked = OpenWait.objects.using(using).filter(hub__in=names).exclude(title="").order_by()
    alive = WorkerLease.objects.using(using).filter(hub__in=names, expires_at__gt=now).order_by()
    messages = InboxMessage.objects.using(using).filter(hub__in=names, visible_at__lte=now).order_by()
    activities = ActivityWorkItem.objects.using(using).filter(hub__in=names, visible_at__lte=now, lease_token=None)
    counts_live, counts_failed, counts_asked, counts_alive = (
        dict(rows.values("hub").annotate(count=Count("pk")).values_list("hub", "count"))
        for rows in (live, failed, asked, alive)
    )
    oldest = [
        dict(rows.values("hub").annotate(oldest=Min("visible_at")).values_list("hub", "oldest"))
        for rows in (messages, activities.order_by())
    ]
    return [
        HubState(
            name,
            live=counts_live.get(name, 0),
            failed=counts_failed.get(name, 0),
            questions=counts_asked.get(name, 0),
            workers=counts_alive.get(name, 0),
            oldest_at=min((ages[name] for ages in oldest if ages.get(name)), default=None),
        )
        for name in names
    ]
