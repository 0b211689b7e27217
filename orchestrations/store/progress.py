"""Activities that take long, over the operations of ``tables`` and, where it is rare, in plain ORM."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import DateTimeField, Value
from django.db.models.functions import Least

from orchestrations.models import ActivityWorkItem, Timer
from orchestrations.store.progress_contract import ActivityAttempt, DeferredActivity, Heartbeat
from orchestrations.store.rows import Row
from orchestrations.store.tables import Tables

DEFERRED_COLUMNS = ("heartbeat_details", "lease_token", "visible_at", "deferred_until", "runs_on")


def record_heartbeats(tables: Tables, token: int, heartbeats: Sequence[Heartbeat]) -> set[ActivityAttempt]:
    """Write the heartbeats of work items that ``token`` holds, and that nobody has locked."""
    if not heartbeats:
        return set()
    given = [(*_key(beat.of), beat.details) for beat in heartbeats]
    return _attempts(tables.update_held(token, ("heartbeat_details",), given, skips_locked=True))


def defer(tables: Tables, token: int, deferred: Sequence[DeferredActivity]) -> int:
    """Take the lease off work items, and hide them until their time is over."""
    if not deferred:
        return 0
    with tables.atomic():
        now = tables.now()
        given: list[Row] = []
        for one in deferred:
            end = now + one.timeout
            due = end if one.silence is None else min(end, now + one.silence)
            given.append((*_key(one.of), one.details, None, due, end, ActivityWorkItem.RunsOn.NOTHING.value))
        return len(tables.update_held(token, DEFERRED_COLUMNS, given))


def renew_deferred(tables: Tables, heartbeat: Heartbeat, silence: timedelta | None) -> bool:
    """Write a heartbeat that comes from outside."""
    of = heartbeat.of
    items = ActivityWorkItem.objects.using(tables.using).filter(
        hub=tables.hub,
        instance_id=of.instance_pk,
        execution=of.execution,
        task_id=of.task_id,
        attempt=of.attempt,
    )
    with tables.atomic():
        now = tables.now()
        changes = {} if heartbeat.details is None else {"heartbeat_details": heartbeat.details}
        if not items.update(heartbeat_at=now, **changes):
            return False
        if silence is not None:
            due = Least("deferred_until", Value(now + silence, output_field=DateTimeField()))
            items.filter(deferred_until__isnull=False, lease_token__isnull=True).update(visible_at=due)
    return True


def hasten(tables: Tables, instance_pk: int, execution: int, task_id: int, *, retry: bool) -> bool:
    """Make a pending timer, or the rest of a work item, due now."""
    now = tables.now()
    timers = Timer.objects.using(tables.using).filter(
        hub=tables.hub,
        instance_id=instance_pk,
        execution=execution,
        task_id=task_id,
        state=Timer.State.PENDING,
    )
    timers = timers.filter(attempt__gt=0) if retry else timers.filter(attempt=0)
    hastened = timers.update(due_at=now)
    if retry and not hastened:
        resting = ActivityWorkItem.objects.using(tables.using).filter(
            hub=tables.hub,
            instance_id=instance_pk,
            execution=execution,
            task_id=task_id,
            lease_token__isnull=True,
            deferred_until__isnull=True,
            visible_at__gt=now,
        )
        hastened = resting.update(visible_at=now)
    return hastened > 0


def _key(of: ActivityAttempt) -> Row:
    return of.instance_pk, of.execution, of.task_id, of.attempt


def _attempts(keys: set[tuple[int, int, int, int]]) -> set[ActivityAttempt]:
    return {ActivityAttempt(*key) for key in keys}
