"""What a store promises to those who keep a task hub small: which instances may go, chores, counts and stray files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrations.store.outbox_contract import NewDeadLetter

Place = tuple[datetime, int]
"""Where a walk over instances stands: the instant that it goes by, and the primary key, of the last one seen."""


@dataclass(frozen=True, slots=True)
class EndedInstance:
    """An instance that a walk came by, live where ``completed_at`` is None. With a live parent it is to stay."""

    pk: int
    place: Place
    name: str
    status: str
    completed_at: datetime | None
    has_live_parent: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """How many ends were added up, and whether there are more of that status."""

    ends: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class UndoneEnd:
    """An end that is taken back: how, when, and of which instance."""

    status: str
    at: datetime
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of a chore has done, how long it took, and why it failed if it did."""

    done: int
    seconds: float
    trouble: str = ""


class UpkeepStore(ABC):
    """A part of the store's contract."""

    @abstractmethod
    def look_at_ended(
        self, before: datetime, after: Place | None, limit: int, *, status: str = "", name: str = ""
    ) -> list[EndedInstance]:
        """Walk over instances, never entities: those with that status by their end, or those of that orchestrator,
        whatever their status, by their creation; from behind ``after`` up to that moment.

        A page costs the same wherever it is and whatever the instances are.
        """

    @abstractmethod
    def take_chore(self, name: str, duration: timedelta) -> bool:
        """Take a chore of the task hub if it is due: nobody else gets it for that long. A new one is due at once."""

    @abstractmethod
    def finish_chore(self, name: str, pause: timedelta, run: Run | None = None) -> None:
        """Say when a chore that was taken is due again, and keep what the run has done."""

    @abstractmethod
    def count_ends(self, status: str, before: datetime, limit: int) -> Counted:
        """Add ends with that status before that moment to the counts, about ``limit`` of them, each exactly once.

        No transaction with an earlier end may be open any more at that moment. Does nothing while another counts.
        """

    @abstractmethod
    def drop_old_counts(self, limit: int) -> int:
        """Delete up to ``limit`` counts that are older than anybody asks for; returns how many."""

    @abstractmethod
    def sweep_strays(self, age: timedelta, part: int | None = None) -> int:
        """Delete files of payloads and answers that are older than ``age`` and belong to nothing; returns how many.

        Such files stay behind where a process is killed or a transaction rolled back. ``part`` is one of the
        ``payload_files.PARTS`` that a long walk can be divided into; without it all are looked at.
        """

    @abstractmethod
    def delete_instances(self, limit: int) -> int:
        """Delete up to ``limit`` instances and entities of the task hub, live ones too; returns how many went.

        For a task hub that is given up: nobody may be working it. Each call is one transaction.
        """

    @abstractmethod
    def delete_belongings(self, limit: int) -> int:
        """Delete what else the task hub has, ``limit`` rows in a transaction; returns how many went.

        Webhooks, API keys, grants, saved views, jobs, counts, chores, dead letters, leases. The audit trail stays.
        """

    @abstractmethod
    def keep_dead_letters(self, dead: Sequence[NewDeadLetter]) -> None:
        """Write work that is given up into the table of dead letters; what is there already stays as it is."""

    @abstractmethod
    def forget_dead_letters(self, age: timedelta) -> int:
        """Delete dead letters that are older, and return how many went."""
