"""Driving the author's code, whether it is a generator or an ``async def``, and knowing where it stands."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from pathlib import PurePath
from types import CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from orchestrations.core.definitions import OrchestratorDefinition
from orchestrations.core.errors import FOREIGN, OrchestrationStateError
from orchestrations.core.interruptions import ExecutionDiscarded, is_authors
from orchestrations.core.stack_traces import is_own
from orchestrations.core.tasks import Task

CORE = f"{PurePath(__file__).parent}{PurePath('/')}"
RAISE = dis.opmap["RAISE_VARARGS"]  # the instruction of both
CLOSE_ATTEMPTS = 10  # an orchestrator may swallow GeneratorExit and wait again


class Location(NamedTuple):
    """A line of the author's code. A tuple, because one is made and looked up for every stretch of it."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def begin(definition: OrchestratorDefinition, context: Any, input_text: str | None) -> Any:
    """Call the orchestrator: a generator or coroutine comes back, or the result of a plain function."""
    if not definition.takes_input:
        return definition.function(context)
    return definition.function(context, definition.decode_input(input_text))


def is_resumable(code: Any) -> bool:
    """Whether the orchestrator is a generator or coroutine, as opposed to a plain function's result."""
    return isinstance(code, (GeneratorType, CoroutineType))


def step(code: Any, awaited: Task | None, execution: object) -> Task:
    """Hand the awaited task's outcome to the code and return the task of the execution that it waits for next.

    What is not a task is refused inside the code, as a TypeError at that very line, and so is one of another execution.
    StopIteration carries the return value, and other exceptions are the author's.
    """
    if awaited is None:
        yielded = code.send(None)
    elif awaited.error is not None:
        # A task may be awaited again; its error must not carry the frames of the first time.
        yielded = code.throw(awaited.error.with_traceback(None))
    else:
        yielded = code.send(awaited.result)
    while not isinstance(yielded, Task) or (yielded.owner is not execution and yielded.owner is not None):
        yielded = code.throw(_refusal_of(yielded))
    return yielded


def _refusal_of(yielded: object) -> Exception:
    if isinstance(yielded, Task):
        return OrchestrationStateError(FOREIGN)
    return TypeError(
        f"The orchestrator waited for {type(yielded).__name__!r}, which is not a durable task. Yield or await "
        "what the context returns, such as context.call_activity(...)."
    )


def close(code: Any) -> None:
    """End the code silently, whatever it does about it."""
    for _ in range(CLOSE_ATTEMPTS if code is not None else 0):
        try:
            code.close()
            return
        except BaseException as error:
            if not (is_authors(error) or isinstance(error, ExecutionDiscarded)):
                raise


def locate(code: Any) -> Location | None:
    """The line at which the code is suspended: the innermost frame that the author wrote."""
    suspended = stack(code)
    return suspended[-1] if suspended else None


def stack(code: Any) -> list[Location]:
    """The lines at which the code is suspended: the orchestrator's, then those of what it yields from or awaits."""
    found = []
    while code is not None:
        frame = getattr(code, "gi_frame", None) or getattr(code, "cr_frame", None)
        if frame is None or frame.f_code.co_filename.startswith(CORE):
            break
        found.append(_location(frame))
        code = getattr(code, "gi_yieldfrom", None) or getattr(code, "cr_await", None)
    return found


def calling_location() -> Location | None:
    """The line of the author's code that is calling the engine right now."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(CORE):
        frame = frame.f_back
    return _location(frame) if frame is not None else None


def defined_at(function: Callable[..., Any]) -> Location | None:
    """The line at which the orchestrator begins."""
    code = getattr(function, "__code__", None)
    return Location(code.co_filename, code.co_firstlineno, code.co_qualname) if isinstance(code, CodeType) else None


def raised_at(error: BaseException) -> Location | None:
    """The innermost line that the error passed through."""
    entry, location = error.__traceback__, None
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(CORE):
            location = Location(entry.tb_frame.f_code.co_filename, entry.tb_lineno, entry.tb_frame.f_code.co_qualname)
        entry = entry.tb_next
    return location


def is_verdict(error: BaseException) -> bool:
    """Whether a ``raise`` or ``assert`` of the author's made the error, as opposed to a fault that Python found."""
    entry, own = error.__traceback__, None
    while entry is not None:
        if is_own(entry.tb_frame.f_code.co_filename):
            own = entry
        entry = entry.tb_next
    return own is not None and own.tb_frame.f_code.co_code[own.tb_lasti] == RAISE


def _location(frame: FrameType) -> Location:
    return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
