"""The examples of the how-to work as they stand."""

from __future__ import annotations

import os
import subprocess

import pytest

from orchestrations.access import api_keys
from orchestrations.models import InboxMessage, Instance
from tests.how_to import block, run

GUIDE = "call-the-rest-api"
pytestmark = pytest.mark.django_db(transaction=True)


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
        ["bash", "-euo", "pipefail", "-c", named(block(GUIDE, "bash"))],
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
    program = run(named(block(GUIDE, "python")), GUIDE)

    address = program["start"]("1042")

    assert program["start"]("1042") == address
    assert program["wait_for_end"](address)["output"] == 5
    program["api"].close()
