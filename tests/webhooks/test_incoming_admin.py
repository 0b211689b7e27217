"""Incoming webhooks in Django's admin: who may make which, and that what makes no sense is told."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User

from orchestrations.models import IncomingWebhook
from orchestrations.webhooks import keyring
from tests import functions
from tests.interfaces.dashboard.test_admin import staff

WEBHOOKS = "/admin/orchestrations/incomingwebhook/"


@pytest.fixture(autouse=True)
def registered():
    with functions.registered():
        yield


def filled(**fields: object) -> dict[str, object]:
    given = {"name": "shop", "slug": "shop", "hub": "default", "scheme": "standard", "act": "start"}
    given |= {"orchestrator": "echo", "signature_encoding": "hex", "signed_content": "{body}", "mapping": "null"}
    return {**given, "enabled": "on", **fields}


def test_a_secret_that_was_not_given_is_made_and_told_once(admin_client):
    response = admin_client.post(f"{WEBHOOKS}add/", filled())

    secret = re.search(r'id="secret">([^<]+)<', response.text)[1]
    row = IncomingWebhook.objects.get()
    assert keyring.valid_secrets(row) == [secret]
    for path in (WEBHOOKS, f"{WEBHOOKS}{row.pk}/change/"):
        page = admin_client.get(path).text
        assert secret not in page
        assert row.sealed_secret not in page
    assert "/webhooks/in/shop/" in admin_client.get(WEBHOOKS).text


def test_a_secret_that_was_given_is_kept_and_never_shown(admin_client):
    admin_client.post(f"{WEBHOOKS}add/", filled(secret="what the sender shows"))
    row = IncomingWebhook.objects.get()
    assert keyring.valid_secrets(row) == ["what the sender shows"]

    admin_client.post(f"{WEBHOOKS}{row.pk}/change/", filled(name="other"))
    row.refresh_from_db()
    assert (row.name, keyring.valid_secrets(row)) == ("other", ["what the sender shows"])

    admin_client.post(f"{WEBHOOKS}{row.pk}/change/", filled(secret="what the sender shows now"))
    row.refresh_from_db()
    assert keyring.valid_secrets(row) == ["what the sender shows now", "what the sender shows"]
    assert "what the sender shows" not in admin_client.get(f"{WEBHOOKS}{row.pk}/change/").text


@pytest.mark.parametrize(
    "fields",
    [
        {"secret": "short"},
        {"secret": "whsec_no base64 at all"},
        {"secret": "whsec_c2hvcnQ="},
        {"orchestrator": "nobody"},
        {"act": "raise_event", "instance_id": "x"},
        {"act": "raise_event", "event_name": "x"},
        {"mapping": '"{body"'},
        {"mapping": "{"},
        {"instance_id": "{site.secret}"},
        {"scheme": "header"},
        {"scheme": "header", "signature_header": "X-S", "signed_content": "{timestamp}"},
        {"scheme": "header", "signature_header": "X-S", "timestamp_header": "X-T"},
        {"scheme": "header", "signature_header": "X-S", "signed_content": "{id}.{body}"},
        {"slug": "a slug"},
    ],
)
def test_a_webhook_that_makes_no_sense_is_not_made(admin_client, fields):
    assert admin_client.post(f"{WEBHOOKS}add/", filled(**fields)).status_code == 200
    assert not IncomingWebhook.objects.exists()


@pytest.mark.parametrize(
    "fields, permission",
    [
        ({}, "start_instance"),
        ({"act": "raise_event", "event_name": "go", "instance_id": "{body.id}"}, "raise_event"),
    ],
)
def test_a_webhook_is_no_way_to_more_than_its_maker_may_do(db, fields, permission):
    maker = staff("add_incomingwebhook")
    assert maker.post(f"{WEBHOOKS}add/", filled(**fields)).status_code == 403
    assert not IncomingWebhook.objects.exists()
    User.objects.all().delete()

    staff("add_incomingwebhook", permission).post(f"{WEBHOOKS}add/", filled(**fields))

    assert IncomingWebhook.objects.exists()
