"""The supervised cluster: django-q2's, restarted whenever it is dead or wedged.

A worker that is killed while it reads the queue takes the queue's lock with it, and django-q2's cluster then hands out
nothing for ever. The supervisor sees that drain tasks are handed out and reach nobody although a worker is idle.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from multiprocessing import Event
from typing import Any

from django.db import connections
from django_q.cluster import Cluster, Sentinel, get_mp_context

from orchestrations.conf import get_config
from orchestrations.worker.board import board

logger = logging.getLogger("orchestrations.worker")

WATCH_SECONDS = 0.5
WEDGED_SECONDS = 10.0  # a drain task that no idle worker has taken by then never will be
SILENT_SECONDS = 30.0  # a pusher that has not been heard of for so long hangs
START_SECONDS = 30.0
STOP_MARGIN_SECONDS = 8.0  # on top of what activities are given to end
RESTART_SECONDS = (0.5, 1.0, 2.0, 5.0)  # pauses between restarts that follow each other closely
HEALTHY_SECONDS = 60.0  # a cluster that lived so long starts the pauses anew


class GroupSentinel(Sentinel):  # type: ignore[misc]
    """django-q2's sentinel as the leader of a process group, so that the whole cluster can be killed together."""

    def __init__(self, stop_event: Any, *args: Any, **kwargs: Any) -> None:
        os.setpgid(0, 0)
        threading.Thread(target=_stop_with_parent, args=(os.getppid(), stop_event), daemon=True).start()
        super().__init__(stop_event, *args, **kwargs)


class SupervisedCluster(Cluster):  # type: ignore[misc]
    """A cluster that starts without blocking and can be killed."""

    def start(self) -> int:
        """Fork the sentinel and return its pid."""
        connections.close_all()
        self.stop_event = Event()
        self.start_event = Event()
        arguments = (self.stop_event, self.start_event, self.cluster_id, self.broker, self.timeout)
        self.sentinel = get_mp_context().Process(target=GroupSentinel, name="sentinel", args=arguments)
        self.sentinel.start()
        return int(self.sentinel.pid or 0)

    def join(self, seconds: float) -> bool:
        """Wait for the sentinel's end; False if it lives on."""
        self.sentinel.join(seconds)
        return not self.sentinel.is_alive()

    def kill(self) -> None:
        """End every process of the cluster at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.sentinel.pid, signal.SIGKILL)
        self.sentinel.join(5)


class Supervisor:
    """Keeps one cluster running until SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def run(self, *, once: bool = False) -> None:
        """Start, watch and restart the cluster; return when told to stop, with everything ended.

        With ``once`` it stops as soon as it has started.
        """
        restarts = 0
        self._take_signals()
        give_up_connection_pools()
        while not self._stopping.is_set():
            cluster = SupervisedCluster()
            self._take_signals()  # django-q2's cluster has just put its own handlers, which can block, in place
            started = time.monotonic()
            board.forget_handed_out()
            board.set_stopping(False)
            board.beat()
            cluster.start()
            if once:
                cluster.start_event.wait(START_SECONDS)
                self._stopping.set()
            trouble = self._watch(cluster)
            if trouble is None:
                self._stop(cluster)
                return
            logger.critical("Restarting the cluster: %s", trouble)
            cluster.kill()
            restarts = 0 if time.monotonic() - started > HEALTHY_SECONDS else restarts + 1
            self._stopping.wait(RESTART_SECONDS[min(restarts, len(RESTART_SECONDS) - 1)])

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())

    def _watch(self, cluster: SupervisedCluster) -> str | None:
        """Return what is wrong with the cluster, or None when it is time to stop."""
        begun, since = board.begun, time.monotonic()
        while not self._stopping.wait(WATCH_SECONDS):
            if not cluster.sentinel.is_alive():
                return f"the sentinel ended with exit code {cluster.sentinel.exitcode}"
            # With every worker busy the pusher may wait for a place in the queue for as long as they are.
            if board.pusher_silent_seconds > SILENT_SECONDS and board.workers().idle:
                return f"the pusher has been silent for {SILENT_SECONDS:g} seconds"
            if board.begun != begun or board.waiting_seconds == 0 or not board.workers().idle:
                begun, since = board.begun, time.monotonic()
            elif time.monotonic() - since > WEDGED_SECONDS:
                return f"drain tasks have not reached any idle worker for {WEDGED_SECONDS:g} seconds"
        return None

    def _stop(self, cluster: SupervisedCluster) -> None:
        board.set_stopping(True)
        # Setting the event blocks for ever if the sentinel was killed while it waited for it.
        threading.Thread(target=cluster.stop_event.set, daemon=True).start()
        if not cluster.join(get_config().stop_seconds + STOP_MARGIN_SECONDS):
            logger.critical("The cluster did not stop in time and is killed.")
        cluster.kill()


def give_up_connection_pools() -> None:
    """Let every thread of the cluster have connections of its own, whatever the settings say.

    A pool is for the threads of one process. Processes that are forked from it would talk over the same connections at
    the same time, and take each other's answers for their own.
    """
    for connection in connections.all():
        connection.close()
        if connection.settings_dict.get("OPTIONS", {}).get("pool"):
            connection.close_pool()  # type: ignore[attr-defined]  # only PostgreSQL has pools
            del connection.settings_dict["OPTIONS"]["pool"]  # the same dictionary for the connections of all threads


def _stop_with_parent(parent: int, stop_event: Any) -> None:
    """End the cluster when its supervisor is gone, so that no orphan goes on working."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    threading.Thread(target=stop_event.set, daemon=True).start()  # it blocks where a killed process held its lock
    time.sleep(get_config().stop_seconds + STOP_MARGIN_SECONDS)
    os.killpg(0, signal.SIGKILL)
