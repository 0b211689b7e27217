"""The examples of the how-to guides work as they stand, with the samples that they name."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.durable_functions.models.utils import http_utils
from django.test import RequestFactory

from durable_admin.samples.demo import INSTANCES
from orchestrations import OrchestrationClient
from orchestrations.access import api_keys
from orchestrations.models import Entity, InboxMessage, Instance
from orchestrations.testing import InProcessWorker
from tests.how_to import block, blocks, run
from tests.interfaces.management_api.conftest import BASE, SYSTEM_KEY

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:enable_cleanup_closed:DeprecationWarning"),
]

CURL, MICROSOFT, LINKS = "call-the-management-api", "use-the-microsoft-client", "answer-with-links"


@pytest.fixture
def worker(transactional_db: None) -> Iterator[InProcessWorker]:
    worker = InProcessWorker()
    yield worker
    worker.stop()


def commands() -> Iterator[str]:
    """Each call of the page; what it exports before is for the reader's own site."""
    for code in blocks(CURL, "sh"):
        joined = code.replace("\\\n", " ")
        yield from (line for line in joined.splitlines() if line and not line.startswith("export "))


def test_the_commands(live_server, worker):
    client = OrchestrationClient()
    for demo in INSTANCES:
        if demo.instance_id in ("demo-order-approval", "demo-purchase", "demo-rewind"):
            client.start_new(demo.orchestrator, demo.instance_id, demo.client_input)
    worker.run_until_idle()
    environment = {**os.environ, "no_proxy": "*", "BASE": live_server.url + BASE, "KEY": SYSTEM_KEY}
    answers = {}
    for command in commands():
        failing = command.replace("curl ", "curl --fail-with-body ", 1)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", failing], capture_output=True, text=True, timeout=60, env=environment
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        answers[re.sub(r".*\$BASE/([^\" ]+).*", r"\1", command)] = done.stdout
        worker.run_until_idle()

    assert "HTTP/1.1 202" in answers["orchestrators/take_stock/stock-1"]
    assert json.loads(answers["instances/stock-1?showHistory=true&showHistoryOutput=true"])["historyEvents"] is not None
    counts = {
        group["value"]: group["count"]
        for group in json.loads(answers["instances/count?groupBy=status&name=take_stock"])
    }
    assert counts["Completed"] == 1
    paged = answers["instances/stock-1/history?type=ExecutionStarted,ExecutionCompleted"]
    assert [event["EventType"] for event in json.loads(paged)] == ["ExecutionStarted", "ExecutionCompleted"]
    assert json.loads(answers["instances/demo-purchase/tags?reason=audit"])["team"] == "blue"
    assert json.loads(answers["entities/account/lyon"])["balance"] == "5"
    assert json.loads(answers["openapi.json"])["openapi"] == "3.1.0"
    [job] = json.loads(answers["batches?top=1"])
    assert (job["state"], job["done"]) == ("Completed", 1)
    assert not Instance.objects.filter(instance_id__in=["demo-purchase", "stock-1"]).exists()
    assert Instance.objects.get(instance_id="demo-rewind").execution == 2
    assert Entity.objects.get().name == "account"


def run_and_close(run_in_a_loop: Callable[..., None], program: Coroutine[Any, Any, None]) -> None:
    """Run the program, and close within its loop what the client leaves open."""

    async def both() -> None:
        try:
            await program
        finally:
            await http_utils._close_session()

    run_in_a_loop(both())


def test_the_program_with_the_client_of_microsoft(live_server, monkeypatch, capsys):
    _, key = api_keys.issue("robot")
    monkeypatch.setenv("DURABLE_KEY", key)
    code = block(MICROSOFT, "python").replace("localhost:8000", urlsplit(live_server.url).netloc)
    assert code != block(MICROSOFT, "python")

    monkeypatch.setattr(asyncio, "run", partial(run_and_close, asyncio.run))
    run(code, MICROSOFT)

    assert "Pending" in capsys.readouterr().out
    assert json.loads(Instance.objects.get().input or "") == ["Lyon", "Porto"]
    assert json.loads(InboxMessage.objects.get().payload or "") == {"approved": True}


def test_the_view_that_answers_with_links(client):
    program = run(block(LINKS, "python").replace("process_order", "echo"), LINKS)
    request = RequestFactory().post("/orders/", {"order": 7}, content_type="application/json")

    response = program["take_order"](request)

    links = json.loads(response.content)
    assert response.status_code == 202
    assert client.get(links["statusQueryGetUri"]).json()["input"] == {"order": 7}
