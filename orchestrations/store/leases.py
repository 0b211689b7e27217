"""Leases of worker processes, and what becomes of the work of those that are gone. Plain ORM on every database.

A token is never given twice, so a token without a lease row is dead for good. Recovery keeps no state and can be
interrupted anywhere: every update repeats which tokens it believes dead, and what a sweep leaves the next one finds.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, Exists, F, Model, OuterRef, Value, When

from orchestrations.models import ActivityWorkItem, InboxMessage, Instance, LostWorker, WorkerLease
from orchestrations.models.clock import Now
from orchestrations.store.contract import ActivityKey
from orchestrations.store.lease_contract import Recovery
from orchestrations.store.locking import in_order, skip_locked
from orchestrations.store.tables import BATCH, chunks

SPREAD = 8  # activities that died together come back apart: one of them may be what kills
BACK_OFF_LIMIT = timedelta(minutes=10)
LOST_KEPT = timedelta(days=7)  # that it is remembered which workers were lost
ORPHAN_BATCH = 500  # messages looked at in one sweep


def renew(using: str, token: int, expires_at: datetime, in_flight: int) -> bool:
    """Prolong a lease; False when the row is gone."""
    lease = WorkerLease.objects.using(using).filter(token=token)
    return lease.update(heartbeat_at=Now(), expires_at=expires_at, in_flight=in_flight) == 1


def close(hub: str, using: str, token: int, now: datetime) -> None:
    """Forget the lease and free what it holds; activities, of which nobody died, may run again at once."""
    with transaction.atomic(using):
        WorkerLease.objects.using(using).filter(token=token).delete()
        _free_instances(hub, using, [token])
        held = ActivityWorkItem.objects.using(using).filter(hub=hub, lease_token=token)
        for batch in chunks(in_order(held), BATCH):
            held.filter(pk__in=batch).update(
                lease_token=None, started_at=None, visible_at=now, dispatches=one_less("dispatches")
            )


def disown(hub: str, using: str, token: int, keep: Collection[ActivityKey], now: datetime) -> None:
    """Free what a live lease holds, except for these work items; that it was taken is not counted, as nobody died."""
    kept = {(key.instance_pk, key.execution, key.task_id) for key in keep}
    held = ActivityWorkItem.objects.using(using).filter(hub=hub, lease_token=token)
    with transaction.atomic(using):
        _free_instances(hub, using, [token], attempts=one_less("attempts"))
        rows = held.order_by("pk").values_list("pk", "instance_id", "execution", "task_id")
        unknown = [pk for pk, *key in rows if tuple(key) not in kept]
        for batch in chunks(unknown, BATCH):
            locked = in_order(held.filter(pk__in=batch))
            held.filter(pk__in=locked).update(
                lease_token=None, started_at=None, visible_at=now, dispatches=one_less("dispatches")
            )


def recover(hub: str, using: str, now: datetime) -> Recovery:
    """Free what tokens without a live lease hold, and drop messages whose instance is gone."""
    with transaction.atomic(using):
        expired = _bury(hub, using, now)
        instances = _free_instances(hub, using, _dead_tokens(hub, using, Instance))
        activities = _free_activities(hub, using, _dead_tokens(hub, using, ActivityWorkItem), now)
    _drop_orphans(hub, using, now)
    return Recovery(expired, instances, activities)


def _bury(hub: str, using: str, now: datetime) -> int:
    """Delete expired leases, and keep for a while whose they were; returns how many there were."""
    leases = WorkerLease.objects.using(using).filter(hub=hub, expires_at__lte=now)
    dead = list(skip_locked(leases.order_by("token")))
    if dead:
        lost = LostWorker.objects.using(using)
        lost.filter(hub=hub, lost_at__lt=now - LOST_KEPT).delete()
        lost.bulk_create(
            [
                LostWorker(
                    hub=hub,
                    worker=lease.worker,
                    started_at=lease.started_at,
                    heartbeat_at=lease.heartbeat_at,
                    lost_at=now,
                    in_flight=lease.in_flight,
                )
                for lease in dead
            ]
        )
        leases.filter(token__in=[lease.token for lease in dead]).delete()
    return len(dead)


def one_less(column: str) -> Case:
    """What uncounts one; a column that a commit has set to 0 meanwhile stays there."""
    return Case(When(**{f"{column}__gt": 0}, then=F(column) - 1), default=Value(0))


def back_off(dispatches: int) -> timedelta:
    """How long an activity rests that its worker did not survive: nothing at first, then 2 seconds, doubling."""
    if dispatches < 2:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(dispatches - 1, 16)), BACK_OFF_LIMIT)


def _dead_tokens(hub: str, using: str, model: type[Model]) -> list[int]:
    lease = WorkerLease.objects.filter(token=OuterRef("lease_token"))
    held = model._default_manager.using(using).filter(hub=hub, lease_token__isnull=False)
    return list(held.exclude(Exists(lease)).order_by("lease_token").values_list("lease_token", flat=True).distinct())


def _free_instances(hub: str, using: str, tokens: Collection[int], **changes: Any) -> int:
    if not tokens:
        return 0
    held = Instance.objects.using(using).filter(hub=hub, lease_token__in=tokens)
    locked = list(skip_locked(held.order_by("pk")).values_list("pk", flat=True))
    return sum(held.filter(pk__in=batch).update(lease_token=None, **changes) for batch in chunks(locked, BATCH))


def _free_activities(hub: str, using: str, tokens: Collection[int], now: datetime) -> int:
    if not tokens:
        return 0
    held = ActivityWorkItem.objects.using(using).filter(hub=hub, lease_token__in=tokens)
    freed = 0
    for dispatches in held.order_by("dispatches").values_list("dispatches", flat=True).distinct():
        alike = held.filter(dispatches=dispatches)
        locked = list(skip_locked(alike.order_by("pk")).values_list("pk", flat=True))
        for slot in range(SPREAD):
            rest = back_off(dispatches) * (1 + slot / SPREAD)
            for batch in chunks([pk for pk in locked if pk % SPREAD == slot], BATCH):
                freed += alike.filter(pk__in=batch).update(lease_token=None, started_at=None, visible_at=now + rest)
    return freed


def _drop_orphans(hub: str, using: str, now: datetime) -> None:
    """A message that was sent while its instance was being purged is nobody's; it would stay in every claim's way."""
    inbox = InboxMessage.objects.using(using)
    oldest = inbox.filter(hub=hub, visible_at__lte=now - timedelta(minutes=1)).order_by("visible_at", "pk")
    looked_at = list(oldest.values_list("pk", flat=True)[:ORPHAN_BATCH])
    if looked_at:
        owner = Instance.objects.filter(pk=OuterRef("instance_id"))
        inbox.filter(pk__in=looked_at).exclude(Exists(owner)).delete()
