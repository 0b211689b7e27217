"""Activities that ask for a process of their own. The process imports this module by its name."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

from orchestrations import ActivityContext, activity
from orchestrations.authoring.registry import registry
from orchestrations.models import AuditEntry

with registry.preserved():

    @activity(process=True)
    def own_pid(context: ActivityContext, value: object) -> list[object]:
        sys.stdout.write(f"{value}\n")  # must not be taken for an answer
        return [os.getpid(), value, context.idempotency_key, context.attempt]

    @activity(process=True)
    async def own_pid_async(value: object) -> list[object]:
        await asyncio.to_thread(int)
        return [os.getpid(), value]

    @activity(process=True, timeout=60)
    def computes_for_ever(context: ActivityContext, path: str) -> None:
        """Without a wait that anything could interrupt."""
        with open(path, "w") as file:
            file.write(str(os.getpid()))
        while True:
            pass

    @activity(process=True)
    def crashes(value: object) -> None:
        os._exit(7)

    @activity(process=True)
    def raises(value: str) -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise LookupError(value) from error

    @activity(process=True)
    def exits(value: object) -> None:
        sys.exit(3)

    @activity(process=True)
    def returns_no_json(value: object) -> object:
        return object()

    @activity(process=True)
    def tells_until_cancelled(context: ActivityContext, limit: float) -> str:
        end = time.monotonic() + limit
        pause = threading.Event()
        while not context.is_cancelled() and time.monotonic() < end:
            context.heartbeat({"from": os.getpid()})
            pause.wait(0.01)
        return "cancelled" if context.is_cancelled() else "not told"

    @activity(process=True)
    def defers_from_there(context: ActivityContext, value: object) -> str:
        context.heartbeat(context.completion_token)
        return context.defer(60)

    @activity(process=True)
    def counts_rows(value: str) -> int:
        return AuditEntry.objects.filter(instance_id=value).count()


ALL = [value for value in globals().values() if hasattr(value, "durable")]
