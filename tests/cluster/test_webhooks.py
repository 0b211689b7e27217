"""Workers are killed between a commit and what it promised to send, and it is sent all the same."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrations.client import OrchestrationClient
from orchestrations.models import OutgoingWebhook, WebhookDelivery
from orchestrations.webhooks import keyring
from tests.cluster.conftest import Cluster
from tests.durable_http.conftest import Answer, Server, server
from tests.waiting import eventually

__all__ = ["server"]

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture
def webhook(transactional_db: None, server: Server, monkeypatch: pytest.MonkeyPatch) -> OutgoingWebhook:
    monkeypatch.setenv("DURABLE_HTTP_ALLOWED", "127.0.0.1")
    row = OutgoingWebhook(name="partner", url=f"{server.url}/hook", events=["completed"])
    keyring.rotate(row)
    row.save()
    return row


@pytest.fixture
def killed_once(webhook: OutgoingWebhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("DIES_ONCE_BEFORE_SENDING", str(tmp_path / "died"))
    started = Cluster(tmp_path).start(workers=1)
    yield started
    started.kill()


@pytest.fixture
def plain(webhook: OutgoingWebhook, tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path).start(workers=1)
    yield started
    started.kill()


def test_a_worker_that_is_killed_between_commit_and_send_has_the_message_sent_by_the_next(
    killed_once: Cluster, client: OrchestrationClient, server: Server, tmp_path: Path
) -> None:
    server.answers["/hook"] = Answer(204)
    instance_id = client.start_new("good", client_input=1)

    eventually(lambda: server.received, timeout_seconds=60, otherwise=killed_once.output)

    assert (tmp_path / "died").exists()
    assert json.loads(server.received[0].body)["data"]["instance_id"] == instance_id


def test_a_worker_that_is_killed_while_it_sends_has_the_message_sent_again(
    plain: Cluster, client: OrchestrationClient, server: Server
) -> None:
    pids = plain.wait_for_workers()

    def kill_the_first(received: object) -> Answer:
        if len(server.received) == 1:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        return Answer(204)

    server.answers["/hook"] = kill_the_first
    client.start_new("good", client_input=1)

    eventually(lambda: len(server.received) >= 2, timeout_seconds=60, otherwise=plain.output)
    eventually(lambda: WebhookDelivery.objects.filter(state="Delivered").exists(), timeout_seconds=20)

    assert len({received.headers["webhook-id"] for received in server.received}) == 1
