"""The static check finds the common cases of code that is not deterministic, and nothing in code that is."""

from __future__ import annotations

import importlib.util
from textwrap import dedent, indent

import pytest

from orchestrations.authoring.determinism.lint import lint
from orchestrations.authoring.determinism.rules import RULES
from orchestrations.authoring.registry import registry

HEAD = """\
import asyncio, os, random, secrets, threading, time, uuid
import datetime as dt
from datetime import date, datetime, timedelta
from os import environ
from pathlib import Path
from time import monotonic as clock

import httpx
import orchestrations as df
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone
from orchestrations import orchestrator, when_all

class Order: ...

"""


@pytest.fixture
def findings(tmp_path):
    """The findings in an orchestrator with that body, in a file of its own."""

    def findings(body: str, *, beside: str = "", kind: str = "def") -> list[tuple[int, str]]:
        text = f"{HEAD}{dedent(beside)}\n{kind} flow(context, order=None):\n{indent(dedent(body), '    ')}\n"
        path = tmp_path / f"flow_{abs(hash(text))}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        first = module.flow.__code__.co_firstlineno
        found = lint(module.flow)
        assert all(finding.file == str(path) for finding in found)
        return [(finding.line - first, finding.code) for finding in found]

    return findings


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("now = time.time()", "clock"),
        ("now = clock()", "clock"),
        ("now = datetime.now()", "clock"),
        ("now = dt.datetime.utcnow()", "clock"),
        ("now = dt.date.today()", "clock"),
        ("now = date.today()", "clock"),
        ("now = timezone.now()", "clock"),
        ("fields(default_factory=time.time)", "clock"),
        ("now = timezone.localtime()", "clock"),
        ("now = timezone.localdate(timezone=order)", "clock"),
        ("now = time.strftime('%Y')", "clock"),
        ("now = time.clock_gettime(1)", "clock"),
        ("stamp = Path(str(time.time())).name", "clock"),
        ("n = random.Random()", "random"),
        ("n = random.random()", "random"),
        ("n = random.choice([1, 2])", "random"),
        ("n = secrets.token_hex()", "random"),
        ("n = os.urandom(8)", "random"),
        ("n = uuid.uuid4()", "uuid"),
        ("n = os.environ['HOME']", "environment"),
        ("n = os.getenv('HOME')", "environment"),
        ("n = os.environ.get('HOME')", "environment"),
        ("n = environ.get('HOME')", "environment"),
        ("time.sleep(1)", "sleep"),
        ("await asyncio.sleep(1)", "sleep"),
        ("with open('x') as file: pass", "io"),
        ("os.listdir('.')", "io"),
        ("import subprocess; subprocess.run(['ls'])", "io"),
        ("text = Path('x').read_text()", "io"),
        ("if os.path.exists('x'): pass", "io"),
        ("n = cache.get('x')", "io"),
        ("r = httpx.get('http://x')", "http"),
        ("r = httpx.Client().get('http://x')", "http"),
        ("import requests; requests.post('http://x')", "http"),
        ("from urllib.request import urlopen; urlopen('http://x')", "http"),
        ("Order.objects.get(pk=1)", "database"),
        ("Order._default_manager.all()", "database"),
        ("get_user_model().objects.get(pk=1)", "database"),
        ("apps.get_model('shop', 'Order').objects.count()", "database"),
        ("connection.cursor()", "database"),
        ("with transaction.atomic(): pass", "database"),
        ("threading.Thread(target=print).start()", "thread"),
        ("asyncio.create_task(other())", "thread"),
        ("await asyncio.wait_for(other(), 1)", "await"),
        ("from elsewhere import fetch; await fetch(order)", "await"),
        ("for item in {1, 2}: pass", "set-order"),
        ("for item in set(order): pass", "set-order"),
        ("names = set(order)\n[n for n in names]", "set-order"),
        ("names = list(set(order) - {1})", "set-order"),
        ("names = [*{n for n in order}]", "set-order"),
        ("names = set(order)\n', '.join(names)", "set-order"),
        ("names = set(order)\nnames.pop()", "set-order"),
        ("names = set(order)\n[n for n in names | {1}]", "set-order"),
        ("names = set(order)\n[n for n in names.union(order)]", "set-order"),
        ("names = set(order)\nall([context.start_new(n) for n in names])", "set-order"),
        ("context.call_activity('a')", "not-awaited"),
        ("task: object = context.call_activity('a')", "not-awaited"),
        ("context.create_timer(timedelta(1))", "not-awaited"),
        ("context.lock_entities([one])", "not-awaited"),
        ("task = context.call_activity('a')", "not-awaited"),
        ("return context.call_activity('a')", "not-awaited"),
    ],
)
def test_each_rule_finds_its_cases_with_their_line(findings, line, code):
    body = f"await context.call_activity('first')\n{line}"

    found = findings(body, kind="async def")

    assert found == [(2 + line.count("\n") * (code == "set-order"), code)]


@pytest.mark.parametrize(
    "body",
    [
        "now = context.current_utc_datetime",
        "n = random.Random(7).random()",
        "n = random.Random(x=order).random()",
        "text = time.strftime('%Y', timezone.localtime(context.current_utc_datetime).timetuple())",
        "day = timezone.localdate(value=context.current_utc_datetime)",
        "day = timezone.localtime(*order)",
        "if secrets.compare_digest(order, 'x'): pass",
        "path = Path('a') / 'b'; name = os.path.join('a', path.name)",
        "n = uuid.uuid5(uuid.NAMESPACE_URL, 'x')",
        "when = datetime(2026, 1, 1); later = datetime.fromisoformat(order)",
        "for item in sorted({1, 2}): pass",
        "names = {1, 2}\nif 1 in names: pass\nnumber = len(names)",
        "names = {1}\nnames = [1]\nfor n in names: pass",
        "names = set(order)\nif any(n > 1 for n in names): number = sum([len(n) for n in names])",
        "for n in sorted(str(n) for n in {1, 2}): pass",
        "names = {n + 1 for n in {1, 2}}",
        "def call(n):\n    return context.call_activity('a', n)\nawait context.task_all([call(n) for n in order])",
        "result = await context.call_activity('a')",
        "tasks = [context.call_activity('a'), context.call_activity('b')]\nawait when_all(tasks)",
        "timer = context.create_timer(timedelta(1))\nawait context.task_any([timer])",
        "try:\n    await context.call_activity('a')\nexcept httpx.HTTPError:\n    pass",
        "if order == httpx.codes.OK: timeout = httpx.Timeout(5)",
        "from elsewhere import steps; await steps(context, order)",
        "from elsewhere import steps; await steps(order, ctx=context)",
        "await df.when_all([context.call_activity('a')])",
        "time = order\nprint(time.time)",
        "for time, uuid in order: print(time.time, uuid.uuid4)",
        "with order as random: random.random()",
        "try: pass\nexcept ValueError as secrets: secrets.choice(1)",
        "call = lambda os: os.environ['HOME']",
        "match order:\n    case [*time]: time.time()",
        "listed = [order.objects, order['page'].objects]",
        "context.set_custom_status('x'); context.start_new('y'); context.send_event('a', 'b')",
    ],
)
def test_deterministic_code_is_left_in_peace(findings, body):
    assert findings(body, kind="async def") == []


def test_a_function_of_the_module_is_read_where_it_is_called_and_the_context_is_known_by_its_place(findings):
    beside = """
    def helper(value, ctx):
        ctx.call_activity("forgotten")
        return stamp(value)

    def stamp(value):
        return time.time()

    def never_called():
        return time.time()
    """
    codes = [code for _, code in findings("yield helper(order, context)", beside=beside)]

    assert sorted(codes) == ["clock", "not-awaited"]


def test_the_context_is_known_by_its_name_too(findings):
    beside = "def helper(value, *, ctx):\n    ctx.call_activity('forgotten')"

    assert [code for _, code in findings("yield helper(order, ctx=context)", beside=beside)] == ["not-awaited"]


def test_work_that_the_end_waits_for_need_not_be_awaited(tmp_path):
    path = tmp_path / "open_tasks.py"
    path.write_text(
        "from orchestrations import orchestrator\n"
        "@orchestrator(wait_for_open_tasks=True)\n"
        "def tells(context):\n"
        "    context.call_activity('a')\n"
        "    task = context.call_activity('b')\n"
        "    yield context.call_activity('c')\n"
        "    return context.call_activity('d')\n"
    )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    with registry.preserved():
        spec.loader.exec_module(module)

        assert [(finding.line, finding.code) for finding in lint(module.tells)] == [(7, "not-awaited")]


def test_a_recursive_function_is_read_once(findings):
    beside = "def again(context, n):\n    time.sleep(1)\n    return again(context, n - 1)"

    assert [code for _, code in findings("yield from again(context, 3)", beside=beside)] == ["sleep"]


def test_calling_an_activity_directly_is_found_and_its_body_is_not_read(findings):
    beside = """
    from orchestrations.authoring.registry import registry
    from orchestrations import activity
    with registry.preserved():
        @activity(name="charge")
        def charge(value: int) -> float:
            return time.time()
    """
    assert [code for _, code in findings("yield charge(1)", beside=beside)] == ["direct-call"]


@pytest.mark.parametrize(
    ("comment", "expected"),
    [("# durable: ignore[clock]", []), ("# durable: ignore[uuid, clock]", []), ("# durable: ignore", []),
     ("# durable: ignore[uuid]", ["clock"]), ("# ignore[clock]", ["clock"])],
)  # fmt: skip
def test_a_comment_silences_its_line(findings, comment, expected):
    assert [code for _, code in findings(f"now = time.time()  {comment}\nyield 1")] == expected


def test_a_generator_that_returns_a_task_is_found_and_a_plain_function_that_hands_it_on_is_not(findings):
    beside = "def step(context):\n    return context.call_activity('a')"

    assert findings("yield step(context)\nreturn context.call_activity('b')", beside=beside) == [(2, "not-awaited")]


def test_a_function_without_source_is_not_read():
    namespace: dict[str, object] = {}
    exec("import time\ndef flow(context):\n    return time.time()", namespace)  # noqa: S102 (that is how code comes without a file)

    assert lint(namespace["flow"]) == []
    assert lint(len) == []


def test_every_rule_says_what_to_use_instead():
    assert all(rule.deed and rule.instead for rule in RULES.values())


def test_the_samples_are_clean():
    samples = [d for d in registry.all_orchestrators() if d.function.__module__.startswith("durable_admin.samples.")]

    assert len(samples) >= 5
    assert [str(finding) for sample in samples for finding in lint(sample.function)] == []
