"""Claiming instances, giving them back, and loading their history."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations.core.events import EventType
from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance
from orchestrations.store.contract import NewInstance
from tests.store.episodes import HOUR, PAST, checkpoint, event, raised, row, scheduled, to

pytestmark = pytest.mark.django_db


def test_an_instance_is_claimed_by_one_worker_only(store, running, open_lease):
    running()

    assert store.claim_instances(open_lease("other:1"), 10).instances == []


def test_nothing_to_do_is_an_empty_claim_with_the_time(store, token):
    before = store.now()

    claim = store.claim_instances(token, 10)

    assert (claim.instances, claim.more) == ([], False)
    assert before <= claim.now <= store.now()


def test_a_claim_counts_the_attempt_and_a_commit_forgets_them(store, running, token):
    claimed = running()
    store.release_instances(token, [claimed.pk])

    [again] = store.claim_instances(token, 10).instances
    assert (claimed.attempts, again.attempts) == (1, 2)

    store.commit(token, [checkpoint(again)])
    assert row(again.pk).attempts == 0


def test_what_has_been_tried_often_comes_last(store, start, token):
    often = start("often")
    Instance.objects.filter(pk=often).update(attempts=3)
    start("seldom")

    assert [one.instance_id for one in store.claim_instances(token, 10).instances] == ["seldom", "often"]
    assert [one.attempts for one in store.claim_instances(token, 10).instances] == [2, 5]


def test_what_waits_longest_comes_first(store, start, token):
    for instance_id, hours in (("b", 1), ("a", 3), ("c", 2)):
        pk = start(instance_id)
        Instance.objects.filter(pk=pk).update(claimable_at=store.now() - hours * HOUR)

    assert [one.instance_id for one in store.claim_instances(token, 10).instances] == ["a", "c", "b"]


def test_a_claim_says_when_its_limit_cut_it_short(store, token):
    store.create_instances([NewInstance(f"order-{number}", "order") for number in range(5)])

    first = store.claim_instances(token, 3)
    second = store.claim_instances(token, 10)

    assert (len(first.instances), first.more) == (3, True)
    assert len(second.instances) == 5  # its own two times three, and the rest
    assert not second.more


def test_the_message_limit_never_skips_an_earlier_message_of_an_instance(store, start, token):
    for instance_id in ("order-1", "order-2"):
        start(instance_id)
    Instance.objects.update(claimable_at=None)
    for number in range(6):
        store.send([to("order-1" if number < 4 else "order-2", raised(str(number)))])

    first = store.claim_instances(token, 10, message_limit=3)

    [instance] = first.instances
    assert [message.event.name for message in instance.messages] == ["0", "1", "2"]
    assert first.more
    left = Instance.objects.get(instance_id="order-2")
    assert (left.lease_token, left.attempts) == (None, 0)


def test_but_a_termination_is_taken_from_behind_it(store, start, token):
    for instance_id in ("order-1", "order-2"):
        start(instance_id)
    Instance.objects.update(claimable_at=None)
    for number in range(4):
        store.send([to("order-1", raised(str(number)))])
    for instance_id in ("order-1", "order-2"):
        store.send([to(instance_id, event(EventType.EXECUTION_TERMINATED))])
    store.send([to("order-1", raised("5"))])

    claimed = store.claim_instances(token, 10, message_limit=3).instances

    taken = {one.instance_id: [message.event.type.value for message in one.messages] for one in claimed}
    assert taken == {
        "order-1": ["EventRaised", "EventRaised", "EventRaised", "ExecutionTerminated"],
        "order-2": ["ExecutionTerminated"],
    }


def test_an_instance_that_is_kept_goes_on_with_its_new_messages(store, running, token):
    claimed = running()
    store.commit(token, [checkpoint(claimed, release=False)])
    store.send([to("order-1")])

    [again] = store.claim_instances(token, 10).instances

    assert (again.pk, again.begins, again.attempts) == (claimed.pk, False, 1)


def test_a_released_instance_is_free_for_anyone(store, running, token, open_lease, claim):
    claimed = running()

    store.release_instances(token, [claimed.pk])

    assert claim(open_lease("other:1")).pk == claimed.pk


def test_nobody_releases_what_another_holds(store, running, token, open_lease):
    claimed = running()

    store.release_instances(open_lease("other:1"), [claimed.pk])

    assert row(claimed.pk).lease_token == token


def test_an_attempt_is_counted_when_its_turn_comes_by_who_holds_the_instance(store, running, token, open_lease):
    claimed = running()

    store.count_attempts(token, [claimed.pk], -1)
    assert row(claimed.pk).attempts == claimed.attempts - 1
    store.count_attempts(token, [claimed.pk], 1)
    store.count_attempts(open_lease("other:1"), [claimed.pk], 1)

    assert (row(claimed.pk).attempts, row(claimed.pk).lease_token) == (claimed.attempts, token)


def test_an_abandoned_instance_rests_and_says_why(store, running, token):
    claimed = running()
    store.send([to("order-1")])

    store.abandon_instances(token, {claimed.pk: "no orchestrator named order"}, timedelta(minutes=1))

    now = row(claimed.pk)
    assert (now.lease_token, now.attempts, now.waiting_for) == (None, 0, "no orchestrator named order")
    assert store.claim_instances(token, 10).instances == []
    assert store.next_due_at() == now.claimable_at == InboxMessage.objects.get().visible_at


def test_what_was_abandoned_is_taken_before_what_is_new(store, running, token):
    claimed = running()
    store.commit(token, [checkpoint(claimed)])
    store.send([to("order-1", raised("first"))])
    store.claim_instances(token, 10)
    store.abandon_instances(token, {claimed.pk: "no orchestrator named order"}, timedelta(minutes=1))
    assert store.claim_instances(token, 10).instances == []

    store.send([to("order-1", raised("second"))])

    [again] = store.claim_instances(token, 10).instances
    assert [message.event.name for message in again.messages] == ["first", "second"]


def test_an_event_of_a_newer_release_is_told_and_holds_up_nobody(store, running, start, token):
    claimed = running()
    store.commit(token, [checkpoint(claimed, history=[raised(), raised()])])
    store.send([to("order-1", raised("first"))])
    InboxMessage.objects.update(type="FromTheFuture")
    HistoryEvent.objects.filter(sequence=1).update(type="FromTheFuture")
    HistoryEvent.objects.filter(sequence=2).update(attributes="{")
    start("order-2")

    instances = {instance.instance_id: instance for instance in store.claim_instances(token, 10).instances}
    history = store.load_history({claimed.pk: 1})[claimed.pk]

    assert instances["order-2"].begins
    [message] = instances["order-1"].messages
    assert message.unreadable == history.unreadable
    assert "no event of the type 'FromTheFuture'" in message.unreadable
    assert [event.sequence for event in history.events] == [1, 2]


def test_nobody_abandons_what_another_holds(store, running, token, open_lease):
    claimed = running()

    store.abandon_instances(open_lease("other:1"), {claimed.pk: "why not"}, HOUR)

    assert (row(claimed.pk).lease_token, row(claimed.pk).waiting_for) == (token, "")


def test_a_child_knows_its_parent(store, running, token):
    parent = running("parent")
    child = NewInstance("child", "order", parent_pk=parent.pk, parent_execution=1, parent_task_id=4)
    store.commit(token, [checkpoint(parent, children=[child])])

    [claimed] = store.claim_instances(token, 10).instances

    assert (claimed.parent_pk, claimed.parent_instance_id) == (parent.pk, "parent")
    assert (claimed.parent_execution, claimed.parent_task_id) == (1, 4)


def test_history_is_loaded_in_order_for_each_execution_asked_for(store, start, token):
    start("order-1", input="1")
    start("order-2", input="2")
    one, other = sorted(store.claim_instances(token, 10).instances, key=lambda instance: instance.pk)
    attributes = {"fire_at": "2026-03-01T12:00:00+00:00", "tags": {"a": "b"}}
    first = event(EventType.TIMER_CREATED, task_id=3, attempt=2, attributes=attributes)
    store.commit(token, [checkpoint(one, history=[first, raised('é\\"')]), checkpoint(other, history=[raised("c")])])

    loaded = store.load_history({one.pk: 1, other.pk: 2})

    assert loaded[one.pk].input == "1"
    assert loaded[one.pk].events == [first, raised('é\\"', sequence=2)]
    assert (loaded[other.pk].input, loaded[other.pk].events) == ("2", [])
    assert store.load_history({}) == {}


def test_an_instance_that_is_gone_has_no_history(store):
    assert store.load_history({404: 1}) == {}


def test_a_message_whose_instance_is_gone_holds_up_nobody(store, start, token):
    InboxMessage.objects.create(hub=store.hub, instance_id=404, type="EventRaised", visible_at=store.now() - HOUR)
    start()

    assert len(store.claim_instances(token, 10).instances) == 1
    store.recover()
    assert not InboxMessage.objects.exists()


@pytest.mark.parametrize("kind", ["start", "message", "work item"])
def test_only_work_that_has_waited_a_while_is_overdue(store, start, running, token, kind):
    if kind == "start":
        start()
    else:
        items = [scheduled()] if kind == "work item" else []
        store.commit(token, [checkpoint(running(), work_items=items)])
        store.send([to("order-1")] if kind == "message" else [])
    assert store.has_work()
    assert not store.has_work(overdue=True)

    Instance.objects.filter(claimable_at__isnull=False).update(claimable_at=PAST)
    InboxMessage.objects.update(visible_at=PAST)
    ActivityWorkItem.objects.update(visible_at=PAST)
    assert store.has_work(overdue=True)
