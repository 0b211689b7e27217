"""Human interaction with attempts: a code is sent to a phone, and its owner has three tries and limited time.

One deadline holds for all tries together: it is a timer that races against each answer.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zlib import crc32

from orchestrations import ActivityContext, OrchestrationContext, activity, orchestrator

ATTEMPTS = 3


@dataclass(frozen=True)
class Phone:
    """A phone to verify."""

    number: str
    answer_within: timedelta = timedelta(minutes=3)


@activity
def send_code(context: ActivityContext, number: str) -> str:
    """Send a code and return it. It follows from the idempotency key, so that a repeated run sends the same one."""
    return f"{crc32(f'{context.idempotency_key} {number}'.encode()) % 10_000:04}"


@orchestrator
def verify_phone(context: OrchestrationContext, phone: Phone) -> Generator[Any, Any, bool]:
    """Whether the right code came as the event ``code`` in time and within three tries."""
    expected = yield context.call_activity(send_code, phone.number)
    deadline = context.create_timer(phone.answer_within)
    for attempt in range(1, ATTEMPTS + 1):
        context.set_custom_status({"attempt": attempt, "of": ATTEMPTS})
        answer = context.wait_for_external_event("code", data_type=str)
        winner = yield context.task_any([answer, deadline])
        if winner is deadline:
            return False
        if answer.result == expected:
            deadline.cancel()
            return True
    deadline.cancel()
    return False
