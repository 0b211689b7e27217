"""The numbers of an execution's tasks: none stands for two calls, not even where a rewind has taken one of them back.

The number is in the id of a sub-orchestration, in an activity's idempotency key and in the results that come back. So
what the code decides after a rewind is numbered behind all that the failed execution has decided. The place follows
from the history alone, as that of a takeover does: it is in the stretch of code that the last event before the rewind
set off, behind the last decision that was kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrations.core.events import EventType, HistoryEvent

USED = "numbers_used"
"""The attribute of an ExecutionRewound that has the highest number of those which must not be given again."""


@dataclass(frozen=True, slots=True)
class Leap:
    """Behind that event and that many decisions, these numbers are used up."""

    after: int
    decisions: int  # without patches, which code may forget
    used: int


class TaskNumbers:
    """Gives each task its number, counting from 1."""

    def __init__(self) -> None:
        self.given = 0  # how many there are
        self._last = 0
        self._decisions = 0
        self._coming: deque[Leap] = deque()

    def foresee(self, history: Sequence[HistoryEvent], used: int = 0) -> None:
        """Find the leaps in a history that is about to be replayed; with ``used``, one that follows where it ends."""
        if not used and not any(USED in event.attributes for event in history):
            return
        after = decisions = 0
        for event in history:
            if USED in event.attributes:
                self._coming.append(Leap(after, decisions, event.attributes[USED]))
            elif event.is_decided:
                decisions += event.type is not EventType.PATCH_APPLIED
            elif not event.goes_on:
                after = event.sequence
        if used:
            self._coming.append(Leap(after, decisions, used))

    def count(self, kind: EventType) -> None:
        """Note a decision of the code."""
        self._decisions += kind is not EventType.PATCH_APPLIED

    def next(self, sequence: int) -> int:
        """The number of what the code begins while it processes that event."""
        while self._coming and self._has_come(self._coming[0], sequence):
            self._last = max(self._last, self._coming.popleft().used)
        self._last += 1
        self.given += 1
        return self._last

    def _has_come(self, leap: Leap, sequence: int) -> bool:
        return sequence > leap.after or (sequence == leap.after and self._decisions >= leap.decisions)


def used_in(history: Sequence[HistoryEvent]) -> int:
    """The highest number that the execution, or one that it took the place of, has given."""
    decided = (event.task_id or 0 for event in history if event.is_decided)
    return max([0, *decided, *(int(event.attributes.get(USED, 0)) for event in history)])
