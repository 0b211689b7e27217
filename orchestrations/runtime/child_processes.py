"""Processes beside the worker's, for activities that ask for one: what hangs in one is really stopped.

A process is an interpreter of its own that has set Django up; it is kept for the next activity. It is given names and
JSON text, never a pickle. It dies with the worker, and at once where its activity has been given up.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

from django.conf import settings
from django.db import connections

from orchestrations.authoring.activities import ActivityDefinition, Deferral
from orchestrations.core.failures import FailureDetails
from orchestrations.runtime.activity_runs import RunningActivity
from orchestrations.runtime.child_messages import (
    Answer,
    Cancelled,
    Deferred,
    Failed,
    Heard,
    Order,
    Returned,
    Run,
    line,
    read_answer,
)

END_SECONDS = 5.0  # for a process that has closed its side to be gone


class ActivityProcessDied(Exception):
    """The process that ran an activity ended before the activity did."""


class ChildProcess:
    """One process, which runs one activity at a time."""

    def __init__(self) -> None:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE") or settings.SETTINGS_MODULE,
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "orchestrations.runtime.child_main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._writing = threading.Lock()
        self._is_killed = False
        self.is_idle = True

    @property
    def is_alive(self) -> bool:
        """Whether it can be given something to do."""
        return not self._is_killed and self._process.poll() is None

    def run(
        self, item: RunningActivity, definition: ActivityDefinition, hub: str
    ) -> str | Deferral | FailureDetails | None:
        """Run the activity there, and return its output as JSON text, its deferral, or how it failed.

        Raises ActivityProcessDied.
        """
        self.is_idle = False
        item.on_abandoned, item.on_unwanted = self.kill, self._tell_cancelled
        if item.is_abandoned:
            self.kill()
        try:
            self._send(_run(item, definition, hub))
            if item.is_unwanted:  # since before it could be told
                self._tell_cancelled()
            answer = self._answer(item)
        finally:
            item.on_abandoned = item.on_unwanted = None
        self.is_idle = True
        if isinstance(answer, Returned):
            return answer.output
        if isinstance(answer, Deferred):
            return Deferral(answer.timeout_seconds)
        return FailureDetails.from_json(answer.failure)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._is_killed = True
        self._process.kill()

    def close(self) -> None:
        """End it and forget it."""
        self.kill()
        self._process.wait(END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _answer(self, item: RunningActivity) -> Returned | Deferred | Failed:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            answer: Answer = read_answer(text)
            if not isinstance(answer, Heard):
                return answer
            item.hear(answer.details)
        code = self._process.wait(END_SECONDS)
        raise ActivityProcessDied(
            f"The process of the activity {item.work.name!r} ended with exit code {code} before the activity did. "
            "Look at the worker's log for what it wrote last; a negative code is the signal that killed it."
        )

    def _tell_cancelled(self) -> None:
        self._send(Cancelled())

    def _send(self, order: Order) -> None:
        assert self._process.stdin is not None
        with self._writing, contextlib.suppress(OSError, ValueError):  # that it is gone is noticed by who reads from it
            self._process.stdin.write(line(order))
            self._process.stdin.flush()


class ChildProcesses:
    """The processes of one worker: as many as activities run in them at once, each kept for the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[ChildProcess] = []
        self._is_closed = False

    @contextlib.contextmanager
    def lend(self) -> Iterator[ChildProcess]:
        """A process for one activity; it is kept if the activity came to an end in it."""
        child = self._take()
        try:
            yield child
        finally:
            with self._lock:
                is_kept = child.is_idle and child.is_alive and not self._is_closed
                if is_kept:
                    self._idle.append(child)
            if not is_kept:
                child.close()

    def close(self) -> None:
        """End those that are idle, and keep none any more."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()

    def _take(self) -> ChildProcess:
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return ChildProcess()
            if child.is_alive:
                return child
            child.close()


def _run(item: RunningActivity, definition: ActivityDefinition, hub: str) -> Run:
    return Run(
        work=item.work,
        hub=hub,
        module=definition.function.__module__,
        qualified_name=definition.function.__qualname__,
        databases={alias: str(connections[alias].settings_dict["NAME"]) for alias in connections},
    )
