"""The async twin of a synchronous method: one line where it is declared, one place for how it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

Owner = TypeVar("Owner")
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def async_twin(
    method: Callable[Concatenate[Owner, Parameters], Result],
) -> Callable[Concatenate[Owner, Parameters], Coroutine[Any, Any, Result]]:
    """The method for async code, with ``a`` before its name; same parameters, same errors.

    It runs on the thread that Django's async ORM uses, and so on the same database connection.
    """

    @functools.wraps(method)
    async def twin(self: Owner, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return await sync_to_async(method, thread_sensitive=True)(self, *args, **kwargs)

    twin.__name__ = f"a{method.__name__}"
    twin.__qualname__ = f"{method.__qualname__.rpartition('.')[0]}.{twin.__name__}"
    return twin
