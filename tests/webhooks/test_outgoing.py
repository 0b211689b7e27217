"""Outgoing webhooks: written with the transition, signed, sent until accepted or dead, and harmless to the engine."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from orchestrations.models import Instance, OutgoingWebhook, WebhookDelivery
from orchestrations.store import get_store
from orchestrations.webhooks import courier as sending
from orchestrations.webhooks import keyring, signatures
from tests.durable_http.conftest import Answer
from tests.runtime import functions
from tests.waiting import eventually
from tests.webhooks.conftest import SECRET


def delivered(count: int) -> list[WebhookDelivery]:
    def found() -> list[WebhookDelivery]:
        rows = WebhookDelivery.objects.filter(state="Delivered").order_by("pk")
        return list(rows) if rows.count() >= count else []

    return eventually(found, otherwise=lambda: str(list(WebhookDelivery.objects.values())))


def bodies(receiver) -> list[dict]:
    return [json.loads(received.body) for received in receiver.received]


def make_due() -> None:
    WebhookDelivery.objects.filter(state="Pending").update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_what_becomes_of_an_instance_is_told_to_who_listens(listen, run, receiver):
    listen()

    run(functions.chain, 2, "order")

    delivered(2)
    told = {body["type"]: body for body in bodies(receiver)}
    assert set(told) == {"orchestration.started", "orchestration.completed"}
    completed = told["orchestration.completed"]["data"]
    assert (completed["instance_id"], completed["name"], completed["status"]) == ("order", "chain", "Completed")
    assert not {"input", "output"} & set(completed)


def test_every_transition_has_its_message(listen, client, worker, stage):
    listen()
    stage.failing.add("x")
    client.start_new(functions.calls, "failing", ["work", "x"])
    worker.run_until_idle()
    client.rewind("failing", "again")
    worker.run_until_idle()
    client.start_new(functions.waits, "waiting", 1)
    worker.run_until_idle()
    client.suspend("waiting", "a moment")
    worker.run_until_idle()
    client.resume("waiting")
    worker.run_until_idle()
    client.terminate("waiting", "enough")
    worker.run_until_idle()
    client.start_new(functions.collects, "generations", [0] * 9)
    client.raise_event("generations", "go", 1)
    worker.run_until_idle()

    def told(instance_id: str) -> list[str]:
        rows = WebhookDelivery.objects.filter(instance_id=instance_id).order_by("pk")
        return list(rows.values_list("event", flat=True))

    assert told("failing") == ["started", "failed", "rewound", "failed"]
    assert told("waiting") == ["started", "suspended", "resumed", "terminated"]
    assert told("generations") == ["started", "continued_as_new", "completed"]


def test_a_question_to_a_person_is_told_with_its_title(listen, client, worker, stage):
    from orchestrations import orchestrator

    @orchestrator
    def asks(context):
        yield context.wait_for_external_event("plain")
        return (yield context.wait_for_external_event("approval", title="Spend 10 EUR?"))

    listen("waiting_for_human")
    client.start_new(asks, "asking")
    worker.run_until_idle()
    assert not WebhookDelivery.objects.exists(), "an event that no person is asked for"
    client.raise_event("asking", "plain")
    worker.run_until_idle()

    told = json.loads(WebhookDelivery.objects.get().body)
    assert told["data"]["wait"] == {"event": "approval", "title": "Spend 10 EUR?", "due_at": None}


def test_a_start_that_ends_the_one_before_tells_of_its_end(listen, client, worker):
    listen("terminated")
    client.start_new(functions.waits, "order", 1)
    worker.run_until_idle()

    with pytest.raises(RuntimeError), transaction.atomic():
        client.start_new(functions.waits, "order", 1, on_duplicate="terminate")
        raise RuntimeError("the caller takes it back")
    assert not WebhookDelivery.objects.exists()
    client.start_new(functions.waits, "order", 1, on_duplicate="terminate")

    assert [row.event for row in WebhookDelivery.objects.all()] == ["terminated"]


@pytest.mark.parametrize(
    "columns",
    [{"hub": "other"}, {"name_pattern": "order_*"}, {"name_pattern": "chai?"}, {"enabled": False}],
    ids=lambda value: "-".join(map(str, next(iter(value.items())))),
)
def test_who_does_not_want_to_hear_of_it_is_not_told(listen, run, columns):
    listen(**columns)

    run(functions.chain, 1)

    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("pattern", ["chain", "c*n", "*ain", "*"])
def test_who_wants_to_hear_of_such_names_is_told(listen, run, pattern):
    listen("completed", name_pattern=pattern)

    run(functions.chain, 1)

    assert WebhookDelivery.objects.count() == 1


def test_a_webhook_whose_pattern_would_mean_something_else_now_waits_for_a_person(listen):
    migration = import_module("orchestrations.migrations.0024_match_webhooks_by_the_same_patterns")
    hooks = {pattern: listen(name_pattern=pattern) for pattern in ("order_?", "[ab]*", "order_*", "order")}

    with connection.schema_editor() as editor:
        migration.disable_other_patterns(apps, editor)

    for hook in hooks.values():
        hook.refresh_from_db()
    assert [pattern for pattern, hook in hooks.items() if hook.enabled] == ["order_*", "order"]
    assert hooks["order_?"].disabled_reason == migration.REASON
    assert hooks["order"].disabled_reason == ""


def test_without_webhooks_a_commit_has_no_statement_more_and_with_them_one_for_the_whole_batch(
    client, make_worker, listen, django_assert_max_num_queries
):
    def statements() -> list[str]:
        client.start_many(functions.chain, [0] * 20)
        with django_assert_max_num_queries(200) as captured:
            worker.run_until_idle()
        return [query["sql"] or "" for query in captured.captured_queries]

    worker = make_worker()
    statements()
    without = statements()
    assert not [sql for sql in without if "webhook" in sql]
    listen("completed")
    worker = make_worker()
    statements()
    written = [sql for sql in statements() if "INSERT INTO" in sql and "durable_webhook_delivery" in sql]

    batches = {"postgresql": 1}.get(connection.vendor, 20)  # SQLite's log has each row of an executemany
    assert len(written) <= batches


def test_a_transition_that_is_not_committed_is_told_to_nobody(listen, client, worker, monkeypatch):
    listen()
    client.start_new(functions.chain, "order", 0)
    lost = []
    fence = type(get_store().tables).fence

    def fenced(tables, token, checkpoints):
        answer = fence(tables, -1 if not lost else token, checkpoints)
        lost.append(token)
        return answer

    monkeypatch.setattr(type(get_store().tables), "fence", fenced)
    worker.runtime.turn()

    assert lost
    assert not WebhookDelivery.objects.exists()


# Sending -------------------------------------------------------------------------------------------------------------


def test_a_message_is_signed_as_the_specification_has_it(message, courier, receiver):
    sent = message()

    assert courier.deliver_due() == 1

    [received] = receiver.received
    headers = received.headers
    assert headers["webhook-id"] == sent.message_id
    assert headers["content-type"] == "application/json"
    content = signatures.standard_content(sent.message_id, headers["webhook-timestamp"], received.body)
    assert signatures.matches([SECRET], content, signatures.standard_signatures(headers["webhook-signature"]))
    assert not signatures.matches(["other"], content, signatures.standard_signatures(headers["webhook-signature"]))
    sent.refresh_from_db()
    assert (sent.state, sent.attempts, sent.last_status) == ("Delivered", 1, 204)


def test_during_a_rotation_both_secrets_sign(message, courier, receiver):
    sent = message()
    new = keyring.rotate(sent.webhook)
    sent.webhook.save()

    courier.deliver_due()

    [received] = receiver.received
    content = signatures.standard_content(sent.message_id, received.headers["webhook-timestamp"], received.body)
    given = signatures.standard_signatures(received.headers["webhook-signature"])
    assert len(given) == 2
    assert signatures.matches([new], content, given)
    assert signatures.matches([SECRET], content, given)


def test_the_former_secret_ends_with_its_time(message):
    webhook = message().webhook
    new = keyring.rotate(webhook)

    assert keyring.valid_secrets(webhook) == [new, SECRET]
    assert keyring.valid_secrets(webhook, timezone.now() + timedelta(days=2)) == [new]


def test_a_refused_message_comes_back_later_with_the_same_id(message, courier, receiver):
    receiver.answers["/hook"] = [Answer(500), Answer(200)]
    sent = message()

    assert courier.deliver_due() == 0
    sent.refresh_from_db()
    assert (sent.state, sent.attempts, sent.last_status) == ("Pending", 1, 500)
    assert sent.next_attempt_at > timezone.now()
    assert courier.deliver_due() == 0, "it is not due"
    assert OutgoingWebhook.objects.get().failing_since is not None
    make_due()

    assert courier.deliver_due() == 1
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 1
    assert OutgoingWebhook.objects.get().failing_since is None


def test_a_receiver_that_asks_for_time_gets_it(message, courier, receiver):
    receiver.answers["/hook"] = Answer(503, {"Retry-After": "3600"})
    sent = message()

    courier.deliver_due()

    sent.refresh_from_db()
    assert sent.next_attempt_at - timezone.now() > timedelta(minutes=59)


def test_after_the_last_attempt_a_message_is_dead(message, courier, receiver, caplog):
    receiver.answers["/hook"] = Answer(500)
    sent = message(attempts=len(sending.RETRY_SECONDS))

    with caplog.at_level(logging.CRITICAL):
        courier.deliver_due()

    sent.refresh_from_db()
    assert (sent.state, sent.next_attempt_at, sent.last_error) == ("Dead", None, "The receiver answered 500.")


def test_a_redirect_is_not_followed(message, courier, receiver):
    receiver.answers["/hook"] = Answer(302, {"Location": f"{receiver.url}/inside"})
    sent = message()

    courier.deliver_due()

    assert receiver.paths() == ["POST /hook"]
    sent.refresh_from_db()
    assert "redirects" in sent.last_error


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/", "http://127.0.0.1:25/", "http://10.0.0.1/", "http://[::1]/"]
)
def test_no_message_reaches_an_address_inside(message, listen, courier, allow, spy, url):
    allow()
    sent = message(listen(url=url))

    courier.deliver_due()

    assert spy.connected == []
    sent.refresh_from_db()
    assert sent.state == "Pending"
    assert "HTTP_ALLOWED" in sent.last_error


def test_an_address_that_is_gone_is_disabled_at_once(message, courier, receiver):
    receiver.answers["/hook"] = Answer(410)
    sent = message()

    courier.deliver_due()

    webhook = OutgoingWebhook.objects.get()
    assert not webhook.enabled
    assert "410" in webhook.disabled_reason
    sent.refresh_from_db()
    assert sent.state == "Dead"


def test_an_address_that_fails_for_days_is_disabled_and_says_why(message, listen, courier, receiver):
    receiver.answers["/hook"] = Answer(500)
    webhook = listen(failing_since=timezone.now() - timedelta(days=4))
    message(webhook)

    courier.deliver_due()

    webhook.refresh_from_db()
    assert not webhook.enabled
    assert "The receiver answered 500." in webhook.disabled_reason


def test_an_address_that_hangs_leaves_room_for_the_others(message, listen, courier, receiver):
    def hang(received):
        receiver.release.wait(10)
        return Answer(204)

    receiver.answers["/slow"] = hang
    receiver.answers["/hook"] = lambda received: (len(receiver.received) > 8 and receiver.release.set()) or Answer(204)
    slow, quick = listen(url=f"{receiver.url}/slow"), listen()
    for webhook in [slow] * 8 + [quick] * 8:
        message(webhook)

    assert courier.deliver_due() == 16
    assert receiver.paths()[:9].count("POST /slow") == sending.AT_ONCE_TO_ONE


def test_what_a_killed_worker_had_in_hand_is_sent_by_another(message, courier, receiver, monkeypatch):
    sent = message()
    [(_, taken)] = courier._claim([])
    sent.refresh_from_db()
    assert (sent.attempts, taken.pk) == (1, sent.pk)
    assert courier.deliver_due() == 0, "it may still be on its way"
    make_due()

    assert courier.deliver_due() == 1


def test_an_attempt_that_ends_late_does_not_undo_a_later_one(message, courier):
    sent = message()
    [(webhook, first)] = courier._claim([])
    make_due()
    courier.deliver_due()

    courier._record(webhook, first, sending.Answer(None, "too late"))

    sent.refresh_from_db()
    assert (sent.state, sent.last_error) == ("Delivered", "")


def test_an_attempt_that_ends_late_does_not_speak_for_the_one_that_is_on_its_way(message, courier):
    sent = message()
    [(webhook, first)] = courier._claim([])
    make_due()
    courier._claim([])

    courier._record(webhook, first, sending.Answer(None, "too late"))

    sent.refresh_from_db()
    assert (sent.attempts, sent.last_error) == (2, "")


def test_two_couriers_share_the_work(message, courier, listen, receiver):
    webhook = listen()
    for _ in range(3):
        message(webhook)

    assert len(courier._claim([])) == 3
    assert courier._claim([]) == []


def test_a_secret_that_can_not_be_read_is_told(message, courier, settings):
    sent = message()
    settings.SECRET_KEY = "another"

    courier.deliver_due()

    sent.refresh_from_db()
    assert "SECRET_KEY_FALLBACKS" in sent.last_error
    settings.SECRET_KEY_FALLBACKS = []


def test_secrets_survive_a_change_of_the_key_by_fallbacks(message, courier, settings):
    message()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]

    assert courier.deliver_due() == 1


def test_no_secret_is_in_the_database(listen):
    webhook = listen()

    assert SECRET not in webhook.sealed_secret
    assert SECRET.removeprefix("whsec_") not in webhook.sealed_secret


# Payloads ------------------------------------------------------------------------------------------------------------


def test_payloads_go_along_where_the_webhook_asks_for_them(listen, run, receiver):
    listen("completed", include_payloads=True)

    run(functions.chain, 2, "order")

    delivered(1)
    [body] = bodies(receiver)
    assert (body["data"]["input"], body["data"]["output"]) == (2, [0, 1])


def test_payloads_that_are_gone_are_named(message, listen, courier, receiver, client, worker):
    webhook = listen("completed", include_payloads=True)
    message(webhook, instance_pk=-1)

    courier.deliver_due()

    assert bodies(receiver)[-1]["data"]["left_out"] == ["input", "output"]


def test_a_large_payload_is_left_out(listen, run, receiver, client, worker, monkeypatch):
    monkeypatch.setattr("orchestrations.webhooks.enclosures.WEBHOOK_PAYLOAD_BYTES", 3)
    listen("completed", include_payloads=True)

    run(functions.chain, 2, "order")

    delivered(1)
    [body] = bodies(receiver)
    assert body["data"]["left_out"] == ["output"]
    assert Instance.objects.get().output == "[0,1]"


# Old ones ------------------------------------------------------------------------------------------------------------


def test_old_messages_are_swept(message, listen, courier):
    webhook = listen()
    message(webhook, state="Delivered")
    kept = message(webhook, state="Dead")
    WebhookDelivery.objects.exclude(pk=kept.pk).update(created_at=timezone.now() - timedelta(days=31))

    assert courier.sweep() == 1
    assert list(WebhookDelivery.objects.all()) == [kept]
    assert courier.sweep() == 0, "another time"
