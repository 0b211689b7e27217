"""Telling those who listen what becomes of instances: webhooks with the commit, Django's signals after it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable
from datetime import datetime

from django.db import close_old_connections, connections

from orchestrations import signals
from orchestrations.core.lifecycle import Transition
from orchestrations.limits import SIGNALS_WAITING
from orchestrations.models import Instance
from orchestrations.runtime.instances import Advance
from orchestrations.runtime.transitions import transitions_of
from orchestrations.store.contract import Checkpoint, Store
from orchestrations.webhooks.courier import Courier
from orchestrations.webhooks.outbox import Outbox

logger = logging.getLogger("orchestrations.runtime")

STOP_SECONDS = 5.0  # for receivers and messages on their way when the worker stops


class Announcer:
    """One worker process's announcements."""

    def __init__(self, store: Store) -> None:
        self._hub = store.hub
        self.outbox = Outbox(store.hub, store.using)
        self.courier = Courier(store, self.outbox)
        self.receivers = Receivers()

    def note(self, advance: Advance, checkpoint: Checkpoint, now: datetime) -> None:
        """Put into the checkpoint what is to be told of it; nothing where nobody listens."""
        if not (self.outbox.subscriptions() or signals.heard_events()):
            return
        checkpoint.transitions = transitions_of(self._hub, advance, checkpoint, now)
        checkpoint.deliveries = self.outbox.deliveries(checkpoint.transitions)

    def announce(self, checkpoint: Checkpoint) -> None:
        """Tell of a checkpoint that is written."""
        if checkpoint.deliveries:
            self.courier.hurry()
        if checkpoint.transitions:
            self.receivers.tell(checkpoint.transitions)

    def stop(self) -> None:
        """Give what is on its way a moment, and end."""
        self.receivers.stop(STOP_SECONDS)
        self.courier.stop(STOP_SECONDS)


class Receivers:
    """Sends signals on a thread of its own, in order; it exists once there is something to tell."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Transition | None] = queue.Queue(SIGNALS_WAITING)
        self._thread: threading.Thread | None = None

    def tell(self, transitions: Iterable[Transition]) -> None:
        """Send the signals for these that have receivers. Never waits: what can't be kept is dropped."""
        for transition in transitions:
            if not signals.SIGNALS[transition.event].receivers:
                continue
            try:
                self._waiting.put_nowait(transition)
            except queue.Full:
                logger.error(
                    "Receivers of signals are too slow: %s of %s is told to none.",
                    transition.event,
                    transition.instance_id,
                )
                continue
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="signal-receivers", daemon=True)
                self._thread.start()

    def stop(self, seconds: float) -> None:
        """Wait a while until all are told."""
        if self._thread is not None and self._thread.is_alive():
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                return
            self._thread.join(timeout=seconds)

    def _run(self) -> None:
        try:
            while (transition := self._waiting.get()) is not None:
                close_old_connections()
                # Django logs the errors of receivers, with their tracebacks.
                signals.SIGNALS[transition.event].send_robust(sender=Instance, transition=transition)
                if self._waiting.empty():
                    connections.close_all()
        finally:
            connections.close_all()
