"""The lease of this process: what is in flight here belongs to it for as long as its heart beats."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connections

from orchestrations.conf import get_config
from orchestrations.core.interruptions import EpisodeTimeout
from orchestrations.models import ActivityWorkItem
from orchestrations.runtime.activities import ActivityPool
from orchestrations.runtime.activity_runs import attempt_of
from orchestrations.runtime.live_workers import described_functions
from orchestrations.store.contract import Store

logger = logging.getLogger("orchestrations.runtime")

TICK_SECONDS = 0.5  # how often overdue activities and episodes are looked for


class LeaseKeeper:
    """Opens the lease, keeps it alive from a thread of its own, and stops what runs too long.

    ``is_lost`` becomes True when the lease has expired or was taken; then nothing that it held may be written.
    """

    def __init__(self, store: Store, pool: ActivityPool, flush: Callable[[], None]) -> None:
        self._store = store
        self._pool = pool
        self._flush = flush  # writes what ended while no drain was running and could not be written at once
        self._config = get_config()
        self._duration = timedelta(seconds=self._config.lease_seconds)
        self._guard = threading.Lock()
        self._episode: tuple[int, float, str] | None = None  # thread, when it began, instance id
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._renewed = 0.0  # time.monotonic() of the last heartbeat of the present lease
        self.token = 0
        self.is_lost = True

    def ensure(self) -> int:
        """The token of a live lease, opening a new one where there is none."""
        if self.is_lost:
            host = socket.gethostname()
            self.token = self._store.open_lease(
                worker_name(),
                host,
                os.getpid(),
                self._duration,
                self._pool.capacity,
                described_functions(),
                self._config.build,
            )
            self._renewed = time.monotonic()
            self.is_lost = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="lease-keeper", daemon=True)
                self._thread.start()
        return self.token

    def close(self) -> None:
        """Stop the thread and free all that the lease holds."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=self._config.lease_seconds)
        if not self.is_lost:
            self.is_lost = True
            self._store.close_lease(self.token)

    def takes_heartbeat(self) -> bool:
        """Whether the database takes a heartbeat just now, and so is there for whoever writes."""
        try:
            return self._renew(self.token)
        except (DatabaseError, InterfaceError):
            connections[self._store.using].close()
            return False

    def hurry(self) -> None:
        """Let the thread look for what is to be written now instead of at its next tick."""
        self._wake.set()

    @contextlib.contextmanager
    def episode(self, instance_id: str) -> Iterator[None]:
        """Bound the time that the author's orchestrator may run before it waits."""
        self._episode = (threading.get_ident(), time.monotonic(), instance_id)
        try:
            yield
        finally:
            self._leave_episode()

    def _leave_episode(self) -> None:
        """An exception that was sent a moment too late must not strike the loop: let it come, and drop it."""
        is_left = False
        while not is_left:
            try:
                with self._guard:
                    self._episode = None
                is_left = _interruptible()
            except EpisodeTimeout:
                continue

    # The thread --------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._stop.is_set():
            if self._wake.wait(TICK_SECONDS):
                self._wake.clear()
            self._stop_long_episode()
            try:
                self._pool.expire()
                self._flush()
            except Exception:  # the edge of the thread: without it the lease would die with a defect elsewhere
                logger.exception("Looking after running activities failed; trying again.")
            if time.monotonic() - self._renewed < self._config.heartbeat_seconds or self.is_lost:
                continue
            token, began = self.token, time.monotonic()
            try:
                alive = self._renew(token)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The heartbeat could not be written: %s", error)
                connections.close_all()
                alive = time.monotonic() - self._renewed < self._config.lease_seconds
            else:
                self._renewed = began
                self._exchange(token)
            if not alive and token == self.token:  # and no other was opened while this one was being renewed
                logger.error("This worker's lease has expired; what it held goes to others. token=%s", token)
                self.is_lost = True
        connections.close_all()

    def _renew(self, token: int) -> bool:
        return self._store.renew_lease(token, self._duration, self._pool.in_flight)

    def _exchange(self, token: int) -> None:
        """Write what activities have told, and tell those whose execution has ended that nobody wants their result.

        Apart from the lease, which goes on living when this fails.
        """
        try:
            told = self._pool.unwritten_heartbeats()
            written = self._store.record_heartbeats(token, [item.heartbeat() for item, _ in told]) if told else set()
            for item, count in told:
                if attempt_of(item.work) in written:
                    item.written_heartbeats = count
            self._cancel_unwanted(token)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The heartbeats of activities could not be written: %s", error)
            connections.close_all()
        except Exception:  # the edge of the thread, as above
            logger.exception("Telling running activities failed; trying again.")

    def _cancel_unwanted(self, token: int) -> None:
        unended = self._pool.unended()
        if unended:
            items = ActivityWorkItem.objects.using(self._store.using).filter(lease_token=token)
            held = set(items.values_list("instance_id", "execution", "task_id", "attempt"))
            self._pool.cancel([item for item in unended if astuple(attempt_of(item.work)) not in held])

    def _stop_long_episode(self) -> None:
        """Raise EpisodeTimeout inside an orchestrator that computes for ever, so that the others go on."""
        limit = self._config.episode_timeout_seconds
        with self._guard:
            if self._episode is None or time.monotonic() - self._episode[1] < limit:
                return
            thread, _, instance_id = self._episode
            logger.error("The orchestrator ran for %g seconds without waiting. instance=%s", limit, instance_id)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(EpisodeTimeout))


def _interruptible() -> bool:
    """A call, where the interpreter delivers what another thread has sent."""
    return True


def worker_name() -> str:
    """This process's name on pages and in history."""
    return f"{socket.gethostname()}:{os.getpid()}"
