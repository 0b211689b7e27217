"""Failure details as people read them: the chain of causes, and the line of their own code where it happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from orchestrations.core.stack_traces import frames, place_of
from orchestrations.errors import PayloadUnavailable
from orchestrations.limits import FAILURE_CHAIN, FAILURES

PATH_PARTS = 3  # of a file's path that are shown


@dataclass(frozen=True, slots=True)
class Cause:
    """One error of the chain, outermost first. ``role`` says what it is to the one before: a cause, or in its group."""

    type: str
    message: str
    trace: str
    is_non_retriable: bool = False
    role: str = ""

    @property
    def line(self) -> str:
        """``ValueError: no``: the bare class name and the first line of the message."""
        first = self.message.splitlines()[0] if self.message else ""
        name = self.type.rpartition(".")[2]
        return f"{name}: {first}" if first else name

    @property
    def has_own_code(self) -> bool:
        """Whether it passed through the author's code."""
        frame = place_of(frames(self.trace))
        return frame is not None and frame.is_own

    @property
    def place(self) -> str:
        """``orders/flows.py:48 in order_flow``: the innermost frame that is neither a library's nor the engine's."""
        frame = place_of(frames(self.trace))
        if frame is None:
            return ""
        file = "/".join(frame.file.replace("\\", "/").split("/")[-PATH_PARTS:])
        return f"{file}:{frame.line} in {frame.function}"


def culprit(causes: list[Cause]) -> Cause:
    """The error to name of a chain: the innermost one that passed through the author's code, else the outermost."""
    return next((cause for cause in reversed(causes) if cause.has_own_code), causes[0])


def failure_of(read: Callable[[], str | None]) -> list[Cause]:
    """``read_failure`` of what ``read`` returns; where it is kept in a file that can't be read, what is wrong."""
    try:
        return read_failure(read())
    except PayloadUnavailable as error:
        return [Cause(type(error).__name__, str(error), trace="")]


def read_failure(text: str | None) -> list[Cause]:
    """The chain of causes in failure details, the members of a group before its cause; empty where there are none."""
    try:
        details = json.loads(text) if text else None
    except ValueError:
        return []
    return list(islice(_chain(details, FAILURE_CHAIN), FAILURES))


def _chain(details: Any, length: int, role: str = "") -> Iterator[Cause]:
    while isinstance(details, dict) and length:
        yield Cause(
            type=str(details.get("errorType") or "Error"),
            message=str(details.get("errorMessage") or ""),
            trace=str(details.get("stackTrace") or ""),
            is_non_retriable=bool(details.get("isNonRetriable")),
            role=role,
        )
        length -= 1
        for member in details.get("members") or ():
            yield from _chain(member, length, "in the group")
        details, role = details.get("innerFailure"), "caused by"
