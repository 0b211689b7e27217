"""Determinism: code that differs from its history is found out, and so is code that could differ from itself."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import datetime
import glob
import http.client
import logging
import multiprocessing
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from asgiref.local import Local
from django.core import mail
from django.core.cache import cache, caches
from django.db import connection
from django.utils import timezone
from django.utils.crypto import get_random_string

from orchestrations import activity, orchestrator
from orchestrations.authoring.determinism.rules import RULES
from orchestrations.authoring.registry import registry
from orchestrations.models import ActivityWorkItem, HistoryEvent, Instance, Timer
from orchestrations.runtime import guard
from orchestrations.runtime.guard import WATCHED_RUNS
from tests.runtime import functions


def failure(status) -> str:
    """The message of an instance that the guard has failed."""
    assert status.runtime_status == "Failed", status.runtime_status
    assert status.failure_details.error_type == "orchestrations.core.errors.OrchestratorCodeError"
    assert status.failure_details.is_non_retriable
    return status.failure_details.message


def connect() -> None:
    with socket.socket() as one:
        one.connect(("127.0.0.1", 9))


doze, rest = time.sleep, asyncio.sleep  # what the guard is to find, not what the test waits by


def start_thread() -> None:
    threading.Thread(target=int).start()


def submit() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int)


async def nothing() -> None: ...


def run_a_loop() -> None:
    unused = nothing()
    try:
        asyncio.run(unused)
    finally:
        unused.close()


class Day(datetime.date):
    """A date of an author's own."""


@dataclass
class Stamped:
    at: float = field(default_factory=time.time)


def make_class() -> None:
    class Made:
        at = time.time()


generator = random.SystemRandom()

DEEDS = {
    "clock": [time.time, time.time_ns, time.monotonic, time.perf_counter, lambda: datetime.datetime.now(),  # noqa: DTZ005 (the deed)
              lambda: datetime.datetime.utcnow(), lambda: datetime.date.today(), timezone.now, timezone.localtime,  # noqa: DTZ003, DTZ011
              timezone.localdate, lambda: time.clock_gettime(time.CLOCK_REALTIME), Day.today, Stamped, make_class,
              lambda: [time.time() for _ in "x"], lambda: sorted([1, 2], key=lambda _: time.time())],
    "random": [lambda: random.random(), lambda: random.randint(1, 2), lambda: random.choice([1]),
               lambda: random.shuffle([1, 2]), lambda: os.urandom(4), lambda: secrets.token_hex(),
               lambda: secrets.choice([1]), lambda: random.Random().random(), lambda: generator.choice([1]),
               lambda: generator.random(), lambda: get_random_string(8)],
    "uuid": [lambda: uuid.uuid4(), lambda: uuid.uuid1()],
    "environment": [lambda: os.getenv("HOME"), lambda: os.environ["HOME"], lambda: os.environ.get("HOME"),
                    lambda: "HOME" in os.environ, lambda: dict(os.environ), lambda: list(os.environ.items()),
                    socket.gethostname],
    "sleep": [lambda: doze(0)],
    "io": [lambda: open(__file__).close(), lambda: subprocess.run(["true"]),
           lambda: os.listdir("."), lambda: Path(__file__).read_text(), lambda: Path(__file__).exists(),
           lambda: list(Path().iterdir()), lambda: os.path.getmtime(__file__), lambda: glob.glob("*"),
           lambda: tempfile.TemporaryFile().close(), lambda: tempfile.mkdtemp(), lambda: shutil.copy(__file__, "x"),
           lambda: os.posix_spawn("/bin/true", ["true"], {}), lambda: cache.get("x"), lambda: caches["default"],
           lambda: mail.send_mail("x", "y", "a@example.org", ["b@example.org"])],
    "http": [connect, lambda: socket.getaddrinfo("localhost", 80),
             lambda: http.client.HTTPConnection("localhost").putrequest("GET", "/"),
             lambda: httpx.get("http://localhost")],
    "database": [lambda: Instance.objects.count(), lambda: Instance.objects.filter(pk=1).update(name="x"),
                 lambda: connection.cursor().execute("SELECT 1")],
    "thread": [start_thread, submit, run_a_loop, asyncio.gather,
               multiprocessing.get_context("spawn").Process(target=int).start],
}  # fmt: skip


async def counts() -> int:
    return await Instance.objects.acount()


async def goes_through() -> None:
    async for _ in Instance.objects.all():
        pass


async def waits_for_a_lock() -> None:
    await asyncio.Event().wait()


async def has_a_timeout() -> None:
    async with asyncio.timeout(1):
        pass


async def requests() -> None:
    async with httpx.AsyncClient() as one:
        await one.get("http://localhost")


async def goes_to_a_thread() -> None:
    await asyncio.to_thread(int)


AWAITED = {
    "database": [counts, goes_through], "await": [waits_for_a_lock, has_a_timeout], "http": [requests],
    "thread": [goes_to_a_thread],
}  # fmt: skip


@pytest.mark.parametrize("runs", [0, WATCHED_RUNS], ids=["watched", "later"])
@pytest.mark.parametrize(
    ("code", "deed"),
    [pytest.param(c, deed, id=f"{c}-{n}") for c, deeds in AWAITED.items() for n, deed in enumerate(deeds)],
)
def test_what_needs_an_event_loop_is_told_with_the_way_out_too(client, worker, code, deed, runs):
    @orchestrator
    async def impure(context, is_pure: bool):
        await context.create_timer(timedelta(0))
        return None if is_pure else await deed()

    client.start_many(impure, [True] * runs)
    worker.run_until_idle()
    client.start_new(impure, "impure", False)
    message = failure(worker.run_until_ended("impure"))

    assert f" {RULES[code].deed} at {__file__}:" in message
    assert message.endswith(f"Use {RULES[code].instead}.")


@pytest.mark.parametrize(
    ("code", "deed"),
    [pytest.param(c, deed, id=f"{c}-{n}") for c, deeds in DEEDS.items() for n, deed in enumerate(deeds)],
)
def test_the_guard_names_the_deed_the_line_and_the_way_out(run, code, deed):
    @orchestrator
    def impure(context, _):
        yield context.create_timer(timedelta(0))
        deed()
        yield context.call_activity(functions.work, "never")

    message = failure(run(impure, instance_id="impure"))

    inside = deed.__qualname__ if getattr(deed, "__module__", "") == __name__ else impure.__code__.co_qualname
    assert f"The orchestrator 'impure' {RULES[code].deed} at {__file__}:" in message
    assert deed is Stamped or f" in {inside}" in message
    assert message.endswith(f", which may come out differently on replay. Use {RULES[code].instead}.")
    assert not ActivityWorkItem.objects.exists()
    assert Instance.objects.get().blocked_at


def test_other_errors_of_such_libraries_stay_what_they_are(run):
    @orchestrator
    def asks(context, _):
        yield context.create_timer(timedelta(0))
        return Local().missing

    assert run(asks).failure_details.error_type == "AttributeError"


def test_a_worker_that_is_told_to_stop_in_such_a_library_stops(stage):
    class Stop(SystemExit):
        """How a worker is stopped."""

    frame: dict[str, object] = {"Stop": Stop}
    exec(compile("def wait():\n    raise Stop", asyncio.__file__, "exec"), frame)  # noqa: S102 (a frame of the library)

    with pytest.raises(Stop), guard.CodeGuard("stops")(None):
        frame["wait"]()


def test_a_pause_of_an_event_loop_is_a_pause(run):
    @orchestrator
    async def impure(context, _):
        await rest(0)

    assert RULES["sleep"].instead in failure(run(impure))


def test_the_line_is_that_of_the_call(run):
    @orchestrator
    async def impure(context, _):
        await context.call_activity(functions.work, 1)
        moment = time.time()
        return moment

    assert f"{__file__}:{impure.__code__.co_firstlineno + 3} in " in failure(run(impure))


def test_a_plain_function_and_the_first_stretch_are_guarded(run):
    @orchestrator
    def plain(context, _):
        return time.time()

    assert "reads the clock" in failure(run(plain))


def test_code_that_swallows_the_error_fails_all_the_same_and_nothing_of_it_is_in_motion(run, worker):
    @orchestrator
    def swallows(context, _):
        context.call_activity(functions.work, "begun")
        context.create_timer(timedelta(days=1))
        with contextlib.suppress(Exception):
            doze(0)
        yield context.call_activity(functions.work, "after")
        return "well"

    failure(run(swallows, instance_id="swallows"))

    assert not functions.stage.runs
    assert not ActivityWorkItem.objects.exists()
    assert not Timer.objects.filter(state=Timer.State.PENDING).exists()


def test_mended_code_and_a_rewind_continue_it(run, client, worker):
    mended = False

    @orchestrator
    def impure(context, _):
        value = yield context.call_activity(functions.work, "once")
        if not mended:
            time.time()
        return value

    failure(run(impure, instance_id="impure"))
    mended = True
    client.rewind("impure")

    assert worker.run_until_ended("impure").output == "once"
    assert functions.stage.runs["once"] == 1


def test_a_later_run_is_caught_too_once_the_code_was(client, worker):
    @orchestrator
    def impure(context, is_pure: bool):
        yield context.create_timer(timedelta(0))
        return None if is_pure else time.time()

    ids = [client.start_new(impure, None, False)]
    ids += client.start_many(impure, [True] * 3 * WATCHED_RUNS)
    worker.run_until_idle()
    ids.append(client.start_new(impure, None, False))

    assert [worker.run_until_ended(key).runtime_status for key in ids] == [
        "Failed", *["Completed"] * 3 * WATCHED_RUNS, "Failed",
    ]  # fmt: skip


def test_input_and_output_are_caught_in_every_run(client, worker):
    @orchestrator
    def impure(context, is_pure: bool):
        yield context.create_timer(timedelta(0))
        return None if is_pure else [Instance.objects.count() if context.instance_id == "rows" else connect()]

    client.start_many(impure, [True] * 3 * WATCHED_RUNS)
    worker.run_until_idle()
    for key in ("rows", "socket"):
        client.start_new(impure, key, False)

    assert "touches the database" in failure(worker.run_until_ended("rows"))
    assert "makes a network request" in failure(worker.run_until_ended("socket"))


def test_no_profiler_is_left_behind_and_one_that_is_there_stays(run):
    def profiler(*_: object) -> None: ...

    run(functions.chain, 2)
    assert sys.getprofile() is None
    sys.setprofile(profiler)
    try:
        run(functions.chain, 2)
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)


def test_a_guard_that_was_not_taken_down_lets_the_engine_work(run):
    """An episode's time-out may strike between the code's last line and the guard's."""
    here = guard._prepare_thread()
    here.guard = guard.CodeGuard("left")

    Instance.objects.count()

    assert here.guard is None
    assert run(functions.chain, 1).runtime_status == "Completed"


# What is allowed ------------------------------------------------------------------------------------------------------


class Handler(logging.Handler):
    """A handler that does what orchestrators may not."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(ConnectionRefusedError):
            connect()
        list(Instance.objects.all()[:1])
        self.emitted = time.time()


def test_what_is_deterministic_and_what_logs_is_left_in_peace(run):
    handler = Handler()
    logger = logging.getLogger("tests.guard")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    @orchestrator
    def pure(context, _):
        context.create_replay_safe_logger(logger).info("still deterministic")
        seeded = random.Random(7)
        yield context.call_activity(functions.work, str([seeded.random(), seeded.choice([1, 2])]))
        first, moment = context.new_guid(), context.current_utc_datetime
        time.strftime("%Y", moment.timetuple())
        time.localtime(moment.timestamp())
        timezone.localtime(moment)
        timezone.localdate(moment)
        secrets.compare_digest("one", "one")
        {"a": 1}.get("a")
        datetime.datetime.fromisoformat(moment.isoformat())
        uuid.uuid5(first, "name")
        import json.tool  # noqa: F401 (an import reads files)

        return "pure"

    assert run(pure).output == "pure"
    logger.removeHandler(handler)
    assert handler.emitted


def test_what_a_module_does_when_it_is_imported_is_not_the_orchestrator_s(run, tmp_path, monkeypatch):
    """Imports inside functions are how apps avoid circles, and happen once in a process."""
    (tmp_path / "imported_late.py").write_text("import os, time\nHOME, AT = os.environ.get('HOME'), time.time()\n")
    monkeypatch.syspath_prepend(tmp_path)

    @orchestrator
    def imports(context, _):
        yield context.create_timer(timedelta(0))
        from imported_late import HOME

        return HOME is None

    assert run(imports).runtime_status == "Completed"


def test_a_wrapper_around_a_new_connection_is_taken_off_again(run):
    run(functions.chain, 1)
    seen = []

    def wrapper(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    connection.close()
    with connection.execute_wrapper(wrapper):
        Instance.objects.count()
    Instance.objects.count()

    assert len(seen) == 1
    assert guard._on_statement in connection.execute_wrappers


def test_a_comment_allows_its_line(run):
    @orchestrator
    def meant_so(context, _):
        yield context.create_timer(timedelta(0))
        time.perf_counter()  # durable: ignore[clock]
        Instance.objects.count()  # durable: ignore[database]
        return "done"

    assert run(meant_so).output == "done"


def test_the_setting_turns_it_off(settings, run):
    settings.DURABLE = {**settings.DURABLE, "DETERMINISM_GUARD": False}

    @orchestrator
    def impure(context, _):
        yield context.create_timer(timedelta(0))
        return Instance.objects.count() + bool(time.time())

    assert run(impure).output == 2


def test_activities_beside_it_do_what_they_like(client, worker):
    """Other threads run ordinary code while orchestrators are guarded."""

    @activity
    def impure_work(number: int) -> int:
        time.time()
        random.random()
        with contextlib.suppress(OSError):
            connect()
        return Instance.objects.count() and number

    @activity
    async def impure_async(number: int) -> int:
        await asyncio.to_thread(int)
        return number if time.time() else 0

    @orchestrator
    def fans_out(context, _):
        calls = [context.call_activity(impure_async if n % 2 else impure_work, n) for n in range(10)]
        return sum((yield context.task_all(calls)))

    ids = client.start_many(fans_out, [None] * 10)

    assert [worker.run_until_ended(key).output for key in ids] == [45] * 10


def test_what_has_happened_before_the_guard_came_is_not_judged_again(settings, client, worker, run):
    @orchestrator
    def impure(context, _):
        time.time()
        yield context.wait_for_external_event("go")
        return "done"

    settings.DURABLE = {**settings.DURABLE, "DETERMINISM_GUARD": False}
    run(impure, instance_id="old")
    settings.DURABLE = {**settings.DURABLE, "DETERMINISM_GUARD": True}
    worker.runtime.cache.clear()
    client.raise_event("old", "go")

    assert worker.run_until_ended("old").output == "done"


# Code that differs from its history -----------------------------------------------------------------------------------


def test_the_failure_names_event_history_deed_and_line_and_only_the_events_are_kept(client, worker, run):
    stage = functions.stage
    run(functions.changes, instance_id="order")
    before = list(HistoryEvent.objects.order_by("sequence").values_list("type", flat=True))
    stage.changed = True
    worker.runtime.cache.clear()
    client.raise_event("order", "go", 1)

    status = worker.run_until_ended("order")

    line = functions.changes.__code__.co_firstlineno + 4
    assert status.failure_details.error_type == "orchestrations.core.errors.NonDeterminismError"
    message = status.failure_details.message
    assert (
        "Event 2 of the history is TaskScheduled 'work' (task 1), but the code decided TimerCreated (task 1) at "
        in (message)
    )
    assert f"{functions.__file__}:{line} in changes" in message
    after = list(HistoryEvent.objects.order_by("sequence").values_list("type", flat=True))
    assert after == [*before, "EventRaised", "ExecutionCompleted"]
    assert not Timer.objects.exists()

    stage.changed = False
    client.rewind("order")
    worker.run_until_idle()
    client.raise_event("order", "go", 2)
    assert worker.run_until_ended("order").output == [1, 2]


def test_a_patched_change_lets_old_and_new_instances_end(client, worker, run):
    def old(context, _):
        yield context.call_activity(functions.work, "first")
        yield context.wait_for_external_event("go")
        return "old"

    def new(context, _):
        yield context.call_activity(functions.work, "first")
        if context.patched("checked"):
            yield context.call_activity(functions.work, "check")
        yield context.wait_for_external_event("go")
        return "new" if context.patched("checked") else "old"

    orchestrator(name="flow")(old)
    run("flow", None, "before")
    registry._orchestrators.pop("flow")
    orchestrator(name="flow")(new)
    worker.runtime.cache.clear()
    run("flow", None, "after")
    for key in ("before", "after"):
        client.raise_event(key, "go")

    assert [worker.run_until_ended(key).output for key in ("before", "after")] == ["old", "new"]
    assert functions.stage.runs["check"] == 1
    assert list(HistoryEvent.objects.filter(type="PatchApplied").values_list("name", flat=True)) == ["checked"]
