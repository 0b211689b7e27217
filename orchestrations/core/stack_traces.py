"""Stack traces as text, read back into frames: which lines are the author's own, and where an error comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass

FRAME = re.compile(
    r'^ *File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<function>[^\n]+)(?P<code>(?:\n {4,}[^\n]*)*)',
    re.MULTILINE,
)
FOREIGN = re.compile(
    r"/(site|dist)-packages/|/lib/python\d|/orchestrations/(authoring|core|durable_http|runtime|store)/|^<"
)
MARKERS = " ^~"  # of what Python draws under a line


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, as the interpreter of some host printed it; ``code`` is the source of its line, where it was known."""

    file: str
    line: int
    function: str
    code: str = ""

    @property
    def is_own(self) -> bool:
        """Whether the author's project has it."""
        return is_own(self.file)


def is_own(file: str) -> bool:
    """Whether the author's project has that file, as opposed to Python, an installed library or the engine."""
    return FOREIGN.search(file.replace("\\", "/")) is None


def frames(trace: str) -> list[Frame]:
    """The frames of a formatted stack trace, outermost first; none for text that is no trace."""
    return [
        Frame(found["file"], int(found["line"]), found["function"].strip(), _code(found["code"]))
        for found in FRAME.finditer(trace)
    ]


def place_of(found: list[Frame]) -> Frame | None:
    """The frame to show for an error: the author's innermost one, or the innermost where none is the author's."""
    return next((frame for frame in reversed(found) if frame.is_own), found[-1] if found else None)


def _code(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    return " ".join(line for line in lines if line.strip(MARKERS))
