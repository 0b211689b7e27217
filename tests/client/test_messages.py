"""External events and control operations: in which status they are accepted, and what they put into the inbox."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from orchestrations import (
    InstanceEnded,
    InstanceNotFound,
    InvalidTransition,
    OrchestrationClient,
    PayloadRejected,
)
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import InboxMessage
from tests import rows
from tests.functions import echo

LIVE = ["Pending", "Running", "Suspended", "ContinuedAsNew"]
ENDED = ["Completed", "Failed", "Terminated", "Canceled"]

VERBS = {
    "raise_event": lambda client: client.raise_event("order", "approved", 1),
    "terminate": lambda client: client.terminate("order"),
    "suspend": lambda client: client.suspend("order"),
    "resume": lambda client: client.resume("order"),
    "rewind": lambda client: client.rewind("order"),
}
ACCEPTED = {(verb, status) for verb in VERBS if verb != "rewind" for status in LIVE} | {("rewind", "Failed")}


@pytest.mark.parametrize("status", list(RuntimeStatus))
@pytest.mark.parametrize("verb", list(VERBS))
def test_each_verb_is_accepted_in_its_statuses_only(client, verb, status):
    rows.instance("order", status=status.value)

    if (verb, status.value) in ACCEPTED:
        VERBS[verb](client)
        assert InboxMessage.objects.count() == 1
    else:
        refusal = InstanceEnded if status.is_terminal else InvalidTransition
        with pytest.raises(refusal, match=status.value):
            VERBS[verb](client)
        assert not InboxMessage.objects.exists()


@pytest.mark.parametrize("verb", list(VERBS))
@pytest.mark.parametrize("instance_id", ["order", "a\x00b", "a\ud800b", "@entity@1", ""])
def test_an_unknown_id_is_told(client, verb, instance_id):
    with pytest.raises(InstanceNotFound):
        getattr(client, verb)(instance_id, "x")


def test_an_event_is_kept_with_its_name_and_payload(client):
    rows.instance("order")

    client.raise_event("order", "Approved", {"by": "dana"})

    message = InboxMessage.objects.get()
    assert (message.type, message.name, json.loads(message.payload)) == ("EventRaised", "Approved", {"by": "dana"})


def test_an_event_may_have_no_payload(client):
    rows.instance("order")

    client.raise_event("order", "go")

    assert InboxMessage.objects.get().payload is None


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00", "a\ud800", "a\u00a0b", "a\u202eb", "x" * 257])
def test_an_event_name_must_be_one_line_of_text(client, name):
    rows.instance("order")

    with pytest.raises(PayloadRejected):
        client.raise_event("order", name)


def test_events_stay_in_the_order_of_raising(client):
    rows.instance("order")

    for number in range(5):
        client.raise_event("order", "item", number)

    assert list(InboxMessage.objects.order_by("id").values_list("payload", flat=True)) == ["0", "1", "2", "3", "4"]


def test_an_event_for_a_scheduled_start_waits_for_it(client):
    at = timezone.now() + timedelta(hours=1)
    client.start_new(echo, "later", start_at=at)

    client.raise_event("later", "go")

    assert InboxMessage.objects.get().visible_at == at


def test_the_same_idempotency_key_counts_once_for_one_instance(client):
    rows.instance("order")
    rows.instance("other")

    for instance_id in ("order", "order", "other"):
        client.raise_event(instance_id, "paid", idempotency_key="payment-1")

    assert InboxMessage.objects.count() == 2


def test_a_senders_key_can_not_block_a_rewind(client):
    rows.instance("order", status="Running")
    client.raise_event("order", "paid", idempotency_key="rewind:1")
    rows.Instance.objects.update(status="Failed")

    client.rewind("order")

    assert InboxMessage.objects.filter(type="ExecutionRewound").count() == 1


@pytest.mark.parametrize("key", ["", "x" * 191, "a\x00"])
def test_an_idempotency_key_must_be_short_text(client, key):
    rows.instance("order")

    with pytest.raises(PayloadRejected):
        client.raise_event("order", "paid", idempotency_key=key)


def test_a_termination_says_whether_children_end_too(client):
    rows.instance("order")

    client.terminate("order", "no stock")
    client.terminate("order", "no stock", recursive=False)

    attributes = [json.loads(text) for text in InboxMessage.objects.order_by("id").values_list("attributes", flat=True)]
    assert attributes == [{"reason": "no stock", "recursive": True}, {"reason": "no stock", "recursive": False}]
    assert not InboxMessage.objects.exclude(payload=None).exists()


def test_a_message_says_on_whose_behalf_it_was_sent(db):
    rows.instance("order")

    OrchestrationClient(actor="dana").suspend("order", "audit")

    assert json.loads(InboxMessage.objects.get().attributes) == {"reason": "audit", "by": "dana"}


@pytest.mark.parametrize("reason", ["x" * 2001, "a\x00b", "a\ud800"])
def test_a_reason_that_can_not_be_stored_is_refused(client, reason):
    rows.instance("order")

    with pytest.raises(PayloadRejected):
        client.terminate("order", reason)


def test_suspending_twice_and_resuming_a_running_one_are_accepted(client):
    rows.instance("order", status="Suspended")
    rows.instance("other", status="Running")

    client.suspend("order")
    client.resume("other")


def test_a_double_click_rewinds_once(client):
    rows.instance("order", status="Failed", execution=3)

    client.rewind("order", "fixed")
    client.rewind("order", "fixed")

    assert InboxMessage.objects.get().execution == 3


def test_an_event_is_undone_with_the_callers_transaction(client):
    rows.instance("order")

    with transaction.atomic():
        client.raise_event("order", "paid")
        transaction.set_rollback(True)

    assert not InboxMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_instance_can_be_started_and_addressed_in_one_transaction():
    client = OrchestrationClient()

    with transaction.atomic():
        client.start_new(echo, "order")
        client.raise_event("order", "paid")

    assert InboxMessage.objects.count() == 1
