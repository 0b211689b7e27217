"""What a store promises for activities that take long: heartbeats, completion from outside, and waits cut short."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ActivityAttempt:
    """One attempt of one call, as work item, token and event have it."""

    instance_pk: int
    execution: int
    task_id: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life, with the latest details as JSON text."""

    of: ActivityAttempt
    details: str | None


@dataclass(frozen=True, slots=True)
class DeferredActivity:
    """An attempt to be completed from outside within ``timeout``, which fails before if silent for ``silence``."""

    of: ActivityAttempt
    timeout: timedelta
    silence: timedelta | None
    details: str | None


class ProgressStore(ABC):
    """The part of a store that only such activities use. Times are the database's clock."""

    @abstractmethod
    def record_heartbeats(self, token: int, heartbeats: Sequence[Heartbeat]) -> set[ActivityAttempt]:
        """Write them in one statement for all that ``token`` holds; returns which were written.

        A work item that somebody has locked is left out, so that a worker's heartbeat never waits.
        """

    @abstractmethod
    def defer_activities(self, token: int, deferred: Sequence[DeferredActivity]) -> int:
        """Leave these work items, which ``token`` holds, open without a lease; returns how many there were.

        When its time is over one is claimed like any other, with ``deferred_until`` set, and is to fail.
        """

    @abstractmethod
    def renew_deferred(self, heartbeat: Heartbeat, silence: timedelta | None) -> bool:
        """Write a heartbeat from outside, in the caller's transaction; False where nobody waits for that attempt.

        One that is deferred may be silent for ``silence`` again, but not beyond its end.
        """

    @abstractmethod
    def hasten(self, instance_pk: int, execution: int, task_id: int, *, retry: bool) -> bool:
        """Make due now what a task waits for, in the caller's transaction; False where it waits for no such thing.

        With ``retry`` that is its next attempt: the timer before it, or the pause of a work item whose worker died.
        Without, it is the author's timer.
        """
