"""The same request from many at the same moment: it counts once, and exactly one is told that it was the first."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.test import Client

from orchestrations.access import api_keys
from orchestrations.models import AuditEntry, InboxMessage, Instance, OutgoingWebhook
from orchestrations.webhooks import keyring
from tests import rows

pytestmark = pytest.mark.django_db(transaction=True)
CALLERS = 6
INSTANCES = "/api/instances/"


@pytest.fixture
def key() -> str:
    return api_keys.issue("robot")[1]


def at_once(key: str, address: str, body: object, **headers: str) -> list:
    """The answers to the same request, made by all callers at the same moment."""
    together = Barrier(CALLERS)

    def ask(number: int):
        client = Client(headers={"x-functions-key": key, **headers})
        together.wait()
        try:
            return client.post(address, json.dumps(body), content_type="application/json")
        finally:
            connection.close()

    with ThreadPoolExecutor(CALLERS) as callers:
        return list(callers.map(ask, range(CALLERS)))


@pytest.mark.parametrize("attempt", range(3))
def test_of_starts_with_one_idempotency_key_one_is_201_and_the_others_are_200(key, attempt):
    answers = at_once(key, INSTANCES, {"orchestrator": "echo"}, **{"Idempotency-Key": f"k-{attempt}"})

    assert sorted(answer.status_code for answer in answers) == [200] * (CALLERS - 1) + [201]
    assert len({answer.json()["instance_id"] for answer in answers}) == 1
    assert (Instance.objects.count(), AuditEntry.objects.count()) == (1, 1)


def test_of_starts_that_may_find_one_there_one_is_201(key):
    body = {"orchestrator": "echo", "instance_id": "order", "on_duplicate": "return-existing"}
    answers = at_once(key, INSTANCES, body)

    assert sorted(answer.status_code for answer in answers) == [200] * (CALLERS - 1) + [201]
    assert Instance.objects.count() == 1


def test_of_starts_under_one_id_one_wins_and_the_others_conflict(key):
    answers = at_once(key, INSTANCES, {"orchestrator": "echo", "instance_id": "order"})

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (CALLERS - 1)
    assert (Instance.objects.count(), AuditEntry.objects.count()) == (1, 1)


def test_an_event_with_one_idempotency_key_arrives_once(key):
    rows.instance("order")
    answers = at_once(key, f"{INSTANCES}order/events/paid/", 5, **{"Idempotency-Key": "k"})

    assert [answer.status_code for answer in answers] == [202] * CALLERS
    assert InboxMessage.objects.count() == 1


def test_of_webhooks_with_one_name_one_is_made_and_the_others_conflict(key):
    body = {"name": "partner", "url": "https://partner.example/hook", "events": ["completed"]}
    answers = at_once(key, "/api/webhooks/", body)

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (CALLERS - 1)
    assert (OutgoingWebhook.objects.count(), AuditEntry.objects.count()) == (1, 1)


def test_of_new_secrets_at_once_all_are_told_and_the_last_one_counts(key):
    webhook = rows.outgoing_webhook()
    answers = at_once(key, f"/api/webhooks/{webhook.pk}/rotate-secret/", {})

    webhook.refresh_from_db()
    told = {answer.json()["secret"] for answer in answers}
    assert len(told) == CALLERS
    assert set(keyring.valid_secrets(webhook)) <= told
    assert AuditEntry.objects.count() == CALLERS
