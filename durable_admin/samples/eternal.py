"""Eternal orchestration: a round of work for ever, each with a fresh history.

``continue_as_new`` begins the next round under the same id. The history never grows, and a request that arrives between
two rounds is there in the next.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from orchestrations import OrchestrationContext, activity, orchestrator


@dataclass(frozen=True)
class Cleaning:
    """How often to clean a store room, and how often that has been done."""

    room: str
    every: timedelta = timedelta(hours=1)
    rounds: int = 0


@activity
def clean_room(room: str) -> str:
    """Clean once; a real activity would delete what is old."""
    return f"{room} is clean"


@orchestrator
def keep_clean(context: OrchestrationContext, cleaning: Cleaning) -> Generator[Any, Any, int | None]:
    """Clean, rest, and begin anew; the event ``stop`` ends it, and its output is the number of rounds."""
    yield context.call_activity(clean_room, cleaning.room)
    done = replace(cleaning, rounds=cleaning.rounds + 1)
    context.set_custom_status({"rounds": done.rounds})
    stopped = yield context.wait_for_external_event("stop", timeout=cleaning.every, default=False)
    if stopped:
        return done.rounds
    context.continue_as_new(done)
    return None
