"""Ends the programs of `manage.py up` when `up` itself was killed and could not: no orphan serves or works on.

Run as a script, it reads from standard input which process groups live ("+123", "-123"); the end of that input means
that `up` is gone, however it ended. It imports nothing of the site, and it starts nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

POLL_SECONDS = 0.1


def read_groups(lines: Iterable[str]) -> set[int]:
    """Reads until the input ends and returns the groups that were alive then."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def is_alive(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def end_groups(groups: set[int], grace_seconds: float) -> None:
    """Asks each group's leader to stop, and kills what is left after the grace."""
    for leader in groups:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(is_alive(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def main() -> None:
    """Waits for the end of `up`; only that ends the guardian, not a signal meant for the whole terminal."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_groups(read_groups(sys.stdin), grace_seconds=float(sys.argv[1]))


if __name__ == "__main__":
    main()
