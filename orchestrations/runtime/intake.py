"""Which scheduled activities a worker takes up, and when: as many as it has room for, suspects one at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime

from orchestrations.conf import DurableConfig
from orchestrations.errors import PayloadUnavailable
from orchestrations.runtime.activities import ActivityPool
from orchestrations.runtime.activity_runs import key_of, not_completed
from orchestrations.runtime.instances import HeldInstance
from orchestrations.runtime.live_workers import LiveWorkers
from orchestrations.runtime.poison import give_up
from orchestrations.runtime.unknown_activities import UnknownActivities
from orchestrations.store.contract import ActivityKey, ClaimedActivity, Store

LOOK_SECONDS = 0.05  # work items are looked for this often, and others told this often of those without room here
SUSPICIOUS_DISPATCHES = 3  # an activity taken up so often is given a process to itself while it starts
ALONE_SECONDS = 1.0  # long enough for what kills its process on sight


class ActivityIntake:
    """Claims work items for the pool.

    ``has_more`` says whether there are probably some to claim. Set it where some were made.
    """

    def __init__(self, store: Store, pool: ActivityPool, workers: LiveWorkers, config: DurableConfig) -> None:
        self.has_more = False
        self._store = store
        self._pool = pool
        self._dispatch_attempts = config.dispatch_attempts
        self._unknown = UnknownActivities(store, workers, config.unknown_activity_seconds)
        self._suspects: deque[ClaimedActivity] = deque()
        self._looked_at = self._told_at = self._alone_until = 0.0

    @property
    def has_suspects(self) -> bool:
        """Whether some were claimed that are to start alone, and have not."""
        return bool(self._suspects)

    def hurry(self) -> None:
        """Look at the next opportunity, whenever the last look was."""
        self._looked_at = 0.0

    def claim(self, token: int, held: Mapping[int, HeldInstance], now: datetime) -> bool:
        """Take work items that nobody has room for, while there is room here; whether there were any."""
        seconds = time.monotonic()
        room = self._pool.room
        if room <= 0 and self.has_more and seconds - self._told_at >= LOOK_SECONDS:
            self._told_at = seconds
            self._store.notify_workers()  # others may have room for them at once
        if room <= 0 or (not self.has_more and seconds - self._looked_at < LOOK_SECONDS):
            return False
        works = self._store.claim_activities(token, room)
        self._looked_at = seconds
        self.has_more = len(works) == room
        for work in self._unknown.leave(token, works):
            instance = held.get(work.instance_pk)
            if instance is not None and instance.claimed.execution == work.execution:
                instance.in_flight.add(work.task_id)
            self._take(work, now)
        if self.has_more:
            self._store.notify_workers()
        return bool(works)

    def run_suspect(self) -> bool:
        """Start one of the activities that workers have died with; True while nothing else may start beside it.

        What kills its process then takes only itself along, and innocents are not counted as poison with it.
        """
        now = time.monotonic()
        if now >= self._alone_until or not self._pool.is_busy:
            self._alone_until = 0.0
            if self._suspects:
                self._alone_until = now + ALONE_SECONDS
                self._pool.submit(self._suspects.popleft())
        self._pool.is_reserved = self._alone_until > 0.0
        return self._pool.is_reserved

    def take_unstarted(self) -> list[ActivityKey]:
        """What was claimed and has not begun, to be given back."""
        unstarted = self._pool.take_unstarted() + [key_of(work) for work in self._suspects]
        self._suspects.clear()
        return unstarted

    def _take(self, work: ClaimedActivity, now: datetime) -> None:
        if work.deferred_until is not None:
            self._pool.refuse(work, not_completed(work, now))
        elif work.dispatches > self._dispatch_attempts:
            self._pool.refuse(work, give_up(self._store, work))
        elif work.unreadable:
            self._pool.refuse(work, PayloadUnavailable(work.unreadable))
        elif work.dispatches >= SUSPICIOUS_DISPATCHES:
            self._suspects.append(work)
        else:
            self._pool.submit(work)
