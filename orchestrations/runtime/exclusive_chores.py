"""Chores of a task hub: small pieces of upkeep beside the work, each done by one worker at a time."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connections

from orchestrations.core.failures import message_of
from orchestrations.store.contract import Store
from orchestrations.store.upkeep_contract import Run

logger = logging.getLogger("orchestrations.runtime")

NEXT = timedelta(seconds=1)  # between two runs while there is more to do
TAKEN = timedelta(seconds=60)  # after which another worker does what one that died had begun


class ExclusiveChore(ABC):
    """Does a little at a time when it is due; of all workers only one."""

    name: str
    look_every = timedelta(seconds=1)
    """How often a worker asks whether it is due."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next = 0.0  # time.monotonic()

    @property
    def is_wanted(self) -> bool:
        """Whether there can be anything to do; if not, not even the database is asked."""
        return True

    @abstractmethod
    def work(self) -> tuple[int, timedelta]:
        """Do a piece; returns how many things were done, and when to go on."""

    def run(self) -> int:
        """Do a piece if it is time, and return how much was done. What goes wrong is logged, and tried again later."""
        if not self.is_wanted or time.monotonic() < self._next:
            return 0
        self._next = time.monotonic() + self.look_every.total_seconds()
        try:
            if not self._store.take_chore(self.name, TAKEN):
                return 0
            began = time.monotonic()
            done, pause = self._try()
            seconds = time.monotonic() - began
            self._store.finish_chore(self.name, pause, Run(done, seconds, self._trouble))
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The chore %s is tried again later: %s", self.name, error)
            connections[self._store.using].close()
            return 0
        return done

    def _try(self) -> tuple[int, timedelta]:
        """A failure of the chore itself is kept with the run; one that has taken the connection along is not."""
        self._trouble = ""
        try:
            return self.work()
        except InterfaceError:
            raise
        except Exception as error:  # a storage has errors of its own
            logger.warning("The chore %s failed, and is tried again in a minute: %s", self.name, error)
            self._trouble = f"{type(error).__name__}: {message_of(error)}"
            return 0, TAKEN
