"""Versions compare as people mean them, and an instance's version picks the code that it runs on."""

from __future__ import annotations

import pytest

from orchestrations import orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.authoring.version_order import version_key
from orchestrations.authoring.versions import choose_code, new_version
from orchestrations.errors import ConfigurationError, FunctionNotRegistered


def code(version: str):
    """Registers code of that version under the name "pay"."""

    @orchestrator(name="pay", version=version)
    def pay(context):
        return version

    return pay


@pytest.fixture(autouse=True)
def preserved():
    with registry.preserved():
        yield


@pytest.fixture
def durable(settings):
    def durable(**options: object) -> None:
        settings.DURABLE = {**settings.DURABLE, **options}

    return durable


@pytest.mark.parametrize(
    ("older", "newer"),
    [("", "0"), ("9", "10"), ("1.9", "1.10"), ("2.0rc1", "2.0"), ("2", "2.0.1"), ("1!1", "1!2"), ("10", "beta"),
     ("alpha", "beta"), ("", "beta")],
)  # fmt: skip
def test_older_and_newer(older, newer):
    assert version_key(older) < version_key(newer)


@pytest.mark.parametrize(("one", "other"), [("", ""), ("2", "2.0"), ("v2", "2"), ("beta", "beta")])
def test_equal(one, other):
    assert version_key(one) == version_key(other)


def chosen(codes: list[str], version: str) -> str | None:
    for one in codes:
        code(one)
    definition = choose_code("pay", version).definition
    return None if definition is None else definition.version


@pytest.mark.parametrize(
    ("match", "codes", "version", "expected"),
    [
        ("current-or-older", ["1", "2"], "1", "1"),
        ("current-or-older", ["2", "1"], "2.0", "2"),
        ("current-or-older", ["1", "3"], "2", "3"),
        ("current-or-older", ["1", "3"], "", "1"),
        ("current-or-older", ["1", "3"], "4", None),
        ("current-or-older", [""], "", ""),
        ("current-or-older", [""], "1", None),
        ("strict", ["1", "3"], "3.0", "3"),
        ("strict", ["1", "3"], "2", None),
        ("strict", ["1"], "", None),
        ("none", ["1", "3"], "1", "1"),
        ("none", ["1", "3"], "2", "3"),
        ("none", ["1", "3"], "4", "3"),
        ("none", [""], "4", ""),
    ],
)
def test_the_code_that_an_instance_gets(durable, match, codes, version, expected):
    durable(VERSION_MATCH=match)

    assert chosen(codes, version) == expected


@pytest.mark.parametrize(("version", "expected"), [("1", ""), ("2", ""), ("3", None), ("", "")])
def test_code_that_declares_no_version_has_that_of_the_worker(durable, version, expected):
    durable(VERSION="2")

    assert chosen([""], version) == expected


def test_without_matching_the_newest_is_that_of_the_worker_where_it_is_newer_than_what_is_declared(durable):
    durable(VERSION="10", VERSION_MATCH="none")

    assert chosen(["", "9"], "11") == ""


def test_the_mismatch_says_what_the_code_has_and_what_to_do():
    code("1")
    code("1.5")

    message = str(choose_code("pay", "2").mismatch)

    assert (
        "of 'pay' has version '2', and the code here is '1', '1.5', which VERSION_MATCH='current-or-older'" in message
    )
    assert "Run a worker with that code" in message


def test_an_unknown_name_is_told():
    with pytest.raises(FunctionNotRegistered):
        choose_code("nothing", "")


def test_new_instances_get_the_newest_code_by_name_and_that_very_code_by_reference(durable):
    first = code("1")
    code("10")
    code("9")
    durable(DEFAULT_VERSION="7")

    assert new_version("pay") == "10"
    assert new_version("pay", first) == "1"


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, ""), ({"VERSION": "3"}, "3"), ({"VERSION": "3", "DEFAULT_VERSION": "2"}, "2"),
     ({"VERSION": "3", "DEFAULT_VERSION": ""}, "")],
)  # fmt: skip
def test_new_instances_of_code_without_a_version_get_the_default(durable, options, expected):
    code("")
    durable(**options)

    assert new_version("pay") == expected
    assert new_version("elsewhere") == expected


@pytest.mark.parametrize("version", [2, 2.0, None, "1\n", "x" * 65])
def test_a_version_is_one_line(version):
    with pytest.raises(ConfigurationError, match=r"is no line of at most 64 characters.*version=\"2.0\""):
        code(version)


def test_one_version_can_be_declared_once():
    code("2")

    with pytest.raises(ConfigurationError, match=r"have the name 'pay' and the version '2.0': .* or version= for code"):
        code("2.0")


def test_all_versions_are_listed_and_the_newest_stands_for_the_name():
    code("2")
    code("1")

    assert [definition.version for definition in registry.versions_of("pay")] == ["1", "2"]
    assert registry.orchestrator("pay").version == registry.orchestrators()["pay"].version == "2"
    assert len([d for d in registry.all_orchestrators() if d.name == "pay"]) == 2
