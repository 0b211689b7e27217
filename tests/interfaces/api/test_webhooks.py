"""Outgoing webhooks and their messages: kept by people and programs, by the rules that the admin has."""

from __future__ import annotations

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.interfaces import webhook_keeping
from orchestrations.models import AuditEntry, OutgoingWebhook, WebhookDelivery
from orchestrations.webhooks import keyring
from tests import rows

pytestmark = pytest.mark.django_db
WEBHOOKS = "/api/webhooks/"
KEEPER = tuple(f"{act}_outgoingwebhook" for act in ("view", "add", "change", "delete"))
NEW = {"name": "partner", "url": "https://partner.example/hook", "events": ["completed", "failed"]}


@pytest.fixture
def keeper(caller) -> APIClient:
    return caller(*KEEPER, "view_webhookdelivery")


def robot(*verbs: Verb, name: str = "robot", **options: object) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_X_FUNCTIONS_KEY=api_keys.issue(name, verbs, **options)[1])
    return client


def post(api: APIClient, address: str, body: object = None):
    return api.post(address, {} if body is None else body, format="json")


def patch(api: APIClient, webhook: OutgoingWebhook, **members: object):
    return api.patch(f"{WEBHOOKS}{webhook.pk}/", members, format="json")


def code(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_the_secret_of_a_new_webhook_is_told_once(keeper):
    response = post(keeper, WEBHOOKS, NEW)

    row = OutgoingWebhook.objects.get()
    told = response.json()
    assert response.status_code == 201
    assert response.headers["Location"].endswith(f"{WEBHOOKS}{row.pk}/")
    assert response.headers["Cache-Control"] == "no-store"
    assert keyring.valid_secrets(row) == [told["secret"]]
    assert (row.hub, row.name_pattern, row.enabled, row.include_payloads) == ("default", "*", True, False)
    for address in (WEBHOOKS, f"{WEBHOOKS}{row.pk}/"):
        text = keeper.get(address).text
        assert "partner.example" in text
        assert told["secret"] not in text
        assert row.sealed_secret not in text
    assert keeper.get(f"{WEBHOOKS}{row.pk}/").json() == {key: told[key] for key in told if key != "secret"}


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"url": "ftp://partner.example/"}, "$.url"),
        ({"url": "https://user:secret@partner.example/"}, "$.url"),
        ({"url": "http://127.1/"}, "$.url"),
        ({"url": "partner"}, "$.url"),
        ({"events": []}, "$.events"),
        ({"events": ["everything"]}, "$.events[0]"),
        ({"events": ["completed", "completed"]}, "$.events"),
        ({"events": "completed"}, "$.events"),
        ({"name": " "}, "$.name"),
        ({"name": "two\nlines"}, "$.name"),
        ({"name": "n" * 101}, "$.name"),
        ({"name_pattern": " "}, "$.name_pattern"),
        ({"name_pattern": "order_**"}, "$.name_pattern"),
        ({"name_pattern": "*a*b*c*d*e*"}, "$.name_pattern"),
        ({"hub": "another"}, "$.hub"),
        ({"enabled": "yes"}, "$.enabled"),
        ({"secret": "mine"}, "$.secret"),
        ({"failing_since": None}, "$.failing_since"),
        ({"id": 7}, "$.id"),
    ],
)
def test_what_makes_no_sense_is_neither_made_nor_changed(keeper, members, path):
    webhook = rows.outgoing_webhook("before")

    for response in (post(keeper, WEBHOOKS, {**NEW, **members}), patch(keeper, webhook, **members)):
        assert response.status_code == 400, response.content
        assert response.json()["code"] in ("invalid", "webhook_rejected")
        assert [error["path"] for error in response.json()["errors"]] == [path]
    assert list(OutgoingWebhook.objects.values()) == [webhook_values(webhook)]
    assert not AuditEntry.objects.exists()


def webhook_values(webhook: OutgoingWebhook) -> dict[str, object]:
    return {field.attname: getattr(webhook, field.attname) for field in webhook._meta.concrete_fields}


def test_a_name_is_given_once_so_that_a_repeated_request_makes_no_second_one(keeper):
    assert post(keeper, WEBHOOKS, NEW).status_code == 201
    assert code(post(keeper, WEBHOOKS, NEW)) == (409, "webhook_already_exists")
    assert code(patch(keeper, rows.outgoing_webhook("other"), name="partner")) == (409, "webhook_already_exists")
    assert [row["name"] for row in keeper.get(WEBHOOKS, {"name": "partner"}).json()["results"]] == ["partner"]


def test_a_change_changes_what_is_sent_and_nothing_else(keeper):
    webhook = rows.outgoing_webhook(name_pattern="order_*", enabled=False)
    OutgoingWebhook.objects.update(disabled_reason="gone", failing_since=timezone.now())
    webhook.refresh_from_db()

    assert patch(keeper, webhook, events=["failed"], reason="Only what is bad.").status_code == 200
    changed = OutgoingWebhook.objects.get()
    assert webhook_values(changed) == {**webhook_values(webhook), "events": ["failed"]}
    assert patch(keeper, webhook, enabled=True).json()["failing_since"] is None
    changed.refresh_from_db()
    assert (changed.enabled, changed.disabled_reason, changed.failing_since) == (True, "", None)
    first, second = AuditEntry.objects.order_by("pk")
    assert (first.action, first.via, first.actor_name, first.reason) == (
        "changed_webhook",
        "API",
        "ada",
        "Only what is bad.",
    )
    assert (first.details["changed"], second.details["changed"]) == (["events"], ["enabled"])


def test_what_is_as_it_was_leaves_no_row(keeper):
    webhook = rows.outgoing_webhook()

    assert patch(keeper, webhook, name="partner", events=["completed"]).status_code == 200
    assert not AuditEntry.objects.exists()


def test_a_new_secret_leaves_the_former_one_a_day(keeper):
    webhook = rows.outgoing_webhook()
    [former] = keyring.valid_secrets(webhook)

    response = post(keeper, f"{WEBHOOKS}{webhook.pk}/rotate-secret/", {"reason": "It leaked."})

    webhook.refresh_from_db()
    assert keyring.valid_secrets(webhook) == [response.json()["secret"], former]
    assert response.headers["Cache-Control"] == "no-store"
    told = AuditEntry.objects.get()
    assert (told.action, told.reason, told.details) == ("rotated_secret", "It leaked.", {"webhook": "partner"})


def test_a_deleted_webhook_is_gone_and_the_trail_says_why(keeper):
    webhook = rows.outgoing_webhook()
    rows.delivery(webhook)

    assert keeper.delete(f"{WEBHOOKS}{webhook.pk}/?reason=over").status_code == 204
    assert code(keeper.get(f"{WEBHOOKS}{webhook.pk}/")) == (404, "webhook_not_found")
    assert code(keeper.delete(f"{WEBHOOKS}{webhook.pk}/")) == (404, "webhook_not_found")
    told = AuditEntry.objects.get()
    assert (told.action, told.reason, told.details["webhook"]) == ("deleted_webhook", "over", "partner")


@pytest.mark.parametrize("what", ["add", "change", "delete", "view", "messages", "resend"])
def test_each_act_needs_the_permission_that_the_admin_asks_for(caller, what):
    webhook = rows.outgoing_webhook()
    message = rows.delivery(webhook, state="Dead")
    address = f"{WEBHOOKS}{webhook.pk}/"
    needed = {"messages": "view_webhookdelivery", "resend": "change_outgoingwebhook"}.get(
        what, f"{what}_outgoingwebhook"
    )
    acts = {
        "add": lambda api: post(api, WEBHOOKS, {**NEW, "name": "another"}),
        "change": lambda api: patch(api, webhook, enabled=False),
        "delete": lambda api: api.delete(address),
        "view": lambda api: api.get(address),
        "messages": lambda api: api.get(f"{address}deliveries/"),
        "resend": lambda api: post(api, f"{address}deliveries/{message.pk}/resend/"),
    }
    others = {*KEEPER, "view_webhookdelivery", "view_instance"} - {needed}

    assert code(acts[what](caller(*others, name="other"))) == (403, "permission_refused")
    assert acts[what](caller(needed)).status_code < 300


def test_payloads_are_sent_to_where_somebody_says_who_sees_them(caller, keeper):
    seer = caller(*KEEPER, "view_payloads", name="seer")

    assert code(post(keeper, WEBHOOKS, {**NEW, "include_payloads": True})) == (403, "permission_refused")
    assert post(seer, WEBHOOKS, {**NEW, "include_payloads": True}).status_code == 201
    webhook = OutgoingWebhook.objects.get()
    for members in ({"url": "https://elsewhere.example/"}, {"events": ["started"]}, {"name_pattern": "payroll"}):
        assert code(patch(keeper, webhook, **members)) == (403, "permission_refused")
    assert patch(keeper, webhook, enabled=False).status_code == 200
    assert patch(keeper, webhook, include_payloads=False, url="https://elsewhere.example/").status_code == 200


# Messages ---------------------------------------------------------------------------------------------------------


def test_messages_are_listed_by_state_page_by_page(keeper):
    webhook, other = rows.outgoing_webhook(), rows.outgoing_webhook("other")
    dead = [rows.delivery(webhook, state="Dead").message_id for _ in range(3)]
    rows.delivery(webhook, state="Delivered")
    rows.delivery(webhook, hub="another", state="Dead")
    rows.delivery(other, state="Dead")
    address, found, pages = f"{WEBHOOKS}{webhook.pk}/deliveries/?state=Dead&limit=2", [], 0
    while address:
        page = keeper.get(address).json()
        found += [row["message_id"] for row in page["results"]]
        address, pages = page["next"], pages + 1

    assert (found, pages) == (dead[::-1], 2)
    assert len(keeper.get(f"{WEBHOOKS}{webhook.pk}/deliveries/").json()["results"]) == 4
    assert keeper.get(f"{WEBHOOKS}{webhook.pk}/deliveries/?state=Lost").status_code == 400


def test_what_a_message_says_is_for_who_sees_payloads(caller, keeper):
    webhook = rows.outgoing_webhook()
    message = rows.delivery(webhook, body='{"data":"x"}')
    address = f"{WEBHOOKS}{webhook.pk}/deliveries/{message.pk}/"

    assert (keeper.get(address).json()["message"], keeper.get(address).json()["payloads"]) == (None, "withheld")
    seen = caller("view_webhookdelivery", "view_payloads", name="seer").get(address).json()
    assert (seen["message"], seen["payloads"]) == ({"data": "x"}, "shown")


def test_a_dead_message_goes_out_again(keeper):
    webhook = rows.outgoing_webhook()
    row = rows.delivery(webhook, state="Dead", attempts=9, next_attempt_at=None)

    response = post(keeper, f"{WEBHOOKS}{webhook.pk}/deliveries/{row.pk}/resend/", {"reason": "They are back."})

    row.refresh_from_db()
    assert (response.status_code, response.json()["state"]) == (202, "Pending")
    assert (row.state, row.attempts, row.next_attempt_at <= timezone.now()) == ("Pending", 0, True)
    told = AuditEntry.objects.get()
    assert (told.action, told.instance_id, told.reason) == ("sent_again", "order", "They are back.")
    assert told.details == {"messages": [row.message_id], "webhook": "partner"}


def test_a_message_belongs_to_its_webhook(keeper):
    row = rows.delivery(rows.outgoing_webhook(), state="Dead")
    other = rows.outgoing_webhook("other")

    for response in (
        keeper.get(f"{WEBHOOKS}{other.pk}/deliveries/{row.pk}/"),
        post(keeper, f"{WEBHOOKS}{other.pk}/deliveries/{row.pk}/resend/"),
    ):
        assert code(response) == (404, "webhook_not_found")
    assert WebhookDelivery.objects.get().state == "Dead"


def test_a_page_of_messages_takes_few_queries(keeper, django_assert_num_queries):
    webhook = rows.outgoing_webhook()
    rows.delivery(webhook, state="Dead")
    keeper.get(WEBHOOKS)

    with django_assert_num_queries(4):  # the token, the permissions, the webhook, its messages
        keeper.get(f"{WEBHOOKS}{webhook.pk}/deliveries/?state=Dead")


# Programs ---------------------------------------------------------------------------------------------------------


def test_a_key_has_verbs_of_its_own_for_webhooks():
    webhook = rows.outgoing_webhook()
    reader, keeper = robot(Verb.READ_WEBHOOKS), robot(Verb.MANAGE_WEBHOOKS, name="keeper")
    rest = robot(*set(Verb) - {Verb.READ_WEBHOOKS, Verb.MANAGE_WEBHOOKS}, name="rest")

    assert reader.get(WEBHOOKS).status_code == 200
    assert patch(keeper, webhook, enabled=False).status_code == 200
    for refused in (patch(reader, webhook, enabled=True), keeper.get(WEBHOOKS), rest.get(WEBHOOKS)):
        assert code(refused) == (403, "permission_refused")
    assert AuditEntry.objects.get().actor_name == "API key keeper"


def test_a_key_without_payloads_sends_none(db):
    api = robot(Verb.MANAGE_WEBHOOKS)
    assert code(post(api, WEBHOOKS, {**NEW, "include_payloads": True})) == (403, "permission_refused")

    api = robot(Verb.MANAGE_WEBHOOKS, Verb.READ_PAYLOADS, name="seer")
    assert post(api, WEBHOOKS, {**NEW, "include_payloads": True}).status_code == 201


def test_a_key_that_ends_at_names_keeps_no_webhooks():
    api = robot(*Verb, names="billing_*")

    assert code(api.get(WEBHOOKS)) == (403, "permission_refused")
    assert code(post(api, WEBHOOKS, NEW)) == (403, "permission_refused")


def test_a_key_of_one_hub_has_no_webhook_that_hears_of_others():
    every, own = rows.outgoing_webhook("every"), rows.outgoing_webhook("own", hub="default")
    rows.outgoing_webhook("another", hub="another")
    api = robot(*Verb, hub="default")

    assert [row["name"] for row in api.get(WEBHOOKS).json()["results"]] == ["own"]
    assert patch(api, every, enabled=False).status_code == 404
    assert code(patch(api, own, hub="")) == (400, "webhook_rejected")
    assert code(post(api, WEBHOOKS, {**NEW, "hub": ""})) == (400, "webhook_rejected")
    everywhere = robot(*Verb, name="everywhere").get(WEBHOOKS).json()["results"]
    assert [row["name"] for row in everywhere] == ["own", "every"]


def test_a_change_that_is_refused_late_leaves_nothing(keeper, monkeypatch):
    webhook = rows.outgoing_webhook()
    monkeypatch.setattr(webhook_keeping.audit, "record", lambda *told, **more: 1 / 0)
    keeper.raise_request_exception = False

    assert patch(keeper, webhook, enabled=False).status_code == 500
    assert OutgoingWebhook.objects.get().enabled
