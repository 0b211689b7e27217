"""The engine in the test's own process, and a clock that the test moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from django.db import connections
from django.db.models import Min
from django.test import TransactionTestCase

from orchestrations.bulk.runner import BulkRunner, has_open_jobs
from orchestrations.client import OrchestrationClient
from orchestrations.client.orchestration_status import OrchestrationStatus
from orchestrations.errors import ConfigurationError, InstanceNotFound
from orchestrations.models import HumanNotice, HumanTask, Instance, Timer
from orchestrations.runtime.chores import Chores
from orchestrations.runtime.drain import Runtime
from orchestrations.store import get_store
from orchestrations.testing.clock import MovedClock

TIMEOUT_SECONDS = 10.0
DRAIN_SECONDS = 1.0
ADVANCE_SECONDS = 60.0  # that letting time pass may take
MOMENT = timedelta(milliseconds=1)  # as SQLite's clock counts
SOON = timedelta(milliseconds=20)  # the engine carries the database's clock on, and may be a little ahead of it
NAP_SECONDS = 0.005  # between two looks for a timer that is about to be due


class InProcessWorker:
    """A worker of the task hub in this process: it works only while one of its methods runs.

    The test must not run in a transaction: activities run on threads of their own, which would not see its rows.
    After ``drain_seconds`` the loop lets go of what is running and takes it up again, as in a busy cluster. It does no
    upkeep: nothing is purged for its age, and histograms of long spans stay as they are.
    """

    def __init__(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        store = get_store()
        connection = connections[store.using]
        if connection.in_atomic_block:
            raise ConfigurationError(
                "A worker in the test's process can't see into the test's transaction. Use DurableTestCase or "
                "TransactionTestCase, or with pytest-django the fixture transactional_db."
            )
        is_in_memory: Callable[[], bool] = getattr(connection, "is_in_memory_db", lambda: False)
        if is_in_memory():
            raise ConfigurationError(
                "SQLite in memory has one connection for all threads. Give the test database a file: "
                'DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}.'
            )
        self.runtime = _runtime()
        self._bulk = BulkRunner(store)
        self._clock = MovedClock(store.using)
        self.drain_seconds = drain_seconds
        self._client = OrchestrationClient()

    def run_until_idle(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Work until nothing more can happen without an event from outside or a timer that is not yet due.

        Raises AssertionError where that takes longer.
        """
        self.run_until(self._is_idle, timeout_seconds, "The task hub was not idle")

    def run_until_ended(self, instance_id: str, timeout_seconds: float = TIMEOUT_SECONDS) -> OrchestrationStatus:
        """Work until the instance has ended, waiting for its timers, and return its status.

        Raises AssertionError, saying what the instance waits for, where that takes longer.
        """
        self.run_until(lambda: self._status(instance_id).is_terminal, timeout_seconds, f"{instance_id!r} did not end")
        return self._status(instance_id)

    def run_until(self, condition: Callable[[], bool], timeout_seconds: float, otherwise: str) -> None:
        """Work until the condition holds. Raises AssertionError with ``otherwise`` where that takes longer."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            self.runtime.drain(self.drain_seconds)
            self._bulk.run()
            if condition():
                return
            if time.monotonic() >= deadline:
                raise AssertionError(f"{otherwise} within {timeout_seconds:g} seconds. {self._open_instances()}")
            time.sleep(NAP_SECONDS)

    def advance(self, by: timedelta | float, timeout_seconds: float = ADVANCE_SECONDS) -> None:
        """Let that much time pass (timedelta or seconds), and do all that becomes due meanwhile when it is due.

        Moves the database's clock from each due moment to the next: of timers, deadlines, retries, starts at a time,
        polls, delayed signals to entities and, with their messages, reminders and escalations of questions. It works
        until idle before the first, at each, and at the end; the time that this takes comes on top. The clock stays
        ahead until ``stop``. What asks Python for the time is not moved.

        Raises ValueError for a time that is past, and AssertionError where all that takes longer than
        ``timeout_seconds``.
        """
        left = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if left < timedelta(0):
            raise ValueError("Time can only be let pass, not be taken back.")
        ends = time.monotonic() + timeout_seconds
        self._take_over_clock()
        self._do_what_is_due()
        while (ahead := self._until_next_due()) is not None and ahead <= left:
            left -= ahead
            self._clock.advance(ahead + MOMENT)
            self._do_what_is_due()
            if time.monotonic() >= ends:
                raise AssertionError(f"{left} are left after {timeout_seconds:g} seconds. {self._open_instances()}")
        self._clock.advance(left)
        self._do_what_is_due()

    def skip_timers(self, instance_id: str) -> int:
        """Make an instance's timers due now, and return how many there are: three days pass in no time."""
        store = get_store()
        timers = Timer.objects.using(store.using).filter(
            hub=store.hub, instance__instance_id=instance_id, state=Timer.State.PENDING
        )
        return timers.update(due_at=store.now() - timedelta(seconds=1))

    def stop(self) -> None:
        """Let go of everything, and of the clock. Activities that are still running get the setting STOP_SECONDS."""
        self.runtime.stop()
        self._clock.restore()

    def _take_over_clock(self) -> None:
        if not self._clock.is_moved:
            self.runtime.stop()  # threads whose connections tell the true time
            self._clock.take_over()
            self.runtime = _runtime()

    def _do_what_is_due(self) -> None:
        self.run_until_idle()
        self.runtime.chores.attend()
        self.run_until_idle()

    def _until_next_due(self) -> timedelta | None:
        store = self.runtime.store
        tasks = HumanTask.objects.using(store.using).filter(hub=store.hub)
        notices = HumanNotice.objects.using(store.using).filter(hub=store.hub)
        moments = (
            store.next_due_at(),
            tasks.aggregate(due=Min("next_notice_at"))["due"],
            notices.aggregate(due=Min("send_at"))["due"],
        )
        due_at = min((moment for moment in moments if moment is not None), default=None)
        return None if due_at is None else max(due_at - store.now(), timedelta(0))

    def _is_idle(self) -> bool:
        store = self.runtime.store
        due_at = store.next_due_at()
        is_due = due_at is not None and due_at <= store.now() + SOON
        return not (is_due or self.runtime.pool.is_busy or store.has_work() or has_open_jobs(store))

    def _status(self, instance_id: str) -> OrchestrationStatus:
        status = self._client.get_status(instance_id)
        if status is None:
            raise InstanceNotFound(instance_id)
        return status

    def _open_instances(self) -> str:
        store = self.runtime.store
        rows = Instance.objects.using(store.using).filter(hub=store.hub, completed_at=None).order_by("pk")[:5]
        return " ".join(f"{row.instance_id!r} is {row.status}: {row.waiting_for or 'about to go on'}." for row in rows)


def _runtime() -> Runtime:
    store = get_store()
    return Runtime(store, Chores(store, does_upkeep=False))


class DurableTestCase(TransactionTestCase):
    """A test case with a client and a worker: start with ``self.durable``, then let ``self.worker`` work."""

    durable: OrchestrationClient
    worker: InProcessWorker

    def setUp(self) -> None:
        """Make the client and the worker, which is stopped after the test."""
        super().setUp()
        self.durable = OrchestrationClient()
        self.worker = InProcessWorker()
        self.addCleanup(self.worker.stop)
