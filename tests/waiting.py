"""The only place where tests let time pass: until a condition holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

TIMEOUT_SECONDS = 10.0  # generous: a test that passes never waits so long
FIRST_PAUSE_SECONDS = 0.005
LAST_PAUSE_SECONDS = 0.1


def eventually(
    condition: Callable[[], Value], *, timeout_seconds: float = TIMEOUT_SECONDS, otherwise: str | Callable[[], str] = ""
) -> Value:
    """Returns the condition's first true value; fails the test when the time is over.

    A condition that raises AssertionError does not hold yet; its last message is part of the failure. ``otherwise``
    adds what a reader of the failure needs to see.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        value, reason = None, ""
        try:
            value = condition()
        except AssertionError as failure:
            reason = str(failure)
        if value:
            return value
        if time.monotonic() >= deadline:
            context = otherwise() if callable(otherwise) else otherwise
            raise AssertionError("\n".join(filter(None, (f"not within {timeout_seconds} s", reason, context))))
        time.sleep(pause)
        pause = min(2 * pause, LAST_PAUSE_SECONDS)
