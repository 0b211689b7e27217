"""What a worker does between drains: upkeep of the task hub, and looking after questions to people."""

from __future__ import annotations

import logging
import threading
import time

from django.db import DatabaseError, InterfaceError, connections

from orchestrations.notices import occasions, outbox
from orchestrations.runtime.upkeep import Upkeep
from orchestrations.store.contract import Store

logger = logging.getLogger("orchestrations.runtime")

LOOK_SECONDS = 1.0  # between two looks of one worker for what is due
STOP_SECONDS = 5.0  # that messages on their way out get when the worker stops


class Chores:
    """All of them; none raises, and none keeps the worker from its instances for long.

    Without ``does_upkeep`` retention, counts and the sweep of stray files are left to other workers.
    """

    def __init__(self, store: Store, *, does_upkeep: bool = True) -> None:
        self._upkeep = Upkeep(store) if does_upkeep else None
        self._questions = Questions(store)

    def run(self) -> None:
        """Do what is due."""
        if self._upkeep is not None:
            self._upkeep.run()
        self._questions.run()

    def attend(self) -> None:
        """Look after questions now, without waiting for the next look, until what is due is done and told."""
        self._questions.attend()

    def close(self) -> None:
        """Let messages that are going out go out."""
        self._questions.wait(STOP_SECONDS)


class Questions:
    """Reminders, escalations and messages. Messages go out on a thread of their own: a mail server may be slow."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next = 0.0  # time.monotonic()
        self._sending: threading.Thread | None = None

    def run(self) -> None:
        """Attend to tasks that are due, and see that what is to be told is sent. Never raises a database error."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_SECONDS
        try:
            while occasions.has_due(self._store):
                occasions.attend(self._store)
            is_sending = self._sending is not None and self._sending.is_alive()
            if not is_sending and outbox.has_due(self._store):
                self._sending = threading.Thread(target=self._send, name="durable-notices", daemon=True)
                self._sending.start()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Questions to people are looked after again later: %s", error)
            connections[self._store.using].close()

    def attend(self) -> None:
        """Look now, and wait until what is due has been sent."""
        self._next = 0.0
        self.run()
        self.wait(STOP_SECONDS)

    def wait(self, seconds: float) -> None:
        """Wait for the thread that sends."""
        if self._sending is not None:
            self._sending.join(seconds)

    def _send(self) -> None:
        try:
            while outbox.send_due(self._store):
                pass
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Messages to people are sent later: %s", error)
        finally:
            connections[self._store.using].close()
