"""Carries out bulk jobs: a batch in one transaction with what the job's row says of it, so that nothing is done twice.

Two workers that take the same batch can't both write it: the second finds that ``batches`` is no longer what it read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction
from django.db.models import QuerySet

from orchestrations.access.permissions import Action, legal_actions
from orchestrations.bulk.acts import ACTS, refusal
from orchestrations.bulk.creators import creator_of
from orchestrations.bulk.selections import COLUMNS, Selection, newest_first
from orchestrations.client.many import ActingOnMany, Outcomes
from orchestrations.core.failures import message_of
from orchestrations.errors import PermissionRefused
from orchestrations.limits import BULK_BATCH, BULK_COUNT_CAP, BULK_JOBS_KEPT, BULK_PROBLEMS
from orchestrations.models import AuditEntry, BulkJob, BulkProblem, Instance
from orchestrations.models.bulk_jobs import OPEN_STATES, WHY_LENGTH
from orchestrations.reading.paging import Cursor
from orchestrations.store.contract import Store
from orchestrations.store.locking import skip_locked

logger = logging.getLogger("orchestrations.bulk")

LOOK_SECONDS = 0.2  # between two looks for jobs
SLICE_SECONDS = 0.3  # of batches, before whoever runs this turns to instances again
PAUSE_SECONDS = 1.0  # after a batch that was refused
ERROR_LENGTH = 300  # characters
RESULT = ("state", "cursor", "total", "total_is_capped", "done", "skipped", "failed", "error", "ended_at")
Outcome = BulkProblem.Outcome


class BulkRunner:
    """Works at the jobs of one task hub, in turn, whenever it is called."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next_look = 0.0  # time.monotonic()

    def has_work(self) -> bool:
        """Whether a job is open; looked up now and then only."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + LOOK_SECONDS
        if has_open_jobs(self._store):
            self._next_look = 0.0
            return True
        return False

    def run(self, gives_way: Callable[[], bool] = lambda: False) -> None:
        """Carry out batches for a moment. Never raises a database error: what was refused is tried again later."""
        try:
            if not self.has_work():
                return
            deadline = time.monotonic() + SLICE_SECONDS
            while self.run_batch():
                if time.monotonic() >= deadline or gives_way():
                    self._store.notify_workers()  # so that somebody comes back at once
                    return
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Bulk jobs go on later: %s", error)
            connections[self._store.using].close()
            self._next_look = time.monotonic() + PAUSE_SECONDS

    def run_batch(self) -> bool:
        """Carry out one batch of the job that has waited longest; False where none is free, or that one can't go on.

        One that another worker is at is passed over, where the database can do that.
        """
        job = None
        try:
            with transaction.atomic(using=self._store.using):
                job = skip_locked(self._open_jobs().order_by("updated_at", "pk")).first()
                if job is not None and self._take(job):
                    self._advance(job)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            if job is None:
                raise
            self._put_behind(job, error)
            return False
        return job is not None

    def _put_behind(self, job: BulkJob, error: Exception) -> None:
        """Let the others go first: what this release can't do, another one may, or somebody stops the job."""
        logger.error("Bulk job %d can't go on here; it is tried again later.", job.pk, exc_info=error)
        told = f"{type(error).__name__}: {message_of(error)}"[:ERROR_LENGTH]
        self._open_jobs().filter(pk=job.pk).update(updated_at=self._store.now(), error=told)
        self._next_look = time.monotonic() + PAUSE_SECONDS

    def _open_jobs(self) -> QuerySet[BulkJob]:
        return _open_jobs(self._store)

    def _take(self, job: BulkJob) -> bool:
        """Make this batch ours: False where another worker has done it, or somebody has stopped the job, meanwhile."""
        now = self._store.now()
        job.updated_at = now
        job.started_at = job.started_at or now
        mine = self._open_jobs().filter(pk=job.pk, batches=job.batches)
        return bool(
            mine.update(batches=job.batches + 1, state=BulkJob.State.RUNNING, started_at=job.started_at, updated_at=now)
        )

    def _advance(self, job: BulkJob) -> None:
        job.state, job.error = BulkJob.State.RUNNING, ""
        selection = Selection.from_json(job.selection)
        try:
            user = creator_of(job)
            if job.total is None:
                self._count(job, selection)
            instances, missing, is_last = self._next_batch(job, selection)
            self._act(job, user, instances)
            self._note(job, Outcome.SKIPPED, dict.fromkeys(missing, "There is no such instance."))
        except PermissionRefused as refused:
            job.error, is_last = str(refused), False
            self._end(job, BulkJob.State.FAILED)
        if is_last:
            self._end(job, BulkJob.State.COMPLETED)
        job.save(using=self._store.using, update_fields=RESULT)

    def _end(self, job: BulkJob, state: BulkJob.State) -> None:
        job.state, job.ended_at = state, self._store.now()
        ended = BulkJob.objects.using(self._store.using).filter(hub=self._store.hub).exclude(state__in=OPEN_STATES)
        oldest_kept = ended.order_by("-pk").values_list("pk", flat=True)[BULK_JOBS_KEPT - 1 : BULK_JOBS_KEPT].first()
        if oldest_kept is not None:
            ended.filter(pk__lt=oldest_kept).delete()

    # Batches ---------------------------------------------------------------------------------------------------------

    def _count(self, job: BulkJob, selection: Selection) -> None:
        if selection.where is None:
            job.total = len(selection.ids)
            return
        count = selection.count(job.hub, self._store.using, Action(job.action), BULK_COUNT_CAP)
        job.total, job.total_is_capped = count.value, count.is_capped

    def _next_batch(self, job: BulkJob, selection: Selection) -> tuple[list[Instance], list[str], bool]:
        """The next instances, ids that name none, and whether the job is through with them."""
        action = Action(job.action)
        columns = (*COLUMNS, *ACTS[action].columns)
        if selection.where is None:
            begin = job.cursor or 0
            named = selection.ids[begin : begin + BULK_BATCH]
            rows = replace(selection, ids=named).rows(job.hub, self._store.using).only(*columns)
            found = {row.instance_id: row for row in _with_waits(rows, action)}
            job.cursor = begin + len(named)
            instances = [found[instance_id] for instance_id in named if instance_id in found]
            missing = [instance_id for instance_id in named if instance_id not in found]
            return instances, missing, job.cursor >= len(selection.ids)
        rows = selection.rows(job.hub, self._store.using, action).only(*columns)
        if job.cursor is not None:
            created_at, pk = job.cursor
            behind = Cursor(pk, datetime.fromisoformat(created_at), backwards=False)
            rows = rows.filter(behind.beyond("created_at"))
        instances = list(_with_waits(newest_first(rows)[:BULK_BATCH], action))
        if instances:
            job.cursor = [instances[-1].created_at.isoformat(), instances[-1].pk]
        return instances, [], len(instances) < BULK_BATCH

    def _act(self, job: BulkJob, user: Any, instances: Sequence[Instance]) -> None:
        """Do it to those whose status and rights allow it, and count what became of each."""
        action = Action(job.action)
        outcomes = Outcomes()
        ready = []
        for instance in instances:
            if action not in legal_actions(instance.status):
                outcomes.skipped[instance.pk] = f"It is {instance.status}."
            elif why := refusal(user, job, instance):
                outcomes.skipped[instance.pk] = why
            else:
                ready.append(instance)
        if ready:
            client = ActingOnMany(
                job.hub, self._store.using, via=AuditEntry.Via(job.via), actor=user, address=job.address
            )
            for done in self._perform(client, job, ready):
                outcomes.done += done.done
                outcomes.skipped |= done.skipped
                outcomes.failed |= done.failed
        job.done += len(outcomes.done)
        ids = {instance.pk: instance.instance_id for instance in instances}
        self._note(job, Outcome.SKIPPED, {ids[pk]: why for pk, why in outcomes.skipped.items()})
        self._note(job, Outcome.FAILED, {ids[pk]: why for pk, why in outcomes.failed.items()})

    def _note(self, job: BulkJob, outcome: BulkProblem.Outcome, reasons: Mapping[str, str]) -> None:
        """Count instances that came to that, and keep why, up to BULK_PROBLEMS of them in the whole job."""
        counted = getattr(job, outcome.value)
        setattr(job, outcome.value, counted + len(reasons))
        kept = islice(reasons.items(), max(BULK_PROBLEMS - counted, 0))
        BulkProblem.objects.using(self._store.using).bulk_create(
            BulkProblem(job=job, outcome=outcome, instance_id=instance_id, why=why[:WHY_LENGTH])
            for instance_id, why in kept
        )

    def _perform(self, client: ActingOnMany, job: BulkJob, instances: Sequence[Instance]) -> Iterable[Outcomes]:
        """All at once; where that is refused one by one, so that one bad instance fails alone."""
        try:
            yield self._attempt(client, job, instances)
            return
        except (OperationalError, InterfaceError):  # nobody's fault, and over soon
            raise
        except Exception:
            logger.warning("A batch of bulk job %d is tried instance by instance.", job.pk, exc_info=True)
        for instance in instances:
            try:
                yield self._attempt(client, job, [instance])
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:
                yield Outcomes(failed={instance.pk: message_of(error) or type(error).__name__})

    def _attempt(self, client: ActingOnMany, job: BulkJob, instances: Sequence[Instance]) -> Outcomes:
        with transaction.atomic(using=self._store.using):
            return ACTS[Action(job.action)].perform(client, job, instances)


def has_open_jobs(store: Store) -> bool:
    """Whether the task hub has a job to carry out."""
    return _open_jobs(store).exists()


def _open_jobs(store: Store) -> QuerySet[BulkJob]:
    return BulkJob.objects.using(store.using).filter(hub=store.hub, state__in=OPEN_STATES)


def _with_waits(rows: Any, action: Action) -> Any:
    return rows.prefetch_related("open_waits") if action is Action.RAISE_EVENT else rows
