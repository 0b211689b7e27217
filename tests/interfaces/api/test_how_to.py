"""The examples of the how-to work as they stand."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from orchestrations.access import api_keys
from orchestrations.models import InboxMessage, Instance

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "call-the-rest-api.md"
pytestmark = pytest.mark.django_db(transaction=True)


def block(language: str) -> str:
    [code] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return code


@pytest.fixture
def environment(live_server, monkeypatch) -> None:
    _, key = api_keys.issue("robot")
    monkeypatch.setenv("DURABLE_URL", live_server.url)
    monkeypatch.setenv("DURABLE_KEY", key)


def named(code: str) -> str:
    """The example with an orchestrator of the tests."""
    return code.replace("fulfil_order", "echo")


def test_the_commands(environment):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", named(block("bash"))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "no_proxy": "*"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert Instance.objects.get().instance_id == "order-1042"
    assert InboxMessage.objects.get().type == "ExecutionTerminated"


def test_the_program(environment, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: Instance.objects.update(status="Completed", output="5"))
    program: dict = {}
    exec(compile(named(block("python")), str(PAGE), "exec"), program)  # noqa: S102 - it is the documentation's

    address = program["start"]("1042")

    assert program["start"]("1042") == address
    assert program["wait_for_end"](address)["output"] == 5
    program["api"].close()
