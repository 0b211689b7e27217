"""Retry with back-off: try again what may heal by itself, and have an answer when all attempts failed.

The pauses between the attempts are durable timers, so a retry in ten minutes or in ten days occupies nobody.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orchestrations import (
    ActivityContext,
    OrchestrationContext,
    RetryPolicy,
    TaskFailedError,
    activity,
    orchestrator,
)


class CourierBusy(Exception):
    """The courier has no capacity at the moment; worth another try."""


class AddressUnknown(Exception):
    """No courier can find that address; no use in trying again."""


@dataclass(frozen=True)
class Pickup:
    """``busy_attempts`` is how many times the simulated courier refuses before it has capacity."""

    address: str
    busy_attempts: int = 2
    first_pause: timedelta = timedelta(seconds=2)


@dataclass(frozen=True)
class Booking:
    """A courier, or what to do without one."""

    booked: bool
    attempts: int
    message: str


@activity
def book_courier(context: ActivityContext, pickup: Pickup) -> Booking:
    """Book a pickup. A real one would send ``context.idempotency_key``, which is the same for all attempts."""
    if not pickup.address.strip():
        raise AddressUnknown("The address is empty.")
    if context.attempt <= pickup.busy_attempts:
        raise CourierBusy(f"No courier near {pickup.address} at attempt {context.attempt}.")
    return Booking(booked=True, attempts=context.attempt, message=f"Courier to {pickup.address}")


@orchestrator
def arrange_pickup(context: OrchestrationContext, pickup: Pickup) -> Generator[Any, Any, Booking]:
    """Try up to four times, pausing 1, 2 and 4 times ``first_pause``; then let the customer bring the parcel."""
    policy = RetryPolicy(
        first_retry_interval=pickup.first_pause,
        max_number_of_attempts=4,
        backoff_coefficient=2.0,
        max_retry_interval=timedelta(minutes=10),
        non_retryable=[AddressUnknown],
    )
    try:
        booking: Booking = yield context.call_activity(book_courier, pickup, retry=policy)
    except TaskFailedError as error:
        if error.details.is_caused_by(AddressUnknown):
            raise
        return Booking(booked=False, attempts=4, message="Please bring the parcel to the nearest shop.")
    return booking
