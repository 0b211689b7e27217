"""Which scheduled activities a worker takes up, and when: as many as it has room for, suspects one at a time."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from orchestrations.authoring.registry import registry
from orchestrations.conf import DurableConfig
from orchestrations.errors import PayloadUnavailable
from orchestrations.runtime.activities import ActivityPool
from orchestrations.runtime.activity_runs import key_of, not_completed
from orchestrations.runtime.instances import HeldInstance
from orchestrations.runtime.live_workers import LiveWorkers
from orchestrations.runtime.poison import give_up
from orchestrations.runtime.unknown_activities import UnknownActivities
from orchestrations.store.contract import CLAIMED_BESIDES, ActivityKey, ClaimedActivity, RunsOn, Store

LOOK_SECONDS = 0.05  # work items are looked for this often, and others told this often of those without room here
SUSPICIOUS_DISPATCHES = 3  # an activity taken up so often is given a process to itself while it starts
ALONE_SECONDS = 1.0  # long enough for what kills its process on sight


class ActivityIntake:
    """Claims work items for the pool, of each kind as many as there is room for.

    So a fan-out of one kind that fills the threads or the event loop never keeps out the other.
    """

    def __init__(self, store: Store, pool: ActivityPool, workers: LiveWorkers, config: DurableConfig) -> None:
        self._expected: set[str] = set()  # what free work items probably wait for, by RunsOn
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

    def expect(self, kinds: Iterable[str]) -> None:
        """There are probably free work items that need these."""
        self._expected.update(kinds)

    def claim(self, token: int, held: Mapping[int, HeldInstance], now: datetime) -> bool:
        """Take work items that nobody has room for, while there is room here; whether there were any."""
        seconds = time.monotonic()
        room = {**self._pool.room, RunsOn.NOTHING: CLAIMED_BESIDES}
        full = {kind for kind in self._expected if not room[RunsOn(kind)]}
        if full and seconds - self._told_at >= LOOK_SECONDS:
            self._told_at = seconds
            self._store.notify_workers()  # others may have room for them at once
        if full == self._expected and seconds - self._looked_at < LOOK_SECONDS:
            return False
        works = self._store.claim_activities(token, room[RunsOn.THREAD], room[RunsOn.LOOP])
        self._looked_at = seconds
        claimed = Counter(work.runs_on for work in works)
        self._expected = full | {kind for kind, number in claimed.items() if number >= room[RunsOn(kind)]}
        for work in self._fitting(token, self._unknown.leave(token, works)):
            instance = held.get(work.instance_pk)
            if instance is not None and instance.claimed.execution == work.execution:
                instance.in_flight.add(work.task_id)
            self._take(work, now)
        if self._expected - full:
            self._store.notify_workers()
        return bool(works)

    def _fitting(self, token: int, works: Sequence[ClaimedActivity]) -> Iterator[ClaimedActivity]:
        """Those that run where their rows say, then those of the others that there is room for.

        The code that scheduled them was another, or was not there. The rest goes back, with what it needs.
        """
        elsewhere: list[ClaimedActivity] = []
        for work in works:
            if work.deferred_until is not None or not registry.has_activity(work.name):
                yield work  # not to run, but to fail
            elif work.runs_on == self._pool.runs_on(work.name):
                yield work
            else:
                elsewhere.append(work)
        given_back: dict[RunsOn, list[ActivityKey]] = {}
        for work in elsewhere:
            if self._pool.has_room(work.name):
                yield work
            else:
                given_back.setdefault(self._pool.runs_on(work.name), []).append(key_of(work))
        for runs_on, keys in given_back.items():
            self._store.detach_activities(token, keys, runs_on=runs_on)
            self.expect([runs_on])

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
