"""A process that has changed while instances of it run: version 1 beside version 2, and a patch inside version 2.

Instances that began with version 1 finish on its code, which goes when the last of them has ended. The confirmation
came into version 2 later, in place: instances that had passed that line do without it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from orchestrations import OrchestrationContext, activity, orchestrator


@dataclass(frozen=True)
class Booking:
    """A room for some nights."""

    room: str
    guest: str
    nights: int = 1


@activity
def hold_room(booking: Booking) -> str:
    """Return the hold that a real activity would place at the hotel."""
    return f"{booking.room} for {booking.nights}"


@activity
def charge_guest(booking: Booking) -> int:
    """Return what a real activity would charge."""
    return 90 * booking.nights


@activity
def confirm_booking(booking: Booking) -> str:
    """Return the confirmation that a real activity would send."""
    return f"Dear {booking.guest}, your room {booking.room} is booked."


@orchestrator(name="book_room", version="1")
def book_room_as_before(context: OrchestrationContext, booking: Booking) -> Generator[Any, Any, list[str]]:
    """Charge first, hold then: how it was until guests paid for rooms that were gone."""
    charged = yield context.call_activity(charge_guest, booking)
    held = yield context.call_activity(hold_room, booking)
    return [f"charged {charged}", f"held {held}"]


@orchestrator(name="book_room", version="2")
def book_room(context: OrchestrationContext, booking: Booking) -> Generator[Any, Any, list[str]]:
    """Hold first, charge then; and confirm, where the instance has not come past that line without it."""
    held = yield context.call_activity(hold_room, booking)
    charged = yield context.call_activity(charge_guest, booking)
    steps = [f"held {held}", f"charged {charged}"]
    if context.patched("confirm"):
        steps.append((yield context.call_activity(confirm_booking, booking)))
    return steps
