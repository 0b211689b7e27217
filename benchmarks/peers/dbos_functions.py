"""The measured workflows as DBOS has them. Threads run the small ones and asyncio the wide one: each is the faster."""

# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import asyncio
import time

from dbos import DBOS

from benchmarks.workloads import STEPS

TOPIC = "go"


@DBOS.step()
def increment(number: int) -> int:
    """The one step of all workloads."""
    return number + 1


@DBOS.step()
async def increment_async(number: int) -> int:
    """The same for the fan-out."""
    return number + 1


@DBOS.workflow()
def three_steps(number: int) -> int:
    """Three steps, one after the other."""
    for _ in range(STEPS):
        number = increment(number)
    return number


@DBOS.workflow()
def one_step(number: int) -> int:
    """One step."""
    return int(increment(number))


@DBOS.workflow()
async def fan_out(count: int) -> int:
    """Many steps at once, and the sum of what they return."""
    return sum(await asyncio.gather(*[increment_async(number) for number in range(count)]))


@DBOS.workflow()
def chain(count: int) -> int:
    """Many steps, each with the result of the one before."""
    number = 0
    for _ in range(count):
        number = increment(number)
    return number


@DBOS.workflow()
def wait_for_go() -> int:
    """One message."""
    return int(DBOS.recv(TOPIC))


@DBOS.workflow()
async def sleep_until(due: float) -> float:
    """One timer. Returns by how many seconds the code goes on late."""
    await DBOS.sleep_async(due - time.time())
    return time.time() - due
