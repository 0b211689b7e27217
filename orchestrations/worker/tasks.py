"""The one task that the cluster's workers run for us: a slice of the drain loop."""

from __future__ import annotations

import logging
import os
from multiprocessing.util import Finalize

from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

from orchestrations.runtime.drain import Runtime
from orchestrations.worker.board import IDLE, board

logger = logging.getLogger("orchestrations.worker")

_runtime: tuple[int, Runtime] | None = None


def runtime() -> Runtime:
    """This process's runtime, made at the first drain and stopped when the process ends."""
    global _runtime
    if _runtime is None or _runtime[0] != os.getpid():
        engine = Runtime()
        Finalize(engine, engine.stop, exitpriority=100)
        _runtime = (os.getpid(), engine)
    return _runtime[1]


def drain() -> None:
    """Work for one slice. Whatever goes wrong is logged: the tables are the truth, and the next drain tries again."""
    board.begin_drain()
    try:
        engine = runtime()
        engine.drain(engine.config.drain_seconds, gives_way=lambda: board.wants_workers)
    except Exception:
        logger.exception("A drain ended early.")


def _spawned(**kwargs: object) -> None:
    board.mark(IDLE)


def _begins(func: object, **kwargs: object) -> None:
    if func is not drain:
        board.begin_task()


def _ended(**kwargs: object) -> None:
    board.mark(IDLE)


post_spawn.connect(_spawned, dispatch_uid="orchestrations.board")
pre_execute.connect(_begins, dispatch_uid="orchestrations.board")
post_execute_in_worker.connect(_ended, dispatch_uid="orchestrations.board")
