"""What a database must be able to do with the hot tables; the store's flows are written over these operations.

Each operation is one statement (or a few) for any number of rows, and leaves transactions to its caller. The plain
ORM, PostgreSQL and SQLite perform them in their own way; see ``orm``, ``postgresql`` and ``sqlite``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestrations.core.entity_ids import EntityId
from orchestrations.store.contract import ActivityCompletion, Checkpoint, NewInstance
from orchestrations.store.rows import Row

BATCH = 500  # rows named in one statement of the ORM, and instances purged in one transaction

TaskKey = tuple[int, int, int]
"""An instance's primary key, the execution, the task id."""

AttemptKey = tuple[int, int, int, int]
"""The same, and the attempt."""

EventKey = tuple[int, str]
"""An instance's primary key and an idempotency key."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a sender has to know of an instance."""

    pk: int
    instance_id: str
    status: str
    claimable_at: datetime | None
    parent_pk: int | None


@dataclass(frozen=True, slots=True)
class Fenced:
    """Instances whose rows answered a commit, which of them have large payloads in files, and the database's time."""

    held: set[int]
    have_files: set[int]
    now: datetime


class Tables(ABC):
    """The hot tables of one task hub in one database."""

    def __init__(self, hub: str, using: str) -> None:
        self.hub = hub
        self.using = using

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """This thread's connection."""
        return connections[self.using]

    def atomic(self) -> AbstractContextManager[None]:
        """A transaction, or a part of the one that the caller has open. No savepoint: a failure spoils the whole."""
        return transaction.atomic(self.using, savepoint=False)

    def batch(self) -> AbstractContextManager[None]:
        """``atomic`` for statements of which few have an answer: sent without waiting, where the database can."""
        return self.atomic()

    @abstractmethod
    def now(self) -> datetime:
        """The database's clock."""

    @abstractmethod
    def insert(self, model: type[models.Model], columns: Sequence[str], rows: Collection[Row]) -> None:
        """Insert the rows in their order."""

    @abstractmethod
    def delete(self, model: type[models.Model], columns: Sequence[str], keys: Collection[Row]) -> None:
        """Delete the rows whose ``columns`` have one of these values."""

    @abstractmethod
    def cancel_timers(self, columns: Sequence[str], keys: Collection[Row]) -> None:
        """Make the pending timers whose ``columns`` have one of these values Cancelled."""

    @abstractmethod
    def insert_messages(self, rows: Collection[Row]) -> None:
        """Insert rows of INBOX_COLUMNS in their order, but none whose idempotency key is in the inbox already."""

    @abstractmethod
    def remember_event_keys(self, keys: Sequence[EventKey]) -> set[EventKey]:
        """Insert keys of external events, and return those that their instances had not seen.

        Waits for a concurrent transaction that is inserting the same key.
        """

    @abstractmethod
    def insert_instances(self, instances: Sequence[NewInstance]) -> dict[str, int]:
        """Insert those whose id is free, and return the new primary keys by id.

        Waits for a concurrent transaction that is inserting the same id.
        """

    @abstractmethod
    def replace_ended(self, instances: Sequence[NewInstance]) -> dict[str, int]:
        """Turn ended instances with these ids into new, Pending executions; returns their primary keys by id."""

    @abstractmethod
    def find(self, pks: Collection[int], instance_ids: Collection[str]) -> list[Target]:
        """The instances of this hub with one of these primary keys or ids."""

    @abstractmethod
    def insert_entities(self, entity_ids: Sequence[EntityId]) -> dict[str, int]:
        """Insert the instances of entities that don't exist, and return the new primary keys by id, as for others."""

    @abstractmethod
    def hold_entities(self, instance_ids: Collection[str]) -> dict[str, int]:
        """The primary keys of those entities that exist, by id, which nobody removes until the transaction ends."""

    @abstractmethod
    def write_entities(self, rows: Collection[Row]) -> None:
        """Insert rows of ENTITY_COLUMNS, or put them in the place of those that their instances have."""

    @abstractmethod
    def lock_idle_entities(self, pks: Collection[int]) -> list[int]:
        """Lock the instances of entities that no worker holds and nobody else has locked, without waiting for any."""

    @abstractmethod
    def fence(self, token: int, checkpoints: Sequence[Checkpoint]) -> Fenced:
        """Update the instance rows that still carry what the worker believes."""

    @abstractmethod
    def take_completed(self, token: int, completions: Sequence[ActivityCompletion]) -> set[TaskKey]:
        """Delete the work items that ``token`` holds in the attempt that ended; return which there were."""

    @abstractmethod
    def update_held(
        self, token: int, columns: Sequence[str], rows: Collection[Row], *, skips_locked: bool = False
    ) -> set[AttemptKey]:
        """Set columns of the work items that ``token`` holds, and their heartbeat to now; return which there were.

        A row is an AttemptKey and the values of ``columns``. With ``skips_locked`` what others have locked is left out.
        """

    @abstractmethod
    def lock_ended(self, pks: Collection[int]) -> list[int]:
        """Lock those of the instances that have ended, against anything until the transaction ends."""


def chunks(rows: Collection[Any], size: int) -> Iterable[list[Any]]:
    """The rows in lists of at most ``size``, in order."""
    listed = list(rows)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]
