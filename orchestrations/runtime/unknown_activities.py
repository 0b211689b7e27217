"""Scheduled activities that this worker has no code for: left to whoever has it, and failed once nobody does.

A call of an activity that no worker has must fail and not go round for ever. But in a deployment the workers that have
it may be the ones that are just being restarted, hence the patience.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta

from orchestrations.authoring.registry import registry
from orchestrations.runtime.activity_runs import key_of
from orchestrations.runtime.live_workers import LiveWorkers
from orchestrations.store.contract import ClaimedActivity, Store

logger = logging.getLogger("orchestrations.activities")

OTHERS_DELAY = timedelta(seconds=1)  # others have the code, and take it when they look
NOBODY_DELAY = timedelta(seconds=5)
MOST_REMEMBERED = 10_000

Identity = tuple[int, int, int, int]


class UnknownActivities:
    """Sorts what was claimed; remembers since when nobody had the code of an activity."""

    def __init__(self, store: Store, workers: LiveWorkers, patience_seconds: float) -> None:
        self._store = store
        self._workers = workers
        self._patience_seconds = patience_seconds
        self._nobody_since: dict[Identity, float] = {}

    def leave(self, token: int, works: Sequence[ClaimedActivity]) -> list[ClaimedActivity]:
        """Give back what others may run, and return the rest; what is unknown among it is to fail."""
        kept: list[ClaimedActivity] = []
        left: dict[timedelta, list[ClaimedActivity]] = {}
        for work in works:
            if registry.has_activity(work.name) or work.deferred_until is not None:
                kept.append(work)
            elif self._workers.have_activity(work.name):
                self._nobody_since.pop(_identity(work), None)
                left.setdefault(OTHERS_DELAY, []).append(work)
            elif self._is_patient(work):
                left.setdefault(NOBODY_DELAY, []).append(work)
            else:
                kept.append(work)
        for delay, unknown in left.items():
            names = ", ".join(sorted({work.name for work in unknown}))
            logger.warning("This worker lacks the code of activities, and leaves them to others: %s", names)
            self._store.detach_activities(token, [key_of(work) for work in unknown], delay)
        return kept

    def _is_patient(self, work: ClaimedActivity) -> bool:
        now = time.monotonic()
        identity = _identity(work)
        since = self._nobody_since.setdefault(identity, now)
        if now - since < self._patience_seconds:
            if len(self._nobody_since) > MOST_REMEMBERED:
                del self._nobody_since[next(iter(self._nobody_since))]
            return True
        del self._nobody_since[identity]
        return False


def _identity(work: ClaimedActivity) -> Identity:
    return work.instance_pk, work.execution, work.task_id, work.attempt
