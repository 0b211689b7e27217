"""The release that is rolled out: ``pay`` in another version, and names that the old one lacks."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from orchestrations import OrchestrationContext, activity, orchestrator
from tests.waiting import eventually


@activity
def charge(order: int) -> str:
    return f"{order} charged"


@activity
def reserve(order: int) -> str:
    return f"{order} reserved"


@activity
def take_long(order: int) -> None:
    """Until the test lets it end."""
    eventually(Path(os.environ["TEST_GATE"]).exists, timeout_seconds=60)


@orchestrator(version="2")
def pay(context: OrchestrationContext, order: int) -> Generator[Any, Any, list[Any]]:
    yield context.wait_for_external_event("go")
    reserved = yield context.call_activity(reserve, order)
    return ["new code", context.version, reserved, (yield context.call_activity(charge, order))]


@orchestrator
def introduced(context: OrchestrationContext, count: int) -> Generator[Any, Any, int]:
    """More activities than one process has room for, so that some wait in the table for whoever comes first."""
    return len((yield context.task_all([context.call_activity(take_long, order) for order in range(count)])))
