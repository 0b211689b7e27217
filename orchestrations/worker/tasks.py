"""The one task that the cluster's workers run for us: a slice of the drain loop, and one of bulk jobs if there are."""

from __future__ import annotations

import logging
import os
import time
from multiprocessing.util import Finalize

from django_q.conf import Conf
from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

from orchestrations.bulk.runner import BulkRunner
from orchestrations.core.interruptions import EpisodeTimeout
from orchestrations.runtime.drain import Runtime
from orchestrations.worker.board import GONE, IDLE, board

logger = logging.getLogger("orchestrations.worker")

FAILED_SECONDS = 1.0  # pause after a drain that failed: the work is still there, and the next drain comes at once
NEVER = -1  # as django-q2's number of tasks after which a worker is replaced


class _Recycling:
    """Keeps django-q2's RECYCLE to what it is meant for: the site's own tasks, and never while activities run.

    Drains are many and short. A worker that ended after so many of them would take along, again and again, every
    activity that needs longer.
    """

    def __init__(self) -> None:
        self._limit = Conf.RECYCLE or 0
        self._tasks = 0  # of all kinds, as django-q2 counts them
        self._own = 0  # of the site's

    def count(self, *, is_drain: bool) -> None:
        """Count a task that has ended, and say whether the worker is to end with it."""
        self._tasks += 1
        self._own += not is_drain
        is_free = _runtime is None or not _runtime[1].pool.is_busy
        Conf.RECYCLE = self._tasks if is_free and 0 < self._limit <= self._own else NEVER


_runtime: tuple[int, Runtime] | None = None
_bulk: BulkRunner | None = None  # of the same process as the runtime
_recycling: _Recycling | None = None


def runtime() -> Runtime:
    """This process's runtime, made at the first drain and stopped when the process ends."""
    global _runtime, _bulk
    if _runtime is None or _runtime[0] != os.getpid():
        engine = Runtime()
        _bulk = BulkRunner(engine.store)
        Finalize(engine, _stop, args=(engine,), exitpriority=100)
        _runtime = (os.getpid(), engine)
    return _runtime[1]


def _stop(engine: Runtime) -> None:
    board.mark(GONE)  # it takes no more tasks, which must not look as if none reached it
    engine.stop()


def drain() -> None:
    """Work for one slice. Whatever goes wrong is logged: the tables are the truth, and the next drain tries again."""
    board.begin_drain()
    try:
        engine = runtime()
        assert _bulk is not None  # made with the runtime
        bulk = _bulk
        engine.drain(engine.config.drain_seconds, gives_way=lambda: board.wants_workers or bulk.has_work())
        bulk.run(gives_way=lambda: board.wants_workers)
    except (Exception, EpisodeTimeout):
        logger.exception("A drain ended early.")
        time.sleep(FAILED_SECONDS)


def _spawned(**kwargs: object) -> None:
    global _recycling
    _recycling = _Recycling()
    board.mark(IDLE)


def _begins(func: object, **kwargs: object) -> None:
    if func is not drain:
        board.begin_task()


def _ended(func: object, **kwargs: object) -> None:
    if _recycling is not None:
        _recycling.count(is_drain=func is drain)
    board.mark(IDLE)


post_spawn.connect(_spawned, dispatch_uid="orchestrations.board")
pre_execute.connect(_begins, dispatch_uid="orchestrations.board")
post_execute_in_worker.connect(_ended, dispatch_uid="orchestrations.board")
