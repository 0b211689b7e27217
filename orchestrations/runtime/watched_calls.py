"""The functions that the guard knows by themselves, whatever name the code has for them."""

from __future__ import annotations

import asyncio
import builtins
import datetime
import os
import random
import secrets
import threading
import time
import uuid
from types import CodeType, FunctionType
from typing import Any

from django.utils import timezone

from orchestrations.authoring.determinism.rules import NAMES, RULES, Rule

MODULES = {"time": time, "os": os, "builtins": builtins}
BUILTINS: dict[object, str] = {
    getattr(MODULES[module], name): code
    for (module, _, name), code in ((dotted.partition("."), code) for dotted, code in NAMES.items())
    if module in MODULES and callable(getattr(MODULES[module], name, None))
}
"""Functions written in C, by themselves. What only formats a time that it is given is not among them."""
for _name in ("localtime", "gmtime", "ctime", "asctime", "strftime"):
    BUILTINS.pop(getattr(time, _name), None)

OF_CLASSES: dict[tuple[type, str], str] = {
    (datetime.datetime, "now"): "clock",
    (datetime.datetime, "utcnow"): "clock",
    (datetime.datetime, "today"): "clock",
    (datetime.date, "today"): "clock",
}
"""Class methods written in C; each look at the attribute makes a new object."""

SYSTEM_RANDOM = secrets.choice.__self__  # type: ignore[attr-defined]  # the one behind the functions of ``secrets``
SHARED_RANDOM = random.random.__self__  # type: ignore[attr-defined]  # the generator behind the module's functions

_BY_FUNCTION: dict[Any, str] = {
    uuid.uuid1: "uuid",
    uuid.uuid4: "uuid",
    timezone.now: "clock",
    timezone.localtime: "clock",
    timezone.localdate: "clock",
    asyncio.sleep: "sleep",
    secrets.token_bytes: "random",
    secrets.token_hex: "random",
    secrets.token_urlsafe: "random",
    secrets.randbelow: "random",
    os.getenv: "environment",
    threading.Thread.start: "thread",
}
_OF_RANDOM: dict[CodeType, str] = {
    function.__code__: "random"
    for function in vars(random.Random).values()
    if isinstance(function, FunctionType) and not function.__name__.startswith("_")
}

PYTHON_FUNCTIONS: dict[CodeType, str] = {
    **{function.__code__: code for function, code in _BY_FUNCTION.items() if isinstance(function, FunctionType)},
    **_OF_RANDOM,
}
"""Functions written in Python, by their code."""
BOUND_TO: dict[CodeType, tuple[object, ...]] = dict.fromkeys(_OF_RANDOM, (SHARED_RANDOM, SYSTEM_RANDOM))
"""Methods that break a rule only with these objects: a generator that the author has seeded is deterministic."""


def rule_of_builtin(function: Any) -> Rule | None:
    """The rule that calling a function written in C breaks, or None."""
    try:
        code = BUILTINS.get(function)
    except TypeError:  # a bound method of something that can't be hashed
        return None
    if code is None:
        owner = getattr(function, "__self__", None)
        if owner is SHARED_RANDOM:
            code = "random"
        elif isinstance(owner, type):
            code = OF_CLASSES.get((owner, function.__name__))
    return RULES[code] if code is not None else None
