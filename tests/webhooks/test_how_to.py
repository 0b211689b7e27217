"""The examples of the how-to guides work as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.models import IncomingWebhook, Instance, OutgoingWebhook
from orchestrations.webhooks import keyring, signatures
from tests.functions import registered
from tests.how_to import block, blocks, run

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def test_a_receiver_knows_an_authentic_message():
    is_authentic = run(blocks("webhooks", "python")[0], "webhooks")["is_authentic"]
    now, body = int(time.time()), b'{"type": "orchestration.completed"}'
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = signatures.sign([OTHER, SECRET], "msg_1", now, body)

    assert is_authentic(SECRET, headers, body)
    assert not is_authentic(SECRET, headers, body + b" ")
    assert not is_authentic(SECRET, {**headers, "webhook-id": "msg_2"}, body)


@pytest.mark.django_db(transaction=True)
def test_a_program_makes_a_webhook(live_server):
    _, key = api_keys.issue("robot", [Verb.MANAGE_WEBHOOKS])
    environment = {**os.environ, "no_proxy": "*", "DURABLE_URL": live_server.url, "DURABLE_KEY": key}
    command = ["bash", "-euo", "pipefail", "-c", block("webhooks", "bash")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    assert done.returncode == 0, done.stdout + done.stderr
    assert keyring.valid_secrets(OutgoingWebhook.objects.get()) == [json.loads(done.stdout)["secret"]]


@pytest.mark.django_db(transaction=True)
def test_a_sender_is_taken_for_who_it_is(live_server, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    row = IncomingWebhook(name="shop", slug="shop", hub="default", orchestrator="echo")
    keyring.set_secret(row, SECRET)
    row.save()
    with registered():
        run(block("receive-webhooks", "python"), "receive-webhooks")["send"](
            f"{live_server.url}/webhooks/in/shop/", SECRET, {"order": 7}
        )

    assert Instance.objects.get().input == '{"order":7}'
