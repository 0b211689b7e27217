"""Outgoing webhooks in Django's admin: made with a secret that is told once, and their messages sent again."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from orchestrations.models import AuditEntry, OutgoingWebhook, WebhookDelivery
from orchestrations.webhooks import keyring
from tests.interfaces.dashboard.test_admin import staff

WEBHOOKS = "/admin/orchestrations/outgoingwebhook/"
DELIVERIES = "/admin/orchestrations/webhookdelivery/"


def filled(**fields: object) -> dict[str, object]:
    given = {"name": "partner", "url": "https://partner.example/hook", "events": ["completed"], "name_pattern": "*"}
    return {**given, "enabled": "on", **fields}


@pytest.fixture
def webhook(db) -> OutgoingWebhook:
    row = OutgoingWebhook(name="partner", url="https://partner.example/hook", events=["completed"])
    keyring.rotate(row)
    row.save()
    return row


def delivery(webhook: OutgoingWebhook, **columns: object) -> WebhookDelivery:
    given = {"hub": "default", "message_id": "msg_1", "event": "completed", "instance_pk": 1, "instance_id": "order"}
    return WebhookDelivery.objects.create(webhook=webhook, execution=1, body="{}", **{**given, **columns})


def test_the_secret_of_a_new_webhook_is_told_once(admin_client):
    response = admin_client.post(f"{WEBHOOKS}add/", filled())

    secret = re.search(r'id="secret">([^<]+)<', response.text)[1]
    row = OutgoingWebhook.objects.get()
    assert keyring.valid_secrets(row) == [secret]
    assert response.headers["Cache-Control"].startswith("max-age=0")
    for path in (WEBHOOKS, f"{WEBHOOKS}{row.pk}/change/", f"{WEBHOOKS}{row.pk}/history/"):
        page = admin_client.get(path).text
        assert secret not in page
        assert row.sealed_secret not in page


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "ftp://partner.example/"},
        {"url": "https://user:secret@partner.example/"},
        {"url": "partner"},
        {"events": []},
        {"events": ["everything"]},
        {"name": ""},
        {"name_pattern": " "},
        {"name_pattern": "order_**"},
        {"name_pattern": "*a*b*c*d*e*"},
    ],
)
def test_a_webhook_that_makes_no_sense_is_not_made(admin_client, fields):
    assert admin_client.post(f"{WEBHOOKS}add/", filled(**fields)).status_code == 200
    assert not OutgoingWebhook.objects.exists()


def test_a_new_secret_leaves_the_former_one_a_day(admin_client, webhook):
    [former] = keyring.valid_secrets(webhook)

    response = admin_client.post(WEBHOOKS, {"action": "rotate", "_selected_action": [webhook.pk]})

    secret = re.search(r'id="secret">([^<]+)<', response.text)[1]
    webhook.refresh_from_db()
    assert keyring.valid_secrets(webhook) == [secret, former]
    told = AuditEntry.objects.get()
    assert (told.action, told.actor_name, told.details) == ("rotated_secret", "admin", {"webhook": "partner"})


def test_payloads_are_given_away_by_who_sees_them_alone(db):
    maker = staff("add_outgoingwebhook", "view_outgoingwebhook")

    assert maker.post(f"{WEBHOOKS}add/", filled(include_payloads="on")).status_code == 403
    assert not OutgoingWebhook.objects.exists()
    assert maker.post(f"{WEBHOOKS}add/", filled()).status_code == 200
    assert OutgoingWebhook.objects.exists()


def test_a_webhook_that_is_enabled_again_begins_anew(admin_client, webhook):
    OutgoingWebhook.objects.update(enabled=False, disabled_reason="gone", failing_since=timezone.now())

    admin_client.post(f"{WEBHOOKS}{webhook.pk}/change/", filled())

    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.disabled_reason, webhook.failing_since) == (True, "", None)


def test_a_dead_message_can_be_sent_again_by_who_may_change_webhooks(webhook):
    row = delivery(webhook, state="Dead", attempts=9, next_attempt_at=None)
    form = {"action": "send_again", "_selected_action": [row.pk], "confirmed": "1", "reason": "They are back."}
    viewer = staff("view_webhookdelivery")

    viewer.post(DELIVERIES, form)
    row.refresh_from_db()
    assert row.state == "Dead"
    viewer.session.flush()
    from django.contrib.auth.models import User

    User.objects.all().delete()
    staff("view_webhookdelivery", "change_outgoingwebhook").post(DELIVERIES, form)

    row.refresh_from_db()
    assert (row.state, row.attempts) == ("Pending", 0)
    assert row.next_attempt_at is not None
    told = AuditEntry.objects.get()
    assert (told.action, told.instance_id, told.details["messages"]) == ("sent_again", "order", ["msg_1"])
    assert told.reason == "They are back."


def test_sending_again_asks_why_first(admin_client, webhook):
    row = delivery(webhook, state="Dead", attempts=9, next_attempt_at=None)

    page = admin_client.post(DELIVERIES, {"action": "send_again", "_selected_action": [row.pk]}).text

    row.refresh_from_db()
    assert (row.state, "msg_1" in page, 'name="reason"' in page) == ("Dead", True, True)


def test_every_change_leaves_a_row_that_says_what_was_changed(admin_client):
    admin_client.post(f"{WEBHOOKS}add/", filled())
    row = OutgoingWebhook.objects.get()
    admin_client.post(f"{WEBHOOKS}{row.pk}/change/", filled(url="https://partner.example/new?token=1"))
    admin_client.post(f"{WEBHOOKS}{row.pk}/change/", filled(url="https://partner.example/new?token=1"))
    admin_client.post(WEBHOOKS, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})

    made, changed, deleted = AuditEntry.objects.order_by("pk")
    assert [made.action, changed.action, deleted.action] == ["made_webhook", "changed_webhook", "deleted_webhook"]
    assert made.details == {"webhook": "partner", "address": "https://partner.example/hook"}
    assert changed.details["changed"] == ["url"]
    assert changed.details["address"] == "https://partner.example/new?…"


def test_a_name_that_is_taken_is_told_at_its_field(admin_client, webhook):
    response = admin_client.post(f"{WEBHOOKS}add/", filled())

    assert (response.status_code, "already exists" in response.text) == (200, True)


def test_payloads_go_to_no_other_address_by_who_does_not_see_them(webhook):
    OutgoingWebhook.objects.update(include_payloads=True)
    keeper = staff("change_outgoingwebhook", "view_outgoingwebhook")
    form = filled(include_payloads="on", url="https://elsewhere.example/")

    assert keeper.post(f"{WEBHOOKS}{webhook.pk}/change/", form).status_code == 403
    webhook.refresh_from_db()
    assert webhook.url == "https://partner.example/hook"
    assert keeper.post(f"{WEBHOOKS}{webhook.pk}/change/", {**form, "include_payloads": ""}).status_code == 302


def test_what_the_courier_notes_meanwhile_is_not_written_over(admin_client, webhook, monkeypatch):
    from orchestrations.interfaces import webhook_keeping

    save = webhook_keeping.save

    def late(*args, **options):
        OutgoingWebhook.objects.update(enabled=False, disabled_reason="gone")
        return save(*args, **options)

    monkeypatch.setattr(webhook_keeping, "save", late)
    admin_client.post(f"{WEBHOOKS}{webhook.pk}/change/", filled(name="other"))

    webhook.refresh_from_db()
    assert (webhook.name, webhook.enabled, webhook.disabled_reason) == ("other", False, "gone")


def test_deliveries_are_found_by_their_instance(admin_client, webhook):
    delivery(webhook)
    delivery(webhook, instance_id="other", message_id="msg_2")

    page = admin_client.get(DELIVERIES, {"q": "order"}).text

    assert 'class="field-instance_id">order<' in page
    assert 'class="field-instance_id">other<' not in page


def test_a_deleted_webhook_takes_nobody_down(admin_client, webhook):
    delivery(webhook)

    admin_client.post(f"{WEBHOOKS}{webhook.pk}/delete/", {"post": "yes"})

    assert not OutgoingWebhook.objects.exists()
    assert WebhookDelivery.objects.count() == 1
    assert admin_client.get(DELIVERIES).status_code == 200
