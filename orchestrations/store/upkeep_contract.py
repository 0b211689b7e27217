"""What a store promises to those who keep a task hub small: which instances may go, chores, and stray files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class ExpiredInstance:
    """An instance that ended before some moment. While its parent is live, it is to stay."""

    pk: int
    completed_at: datetime
    has_live_parent: bool


class UpkeepStore(ABC):
    """A part of the store's contract."""

    @abstractmethod
    def find_expired(
        self, status: str, before: datetime, after: tuple[datetime, int] | None, limit: int
    ) -> list[ExpiredInstance]:
        """Instances that ended with that status before that moment, the earliest first; never entities.

        ``after`` is the end and the primary key of the last one seen. A page costs the same wherever it is.
        """

    @abstractmethod
    def take_chore(self, name: str, duration: timedelta) -> bool:
        """Take a chore of the task hub if it is due: nobody else gets it for that long. A new one is due at once."""

    @abstractmethod
    def finish_chore(self, name: str, pause: timedelta) -> None:
        """Say when a chore that was taken is due again."""

    @abstractmethod
    def sweep_strays(self, age: timedelta) -> int:
        """Delete files of large payloads that are older than ``age`` and belong to nothing; returns how many.

        Such files stay behind where a process is killed or a transaction rolled back.
        """
