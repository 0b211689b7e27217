"""Putting messages into inboxes, and loading them."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from orchestrations.core.events import EventType
from orchestrations.models import InboxMessage, Instance, RaisedEventKey
from orchestrations.store.contract import Message
from orchestrations.store.orm import OrmStore
from tests.store.episodes import HOUR, NOON, checkpoint, ended, event, inbox, raised, row, to

pytestmark = pytest.mark.django_db


def test_an_event_is_loaded_as_it_was_sent(store, start, claim):
    pk = start()
    sent = event(EventType.TASK_FAILED, task_id=7, name="näme", payload='{"a":"\\"\\\\"}', attempt=3)
    sent.attributes = {"worker": "host:1", "deep": [1, None, "x"]}

    store.send([Message(sent, instance_pk=pk, execution=4)])

    [message] = claim().messages
    assert message.execution == 4
    sent.timestamp = message.event.timestamp
    assert message.event == sent


def test_the_databases_clock_stamps_a_message(store, start, claim):
    start()
    before = store.now()

    store.send([to("order-1", event(name="x"))])

    [message] = claim().messages
    assert before <= message.event.timestamp <= store.now()


def test_messages_come_in_the_order_in_which_they_were_sent(store, start, claim):
    start()
    names = [f"event-{number}" for number in range(20)]

    store.send([to("order-1", raised(name)) for name in names[:10]])
    store.send([to("order-1", raised(name)) for name in names[10:]])

    assert [message.event.name for message in claim().messages] == names


def test_a_message_to_an_unknown_instance_is_dropped(store):
    assert store.send([to("nobody"), Message(raised(), instance_pk=404)]) == 0
    assert not InboxMessage.objects.exists()


@pytest.mark.parametrize("status", ["Completed", "Failed", "Terminated", "Canceled"])
def test_an_external_event_for_an_ended_instance_is_dropped(store, start, status):
    pk = start()
    Instance.objects.update(status=status)

    assert store.send([to("order-1"), Message(raised(), instance_pk=pk)]) == 0


def test_other_messages_for_an_ended_instance_are_kept_and_claim_it(store, start, claim):
    pk = start()
    Instance.objects.update(status="Completed", claimable_at=None)

    assert store.send([Message(event(EventType.TASK_COMPLETED, task_id=1), instance_pk=pk, execution=1)]) == 1
    assert [message.event.type for message in claim().messages] == [EventType.TASK_COMPLETED]


def test_an_idempotency_key_is_accepted_again_without_effect(store, start):
    pk = start()
    message = to("order-1", idempotency_key="k")

    assert store.send([message]) == 1
    assert store.send([message, to("order-1"), message]) == 3
    assert len(inbox(pk)) == 2


def test_an_events_key_is_remembered_after_the_event_was_taken(store, running, token):
    claimed = running()
    store.send([to("order-1", idempotency_key="k")])
    store.commit(token, [checkpoint(claimed, consumed=list(InboxMessage.objects.values_list("pk", flat=True)))])
    assert not inbox(claimed.pk)

    assert store.send([to("order-1", idempotency_key="k")]) == 1
    assert not inbox(claimed.pk)


def test_the_retry_of_an_event_that_ended_its_instance_is_accepted_and_a_new_one_is_not(store, start):
    start()
    store.send([to("order-1", idempotency_key="k")])
    Instance.objects.update(status="Completed")

    assert store.send([to("order-1", idempotency_key="k"), to("order-1", idempotency_key="new")]) == 1


def test_a_new_start_under_the_id_knows_no_key(store, start):
    pk = start()
    store.send([to("order-1", idempotency_key="k")])
    Instance.objects.update(status="Completed")
    start()

    assert store.send([to("order-1", idempotency_key="k")]) == 1
    assert len(inbox(pk)) == 1


def test_keys_are_forgotten_when_they_are_old(store, start):
    pk = start()
    for key in ("old", "young"):
        store.send([to("order-1", idempotency_key=key)])
    RaisedEventKey.objects.filter(key="old").update(raised_at=store.now() - 2 * HOUR)

    assert store.forget_event_keys(HOUR) == 1

    assert [row.key for row in RaisedEventKey.objects.filter(instance_id=pk)] == ["young"]


def test_an_event_without_a_key_costs_no_statement_for_one(store, start, django_assert_num_queries):
    start()
    is_plain = isinstance(store, OrmStore)  # which protects each insert by a savepoint
    with django_assert_num_queries(4 if is_plain else 2):
        store.send([to("order-1")])
    assert not RaisedEventKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_key_is_remembered_only_with_its_event(store, start, monkeypatch):
    start()
    with monkeypatch.context() as patch, pytest.raises(DatabaseError):
        patch.setattr(type(store.tables), "insert_messages", _fails)
        store.send([to("order-1", idempotency_key="k")])

    assert store.send([to("order-1", idempotency_key="k")]) == 1
    assert InboxMessage.objects.count() == 1


def _fails(*arguments: object) -> None:
    raise DatabaseError("the connection is gone")


def test_a_message_to_a_child_goes_to_no_other_instance_with_the_id(store, start):
    parent = start("parent")
    child = start("order-1", parent_pk=parent, parent_execution=1, parent_task_id=1)
    start("stranger")

    sent = [to("order-1", parent_pk=parent), to("stranger", parent_pk=parent)]

    assert store.send(sent) == 1
    assert InboxMessage.objects.get().instance_id == child


def test_one_idempotency_key_serves_two_instances(store, start):
    start("order-1")
    start("order-2")

    store.send([to("order-1", idempotency_key="k"), to("order-2", idempotency_key="k")])

    assert InboxMessage.objects.count() == 2


def test_an_event_for_a_start_in_the_future_is_hidden_until_then(store, start, token):
    start_at = store.now() + HOUR
    start(start_at=start_at)

    store.send([to("order-1")])

    assert InboxMessage.objects.get().visible_at == start_at
    assert store.claim_instances(token, 10).instances == []


def test_a_hidden_message_is_due_at_its_time(store, running, token):
    store.commit(token, [checkpoint(running())])
    later = store.now() + HOUR

    store.send([to("order-1", visible_at=later)])

    assert (store.has_work(), store.next_due_at()) == (False, later)
    assert store.claim_instances(token, 10).instances == []


def test_a_message_that_wakes_someone_is_work(store, running, token):
    store.commit(token, [checkpoint(running())])
    assert not store.has_work()

    store.send([to("order-1")])

    assert store.has_work()


def test_a_message_for_a_held_instance_waits_for_its_holder(store, running, token, open_lease):
    claimed = running()
    store.send([to("order-1")])

    assert store.claim_instances(open_lease("other:1"), 10).instances == []
    assert not store.has_work()
    [again] = store.claim_instances(token, 10).instances
    assert (again.pk, len(again.messages)) == (claimed.pk, 1)


def test_messages_of_a_commit_go_to_instances_by_id_and_by_key(store, start, running, token):
    claimed = running("order-1")
    pk = start("order-2")
    messages = [to("order-2"), Message(raised(), instance_pk=pk), to("nobody")]

    store.commit(token, [checkpoint(claimed, messages=messages)])

    assert inbox(pk) == ["EventRaised", "EventRaised"]


def test_an_event_for_an_instance_that_ends_in_the_same_commit_is_dropped(store, start, token):
    start("order-1")
    start("order-2")
    one, other = store.claim_instances(token, 10).instances

    store.commit(token, [checkpoint(one, messages=[to(other.instance_id)]), ended(other)])

    assert inbox(other.pk) == []


def test_what_is_consumed_is_gone(store, start, claim, token):
    pk = start()
    store.send([to("order-1"), to("order-1", raised("late"))])
    claimed = claim()

    store.commit(token, [checkpoint(claimed, consumed=[claimed.messages[0].pk])])

    assert [message.event.name for message in claim().messages] == ["late"]
    assert row(pk).lease_token == token


def test_dropped_messages_go_and_the_lease_with_them(store, start, claim, token):
    pk = start()
    Instance.objects.update(status="Completed", claimable_at=None)
    store.send([Message(event(EventType.TASK_COMPLETED), instance_pk=pk)] * 2)
    claimed = claim()

    store.drop_messages(token, {pk: [claimed.messages[0].pk]})

    assert (len(inbox(pk)), row(pk).lease_token, row(pk).attempts) == (1, None, 0)


def test_messages_of_an_instance_that_another_holds_are_not_dropped(store, start, claim, open_lease):
    pk = start()
    store.send([to("order-1")])
    claimed = claim()

    store.drop_messages(open_lease("other:1"), {pk: [claimed.messages[0].pk]})

    assert len(inbox(pk)) == 1
    assert row(pk).lease_token is not None


def test_the_time_of_noon_is_kept_to_the_microsecond(store, start, claim):
    start()
    precise = NOON.replace(microsecond=123456)

    store.send([to("order-1", visible_at=precise)])

    assert InboxMessage.objects.get().visible_at == precise
