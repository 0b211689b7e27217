"""How often a client that waits for an instance looks at it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import timedelta

from orchestrations.errors import WaitTimeout

FIRST_SECONDS = 0.001
LONGEST_SECONDS = 0.5
SHARE = 0.1  # of the time waited so far: the answer comes at most a tenth late, for a handful of queries


def poll_delays(instance_id: str, timeout: timedelta | float | None, goal: str = "ended") -> Iterator[float]:
    """How long to sleep after each look, the last one at the deadline; raises WaitTimeout after that.

    A timeout of zero, or below, is one look. Raises ValueError for one that is not a number.
    """
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is not None and math.isnan(seconds):
        raise ValueError("The timeout is not a number. Give seconds, or None to wait without end.")
    started = time.monotonic()
    while True:
        waited = time.monotonic() - started
        delay = min(max(waited * SHARE, FIRST_SECONDS), LONGEST_SECONDS)
        remaining = delay if seconds is None else seconds - waited
        yield max(0.0, min(delay, remaining))
        if remaining <= 0:
            raise WaitTimeout(
                f"Instance {instance_id!r} has not {goal} within {max(seconds or 0, 0):g} seconds. "
                "It goes on; wait again, or poll its status."
            )
