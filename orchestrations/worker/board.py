"""What the processes of one cluster know of each other: shared memory without locks.

A process that is killed can take a lock with it for ever; here the worst it leaves behind is a stale mark, which is
wiped. Created before the cluster forks, so that all its processes see the same.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray, RawValue
from typing import Any

SLOTS = 4_096  # a process marks the slot of its pid modulo this

GONE, IDLE, DRAINING, EXECUTING = range(4)
MARKS = re.compile(rb"[^\x00]")  # of those that are not GONE


@dataclass(frozen=True, slots=True)
class Workers:
    """How many worker processes of the cluster do what."""

    idle: int
    draining: int
    executing: int


class Board:
    """Marks of workers, and counts of the drain tasks that were handed out and of those that have begun."""

    def __init__(self) -> None:
        self._states = RawArray("B", SLOTS)
        self._pids = RawArray("i", SLOTS)
        self._handed_out = RawValue("Q", 0)  # written by the pusher alone
        # Each worker counts in its own slot: two that add to one number at once would lose one of the two.
        self._drains_begun = RawArray("Q", SLOTS)
        self._tasks_begun = RawArray("Q", SLOTS)
        self._forgotten = RawValue("Q", 0)  # handed out, and never arrived
        self._handed_out_at = RawValue("d", 0.0)
        self._tasks_queued = RawValue("Q", 0)  # the site's own tasks; written by the pusher alone
        self._is_stopping = RawValue("b", 0)
        self._pushed_at = RawValue("d", time.monotonic())

    # Workers -----------------------------------------------------------------------------------------------------

    def mark(self, state: int) -> None:
        """Note what this worker process does now."""
        slot = os.getpid() % SLOTS
        self._pids[slot] = os.getpid()
        self._states[slot] = state

    def begin_drain(self) -> None:
        """Note that a drain task has reached this worker."""
        self._drains_begun[os.getpid() % SLOTS] += 1
        self.mark(DRAINING)

    def begin_task(self) -> None:
        """Note that a task of the site's has reached this worker."""
        self._tasks_begun[os.getpid() % SLOTS] += 1
        self.mark(EXECUTING)

    @property
    def wants_workers(self) -> bool:
        """Whether a draining worker should give way: the site's own tasks wait, or the cluster is to stop."""
        return bool(self._is_stopping.value) or _total(self._tasks_begun) < self._tasks_queued.value

    def workers(self) -> Workers:
        """Count the living, wiping the marks of the dead."""
        counts = [0, 0, 0, 0]
        for mark in MARKS.finditer(bytes(self._states)):
            slot, state = mark.start(), mark[0][0]
            if _is_alive(self._pids[slot]):
                counts[state] += 1
            else:
                self._states[slot] = GONE
        return Workers(counts[IDLE], counts[DRAINING], counts[EXECUTING])

    @property
    def is_draining(self) -> bool:
        """Whether some worker is marked as draining; a dead one's mark counts until `workers` wipes it."""
        return DRAINING in bytes(self._states)

    # The pusher --------------------------------------------------------------------------------------------------

    def hand_out(self) -> None:
        """Note that a drain task goes to the workers."""
        # One that was given up may have arrived after all.
        self._forgotten.value = max(min(self._forgotten.value, self._handed_out.value - self.begun), 0)
        self._handed_out.value += 1
        self._handed_out_at.value = time.monotonic()

    def queue_tasks(self, count: int) -> None:
        """Note that tasks of the site's go to the workers."""
        self._tasks_queued.value = max(self._tasks_queued.value, _total(self._tasks_begun)) + count

    def set_stopping(self, is_stopping: bool) -> None:
        """Tell the workers that the cluster is to stop, or starts anew."""
        self._is_stopping.value = is_stopping
        self._tasks_queued.value = _total(self._tasks_begun)

    @property
    def waiting_seconds(self) -> float:
        """How long a drain task has been on its way without reaching a worker; 0 when none is."""
        if self.begun + self._forgotten.value >= self._handed_out.value:
            return 0.0
        return float(max(time.monotonic() - self._handed_out_at.value, 1e-9))

    @property
    def idle_seconds(self) -> float:
        """How long ago the last drain task was handed out."""
        return float(time.monotonic() - self._handed_out_at.value)

    def forget_handed_out(self) -> None:
        """Give up on drain tasks that never arrived, so that new ones are handed out."""
        self._forgotten.value = max(self._handed_out.value - self.begun, 0)

    def beat(self) -> None:
        """Note that the pusher is alive and pushing."""
        self._pushed_at.value = time.monotonic()

    @property
    def pusher_silent_seconds(self) -> float:
        """How long the pusher has not been heard of."""
        return float(time.monotonic() - self._pushed_at.value)

    @property
    def begun(self) -> int:
        """Drain tasks that have reached a worker so far."""
        return _total(self._drains_begun)


def _total(counts: Any) -> int:
    return sum(memoryview(counts).cast("B").cast("Q"))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


board = Board()
