"""Orchestrators that await what needs an event loop: Python says that none is running, and this what to do about it."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType

import asgiref.sync

from orchestrations.authoring.determinism.rules import NAMES, RULES, Rule

NO_LOOP = ("no running event loop", "There is no current event loop")
ASYNCIO = f"{Path(asyncio.__file__).parent}/"


def _folders(*packages: str) -> tuple[str, ...]:
    """Where those of the packages are that are installed."""
    found = [importlib.util.find_spec(package) for package in packages]
    return tuple(f"{Path(spec.origin).parent}/" for spec in found if spec is not None and spec.origin)


LIBRARIES = (ASYNCIO, asgiref.sync.__file__, *_folders("anyio", "sniffio"))
RULE_BY_FOLDER = {
    **dict.fromkeys(_folders("django.db"), "database"),
    **dict.fromkeys(_folders("httpx", "aiohttp"), "http"),
}


def rule_of_error(error: BaseException, is_authors: Callable[[str], bool]) -> tuple[Rule, FrameType, int] | None:
    """The rule that was broken where the error is that no event loop is there, with the author's frame and line."""
    if not isinstance(error, Exception) or isinstance(error, StopIteration):
        return None  # it has returned, or is to stop
    frames = list(_frames(error.__traceback__))
    if not frames or not _is_of_loop(error, frames[-1][0]):
        return None
    own = [(frame, line) for frame, line in frames if is_authors(frame.f_code.co_filename)]
    return (RULES[_code(frames)], *own[-1]) if own else None


def _is_of_loop(error: BaseException, innermost: FrameType) -> bool:
    says_so = isinstance(error, RuntimeError) and str(error).startswith(NO_LOOP)
    return says_so or innermost.f_code.co_filename.startswith(LIBRARIES)


def _code(frames: list[tuple[FrameType, int]]) -> str:
    """By what the author called: the first frame of a library says it."""
    for frame, _ in frames:
        file = frame.f_code.co_filename
        for folder, code in RULE_BY_FOLDER.items():
            if file.startswith(folder):
                return code
        if file.startswith(ASYNCIO):
            return NAMES.get(f"asyncio.{frame.f_code.co_qualname}", "await")
    return "await"


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next
