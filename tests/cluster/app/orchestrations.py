"""Functions that behave, and functions that do what functions in production do."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

from orchestrations import (
    ActivityContext,
    EntityContext,
    EntityId,
    OrchestrationContext,
    activity,
    entity,
    orchestrator,
)

Orchestration = Generator[Any, Any, Any]
FOR_EVER = 3_600.0


def append_line(path: str) -> None:
    """Another module-level function that is not durable, for django-q2 to run."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")


@activity
def double(number: int) -> int:
    return 2 * number


@activity
def fail(message: str) -> None:
    raise LookupError(message)


@activity
def return_a_socket(number: int) -> object:
    return object()


@activity
def hang(seconds: float) -> None:
    threading.Event().wait(seconds)


@activity
def note_and_hang_once(context: ActivityContext, folder: str) -> int:
    """Hangs the first time that it runs, and returns how often it ran."""
    runs = Path(folder) / "runs"
    with runs.open("a") as file:
        file.write(f"{os.getpid()}\n")
    count = len(runs.read_text().splitlines())
    if count == 1:
        threading.Event().wait(FOR_EVER)
    return count


@activity
def tell_and_hang_once(context: ActivityContext, folder: str) -> list[Any]:
    """Tells how far it has come and hangs, the first time; then returns what it was told of that."""
    if context.heartbeat_details is not None:
        return [context.heartbeat_details, context.idempotency_key]
    context.heartbeat({"pid": os.getpid(), "page": 7})
    threading.Event().wait(FOR_EVER)
    return []


@activity(process=True)
def compute_elsewhere(number: int) -> list[int]:
    return [os.getpid(), 2 * number]


@activity
def kill_own_process(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@activity
async def double_async(number: int) -> int:
    return 2 * number


@orchestrator
def good(context: OrchestrationContext, number: int) -> Orchestration:
    number = yield context.call_activity(double, number)
    return (yield context.call_activity(double_async, number))


@orchestrator
def calls(context: OrchestrationContext, call: list[Any]) -> Orchestration:
    """Call one activity, named in the input, with what follows its name."""
    name, value, *timeout = call
    return (yield context.call_activity(name, value, timeout=timeout[0] if timeout else None))


@orchestrator
def yields_a_number(context: OrchestrationContext) -> Orchestration:
    yield 42


@orchestrator
def computes_for_ever(context: OrchestrationContext) -> Orchestration:
    yield context.call_activity(double, 1)
    while True:
        pass


@orchestrator
def returns_a_socket(context: OrchestrationContext) -> Orchestration:
    yield context.call_activity(double, 1)
    return object()


@orchestrator
def waits(context: OrchestrationContext) -> Orchestration:
    return (yield context.wait_for_external_event("go"))


@orchestrator
def parent(context: OrchestrationContext, numbers: list[int]) -> Orchestration:
    return (yield context.task_all([context.call_sub_orchestrator(good, number) for number in numbers]))


@entity
def tally(context: EntityContext, amount: int) -> int:
    """Adds up."""
    total: int = context.get_state(int, 0) + amount
    context.set_state(total)
    return total


@orchestrator
def add_everywhere(context: OrchestrationContext, given: list[Any]) -> Orchestration:
    """Signals and calls each tally in turn, so many times: two more in each, each time."""
    keys, rounds = given
    for _ in range(rounds):
        for key in keys:
            context.signal_entity(EntityId("tally", key), "add", 1)
            yield context.call_entity(EntityId("tally", key), "add", 1)


@orchestrator
def move_between(context: OrchestrationContext, given: list[Any]) -> Orchestration:
    """Moves one from the first tally to the second, so many times, under a lock of both."""
    keys, rounds = given
    first, second = (EntityId("tally", key) for key in keys)
    for _ in range(rounds):
        with (yield context.lock_entities([first, second])):
            yield context.call_entity(first, "add", -1)
            yield context.call_entity(second, "add", 1)
