"""Reading again what changed under the reader."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from orchestrations.errors import PayloadReplaced

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

TRIES = 5  # an instance or entity that replaces its payloads faster than they are read is told as it is


def again_if_replaced(read: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A reader that begins anew where a large payload was purged or replaced between its row and its file."""

    @wraps(read)
    def reader(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        for _ in range(TRIES - 1):
            try:
                return read(*args, **kwargs)
            except PayloadReplaced:
                continue
        return read(*args, **kwargs)

    return reader
