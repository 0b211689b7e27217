"""What a task hub is doing now, and what of it needs somebody: backlog, failures, stuck instances, missing workers.

Like ``queries`` it only reads, by index, and counts up to a cap.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models import Count, Min, Model, QuerySet

from orchestrations.authoring.versions import serves
from orchestrations.conf import get_config
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.status import RuntimeStatus
from orchestrations.limits import CODE_SCANNED, COUNT_CAP, STUCK_SCANNED
from orchestrations.models import (
    ActivityWorkItem,
    DeadLetter,
    HumanTask,
    InboxMessage,
    Instance,
    LostWorker,
    OpenWait,
    OutgoingWebhook,
    Timer,
    WorkerLease,
)
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.reading.paging import CappedCount
from orchestrations.reading.queries import LIST_COLUMNS
from orchestrations.search.marks import LATE

SAMPLE = 5  # rows shown of what needs attention
LOST_SHOWN = 20
ADVANCING = tuple(s.value for s in (RuntimeStatus.PENDING, RuntimeStatus.RUNNING, RuntimeStatus.CONTINUED_AS_NEW))
SOON = timedelta(seconds=30)  # longer than the pause after which work is looked at again that nobody has the code of

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for a worker, of one kind. ``oldest_at`` is since when the oldest has been waiting."""

    kind: str
    depth: CappedCount
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """How many there are, and the first few of them."""

    count: CappedCount
    sample: list[Any]


@dataclass(frozen=True, slots=True)
class Unserved:
    """Code that work waits for and no live worker has. ``version`` is that of the instances, of orchestrators alone."""

    kind: str
    name: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class WorkerCode:
    """What a worker has told of its code."""

    orchestrators: dict[str, list[str]]
    """The versions by name."""
    activities: tuple[str, ...]
    entities: tuple[str, ...]

    @classmethod
    def of(cls, lease: WorkerLease) -> WorkerCode:
        """Read it from the lease; one that can't be read has told of nothing."""
        try:
            told = json.loads(lease.functions)
            versions = told.get("versions", {})
            return cls(
                {str(name): [str(version) for version in versions[name]] for name in sorted(versions)},
                tuple(map(str, told.get("activities", ()))),
                tuple(map(str, told.get("entities", ()))),
            )
        except (ValueError, AttributeError, TypeError):
            return cls({}, (), ())


# Backlog ----------------------------------------------------------------------------------------------------------


def backlogs(hub: str, now: datetime) -> list[Backlog]:
    """What waits for a worker: instances to begin, messages, activities, and timers that are due. One query for each.

    Work that is asked to wait (a delay, a retry, a later start) is none of it until its time has come.
    """
    using = get_config().database
    starts = Instance.objects.using(using).filter(hub=hub, claimable_at__lte=now, lease_token=None)
    messages = InboxMessage.objects.using(using).filter(hub=hub, visible_at__lte=now)
    activities = ActivityWorkItem.objects.using(using).filter(hub=hub, visible_at__lte=now, lease_token=None)
    timers = Timer.objects.using(using).filter(hub=hub, due_at__lte=now, state=Timer.State.PENDING)
    return [
        _backlog("instances to begin", starts, "claimable_at"),
        _backlog("messages", messages, "visible_at"),
        _backlog("activities", activities, "visible_at"),
        _backlog("timers due", timers, "due_at"),
    ]


def _backlog(kind: str, rows: QuerySet[Row], since: str) -> Backlog:
    found = rows.order_by(since)[: COUNT_CAP + 1].aggregate(count=Count("pk"), oldest=Min(since))
    return Backlog(kind, CappedCount.of(found["count"], COUNT_CAP), found["oldest"])


# What needs attention ---------------------------------------------------------------------------------------------


def failed_since(hub: str, since: datetime) -> Found:
    """Instances that failed after that moment, the latest first."""
    rows = Instance.objects.using(get_config().database).filter(
        ORCHESTRATION, hub=hub, status=RuntimeStatus.FAILED, completed_at__gte=since
    )
    return _found(rows.order_by("-completed_at", "-pk").only(*LIST_COLUMNS))


def stuck(hub: str, now: datetime) -> Found:
    """Live instances of which something has been ready for LATE and nobody takes it up, the longest first.

    Looks at the STUCK_SCANNED oldest of the starts, messages and activities that wait; suspended ones are meant to.
    """
    using, before = get_config().database, now - LATE
    starts = Instance.objects.using(using).filter(hub=hub, claimable_at__lt=before, lease_token=None)
    messages = InboxMessage.objects.using(using).filter(hub=hub, visible_at__lt=before)
    activities = ActivityWorkItem.objects.using(using).filter(
        hub=hub, visible_at__lt=before, lease_token=None, deferred_until=None
    )
    waiting = [
        *starts.order_by("claimable_at").values_list("pk", flat=True)[:STUCK_SCANNED],
        *messages.order_by("visible_at", "pk").values_list("instance_id", flat=True)[:STUCK_SCANNED],
        *activities.order_by("visible_at", "pk").values_list("instance_id", flat=True)[:STUCK_SCANNED],
    ]
    live = Instance.objects.using(using).filter(ORCHESTRATION, pk__in=set(waiting), status__in=ADVANCING)
    place = {pk: index for index, pk in reversed([*enumerate(waiting)])}
    found = sorted(live.only(*LIST_COLUMNS), key=lambda row: place[row.pk])
    return Found(CappedCount(len(found), is_capped=len(waiting) >= STUCK_SCANNED), found[:SAMPLE])


def overdue_questions(hub: str, now: datetime) -> Found:
    """Questions to people whose deadline has passed while nobody has decided, the most overdue first."""
    rows = HumanTask.objects.using(get_config().database).filter(hub=hub, state__in=HumanTask.LIVE, urgent_at__lte=now)
    return _found(rows.order_by("urgent_at", "pk").select_related("instance").only("title", "due_at", "instance__name"))


def dead_letters(hub: str) -> Found:
    """Work that killed its workers and that nobody has put back, the newest first."""
    rows = DeadLetter.objects.using(get_config().database).filter(hub=hub, put_back_at=None)
    return _found(rows.order_by("-pk").defer("error", "payload"))


def failing_webhooks(hub: str) -> list[OutgoingWebhook]:
    """Addresses that hear of this hub and don't answer, or were given up for that, the longest first."""
    rows = OutgoingWebhook.objects.using(get_config().database).filter(hub__in=("", hub), failing_since__isnull=False)
    return list(rows.order_by("failing_since", "pk").only("name", "enabled", "failing_since", "disabled_reason"))


def questions(hub: str) -> CappedCount:
    """How many questions to people are open, to the cap."""
    rows = OpenWait.objects.using(get_config().database).filter(hub=hub).exclude(title="")
    return CappedCount.of(rows.order_by()[: COUNT_CAP + 1].count(), COUNT_CAP)


def _found(rows: QuerySet[Row]) -> Found:
    """Count to the cap, and read a few only where there are any."""
    count = CappedCount.of(rows.order_by()[: COUNT_CAP + 1].count(), COUNT_CAP)
    return Found(count, list(rows[:SAMPLE]) if count.value else [])


# Workers ----------------------------------------------------------------------------------------------------------


def unserved(hub: str, now: datetime, workers: Iterable[WorkerLease]) -> list[Unserved]:
    """The code that ready work waits for and none of these workers has.

    Looks at CODE_SCANNED rows of each kind of work: what nobody has the code of is put off again and again, so it is
    among the latest that are due.
    """
    codes = [WorkerCode.of(worker) for worker in workers]
    soon = now + SOON
    using = get_config().database
    activities = ActivityWorkItem.objects.using(using).filter(hub=hub, visible_at__lte=soon, lease_token=None)
    names = activities.order_by("-visible_at", "-pk").values_list("name", flat=True)[:CODE_SCANNED]
    missing = {Unserved("activity", name) for name in set(names) if not any(name in code.activities for code in codes)}
    missing.update(one for one in _waiting_code(hub, soon, using) if not _is_served(one, codes))
    return sorted(missing, key=lambda one: (one.kind, one.name, one.version))


def _waiting_code(hub: str, soon: datetime, using: str) -> set[Unserved]:
    starts = Instance.objects.using(using).filter(hub=hub, claimable_at__lte=soon).order_by("-claimable_at")
    messages = InboxMessage.objects.using(using).filter(hub=hub, visible_at__lte=soon).order_by("-visible_at", "-pk")
    receivers = messages.values_list("instance_id", flat=True)[:CODE_SCANNED]
    live = Instance.objects.using(using).filter(pk__in=set(receivers), status__in=ADVANCING)
    columns = ("instance_id", "name", "version")
    found = {*starts.values_list(*columns)[:CODE_SCANNED], *live.values_list(*columns)}
    return {
        Unserved("entity", name) if is_entity_id(instance_id) else Unserved("orchestrator", name, version)
        for instance_id, name, version in found
    }


def _is_served(wanted: Unserved, codes: Collection[WorkerCode]) -> bool:
    if wanted.kind == "entity":
        return any(wanted.name in code.entities for code in codes)
    return any(serves(code.orchestrators.get(wanted.name, ()), wanted.version) for code in codes)


def lost_workers(hub: str, since: datetime) -> list[LostWorker]:
    """Workers that were found dead after that moment, the latest first; LOST_SHOWN at most."""
    lost = LostWorker.objects.using(get_config().database).filter(hub=hub, lost_at__gte=since)
    return list(lost.order_by("-lost_at", "-pk")[:LOST_SHOWN])


def held_by(tokens: Collection[int]) -> dict[int, int]:
    """How many instances each lease holds."""
    held = Instance.objects.using(get_config().database).filter(lease_token__in=tokens)
    return dict(held.values_list("lease_token").annotate(count=Count("pk")).order_by())
