"""What a store promises for leases: what is in flight belongs to one, and comes free with its end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrations.store.contract import ActivityKey


@dataclass(slots=True)
class Recovery:
    """What a sweep freed from workers whose lease had expired."""

    workers: int = 0
    instances: int = 0
    activities: int = 0


class LeaseStore(ABC):
    """A part of the store's contract. A token is a number, never used before; times are the database's clock."""

    @abstractmethod
    def open_lease(
        self, worker: str, host: str, pid: int, duration: timedelta, capacity: int, functions: str, build: str = ""
    ) -> int:
        """Register a worker process and return its fencing token, never used before."""

    @abstractmethod
    def renew_lease(self, token: int, duration: timedelta, in_flight: int) -> bool:
        """Prolong the lease; False when it is gone, and the process must stop what it holds and open a new one."""

    @abstractmethod
    def disown(self, token: int, keep: Collection[ActivityKey]) -> None:
        """Free all that the token holds except for these work items, and keep the lease.

        For a worker that had no answer from the database, and so can't know what it has been given. It lives: neither
        attempts nor dispatches are counted.
        """

    @abstractmethod
    def close_lease(self, token: int) -> None:
        """Free all that the token holds, at once, and forget it. Activities are uncounted: their worker lives."""

    @abstractmethod
    def recover(self) -> Recovery:
        """Free all that is held by tokens without a live lease, and delete expired leases. Safe to run anywhere, often.

        A freed work item that has been dispatched before becomes visible after a back-off that grows with its
        dispatches (2 to 600 seconds, from the second on); the first retry is at once.
        """
