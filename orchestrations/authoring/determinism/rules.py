"""The rules of deterministic code: what breaks each, in words, and what to use instead.

The static check and the guard at run time both tell authors these words.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``deed`` follows "the orchestrator"; ``instead`` follows "Use"."""

    code: str
    deed: str
    instead: str


RULES = {
    rule.code: rule
    for rule in (
        Rule("clock", "reads the clock", "context.current_utc_datetime"),
        Rule("random", "draws a random value", "an activity that returns it"),
        Rule("uuid", "makes a random UUID", "context.new_uuid()"),
        Rule("environment", "reads the environment", "the orchestrator's input, or an activity that returns the value"),
        Rule("sleep", "sleeps", "a durable timer: context.create_timer(timedelta(...))"),
        Rule("io", "reads or writes outside the process", "an activity"),
        Rule("http", "makes a network request", "context.call_http(...), or an activity"),
        Rule("database", "touches the database", "an activity"),
        Rule("thread", "starts a thread, process or background task", "an activity, and context.task_all to fan out"),
        Rule("await", "awaits what the context did not make", "an activity"),
        Rule("set-order", "goes through a set, whose order differs between processes", "sorted(...) around the set"),
        Rule("not-awaited", "makes a durable task and never waits for it", "yield or await in front of it"),
        Rule("direct-call", "calls an activity as an ordinary function", "context.call_activity(...)"),
    )
}


def _below(module: str, names: str, code: str) -> dict[str, str]:
    return {f"{module}.{name}": code for name in names.split()}


NAMES = {
    "builtins.open": "io",
    "builtins.input": "io",
    "django.utils.timezone.now": "clock",
    "django.utils.crypto.get_random_string": "random",
    "asgiref.sync.sync_to_async": "thread",
    "asgiref.sync.async_to_sync": "thread",
    "datetime.date.today": "clock",
    "socket.gethostname": "environment",
    "platform.node": "environment",
    **_below("datetime.datetime", "now utcnow today", "clock"),
    **_below("time", "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time", "clock"),
    **_below("time", "process_time_ns thread_time thread_time_ns clock_gettime clock_gettime_ns", "clock"),
    "time.sleep": "sleep",
    **_below("uuid", "uuid1 uuid4 uuid6 uuid7", "uuid"),
    **_below("os", "urandom getrandom", "random"),
    **_below("os", "environ environb getenv getenvb uname getlogin", "environment"),
    **_below("os", "listdir scandir walk stat remove unlink rename replace mkdir makedirs rmdir open", "io"),
    **_below("os", "system popen posix_spawn getpid cpu_count", "io"),
    **_below("os", "fork forkpty", "thread"),
    **_below("os.path", "exists lexists isfile isdir islink getsize getmtime getatime getctime samefile", "io"),
    **_below("pathlib.Path", "open read_text read_bytes write_text write_bytes touch mkdir rmdir unlink rename", "io"),
    **_below("pathlib.Path", "replace exists is_file is_dir is_symlink stat lstat iterdir glob rglob chmod cwd", "io"),
    "asyncio.sleep": "sleep",
    **_below("asyncio", "create_task ensure_future gather wait to_thread run get_event_loop new_event_loop", "thread"),
    **_below("asyncio", "get_running_loop TaskGroup Runner", "thread"),
    **_below("asyncio", "wait_for timeout shield as_completed Event Lock Queue Condition Semaphore Future", "await"),
    **_below("asyncio", "open_connection start_server", "http"),
    **_below("asyncio", "create_subprocess_exec create_subprocess_shell", "io"),
}
"""Dotted names, each with the rule that using it breaks."""

UNLESS_GIVEN = {
    **dict.fromkeys(("time.localtime", "time.gmtime", "time.ctime", "time.asctime"), ("clock", 0, "")),
    "time.strftime": ("clock", 1, ""),
    "django.utils.timezone.localtime": ("clock", 0, "value"),
    "django.utils.timezone.localdate": ("clock", 0, "value"),
    "random.Random": ("random", 0, "x"),
}
"""What breaks a rule only in a call without that argument, by place or name: it is the clock's then, or a seed nobody
knows."""

PREFIXES = {
    "os.environ.": "environment",
    "os.environb.": "environment",
    "random.": "random",
    "secrets.": "random",
    "numpy.random.": "random",
    "requests.": "http",
    "httpx.": "http",
    "aiohttp.": "http",
    "urllib.request.": "http",
    "urllib3.": "http",
    "http.client.": "http",
    "socket.": "http",
    "smtplib.": "io",
    "ftplib.": "io",
    "subprocess.": "io",
    "shutil.": "io",
    "tempfile.": "io",
    "django.core.mail.": "io",
    "django.core.cache.": "io",
    "django.db.connection": "database",
    "django.db.transaction": "database",
    "django.shortcuts.get_": "database",
    "sqlite3.": "database",
    "psycopg.": "database",
    "threading.": "thread",
    "multiprocessing.": "thread",
    "concurrent.futures.": "thread",
}
"""Beginnings of dotted names, each with the rule that using anything below it breaks."""

CLIENT_LIBRARIES = ("requests.", "httpx.", "aiohttp.", "urllib3.")
REQUESTING = frozenset(
    {"get", "post", "put", "patch", "delete", "head", "options", "request", "stream"}
    | {"Client", "AsyncClient", "Session", "session", "ClientSession", "PoolManager"}
)
"""What such a library has beside plain values: headers, time-outs and status codes may be used."""

ALLOWED = frozenset(
    {"random.Random", "secrets.compare_digest", "threading.get_ident", "socket.gaierror", "socket.timeout"}
)
EXCEPTION_NAMES = re.compile(r"(Error|Exception|Warning|Timeout)$")
IGNORE = re.compile(r"#\s*durable:\s*ignore(?:\[([\w\s,-]*)\])?")


def rule_of(dotted: str) -> Rule | None:
    """The rule that using that name breaks, or None. A generator of random numbers with its own seed breaks none."""
    if dotted in NAMES:
        return RULES[NAMES[dotted]]
    if dotted in ALLOWED or dotted.startswith("random.Random.") or EXCEPTION_NAMES.search(dotted):
        return None
    last = dotted.rpartition(".")[2]
    if last.isupper() or (dotted.startswith(CLIENT_LIBRARIES) and last not in REQUESTING):
        return None
    for prefix, code in PREFIXES.items():
        if dotted.startswith(prefix):
            return RULES[code]
    return None


def is_left_out(dotted: str, given: int, names: Container[str | None]) -> str:
    """The code of the rule that a call breaks by what it leaves out; empty for none. Among names, None is a ``**``."""
    code, position, name = UNLESS_GIVEN.get(dotted, ("", 0, ""))
    return code if given <= position and name not in names and None not in names else ""


def is_ignored(line: str, code: str) -> bool:
    """Whether a line of source says ``# durable: ignore[code]``, or ``# durable: ignore`` for all rules."""
    match = IGNORE.search(line)
    if match is None:
        return False
    return match[1] is None or code in {part.strip() for part in match[1].split(",")}
