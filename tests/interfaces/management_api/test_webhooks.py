"""Outgoing webhooks under the management base: in its manner, by the rules and the audit of the other doors."""

from __future__ import annotations

import json

import pytest

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.models import AuditEntry, OutgoingWebhook, WebhookDelivery
from orchestrations.webhooks import keyring
from tests import rows
from tests.interfaces.management_api.conftest import BASE, Caller

pytestmark = pytest.mark.django_db
NEW = {"name": "partner", "url": "https://partner.example/hook", "events": ["completed"], "namePattern": "order_*"}


def send(caller: Caller, method: str, path: str, body: object = None):
    return caller.call(method, path, data=b"" if body is None else json.dumps(body))


def robot(*verbs: Verb, **options: object) -> Caller:
    return Caller(api_keys.issue(f"robot {len(verbs)} {options}", verbs, **options)[1])


def test_the_secret_of_a_new_webhook_is_told_once(api):
    response = send(api, "POST", "webhooks?reason=for+orders", NEW)

    row, told = OutgoingWebhook.objects.get(), response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"http://testserver{BASE}/webhooks/{row.pk}"
    assert keyring.valid_secrets(row) == [told["secret"]]
    assert (row.hub, row.name_pattern) == ("default", "order_*")
    assert told["includePayloads"] is False
    for path in ("webhooks", f"WEBHOOKS/{row.pk}/"):
        assert told["secret"] not in api.get(path).text
    assert api.get("webhooks").json() == [{key: told[key] for key in told if key != "secret"}]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.via, entry.reason) == (
        "made_webhook",
        "system key",
        "Management API",
        "for orders",
    )


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"namePattern": "order_**"}, "namePattern"),
        ({"url": "ftp://partner.example/"}, "url"),
        ({"events": ["everything"]}, "events"),
        ({"hub": "another"}, "hub"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_member(api, members, place):
    webhook = rows.outgoing_webhook("before")

    for response in (
        send(api, "POST", "webhooks", {**NEW, **members}),
        send(api, "PATCH", f"webhooks/{webhook.pk}", members),
    ):
        assert (response.status_code, response.json()["ExceptionType"]) == (400, "webhook_rejected")
        assert list(response.json()["Errors"]) == [place]
    assert OutgoingWebhook.objects.get().name_pattern == "*"
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("body", [{}, {**NEW, "secret": "mine"}, {**NEW, "name_pattern": "*"}, {**NEW, "url": 1}, []])
def test_a_body_of_another_shape_is_refused(api, body):
    response = send(api, "POST", "webhooks", body)

    assert (response.status_code, response.json()["ExceptionType"]) == (400, "payload_rejected")
    assert not OutgoingWebhook.objects.exists()


def test_a_name_is_given_once(api):
    send(api, "POST", "webhooks", NEW)
    response = send(api, "POST", "webhooks", NEW)

    assert (response.status_code, response.json()["ExceptionType"]) == (409, "webhook_already_exists")


def test_it_is_changed_given_a_secret_and_deleted(api):
    webhook = rows.outgoing_webhook()
    path = f"webhooks/{webhook.pk}"

    assert send(api, "PATCH", f"{path}?reason=pause", {"enabled": False}).json()["enabled"] is False
    secret = send(api, "POST", f"{path}/ROTATESECRET?reason=leak").json()["secret"]
    webhook.refresh_from_db()
    assert keyring.valid_secrets(webhook)[0] == secret
    assert (webhook.enabled, len(keyring.valid_secrets(webhook))) == (False, 2)
    assert send(api, "DELETE", f"{path}?reason=over").status_code == 204
    assert send(api, "DELETE", path).status_code == 404
    assert [(entry.action, entry.reason) for entry in AuditEntry.objects.order_by("pk")] == [
        ("changed_webhook", "pause"),
        ("rotated_secret", "leak"),
        ("deleted_webhook", "over"),
    ]


def test_messages_are_listed_by_state_page_by_page_and_sent_again(api):
    webhook = rows.outgoing_webhook()
    dead = [rows.delivery(webhook, state="Dead", attempts=9, next_attempt_at=None) for _ in range(3)]
    rows.delivery(webhook, state="Delivered")
    path, token, found = f"webhooks/{webhook.pk}/deliveries", "", []
    while token is not None:
        page = api.get(f"{path}?state=dead&top=2", headers={"x-ms-continuation-token": token})
        found += [row["messageId"] for row in page.json()]
        token = page.headers.get("x-ms-continuation-token")

    assert found == [row.message_id for row in reversed(dead)]
    assert api.get(f"{path}?state=lost").status_code == 400
    assert len(api.get(f"{path}?state=Dead,Delivered").json()) == 4
    assert api.get(f"{path}/{dead[0].pk}").json()["message"]["type"] == "orchestration.completed"
    response = send(api, "POST", f"{path}/{dead[0].pk}/resend?reason=back")
    assert (response.status_code, response.json()["state"], response.json()["attempts"]) == (202, "Pending", 0)
    assert WebhookDelivery.objects.get(pk=dead[0].pk).state == "Pending"
    assert AuditEntry.objects.get().reason == "back"
    assert send(api, "POST", f"{path}/{'9' * 30}/resend").status_code == 404


def test_keys_have_verbs_of_their_own_and_no_key_got_them_silently():
    webhook = rows.outgoing_webhook("of every hub")
    rest = robot(*set(Verb) - {Verb.READ_WEBHOOKS, Verb.MANAGE_WEBHOOKS})
    reader, keeper = robot(Verb.READ_WEBHOOKS), robot(Verb.MANAGE_WEBHOOKS, hub="default")

    assert rest.get("webhooks").status_code == 403
    assert reader.get("webhooks").status_code == 200
    assert send(reader, "POST", "webhooks", NEW).status_code == 403
    assert send(keeper, "PATCH", f"webhooks/{webhook.pk}", {"enabled": False}).status_code == 404
    assert send(keeper, "POST", "webhooks", NEW).status_code == 201
    assert AuditEntry.objects.get().actor_name.startswith("API key robot")
    assert robot(*Verb, names="billing_*").get("webhooks").status_code == 403


def test_payloads_are_for_keys_that_read_them():
    webhook = rows.outgoing_webhook()
    message = f"webhooks/{webhook.pk}/deliveries/{rows.delivery(webhook).pk}"
    blind = robot(Verb.READ_WEBHOOKS, Verb.MANAGE_WEBHOOKS)

    assert send(blind, "POST", "webhooks", {**NEW, "includePayloads": True}).status_code == 403
    response = blind.get(message)
    assert (response.json()["message"], response.headers["X-Durable-Payloads"]) == (None, "withheld")


def test_a_link_opens_no_webhook(api, stranger):
    links = api.post("orchestrators/echo", "{}").json()
    code = links["statusQueryGetUri"].rpartition("code=")[2]

    assert stranger.get(f"webhooks?code={code}").status_code == 403
