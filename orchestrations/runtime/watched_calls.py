"""The functions that the guard knows by themselves, whatever name the code has for them."""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import datetime
import http.client
import multiprocessing.process
import os
import pathlib
import random
import secrets
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FrameType, FunctionType
from typing import Any

import asgiref.sync
import httpx
from django.core import mail
from django.core.cache import cache, caches
from django.core.files.storage import Storage
from django.utils import crypto, timezone
from django.utils.connection import BaseConnectionHandler, ConnectionProxy

from orchestrations.authoring.determinism.rules import NAMES, RULES, Rule

MODULES = {"time": time, "os": os, "builtins": builtins}
BUILTINS: dict[object, str] = {
    getattr(MODULES[module], name): code
    for (module, _, name), code in ((dotted.partition("."), code) for dotted, code in NAMES.items())
    if module in MODULES and callable(getattr(MODULES[module], name, None))
}
"""Functions written in C, by themselves."""

CLOCK_METHODS = ("now", "utcnow", "today")
"""Class methods of dates, written in C; each look at the attribute makes a new object."""

ENVIRONMENTS = (os.environ, os.environb)
SHARED_RANDOM = random.random.__self__  # type: ignore[attr-defined]  # the generator behind the module's functions


def _methods(owner: object, names: str) -> list[object]:
    return [getattr(owner, name) for name in names.split() if hasattr(owner, name)]


def _codes(functions: Iterable[object]) -> list[CodeType]:
    """The code of those that are written in Python, as which ones are differs between its versions."""
    return [function.__code__ for function in functions if isinstance(function, FunctionType)]


_OF_ENVIRONMENT = _methods(type(os.environ), "__getitem__ __iter__ __contains__ copy get items values setdefault pop")
_OF_RANDOM = [function for name, function in vars(random.Random).items() if not name.startswith("_")]
_BY_RULE: dict[str, list[object]] = {
    "clock": [timezone.now, timezone.localtime, timezone.localdate],
    "random": [
        *_methods(secrets, "token_bytes token_hex token_urlsafe randbelow"),
        *_methods(random.SystemRandom, "random getrandbits randbytes"),
        *_OF_RANDOM,
        random.Random.__init__,
        crypto.get_random_string,
    ],
    "uuid": _methods(uuid, "uuid1 uuid4 uuid6 uuid7"),
    "environment": [os.getenv, *_OF_ENVIRONMENT],
    "sleep": [asyncio.sleep],
    "io": [
        *_methods(pathlib.Path, "open read_text read_bytes write_text write_bytes touch mkdir rmdir unlink rename"),
        *_methods(pathlib.Path, "replace exists is_file is_dir is_symlink stat lstat iterdir glob rglob chmod"),
        *_methods(os.path, "exists lexists isfile isdir islink getsize getmtime getatime getctime samefile"),
        *_methods(os, "walk makedirs removedirs"),
        *_methods(shutil, "copy copy2 copyfile copytree move rmtree disk_usage which"),
        *_methods(tempfile, "NamedTemporaryFile TemporaryFile mkstemp mkdtemp"),
        tempfile.TemporaryDirectory.__init__,
        *_methods(mail, "send_mail send_mass_mail mail_admins mail_managers"),
        *_methods(mail.EmailMessage, "send"),
        *_methods(Storage, "open save"),
        ConnectionProxy.__getattr__,
        BaseConnectionHandler.__getitem__,
    ],
    "thread": [
        *_methods(asyncio, "run gather create_task ensure_future wait to_thread new_event_loop"),
        asyncio.BaseEventLoop.run_until_complete,
        asgiref.sync.AsyncToSync.__call__,
        *_methods(concurrent.futures.ThreadPoolExecutor, "submit map"),
        *_methods(concurrent.futures.ProcessPoolExecutor, "submit map"),
    ],
}
_WHOEVER_CALLS_THEM: dict[str, list[object]] = {
    "http": [http.client.HTTPConnection.putrequest, httpx.Client.send],  # over a connection that is open already, too
    "thread": [threading.Thread.start, multiprocessing.process.BaseProcess.start],
}

PYTHON_FUNCTIONS: dict[CodeType, str] = {
    code: rule
    for by_rule in (_BY_RULE, _WHOEVER_CALLS_THEM)
    for rule, functions in by_rule.items()
    for code in _codes(functions)
}
"""Functions written in Python, by their code."""
FROM_ANYWHERE = frozenset(code for functions in _WHOEVER_CALLS_THEM.values() for code in _codes(functions))
"""Those that break a rule also where a library calls them."""

CONDITIONS: dict[CodeType, Callable[[Mapping[str, Any]], bool]] = {
    **dict.fromkeys(
        _codes(_OF_RANDOM),
        lambda given: given.get("self") is SHARED_RANDOM or isinstance(given.get("self"), random.SystemRandom),
    ),
    **dict.fromkeys(_codes(_OF_ENVIRONMENT), lambda given: any(given.get("self") is one for one in ENVIRONMENTS)),
    ConnectionProxy.__getattr__.__code__: lambda given: given.get("self") is cache,
    BaseConnectionHandler.__getitem__.__code__: lambda given: given.get("self") is caches,
    timezone.localtime.__code__: lambda given: given.get("value") is None,  # else only the value is converted
    timezone.localdate.__code__: lambda given: given.get("value") is None,
    random.Random.__init__.__code__: lambda given: given.get("x") is None,  # a seed that nobody knows
}
"""What the arguments must be where the function breaks a rule only with some: a seeded generator is deterministic."""


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
        elif isinstance(owner, type) and issubclass(owner, datetime.date) and function.__name__ in CLOCK_METHODS:
            code = "clock"
    return RULES[code] if code is not None else None


def rule_of_call(frame: FrameType, is_authors: Callable[[str], bool]) -> Rule | None:
    """The rule that a call breaks which has just begun, of a function written in Python, or None."""
    rule = PYTHON_FUNCTIONS.get(frame.f_code)
    if rule is None or frame.f_back is None:
        return None
    if frame.f_code not in FROM_ANYWHERE and not is_authors(frame.f_back.f_code.co_filename):
        return None
    condition = CONDITIONS.get(frame.f_code)
    return RULES[rule] if condition is None or condition(frame.f_locals) else None
