"""The rules of deterministic code: what breaks each, in words, and what to use instead.

The static check and the guard at run time both tell authors these words.
"""

from __future__ import annotations

import re
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

NAMES = {
    "builtins.open": "io",
    "builtins.input": "io",
    "time.sleep": "sleep",
    "asyncio.sleep": "sleep",
    "os.urandom": "random",
    "os.getrandom": "random",
    "os.environ": "environment",
    "os.environb": "environment",
    "os.getenv": "environment",
    "uuid.uuid1": "uuid",
    "uuid.uuid4": "uuid",
    "django.utils.timezone.now": "clock",
    "django.utils.timezone.localtime": "clock",
    "django.utils.timezone.localdate": "clock",
    "django.utils.crypto.get_random_string": "random",
    "asgiref.sync.sync_to_async": "thread",
    "asgiref.sync.async_to_sync": "thread",
    **{
        f"time.{name}": "clock"
        for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time")
    },
    **{f"time.{name}": "clock" for name in ("localtime", "gmtime", "ctime", "asctime", "strftime", "thread_time")},
    **{f"datetime.datetime.{name}": "clock" for name in ("now", "utcnow", "today")},
    "datetime.date.today": "clock",
    **{f"os.{name}": "io" for name in ("listdir", "scandir", "walk", "stat", "remove", "unlink", "rename", "replace")},
    **{f"os.{name}": "io" for name in ("mkdir", "makedirs", "rmdir", "open", "system", "popen", "getpid", "cpu_count")},
    **{f"asyncio.{name}": "thread" for name in ("create_task", "ensure_future", "gather", "wait", "to_thread", "run")},
    **{f"asyncio.{name}": "await" for name in ("wait_for", "timeout", "Event", "Lock", "Queue", "as_completed")},
}
"""Dotted names, each with the rule that using it breaks."""

PREFIXES = {
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

ALLOWED = frozenset({"random.Random", "threading.get_ident", "socket.gaierror", "socket.timeout"})
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


def is_ignored(line: str, code: str) -> bool:
    """Whether a line of source says ``# durable: ignore[code]``, or ``# durable: ignore`` for all rules."""
    match = IGNORE.search(line)
    if match is None:
        return False
    return match[1] is None or code in {part.strip() for part in match[1].split(",")}
