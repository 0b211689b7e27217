"""The guard around orchestrators' code: what is not deterministic fails the instance, with the line and the way out.

Input and output are caught wherever they happen below the code, by Python's audit events and Django's execute wrappers.
Calls that read the clock or draw something random raise no event; so the first runs of each stretch of code are watched
call by call, as a profiler does, and the code of an orchestrator that was caught once is watched from then on.

It looks at the thread that runs the code, and at nothing else: activities in other threads are not touched. What has
been recorded is not judged again, so replay is not watched. Logging may do what it likes.
"""

from __future__ import annotations

import linecache
import logging
import sys
import sysconfig
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from orchestrations.authoring.determinism.rules import RULES, Rule, is_ignored
from orchestrations.core import coroutines
from orchestrations.core.coroutines import Location
from orchestrations.core.errors import OrchestratorCodeError
from orchestrations.runtime.event_loops import rule_of_error
from orchestrations.runtime.watched_calls import rule_of_builtin, rule_of_call

WATCHED_RUNS = 3  # of each stretch of code in this process; later ones cost a flag
AUDITED = {
    "socket.connect": "http",
    "socket.bind": "http",
    "socket.sendto": "http",
    "socket.sendmsg": "http",
    "socket.getaddrinfo": "http",
    "socket.gethostbyname": "http",
    "urllib.Request": "http",
    "subprocess.Popen": "io",
    "os.system": "io",
    "os.exec": "io",
    "os.posix_spawn": "io",
    "os.spawn": "io",
    "os.remove": "io",
    "shutil.copyfile": "io",
    "shutil.move": "io",
    "shutil.rmtree": "io",
    "tempfile.mkstemp": "io",
    "tempfile.mkdtemp": "io",
    "glob.glob": "io",
    "os.fork": "thread",
    "os.forkpty": "thread",
    "_thread.start_new_thread": "thread",  # from Python 3.12 on
    "_thread.start_joinable_thread": "thread",
    "socket.gethostname": "environment",
    "time.sleep": "sleep",  # from Python 3.13 on
    "sqlite3.connect": "database",
}

ENGINE = f"{Path(__file__).parents[1]}/"
LIBRARIES = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
LOGGING = logging.__file__
IMPORTING = "<frozen importlib."
COROUTINES = coroutines.__file__  # from where the code is called


class _Guarding:
    """What the guard does in one thread: an object, because each look at what is the thread's own takes time."""

    __slots__ = ("caught", "guard", "is_watched", "location")

    def __init__(self) -> None:
        self.guard: CodeGuard | None = None  # that of the orchestrator whose code runs now
        self.location: Location | None = None  # where the stretch began
        self.is_watched = False
        self.caught: OrchestratorCodeError | None = None


class _Thread(threading.local):
    here: _Guarding | None = None  # in a thread that has run an orchestrator


_thread = _Thread()


class CodeGuard(AbstractContextManager[None]):
    """Guards one orchestrator; it is entered around each stretch of its code. Code of a thread is never nested."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._runs: defaultdict[Location | None, int] = defaultdict(int)
        self._was_caught = False
        _install()

    def __call__(self, location: Location | None) -> CodeGuard:
        """Guard the stretch that begins at that line; None for the beginning of the function."""
        (_thread.here or _prepare_thread()).location = location
        return self

    def __enter__(self) -> None:
        here = _thread.here
        assert here is not None
        here.guard, here.caught = self, None
        if (self._was_caught or self._runs[here.location] < WATCHED_RUNS) and sys.getprofile() is None:
            self._runs[here.location] += 1
            here.is_watched = True
            sys.setprofile(_on_call)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        here = _thread.here
        assert here is not None
        if here.is_watched:
            sys.setprofile(None)
            here.is_watched = False
        here.guard = None
        caught = here.caught
        if caught is not None:
            here.caught = None
            self._was_caught = True
            if error is not caught:
                raise caught  # the code has swallowed it
        elif error is not None:
            broken = rule_of_error(error, _is_authors)
            if broken is not None:
                raise _told(self.name, *broken) from error


def _catch(rule: Rule, frame: FrameType | None) -> None:
    """Raise the error inside the orchestrator, at whose line it is told.

    Not where a comment allows it, nor in logs, nor while a module is imported: what that does, it does once.
    """
    here = _thread.here
    place = None
    while frame is not None and frame.f_code.co_filename != COROUTINES:
        file = frame.f_code.co_filename
        if file == LOGGING or file.startswith(IMPORTING):
            return
        if _is_authors(file) and (place is None or place.f_code.co_filename.startswith("<")):
            place = frame
        frame = frame.f_back
    if frame is None or here is None or here.guard is None:
        # A time-out struck as the code was left, and what runs now is the engine.
        if here is not None:
            here.guard = None
        sys.setprofile(None)
        return
    if place is not None and is_ignored(linecache.getline(place.f_code.co_filename, place.f_lineno), rule.code):
        return
    here.caught = _told(here.guard.name, rule, place, place.f_lineno if place is not None else 0)
    raise here.caught


def _told(orchestrator: str, rule: Rule, place: FrameType | None, line: int) -> OrchestratorCodeError:
    where = f" at {place.f_code.co_filename}:{line} in {place.f_code.co_qualname}" if place is not None else ""
    return OrchestratorCodeError(
        f"The orchestrator {orchestrator!r} {rule.deed}{where}, which may come out differently on replay. "
        f"Use {rule.instead}."
    )


@lru_cache(maxsize=4_096)
def _is_authors(file: str) -> bool:
    """Whether a file is the project's own, as opposed to Python's, a package's or the engine's."""
    return not file.startswith(("<frozen", ENGINE, *LIBRARIES))


# Calls ---------------------------------------------------------------------------------------------------------------


def _on_call(frame: FrameType, event: str, argument: Any) -> None:
    if event == "c_call":
        rule = rule_of_builtin(argument)
        if rule is not None and _is_authors(frame.f_code.co_filename):
            _catch(rule, frame)
    elif event == "call":
        rule = rule_of_call(frame, _is_authors)
        if rule is not None:
            _catch(rule, frame.f_back)


# Events --------------------------------------------------------------------------------------------------------------


def _on_audit(event: str, arguments: tuple[object, ...]) -> None:
    code = AUDITED.get(event)
    if code is not None and _is_guarded():
        _catch(RULES[code], sys._getframe(1))


def _on_statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """An execute wrapper of Django's connections."""
    if _is_guarded():
        _catch(RULES["database"], sys._getframe(1))
    return execute(sql, params, many, context)


def _on_connection(connection: Any, **kwargs: Any) -> None:
    if _on_statement not in connection.execute_wrappers:
        # In front, as ``with connection.execute_wrapper(…)``, which may be around this, takes the last one off again.
        connection.execute_wrappers.insert(0, _on_statement)


def _is_guarded() -> bool:
    here = _thread.here
    return here is not None and here.guard is not None


def _prepare_thread() -> _Guarding:
    _thread.here = here = _Guarding()
    for connection in connections.all(initialized_only=True):
        _on_connection(connection)
    return here


@lru_cache(maxsize=1)
def _install() -> None:
    """Once in a process, and for good: Python's audit hooks can't be taken out again."""
    sys.addaudithook(_on_audit)
    connection_created.connect(_on_connection, dispatch_uid="orchestrations.guard")
