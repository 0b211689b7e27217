"""The measured orchestrations, written as a user would write them. The activities do nothing that takes time."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

from benchmarks.workloads import STEPS
from orchestrations import OrchestrationContext, activity, orchestrator

Orchestration = Generator[Any, Any, Any]

GO_EVENT = "go"


@activity
def increment(number: int) -> int:
    """The one activity of all workloads."""
    return number + 1


@orchestrator
def three_steps(context: OrchestrationContext, number: int) -> Orchestration:
    """Three activities, one after the other."""
    for _ in range(STEPS):
        number = yield context.call_activity(increment, number)
    return number


@orchestrator
def one_step(context: OrchestrationContext, number: int) -> Orchestration:
    """One activity."""
    return (yield context.call_activity(increment, number))


@orchestrator
def fan_out(context: OrchestrationContext, count: int) -> Orchestration:
    """Many activities at once, and the sum of what they return."""
    results = yield context.task_all([context.call_activity(increment, number) for number in range(count)])
    return sum(results)


@orchestrator
def chain(context: OrchestrationContext, count: int) -> Orchestration:
    """Many activities, each with the result of the one before."""
    number = 0
    for _ in range(count):
        number = yield context.call_activity(increment, number)
    return number


@orchestrator
def wait_for_go(context: OrchestrationContext) -> Orchestration:
    """One external event."""
    return (yield context.wait_for_external_event(GO_EVENT))


@orchestrator
def sleep_until(context: OrchestrationContext, due: float) -> Orchestration:
    """One timer. Returns by how many seconds the code goes on late, by the orchestration's clock."""
    yield context.create_timer(datetime.fromtimestamp(due, UTC))
    return context.current_utc_datetime.timestamp() - due
