"""Monitor: look at something again and again until it has happened or the patience has run out.

The waits are durable timers. Nothing runs and no worker is occupied between two looks, be it for seconds or for months.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orchestrations import OrchestrationContext, activity, orchestrator


@dataclass(frozen=True)
class Parcel:
    """A parcel to follow. ``stops`` is where the simulated carrier sees it, one more at each look."""

    number: str
    stops: list[str]
    look_every: timedelta = timedelta(minutes=30)
    give_up_after: timedelta = timedelta(days=14)


@dataclass(frozen=True)
class Look:
    """One look at a parcel; ``count`` is 1 for the first."""

    parcel: Parcel
    count: int


@dataclass(frozen=True)
class Delivery:
    """How following a parcel ended."""

    delivered: bool
    last_seen: str
    looks: int


@activity
def locate_parcel(look: Look) -> str:
    """Return where the parcel is. A real one would ask the carrier; this one moves a stop further at each look."""
    stops = look.parcel.stops
    return stops[min(look.count, len(stops)) - 1]


@orchestrator
def follow_parcel(context: OrchestrationContext, parcel: Parcel) -> Generator[Any, Any, Delivery]:
    """Look until the parcel is at its last stop. The deadline counts on the orchestration's clock, which replays."""
    deadline = context.current_utc_datetime + parcel.give_up_after
    count = 0
    while True:
        count += 1
        place: str = yield context.call_activity(locate_parcel, Look(parcel=parcel, count=count))
        context.set_custom_status({"last_seen": place, "looks": count})
        delivered = place == parcel.stops[-1]
        if delivered or context.current_utc_datetime + parcel.look_every > deadline:
            return Delivery(delivered=delivered, last_seen=place, looks=count)
        yield context.create_timer(parcel.look_every)
