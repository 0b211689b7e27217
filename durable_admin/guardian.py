"""Ends the programs of `manage.py up` when `up` itself was killed and could not: no orphan serves or works on.

Run as a script, it reads from standard input which sessions live ("+123", "-123"); the end of that input means that
`up` is gone, however it ended. A session holds all that a program starts, also what makes process groups of its own.
It imports nothing of the site, and it starts nothing. POSIX.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

POLL_SECONDS = 0.1
KILL_ROUNDS = 50  # a process may be forked while its siblings are being killed
PROC = Path("/proc/self/stat")


def members(session: int) -> list[int]:
    """Returns the processes of the session that run still."""
    return [pid for pid in _all_processes() if _session(pid) == session]


def kill_session(session: int) -> None:
    """Ends every process of the session at once; none is left when it returns."""
    for _ in range(KILL_ROUNDS):
        alive = members(session)
        if not alive:
            return
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS / 10)


def _all_processes() -> Iterator[int]:
    if PROC.exists():
        return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    listed = subprocess.run(["/bin/ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    return (int(pid) for pid in listed.stdout.split())


def _session(pid: int) -> int | None:
    """The process's session; None for one that has ended, even if its parent has not noticed yet (a zombie)."""
    try:
        if not PROC.exists():
            return os.getsid(pid)
        state, _, _, session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(session)


def read_sessions(lines: Iterable[str]) -> set[int]:
    """Reads until the input ends and returns the sessions that were alive then."""
    sessions: set[int] = set()
    for line in lines:
        session = int(line[1:])
        if line.startswith("+"):
            sessions.add(session)
        else:
            sessions.discard(session)
    return sessions


def end_sessions(sessions: set[int], grace_seconds: float) -> None:
    """Asks each session's leader to stop, and kills what is left after the grace."""
    for leader in sessions:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(members(session) for session in sessions) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for session in sessions:
        kill_session(session)


def main() -> None:
    """Waits for the end of `up`; only that ends the guardian, not a signal meant for the whole terminal."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_sessions(read_sessions(sys.stdin), grace_seconds=float(sys.argv[1]))


if __name__ == "__main__":
    main()
