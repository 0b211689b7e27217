"""Incoming webhooks: authentic, fresh, once; and nothing learnt by who is none of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from orchestrations.models import AuditEntry, InboxMessage, IncomingWebhook, Instance, WebhookReceipt
from orchestrations.store import get_store
from orchestrations.webhooks import keyring, signatures
from orchestrations.webhooks.courier import Courier
from orchestrations.webhooks.outbox import Outbox
from tests import functions, rows

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TYPED = "it is a secret that somebody typed"


@pytest.fixture(autouse=True)
def registered():
    with functions.registered():
        yield


@pytest.fixture
def make(db) -> Callable[..., IncomingWebhook]:
    def make(secret: str = SECRET, **columns: object) -> IncomingWebhook:
        given = {"name": "shop", "slug": "shop", "hub": "default", "orchestrator": "echo"}
        row = IncomingWebhook(**{**given, **columns})
        keyring.set_secret(row, secret)
        row.save()
        return row

    return make


def signed(body: bytes, *, secret: str = SECRET, message_id: str = "msg_1", at: float = 0.0) -> dict[str, str]:
    timestamp = int(time.time() + at)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures.sign([secret], message_id, timestamp, body),
    }


def post(body: object, headers: dict[str, str] | None = None, slug: str = "shop"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(enforce_csrf_checks=True).post(
        f"/webhooks/in/{slug}/",
        data,
        content_type="application/json",
        headers=signed(data) if headers is None else headers,
    )


def refused(response, status: int, code: str) -> str:
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert not Instance.objects.exists()
    assert not WebhookReceipt.objects.exists()
    return problem["detail"]


def test_an_authentic_request_starts_an_instance_with_its_body(make):
    make()

    response = post({"order": 7})

    assert response.status_code == 202
    instance = Instance.objects.get(instance_id=response.json()["instance_id"])
    assert (instance.name, instance.status, json.loads(instance.input)) == ("echo", "Pending", {"order": 7})
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.via, entry.actor_name, entry.address) == (
        "start",
        "Webhook",
        "webhook shop",
        "127.0.0.1",
    )


def test_an_authentic_request_raises_an_event_for_the_instance_that_the_body_names(make):
    rows.instance("order-7")
    make(
        act="raise_event",
        instance_id="order-{body.order.id}",
        event_name="paid-{headers.x-kind}",
        mapping={"amount": "{body.order.amount}", "note": "by {body.payer}", "message": "{id}", "fixed": [1, None]},
    )
    body = json.dumps({"order": {"id": 7, "amount": 9.5}, "payer": "Ann"}).encode()

    assert post(body, {**signed(body), "X-Kind": "full"}).status_code == 202

    message = InboxMessage.objects.get()
    assert message.name == "paid-full"
    assert json.loads(message.payload) == {"amount": 9.5, "note": "by Ann", "message": "msg_1", "fixed": [1, None]}


def test_a_start_under_an_id_that_is_taken_leaves_the_instance_alone(make):
    rows.instance("order-7", status="Completed")
    make(instance_id="order-{body.id}")

    assert post({"id": 7}).status_code == 202
    assert Instance.objects.get().status == "Completed"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing_is_named(make, name):
    make()
    headers = signed(b"{}")
    del headers[name]

    assert name in refused(post(b"{}", headers), 401, "missing_header")


@pytest.mark.parametrize(
    "body, changes",
    [
        (b"{} ", {}),
        (b"{}", {"webhook-id": "msg_2"}),
        (b"{}", {"webhook-timestamp": "1"}),
        (b"{}", {"webhook-signature": "v1,AAAA"}),
        (b"{}", {"webhook-signature": "v1,not base64!"}),
        (b"{}", {"webhook-signature": "v1a,AAAA v2,AAAA"}),
        (b"{}", {"webhook-signature": "\u00fc"}),
    ],
)
def test_what_was_altered_is_refused_without_saying_more(make, body, changes):
    make()

    detail = refused(post(body, {**signed(b"{}"), **changes}), 401, "invalid_signature")

    assert detail == "The signature does not match the request."


def test_another_secret_is_refused(make):
    make()

    refused(post(b"{}", signed(b"{}", secret=signatures.new_secret())), 401, "invalid_signature")


def test_an_id_with_a_full_stop_is_refused_for_what_it_could_be_read_as(make):
    make()

    refused(post(b"{}", signed(b"{}", message_id="a.1")), 401, "invalid_signature")


@pytest.mark.parametrize("seconds", [-301, 330])  # time passes until it is looked at
def test_a_request_that_is_not_of_now_is_refused(make, seconds):
    make()

    assert "5 minutes" in refused(post(b"{}", signed(b"{}", at=seconds)), 401, "invalid_timestamp")


def test_a_request_within_the_tolerance_is_taken(make):
    make()

    assert post(b"{}", signed(b"{}", at=-290)).status_code == 202


def test_the_same_request_has_one_effect(make):
    make()

    first = post({"order": 7}).json()
    second = post({"order": 7})

    assert second.status_code == 202
    assert second.json() == {"instance_id": first["instance_id"], "duplicate": True}
    assert Instance.objects.count() == AuditEntry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_has_an_effect(make):
    make()
    headers = signed(b"{}")

    def send(_: int) -> int:
        try:
            return post(b"{}", headers).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as senders:
        assert set(senders.map(send, range(40))) == {202}
    assert Instance.objects.count() == 1


def test_a_request_that_failed_is_taken_when_it_comes_again(make):
    make(act="raise_event", instance_id="{body.id}", event_name="go")

    assert refused(post({"id": "order"}), 409, "instance_not_found")
    rows.instance("order")
    assert post({"id": "order"}).status_code == 202
    assert InboxMessage.objects.count() == 1


def test_during_a_rotation_both_secrets_count(make):
    webhook = make()
    new = keyring.rotate(webhook)
    webhook.save()

    assert post(b"{}").status_code == 202
    assert post(b"{}", signed(b"{}", secret=new, message_id="msg_2")).status_code == 202
    IncomingWebhook.objects.update(previous_secret_until=timezone.now() - timedelta(seconds=1))
    assert post(b"{}", signed(b"{}", message_id="msg_3")).status_code == 401


@pytest.mark.parametrize("columns", [{"slug": "other"}, {"enabled": False}])
def test_what_is_not_there_or_disabled_looks_the_same(make, columns):
    make(**columns)

    assert refused(post(b"{}"), 404, "not_found") == "There is no such webhook."


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options"])
def test_only_post_is_taken(make, method):
    make()

    response = getattr(Client(), method)("/webhooks/in/shop/")

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"a": 1e999}', b"[" * 200 + b"]" * 200, b'{"a": "\\u0000"}', b"NaN"])
def test_a_body_that_can_not_be_stored_is_refused(make, body):
    make()

    assert refused(post(body, signed(body)), 400, "invalid_json")


def test_a_body_that_lacks_what_is_asked_for_is_refused_with_the_path(make):
    make(mapping={"id": "{body.order.id}"})

    response = post({"order": {}})

    refused(response, 422, "mapping_failed")
    assert response.json()["path"] == "body.order.id"


@pytest.mark.parametrize("name", ["a/b", "@entity@x", "x" * 300, "a\nb"])
def test_an_instance_id_that_can_not_be_is_refused(make, name):
    make(instance_id="{body.id}")

    refused(post({"id": name}), 422, "invalid_instance_id")


def test_an_input_that_does_not_fit_the_orchestrator_is_refused(make):
    make(orchestrator="bill")

    assert refused(post({"number": "seven"}), 422, "payload_rejected")


def test_what_is_this_sites_fault_is_told_as_such_and_logged(make, caplog, settings):
    make(orchestrator="gone")
    with caplog.at_level(logging.ERROR, "orchestrations.webhooks"):
        detail = refused(post(b"{}"), 503, "unavailable")
    assert "gone" not in detail
    assert "gone" in caplog.text
    settings.SECRET_KEY = "another"

    refused(post(b"{}"), 503, "unavailable")


def test_beyond_its_rate_a_webhook_takes_no_more_and_strangers_do_not_use_it_up(make):
    cache.clear()
    make(requests_per_minute=2)
    for _ in range(5):
        assert post(b"{}", {}).status_code == 401

    answers = [post(b"{}", signed(b"{}", message_id=f"msg_{number}")) for number in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 61


# Other schemes -------------------------------------------------------------------------------------------------------


def github(body: bytes, secret: str = TYPED) -> dict[str, str]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Delivery": "72d3162e", "X-GitHub-Event": "push"}


def test_github_is_taken_at_its_signature(make):
    make(TYPED, scheme="github", mapping={"kind": "{headers.x-github-event}", "ref": "{body.ref}"})
    body = b'{"ref": "refs/heads/main"}'

    assert post(body, github(body)).status_code == 202
    assert json.loads(Instance.objects.get().input) == {"kind": "push", "ref": "refs/heads/main"}
    assert post(body + b" ", github(body)).status_code == 401


def test_the_known_answer_of_githubs_documentation(make):
    make("It's a Secret to Everybody", scheme="github", mapping="{headers.x-github-event}")
    known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    assert post(b"Hello, World!", {"X-Hub-Signature-256": known}).status_code == 400, "authentic, but no JSON"


def test_a_replay_under_another_id_that_nobody_signed_has_no_effect(make):
    make(TYPED, scheme="github")

    post(b"{}", github(b"{}"))
    again = post(b"{}", {**github(b"{}"), "X-GitHub-Delivery": "other"})

    assert again.json()["duplicate"]
    assert Instance.objects.count() == 1


def slack(body: bytes, at: float = 0.0, **changes: str) -> dict[str, str]:
    timestamp = str(int(time.time() + at))
    content = b"v0:" + timestamp.encode() + b":" + body
    signature = hmac.new(TYPED.encode(), content, hashlib.sha256).hexdigest()
    return {"X-Slack-Signature": f"v0={signature}", "X-Slack-Request-Timestamp": timestamp, **changes}


SLACK = {
    "scheme": "header",
    "signature_header": "X-Slack-Signature",
    "signature_prefix": "v0=",
    "signed_content": "v0:{timestamp}:{body}",
    "timestamp_header": "X-Slack-Request-Timestamp",
}


def test_a_header_of_ones_choice_with_a_signed_time(make):
    make(TYPED, **SLACK)

    assert post(b"{}", slack(b"{}")).status_code == 202
    assert post(b"{}", slack(b"{}", at=-400)).status_code == 401
    assert post(b"{}", slack(b"{}", **{"X-Slack-Request-Timestamp": "1"})).status_code == 401
    assert post(b"{}", slack(b"{}", **{"X-Slack-Signature": "v1=00"})).status_code == 401


def test_a_signature_in_base64(make):
    make(TYPED, scheme="header", signature_header="X-Shopify-Hmac-Sha256", signature_encoding="base64")
    import base64

    signature = base64.b64encode(hmac.digest(TYPED.encode(), b"{}", hashlib.sha256)).decode()

    assert post(b"{}", {"X-Shopify-Hmac-Sha256": signature}).status_code == 202
    assert post(b"[]", {"X-Shopify-Hmac-Sha256": signature}).status_code == 401


def test_receipts_are_forgotten_when_a_replay_would_be_too_old(make):
    make()
    post(b"{}")
    store = get_store()
    courier = Courier(store, Outbox(store.hub, store.using))
    courier.sweep()
    assert WebhookReceipt.objects.exists()
    WebhookReceipt.objects.update(forget_at=timezone.now() - timedelta(seconds=1))
    store.finish_chore("webhook deliveries", timedelta(seconds=-1))

    courier.sweep()

    assert not WebhookReceipt.objects.exists()


def test_a_receipt_outlives_the_time_in_which_a_replay_would_be_fresh(make):
    make()
    post(b"{}")
    make(TYPED, name="hub", slug="hub", scheme="github")
    post(b"{}", github(b"{}"), slug="hub")

    kept = [row.forget_at - row.received_at for row in WebhookReceipt.objects.order_by("pk")]

    assert min(kept) >= timedelta(hours=24)
    assert kept[-1] >= timedelta(days=89), "nothing says how old the request is"
