"""Keeps a few programs running as one: one log, restarts with back-off, and a stop that leaves nothing behind.

It knows processes and signals only, nothing of Django or of what the programs do. POSIX.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from durable_admin import guardian

POLL_SECONDS = 0.1  # between looks at the programs and the signals
STOP_SECONDS = 29.0  # for a clean end, which takes the cluster 28 at most; everything is gone within 30
FIRST_RESTART_SECONDS = 1.0  # doubled with each end that follows at once
LAST_RESTART_SECONDS = 30.0
SETTLED_SECONDS = 60.0  # a program that lived so long starts again without a back-off from earlier ends
LINE_BYTES = 64 * 1024  # a longer line is written in parts
LAST_WORDS_SECONDS = 2.0  # to write what a program had said when it ended

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Output:
    """One stream that several programs write to, a whole line at a time."""

    def __init__(self, stream: BinaryIO, frame: Callable[[str, bytes], bytes]) -> None:
        self._stream = stream
        self._frame = frame
        self._lock = threading.Lock()
        self.is_broken = False
        """Nobody reads the stream any more."""

    def line(self, source: str, text: bytes) -> None:
        """Writes a line that ``source`` said. Once the stream is broken it does nothing, and never raises."""
        with self._lock:
            if self.is_broken:
                return
            try:
                self._stream.write(self._frame(source, text.rstrip(b"\r\n")) + b"\n")
                self._stream.flush()
            except (BrokenPipeError, ValueError):
                self.is_broken = True


def prefixed(source: str, text: bytes) -> bytes:
    """Frames a line for people: who says it, then what."""
    return f"{source:<6} | ".encode() + text


@dataclass(frozen=True)
class Program:
    """What to run: its name in the log, its command, and what its environment has more than this process's."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Guardian:
    """This process's side of the guardian (see guardian.py), which outlives it by the time it takes to tidy up."""

    def __init__(self, grace_seconds: float) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - a fixed command
            [sys.executable, "-I", str(Path(guardian.__file__)), str(grace_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def tell(self, sign: str, session: int) -> None:
        """Says that a session lives ("+") or has ended ("-"). Without a guardian the programs run on, unguarded."""
        assert self._process.stdin is not None  # it was asked for above
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{sign}{session}\n")
            self._process.stdin.flush()

    def dismiss(self) -> None:
        """Ends the guardian; it ends the sessions that were not reported ended."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


class Child:
    """One program and the process that runs it now, if any. The process leads a session that ends with it."""

    def __init__(self, program: Program, output: Output, watcher: Guardian) -> None:
        self.program = program
        self._output = output
        self._guardian = watcher
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._started_at = 0.0
        self._restart_at = 0.0
        self._restart_seconds = FIRST_RESTART_SECONDS

    @property
    def session(self) -> int | None:
        """The session, led by the process itself; None while it does not run."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process runs; when this says no, all that it had started is gone too."""
        return self._process is not None

    def advance(self, now: float) -> None:
        """Starts the program when it is time, and plans its restart when it has ended."""
        if self._process is None:
            if now >= self._restart_at:
                self._start(now)
        elif (status := self.reap()) is not None:
            self._plan_restart(now, status)

    def reap(self) -> int | None:
        """Returns the exit status if the process has ended, None while it runs; ends what is left of its session."""
        if self._process is None or (status := self._process.poll()) is None:
            return None
        # A cluster whose main process was killed leaves workers behind that nobody leads any more.
        guardian.kill_session(self._process.pid)
        self._guardian.tell("-", self._process.pid)
        if self._reader is not None:
            self._reader.join(LAST_WORDS_SECONDS)
        self._process = None
        return status

    def stop(self) -> None:
        """Asks the process to stop; it passes that on to its own processes as it sees fit."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the whole session at once."""
        if self._process is not None:
            guardian.kill_session(self._process.pid)
            self._process.wait()
            self.reap()

    def _start(self, now: float) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the site's own programs
            self.program.command,
            env={**os.environ, **self.program.environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._guardian.tell("+", self._process.pid)
        self._started_at = now
        self._reader = threading.Thread(target=self._forward, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _forward(self, stream: BinaryIO) -> None:
        with stream:
            while line := stream.readline(LINE_BYTES):
                self._output.line(self.program.name, line)

    def _plan_restart(self, now: float, status: int) -> None:
        lived = now - self._started_at
        if lived >= SETTLED_SECONDS:
            self._restart_seconds = FIRST_RESTART_SECONDS
        self._restart_at = now + self._restart_seconds
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        message = f"{self.program.name} {how} after {lived:.0f} s; it starts again in {self._restart_seconds:.0f} s."
        self._output.line("up", message.encode())
        self._restart_seconds = min(2 * self._restart_seconds, LAST_RESTART_SECONDS)


class Supervisor:
    """Runs programs until this process is asked to stop."""

    def __init__(self, programs: Sequence[Program], output: Output, *, stop_seconds: float = STOP_SECONDS) -> None:
        self._programs = programs
        self._output = output
        self._stop_seconds = stop_seconds
        self._stop_requests = 0

    def run(self) -> bool:
        """Keeps every program running until SIGINT, SIGTERM or SIGHUP comes or nobody reads the output any more.

        Returns whether all of them stopped by themselves then; a second signal, or the end of the time to stop, kills
        those that have not. In every case none is left when this returns, and the guardian sees to it when this
        process is killed.
        """
        watcher = Guardian(self._stop_seconds)
        children = [Child(program, self._output, watcher) for program in self._programs]
        with self._catching_signals():
            try:
                while not self._stop_requests and not self._output.is_broken:
                    for child in children:
                        child.advance(time.monotonic())
                    time.sleep(POLL_SECONDS)
                self._output.line("up", b"Stopping")
                return self._stop(children)
            finally:
                for child in children:
                    child.kill()
                watcher.dismiss()

    def _stop(self, children: Sequence[Child]) -> bool:
        for child in children:
            child.stop()
        deadline = time.monotonic() + self._stop_seconds
        while running := self._still_running(children):
            if self._stop_requests > 1 or time.monotonic() >= deadline:
                names = ", ".join(child.program.name for child in running)
                self._output.line("up", f"Ended by force: {names}".encode())
                return False
            time.sleep(POLL_SECONDS)
        return True

    @staticmethod
    def _still_running(children: Sequence[Child]) -> list[Child]:
        for child in children:
            child.reap()
        return [child for child in children if child.is_running]

    @contextlib.contextmanager
    def _catching_signals(self) -> Iterator[None]:
        def note(number: int, frame: FrameType | None) -> None:
            self._stop_requests += 1

        before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
