"""The release that runs already."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from orchestrations import OrchestrationContext, activity, orchestrator


@activity
def charge(order: int) -> str:
    return f"{order} charged"


@orchestrator(version="1")
def pay(context: OrchestrationContext, order: int) -> Generator[Any, Any, list[Any]]:
    yield context.wait_for_external_event("go")
    return ["old code", context.version, (yield context.call_activity(charge, order))]


@orchestrator
def retired(context: OrchestrationContext) -> Generator[Any, Any, str]:
    """The next release has it no more."""
    yield context.wait_for_external_event("go")
    return "old code"
