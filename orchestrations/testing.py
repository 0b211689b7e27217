"""For the tests of apps with orchestrations: the real engine in the test's own process, and replays of old histories.

There is no second engine here; what passes in a test has run on the code that runs in production.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

from django.contrib.auth import get_user_model
from django.db import connections
from django.test import TransactionTestCase

from orchestrations.bulk.runner import BulkRunner, has_open_jobs
from orchestrations.client import OrchestrationClient
from orchestrations.client.orchestration_status import OrchestrationStatus
from orchestrations.core.http_messages import DurableHttpResponse, HttpRequest
from orchestrations.errors import ConfigurationError, InstanceNotFound
from orchestrations.models import HumanTask, Instance, Timer
from orchestrations.runtime.chores import Chores
from orchestrations.runtime.drain import Runtime
from orchestrations.runtime.recorded_histories import RecordedHistory, mismatch, record_history
from orchestrations.store import get_store

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "DurableTestCase",
    "InProcessWorker",
    "RecordedHistory",
    "answer_task",
    "answering_http",
    "assert_replays",
    "record_history",
]

TIMEOUT_SECONDS = 10.0
DRAIN_SECONDS = 1.0
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
        self.runtime = Runtime(store, Chores(store, does_upkeep=False))
        self._bulk = BulkRunner(self.runtime.store)
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

    def skip_timers(self, instance_id: str) -> int:
        """Make an instance's timers due now, and return how many there are: three days pass in no time."""
        store = get_store()
        timers = Timer.objects.using(store.using).filter(
            hub=store.hub, instance__instance_id=instance_id, state=Timer.State.PENDING
        )
        return timers.update(due_at=store.now() - timedelta(seconds=1))

    def stop(self) -> None:
        """Let go of everything. Activities that are still running get the setting STOP_SECONDS."""
        self.runtime.stop()

    def _is_idle(self) -> bool:
        store = self.runtime.store
        due_at = store.next_due_at()
        is_due = due_at is not None and due_at <= store.now()
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


def answer_task(
    instance_id: str, user: User | str, answer: object, comment: str = "", *, event: str | None = None
) -> HumanTask:
    """Answer the question that the instance puts to people, in the name of a user (or of the user with that name).

    The same checks as on the dashboard: who is asked, the form, one vote each. ``event`` chooses among several open
    questions. Raises what ``OrchestrationClient.answer_task`` does, and AssertionError where there is not one question.
    """
    store = get_store()
    person = user if not isinstance(user, str) else get_user_model()._default_manager.get_by_natural_key(user)
    tasks = HumanTask.objects.using(store.using).filter(
        hub=store.hub, instance__instance_id=instance_id, state__in=HumanTask.LIVE
    )
    if event is not None:
        tasks = tasks.filter(name__iexact=event)
    found = list(tasks.order_by("pk")[:2])
    if len(found) != 1:
        open_tasks = ", ".join(repr(task.name) for task in found) or "none"
        raise AssertionError(f"{instance_id!r} is to have one open question to answer, and has {open_tasks}.")
    return OrchestrationClient(actor=person).answer_task(found[0].pk, answer, comment)


@contextmanager
def answering_http(answer: Callable[[HttpRequest], DurableHttpResponse]) -> Iterator[list[HttpRequest]]:
    """Answer the requests of ``call_http`` by a function while the block runs; nothing leaves the process.

    The list that the block gets holds the requests so far, redirects and polls included. An error that the function
    raises is the request's failure. Addresses are not checked, and secrets and tokens not fetched.
    """
    import httpx

    from orchestrations.durable_http import sending

    requests: list[HttpRequest] = []

    async def exchange(request: HttpRequest) -> tuple[DurableHttpResponse, httpx.URL]:
        requests.append(request)
        return answer(request), httpx.URL(request.uri)

    with patch.object(sending, "exchange", exchange):
        yield requests


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


# Histories -----------------------------------------------------------------------------------------------------------


def assert_replays(history: RecordedHistory) -> None:
    """Raise AssertionError where today's code of the orchestrator would not decide again what the history says.

    The message names the event, what the history has, what the code did and at which line. Instances that are running
    when such code is deployed would fail.
    """
    problem = mismatch(history)
    if problem:
        raise AssertionError(problem)
