"""The django-q2 broker that is the task hub: it waits for work and hands the cluster's workers drain tasks.

The site's own ``async_task`` calls and schedules go through django-q2's ORM queue as ever; they go first, and drains
give way to them in short slices. A drain task is made in memory, so that nothing of ours is ever pickled at rest.
"""

from __future__ import annotations

import logging
import time
import uuid
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from orchestrations.bulk.runner import has_open_jobs
from orchestrations.conf import get_config
from orchestrations.limits import DEAD_LETTER_SECONDS, IDEMPOTENCY_KEY_SECONDS
from orchestrations.runtime.clock import DatabaseClock
from orchestrations.store import get_store
from orchestrations.worker.board import board
from orchestrations.worker.hints import Hints, make_hints
from orchestrations.worker.tasks import drain

logger = logging.getLogger("orchestrations.worker")

LOOK_SECONDS = 0.02  # between two looks at the tables while workers are busy
GLANCE_SECONDS = 0.004  # between two looks at whether they still are
PATIENCE_SECONDS = 5.0  # a drain task that has not reached a worker by then is taken for lost
LONGEST_WAIT_SECONDS = 0.5  # the pusher must look at its stop event
PULSE_SECONDS = 5.0  # a drain is handed out this often even without work, so that a wedged cluster is noticed
FORGET_SECONDS = 3600.0  # between two deletions of what need not be remembered any more
AWAY_SECONDS = 1.0  # pause while the database can't be reached
DRAIN_TIMEOUT_SECONDS = 120  # django-q2 kills a worker whose drain, a slice of about a second, takes this long


class TaskHubBroker(ORM):
    """Name it in ``Q_CLUSTER["broker_class"]``; it needs ``Q_CLUSTER["orm"]`` like its parent."""

    _hints: Hints | None = None
    _clock: DatabaseClock | None = None
    _looked_at = 0.0
    _swept_at = 0.0
    _forgot_at = 0.0

    def enqueue(self, task: str) -> int:
        """Queue a task of the site's and wake the cluster."""
        key: int = super().enqueue(task)
        get_store().notify_workers()
        return key

    def dequeue(self) -> list[tuple[int | None, str]] | None:
        """The site's next tasks, or a drain task when there is work, or None after a while without either."""
        board.beat()
        try:
            return self._next()
        except (DatabaseError, InterfaceError, OSError) as error:
            logger.warning("The task hub can't be reached; trying again: %s", error)
            self._disconnect()
            time.sleep(AWAY_SECONDS)
            return None

    def _next(self) -> list[tuple[int | None, str]] | None:
        is_called = board.waiting_seconds > 0
        if (is_called or board.is_draining) and time.monotonic() - self._looked_at < LOOK_SECONDS:
            # Who drains takes what arrives; hints are many then, and each look is three queries.
            time.sleep(GLANCE_SECONDS)
            return None
        self._looked_at = time.monotonic()
        if board.waiting_seconds > PATIENCE_SECONDS and board.workers().idle:
            board.forget_handed_out()
        if tasks := self._queued():
            return tasks
        is_quiet = not (is_called or board.is_draining)
        # Before the look for work, so that what becomes due in between is found by it.
        due_seconds = self._seconds_to_due() if is_quiet else None
        if is_called:
            self._sweep()
        elif self._has_work(due_seconds) or board.idle_seconds > PULSE_SECONDS or self._sweep():
            return _hand_out_drain()
        if due_seconds is None:
            time.sleep(GLANCE_SECONDS)
        elif self._wait(due_seconds):
            # Somebody waits for an answer; the drain looks at the tables anyway, and one for nothing costs little. Nor
            # is this the moment for a look of ours, which would take the processor from it.
            self._looked_at = time.monotonic()
            return _hand_out_drain()
        return None

    def _queued(self) -> list[tuple[int | None, str]] | None:
        """Tasks of the site's. Asked only where there is one, because the parent sleeps where there is none."""
        close_old_connections()
        if OrmQ.objects.using(get_store().using).filter(key=self.list_key, lock__lt=timezone.now()).exists():
            tasks: list[tuple[int | None, str]] = super().dequeue() or []
            board.queue_tasks(len(tasks))
            return tasks
        return None

    def _sweep(self) -> bool:
        """Free what dead workers held, so that it becomes work; the guarantee behind every lost hint.

        Now and then only, and after the look for work: it takes a few milliseconds. True where anything was freed, or
        a bulk job is open.
        """
        if time.monotonic() - self._swept_at < get_config().sweep_seconds:
            return False
        self._swept_at = time.monotonic()
        self._forget_old_keys()
        recovery = get_store().recover()
        if recovery.instances or recovery.activities:
            logger.warning(
                "Freed %d instances and %d activities of workers that are gone.",
                recovery.instances,
                recovery.activities,
            )
        return bool(recovery.instances or recovery.activities) or has_open_jobs(get_store())

    def _forget_old_keys(self) -> None:
        if time.monotonic() - self._forgot_at >= FORGET_SECONDS:
            self._forgot_at = time.monotonic()
            get_store().forget_event_keys(timedelta(seconds=IDEMPOTENCY_KEY_SECONDS))
            get_store().forget_dead_letters(timedelta(seconds=DEAD_LETTER_SECONDS))

    def _has_work(self, due_seconds: float | None) -> bool:
        """Whether to call a worker. While one drains, another is called only for what the first can't come round to:
        two that share a trickle of work make two small commits of each large one.
        """
        store = get_store()
        if due_seconds is not None:
            return due_seconds <= 0 or store.has_work()
        board.workers()
        return store.has_work(overdue=True)

    def _seconds_to_due(self) -> float:
        """Until the next timer or scheduled start, at most the fallback poll."""
        store = get_store()
        longest = min(get_config().poll_seconds, LONGEST_WAIT_SECONDS)
        due_at = store.next_due_at()
        if due_at is None:
            return longest
        if self._clock is None or due_at <= self._clock.now():
            # What seems due is looked at by the clock that decides: one that was set back may still say no.
            self._clock = DatabaseClock(store.now())
        return min(max((due_at - self._clock.now()).total_seconds(), 0.0), longest)

    def _wait(self, seconds: float) -> bool:
        if self._hints is None:
            self._hints = make_hints()
        return self._hints.wait(seconds)

    def _disconnect(self) -> None:
        if self._hints is not None:
            self._hints.close()
        connections[get_store().using].close()
        self._clock = None


def _hand_out_drain() -> list[tuple[int | None, str]]:
    board.hand_out()
    return [(None, _drain_task())]


def _drain_task() -> str:
    task: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "name": "drain",
        "func": drain,
        "args": (),
        "kwargs": {},
        "started": timezone.now(),
        "save": False,
        "timeout": DRAIN_TIMEOUT_SECONDS,
    }
    package: str = SignedPackage.dumps(task)
    return package
