"""Incoming webhooks through the REST API: made with a secret of either side, no way to more than one may do."""

from __future__ import annotations

import json

import pytest
from rest_framework.test import APIClient

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.models import AuditEntry, IncomingWebhook
from orchestrations.webhooks import keyring
from tests import rows

pytestmark = pytest.mark.django_db
WEBHOOKS = "/api/incoming-webhooks/"
KEEPER = (*(f"{act}_incomingwebhook" for act in ("view", "add", "change", "delete")), "start_instance", "raise_event")
NEW = {"name": "web shop", "slug": "shop", "orchestrator": "echo"}


@pytest.fixture
def keeper(caller) -> APIClient:
    return caller(*KEEPER)


def post(api: APIClient, address: str, body: object):
    return api.post(address, body, format="json")


def code(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_secret_that_was_not_given_is_made_and_told_once(keeper, settings):
    settings.ROOT_URLCONF = "durable_admin.urls"
    response = post(keeper, WEBHOOKS, {**NEW, "mapping": {"order": "{body.order}"}})

    told, row = response.json(), IncomingWebhook.objects.get()
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    assert keyring.valid_secrets(row) == [told["secret"]]
    assert told["address"] == "http://testserver/webhooks/in/shop/"
    assert (row.hub, row.act, row.scheme, row.mapping) == ("default", "start", "standard", {"order": "{body.order}"})
    for address in (WEBHOOKS, f"{WEBHOOKS}{row.pk}/"):
        text = keeper.get(address).text
        assert "web shop" in text
        assert told["secret"] not in text
        assert row.sealed_secret not in text


def test_where_the_site_takes_no_webhooks_there_is_no_address(keeper):
    assert post(keeper, WEBHOOKS, NEW).json()["address"] is None


def test_a_secret_that_was_given_is_kept_and_never_shown(keeper):
    response = post(keeper, WEBHOOKS, {**NEW, "secret": "what the sender shows"})
    row = IncomingWebhook.objects.get()

    assert response.json()["secret"] is None
    assert keyring.valid_secrets(row) == ["what the sender shows"]
    body = {"secret": "what the sender shows now", "reason": "They changed it."}
    rotated = post(keeper, f"{WEBHOOKS}{row.pk}/rotate-secret/", body)
    row.refresh_from_db()
    assert (rotated.status_code, rotated.json()["secret"]) == (200, None)
    assert keyring.valid_secrets(row) == ["what the sender shows now", "what the sender shows"]
    assert [(told.action, told.reason) for told in AuditEntry.objects.order_by("pk")] == [
        ("made_webhook", ""),
        ("rotated_secret", "They changed it."),
    ]
    assert "sender shows" not in json.dumps(list(AuditEntry.objects.values("details")))
    made = post(keeper, f"{WEBHOOKS}{row.pk}/rotate-secret/", {}).json()["secret"]
    row.refresh_from_db()
    assert keyring.valid_secrets(row) == [made, "what the sender shows now"]


@pytest.mark.parametrize("secret", ["short", "whsec_no base64 at all", "whsec_c2hvcnRzaG9ydA=="])
def test_a_secret_that_can_not_sign_is_refused(keeper, secret):
    webhook = rows.incoming_webhook("before")

    for response in (
        post(keeper, WEBHOOKS, {**NEW, "secret": secret}),
        post(keeper, f"{WEBHOOKS}{webhook.pk}/rotate-secret/", {"secret": secret}),
    ):
        assert response.status_code == 400
        assert [error["path"] for error in response.json()["errors"]] == ["$.secret"]
        assert secret not in response.text
    assert IncomingWebhook.objects.get().sealed_secret == webhook.sealed_secret
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"orchestrator": "nobody"}, "$.orchestrator"),
        ({"act": "raise_event", "instance_id": "x"}, "$.event_name"),
        ({"act": "raise_event", "event_name": "x"}, "$.instance_id"),
        ({"mapping": "{body"}, "$.mapping"),
        ({"instance_id": "{site.secret}"}, "$.instance_id"),
        ({"scheme": "header"}, "$.signature_header"),
        ({"scheme": "header", "signature_header": "X-S", "signed_content": "{timestamp}"}, "$.signed_content"),
        ({"scheme": "header", "signature_header": "X-S", "timestamp_header": "X-T"}, "$.timestamp_header"),
        ({"scheme": "header", "signature_header": "X-S", "signed_content": "{id}.{body}"}, "$.id_header"),
        ({"slug": "a slug"}, "$.slug"),
        ({"slug": "slüg"}, "$.slug"),
        ({"requests_per_minute": 0}, "$.requests_per_minute"),
        ({"requests_per_minute": 2**31}, "$.requests_per_minute"),
        ({"scheme": "none"}, "$.scheme"),
        ({"hub": "another"}, "$.hub"),
        ({"sealed_secret": "x"}, "$.sealed_secret"),
    ],
)
def test_what_makes_no_sense_is_neither_made_nor_changed(keeper, members, path):
    webhook = rows.incoming_webhook("before")
    before = IncomingWebhook.objects.values().get()

    for response in (
        post(keeper, WEBHOOKS, {**NEW, **members}),
        keeper.patch(f"{WEBHOOKS}{webhook.pk}/", members, format="json"),
    ):
        assert response.status_code == 400, response.content
        assert path in [error["path"] for error in response.json()["errors"]]
    assert IncomingWebhook.objects.values().get() == before
    assert not AuditEntry.objects.exists()


def test_names_and_slugs_are_given_once(keeper):
    rows.incoming_webhook("shop", name="first")

    assert code(post(keeper, WEBHOOKS, NEW)) == (409, "webhook_already_exists")
    assert code(post(keeper, WEBHOOKS, {**NEW, "slug": "other", "name": "first"})) == (409, "webhook_already_exists")
    assert IncomingWebhook.objects.count() == 1


def test_a_change_changes_what_is_sent(keeper):
    webhook = rows.incoming_webhook(mapping={"a": "{body}"}, requests_per_minute=5)

    body = {"mapping": None, "requests_per_minute": None, "enabled": False}
    assert keeper.patch(f"{WEBHOOKS}{webhook.pk}/", body, format="json").status_code == 200
    webhook.refresh_from_db()
    assert (webhook.mapping, webhook.requests_per_minute, webhook.enabled, webhook.orchestrator) == (
        None,
        None,
        False,
        "echo",
    )
    told = AuditEntry.objects.get()
    assert (told.action, told.details["changed"]) == (
        "changed_webhook",
        ["enabled", "mapping", "requests_per_minute"],
    )


def test_a_deleted_webhook_is_gone(keeper):
    webhook = rows.incoming_webhook()

    assert keeper.delete(f"{WEBHOOKS}{webhook.pk}/").status_code == 204
    assert code(keeper.get(f"{WEBHOOKS}{webhook.pk}/")) == (404, "webhook_not_found")
    assert AuditEntry.objects.get().action == "deleted_webhook"


def test_webhooks_of_another_hub_are_not_there(keeper):
    webhook = rows.incoming_webhook(hub="another")

    assert keeper.get(WEBHOOKS).json()["results"] == []
    assert keeper.delete(f"{WEBHOOKS}{webhook.pk}/").status_code == 404


EVENT = {"act": "raise_event", "event_name": "go", "instance_id": "{body.id}"}


@pytest.mark.parametrize(("members", "permission"), [({}, "start_instance"), (EVENT, "raise_event")])
def test_a_webhook_is_no_way_to_more_than_its_maker_may_do(caller, members, permission):
    held = [one for one in KEEPER if one != permission]
    webhook = rows.incoming_webhook("before", **members)

    clerk = caller(*held)
    assert code(post(clerk, WEBHOOKS, {**NEW, **members})) == (403, "permission_refused")
    response = clerk.patch(f"{WEBHOOKS}{webhook.pk}/", {"name": "x"}, format="json")
    assert code(response) == (403, "permission_refused")
    assert post(caller(*KEEPER, name="keeper"), WEBHOOKS, {**NEW, **members}).status_code == 201


def test_nor_is_it_for_a_key():
    def robot(*verbs: Verb, name: str) -> APIClient:
        client = APIClient()
        client.credentials(HTTP_X_FUNCTIONS_KEY=api_keys.issue(name, verbs)[1])
        return client

    assert code(post(robot(Verb.MANAGE_WEBHOOKS, name="a"), WEBHOOKS, NEW)) == (403, "permission_refused")
    assert post(robot(Verb.MANAGE_WEBHOOKS, Verb.START, name="b"), WEBHOOKS, NEW).status_code == 201
