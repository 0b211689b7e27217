"""The documentation is true: its code compiles, its links lead somewhere, its tables are complete."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrations import limits

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_blocks(page: Path) -> Iterator[tuple[int, str]]:
    """The Python blocks of a page, each with the line at which it begins."""
    text = page.read_text()
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, match.start()) + 1, match[1]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have on the usual renderers."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


BLOCKS = [
    pytest.param(relative(page), code, id=f"{relative(page)}:{line}")
    for page in PAGES
    for line, code in code_blocks(page)
]
LINKS = [
    pytest.param(page, target, id=f"{relative(page)}->{target}")
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))
    if not target.startswith(("http:", "https:"))
]


@pytest.mark.parametrize(("page", "code"), BLOCKS)
def test_code_compiles(page: str, code: str) -> None:
    compile(code, page, "exec")


@pytest.mark.parametrize(("page", "code"), BLOCKS)
def test_what_code_imports_from_the_app_exists(page: str, code: str) -> None:
    import orchestrations

    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if node.module == "orchestrations":
            missing = [alias.name for alias in node.names if not hasattr(orchestrations, alias.name)]
            assert not missing, page


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_relative_links_resolve(page: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    file = Path(os.path.normpath(page.parent / name)) if name else page

    assert file.exists()
    assert not anchor or anchor in anchors(file)


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs/README.md"
    linked = {
        Path(os.path.normpath(index.parent / target)) for target in re.findall(r"\]\(([^)#\s]+)", index.read_text())
    }

    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - linked == {index}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = ("\n" + (ROOT / page).read_text()).split(f"\n{heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def test_settings_are_listed_with_their_defaults() -> None:
    from orchestrations.conf import KEYS

    listed = {key: ast.literal_eval(default) for key, default, *_ in rows("docs/reference/settings.md", "## `DURABLE`")}

    assert listed == {key: setting.default for key, setting in KEYS.items()}


def test_environment_is_listed() -> None:
    read: set[str] = set()
    for source in (ROOT / "durable_admin").rglob("*.py"):
        calls = r'(?:env\.\w+|names|switch|one_of|whole_number)\(\s*(?:env,\s*)?"([A-Z_]+)"'
        read |= set(re.findall(calls, source.read_text()))
    listed = {name for name, *_ in rows("docs/reference/settings.md", "## Environment")}

    assert read == listed


def test_limits_are_listed_with_value_and_reason() -> None:
    source = (ROOT / "orchestrations/limits.py").read_text()
    reasons = dict(re.findall(r"^([A-Z_]+) = [^#\n]+  # (.+)$", source, re.MULTILINE))
    values = {name: value for name, value in vars(limits).items() if name.isupper()}

    listed = rows("docs/reference/limits.md", "# Limits")

    assert listed == [[name, f"{value:,}", reasons.get(name, "")] for name, value in values.items()]


@pytest.mark.parametrize("name", ["OrchestrationContext", "ActivityContext", "OrchestrationClient"])
def test_every_public_member_is_described(name: str) -> None:
    import orchestrations

    described = set(re.findall(r"`(\w+)", (ROOT / "docs/reference/authoring.md").read_text()))
    members = {member for member in dir(getattr(orchestrations, name)) if not member.startswith("_")}
    synchronous = {member for member in members if not (member.startswith("a") and member[1:] in members)}

    assert synchronous - described == set()


def test_the_reference_of_the_rest_api_is_what_the_schema_says() -> None:
    from durable_admin.management.commands.api_reference import page, written

    text = page().read_text()

    assert text == written(text), "Run manage.py api_reference."


def test_history_events_are_listed_with_where_they_come_from() -> None:
    from orchestrations.core.events import DECIDED, EventType

    listed = [(event, source) for event, source, *_ in rows("docs/reference/history.md", "## The events")]

    assert {*listed} == {(kind.value, "the code" if kind in DECIDED else "outside") for kind in EventType}
    assert len(listed) == len(EventType)


def test_samples_are_listed_with_their_tests() -> None:
    listed = [(module, test) for _, module, test, *_ in rows("docs/reference/patterns.md", "# Patterns and samples")]

    for module, test in listed:
        assert (ROOT / f"durable_admin/samples/{module}.py").exists()
        assert (ROOT / f"tests/samples/{test}.py").exists()
    modules = {path.stem for path in (ROOT / "durable_admin/samples").glob("*.py")}
    assert {module for module, _ in listed} == modules - {"__init__", "apps", "demo", "orchestrations"}


PROVING = re.findall(r"`([\w/]+\.py)((?:::\w+)*)`", (ROOT / "docs/reference/conformance.md").read_text())


def names_in(file: Path) -> set[str]:
    """The tests and classes of a module, as pytest calls them: ``::test_one``, ``::Machine::test_two``."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {""}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"::{node.name}"} | {f"::{node.name}::{n.name}" for n in node.body if isinstance(n, functions)}
        elif isinstance(node, functions):
            names.add(f"::{node.name}")
        elif isinstance(node, ast.Assign):
            names |= {f"::{target.id}" for target in node.targets if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize("module", sorted({module for module, _ in PROVING}))
def test_the_tests_that_prove_the_rules_exist(module: str) -> None:
    named = {test for name, test in PROVING if name == module}

    assert named <= names_in(ROOT / "tests" / module)


def test_every_conformance_module_proves_a_rule() -> None:
    modules = {f"conformance/{path.name}" for path in (ROOT / "tests/conformance").glob("test_*.py")}

    assert modules <= {module for module, _ in PROVING}


def test_the_testing_kit_is_listed() -> None:
    from orchestrations import testing

    names = [name for name, _ in rows("docs/reference/testing.md", "## Names")]
    methods = [call.partition("(")[0] for call, _ in rows("docs/reference/testing.md", "## `InProcessWorker`")]

    assert sorted(names) == sorted(testing.__all__)
    assert {*methods} == {name for name in vars(testing.InProcessWorker) if not name.startswith("_")}
