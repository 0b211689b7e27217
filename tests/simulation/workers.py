"""Workers that a test steps by hand: the real runtime, store and activity functions, without a thread of their own.

What is replaced is only what moves by itself: activities run when they are told to, nothing keeps the lease alive but
time that does not pass, and the database can be made to lose its answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError

from orchestrations.models import WorkerLease
from orchestrations.runtime.activities import ActivityPool
from orchestrations.runtime.drain import Runtime
from orchestrations.store import get_store
from orchestrations.store.contract import Checkpoint, CommitResult, Store


class Unanswered(OperationalError):
    """The connection broke before the database's answer came."""


class UncertainStore:
    """A store whose commits may be lost, or written without an answer; all else goes straight through."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before_commit: Callable[[], None] | None = None
        self.commits: list[str] = []  # what becomes of the next ones: "lost" or "unanswered"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, token: int, checkpoints: Sequence[Checkpoint]) -> CommitResult:
        """Let others act first where the test wants that, then write, or not, and answer, or not."""
        if self.before_commit is not None:
            hook, self.before_commit = self.before_commit, None
            hook()
        fate = self.commits.pop(0) if self.commits else ""
        if fate == "lost":
            raise Unanswered(fate)
        result = self._store.commit(token, checkpoints)
        if fate == "unanswered":
            raise Unanswered(fate)
        return result


class SteppedPool(ActivityPool):
    """Activities wait until ``run`` is called, and run there and then."""

    def _start_thread(self) -> None:
        pass

    def waiting(self) -> int:
        """How many are submitted and not run."""
        return len(self._queue)

    def run(self, position: int) -> None:
        """Run one of those that wait, to its end."""
        with self._lock:
            item = self._queue[position]
            del self._queue[position]
            self._begin(item)
        self._run(item)


class SteppedWorker:
    """A worker process whose every move is a method."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begin()

    def __repr__(self) -> str:
        return self.name

    def begin(self) -> None:
        """A new process: new lease, nothing in memory."""
        self.is_away = False
        self.store = UncertainStore(get_store())
        # The store answers to all of a store's methods.
        runtime = self.runtime = Runtime(self.store, make_pool=self._make_pool)  # type: ignore[arg-type]
        runtime.lease._thread = threading.Thread()  # never started: no heart beats, and none is needed

    def _make_pool(self, threads: int, seconds: float, worker: str, record: Any, hub: str, _: int) -> SteppedPool:
        self.pool = SteppedPool(4, 60.0, self.name, record, hub)
        return self.pool

    def turn(self) -> bool:
        """Once round the loop; whether there was anything to do. Where no answer comes, what a drain does then."""
        runtime, worked = self.runtime, True
        runtime._claimed_at = runtime._timers_at = 0.0
        runtime.intake.hurry()
        runtime.pool.on_detached = None
        runtime._is_draining = True
        try:
            worked = runtime.turn()
            runtime._is_draining = False
        except (OperationalError, InterfaceError):
            runtime._is_draining = False
            runtime._let_go()
        return worked

    def park(self) -> None:
        """The end of a drain: give back what has not begun."""
        self.runtime._is_draining = False
        self.runtime._park()

    def die(self) -> None:
        """Be killed: the lease stays until it expires, and whatever was held is held until then."""
        self.begin()

    def claim_and_die(self) -> None:
        """Be killed between taking leases and doing anything with them."""
        with suppress(OperationalError):
            token = self.runtime.lease.ensure()
            self.store.claim_instances(token, 100)
            self.store.claim_activities(token, 100)
        self.begin()

    def forget(self) -> None:
        """Lose the orchestrators in memory, as when others were used more."""
        self.runtime.cache.clear()

    def lose_lease(self) -> None:
        """Be away, without noticing: the lease expires when its time is over."""
        self.is_away = True

    def beat(self, until: datetime) -> None:
        """Keep the lease alive that long, unless away."""
        if not self.is_away:
            WorkerLease.objects.filter(token=self.runtime.lease.token).update(expires_at=until)

    def notice(self) -> None:
        """Be back, and see at the next heartbeat whether the lease is gone."""
        self.is_away = False
        lease = self.runtime.lease
        if not lease.is_lost and not self.store.renew_lease(lease.token, lease._duration, 0):
            lease.is_lost = True
