"""The chores that workers do beside their work: retention, counts of what has ended, and stray files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orchestrations.conf import get_config
from orchestrations.core.status import TERMINAL
from orchestrations.limits import COUNT_LAG_SECONDS, STRAY_FILE_SECONDS
from orchestrations.payload_files import PARTS
from orchestrations.runtime.exclusive_chores import NEXT, ExclusiveChore
from orchestrations.runtime.retention import Retention
from orchestrations.store.contract import Store

COUNTED_AT_ONCE = 20_000  # ends of one status
DROPPED_AT_ONCE = 2_000  # counts of one width
COUNT_PAUSE = timedelta(seconds=30)
DAY = timedelta(days=1)


class CountEnds(ExclusiveChore):
    """Adds what has ended to the counts by the minute, which histograms of long spans are drawn from."""

    name = "counts"
    look_every = timedelta(seconds=10)

    def work(self) -> tuple[int, timedelta]:
        """Count up to a moment so long ago that no commit with an earlier end is still open.

        A worker commits before its lease has ended, or not at all.
        """
        lag = max(COUNT_LAG_SECONDS, 2 * get_config().lease_seconds)
        before = self._store.now() - timedelta(seconds=lag)
        counted = [self._store.count_ends(status, before, COUNTED_AT_ONCE) for status in sorted(TERMINAL)]
        has_more = any(one.has_more for one in counted)
        has_more |= self._store.drop_old_counts(DROPPED_AT_ONCE) >= DROPPED_AT_ONCE
        return sum(one.ends for one in counted), NEXT if has_more else COUNT_PAUSE


class SweepFiles(ExclusiveChore):
    """Deletes files of payloads and answers that belong to nothing, a folder at a time: all are seen once a day."""

    name = "stray files"
    look_every = timedelta(seconds=30)

    def work(self) -> tuple[int, timedelta]:
        """Look through the folder whose turn it is at this time of the day."""
        now = self._store.now()
        begun = now.astimezone(UTC) - datetime(now.year, now.month, now.day, tzinfo=UTC)
        part, rest = divmod(begun, DAY / PARTS)
        return self._store.sweep_strays(timedelta(seconds=STRAY_FILE_SECONDS), part), DAY / PARTS - rest


class Upkeep:
    """All of them, of one worker."""

    def __init__(self, store: Store) -> None:
        self._chores: list[ExclusiveChore] = [Retention(store), CountEnds(store), SweepFiles(store)]

    def run(self) -> None:
        """Do those that are due."""
        for chore in self._chores:
            chore.run()
