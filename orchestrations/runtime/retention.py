"""Retention: ended instances are deleted once they have been kept long enough. Off unless the site sets it."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, connections

from orchestrations.conf import get_config
from orchestrations.store.contract import Store

logger = logging.getLogger("orchestrations.runtime")

CHORE = "retention"
BATCH = 500  # instances looked at for each status in one go
PAUSE = timedelta(seconds=60)  # between two looks when there is nothing to delete
NEXT = timedelta(seconds=1)  # while there is
TAKEN = timedelta(seconds=60)  # after which another worker does what one that died had begun


class Retention:
    """Deletes a small batch now and then; of all workers only one at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._periods = get_config().retention or {}
        self._next = 0.0  # time.monotonic()
        self._behind: dict[str, tuple[datetime, int]] = {}  # by status: what was looked at last

    def run(self) -> int:
        """Delete a batch if it is time, and return how many instances went. Never raises a database error."""
        if not self._periods or time.monotonic() < self._next:
            return 0
        self._next = time.monotonic() + NEXT.total_seconds()
        try:
            if not self._store.take_chore(CHORE, TAKEN):
                return 0
            purged, has_more = self._purge_batch()
            self._store.finish_chore(CHORE, NEXT if has_more else PAUSE)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Retention is tried again later: %s", error)
            connections[self._store.using].close()
            return 0
        if purged:
            logger.info("Retention has deleted %d instances.", purged)
        return purged

    def _purge_batch(self) -> tuple[int, bool]:
        """What one look at each status deletes, and whether there is more behind it."""
        now = self._store.now()
        purged, has_more = 0, False
        for status, period in self._periods.items():
            found = self._store.find_expired(status, now - period, self._behind.get(status), BATCH)
            purged += self._store.purge([one.pk for one in found if not one.has_live_parent])
            if len(found) == BATCH:
                has_more = True
                self._behind[status] = (found[-1].completed_at, found[-1].pk)
            else:
                self._behind.pop(status, None)
        return purged, has_more
