"""Singleton: one instance of a kind at a time, however many ask for it.

The id is fixed and the database lets one start win, so there is no moment between looking and starting.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from orchestrations import InstanceAlreadyExists, OrchestrationClient, OrchestrationContext, activity, orchestrator

INSTANCE_ID = "search-index"


@activity
def read_documents(kind: str) -> list[str]:
    """Return the documents of that kind; the sample has two of each."""
    return [f"{kind} {number}" for number in (1, 2)]


@orchestrator
def rebuild_index(context: OrchestrationContext, kinds: list[str]) -> Generator[Any, Any, int]:
    """Read everything anew, and return how many documents there are."""
    documents = yield context.task_all([context.call_activity(read_documents, kind) for kind in kinds])
    return sum(len(found) for found in documents)


def ensure_rebuilding(client: OrchestrationClient, kinds: list[str]) -> bool:
    """Start a rebuild unless one is running; returns whether this call started it."""
    try:
        client.start_new(rebuild_index, INSTANCE_ID, kinds)
    except InstanceAlreadyExists:
        return False
    return True
