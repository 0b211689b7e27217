"""The shape of the code that no linter knows: sizes, names, and no sleeping in tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("orchestrations", "durable_admin")
MODULE_LINES = 500
FUNCTION_LINES = 60  # a screen
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "common", "manager", "base", "misc"}
SLEEPS_ALLOWED = {"tests/waiting.py"}  # the one loop that waits for conditions


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def modules(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "migrations" not in path.relative_to(ROOT).parts
    )


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_module_is_longer_than_anyone_reads():
    long = {
        name(path): lines for path in modules(*PACKAGES) if (lines := len(path.read_text().splitlines())) > MODULE_LINES
    }

    assert not long


def test_every_function_fits_on_a_screen():
    long = {
        f"{name(path)}:{function.lineno} {function.name}": lines
        for path in modules(*PACKAGES)
        for function in functions(parsed(path))
        if (lines := function.end_lineno - function.lineno + 1) > FUNCTION_LINES
    }

    assert not long


def test_every_module_says_what_it_is_for():
    silent = [
        name(path)
        for path in modules(*PACKAGES, "tests")
        if path.read_text().strip() and not ast.get_docstring(parsed(path))
    ]

    assert not silent


def test_every_module_has_a_name_that_says_something():
    assert not [name(path) for path in modules(*PACKAGES) if path.stem in NAMES_THAT_SAY_NOTHING]


def test_nothing_is_left_to_be_done_later():
    marker = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")

    assert not [name(path) for path in modules(*PACKAGES) if marker.search(path.read_text())]


def test_no_test_sleeps():
    sleepers = [
        f"{name(path)}:{call.lineno}"
        for path in modules("tests")
        if name(path) not in SLEEPS_ALLOWED
        for call in ast.walk(parsed(path))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("sleep", "time.sleep", "asyncio.sleep")
    ]

    assert not sleepers, "wait for the condition instead: tests/waiting.py"


@pytest.mark.parametrize("lock", ["runtime", "dev"])
def test_every_requirement_is_pinned_with_hashes(lock):
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    requirements = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]

    assert requirements
    assert all(re.match(r"\S+==\S+ \\\n +--hash=sha256:", requirement) for requirement in requirements)
    assert "://" not in text
