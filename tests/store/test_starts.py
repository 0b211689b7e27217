"""Starting instances."""

from __future__ import annotations

import pytest
from django.db import transaction

from orchestrations.models import InboxMessage, Instance
from orchestrations.store.contract import NewInstance, NewTimer, NewWait, OnDuplicate
from orchestrations.store.starts import BELONGINGS
from tests.store.episodes import HOUR, NOON, PAST, ended, raised, row, scheduled, to

pytestmark = pytest.mark.django_db

TERMINAL = ["Completed", "Failed", "Terminated", "Canceled"]
LIVE = ["Pending", "Running", "Suspended", "ContinuedAsNew"]


def test_a_started_instance_is_pending_and_can_be_claimed_at_once(store, token):
    [created] = store.create_instances([NewInstance("order-1", "order", "2", '{"n":1}', {"team": "a"})])

    [claimed] = store.claim_instances(token, 10).instances
    assert created.created
    assert (claimed.pk, claimed.instance_id, claimed.name, claimed.version) == (created.pk, "order-1", "order", "2")
    assert (claimed.status, claimed.execution, claimed.last_sequence, claimed.begins) == ("Pending", 1, 0, True)
    assert claimed.tags == {"team": "a"}
    assert store.load_history({created.pk: 1})[created.pk].input == '{"n":1}'


def test_the_status_of_one_that_is_gone_is_none(store, start):
    start("order-1")

    assert store.find_status("order-1") == "Pending"
    assert store.find_status("order-2") is None


def test_outcomes_come_in_the_order_given(store):
    ids = ["c", "a", "b"]

    created = store.create_instances([NewInstance(instance_id, "order") for instance_id in ids])

    assert [one.instance_id for one in created] == ids
    assert all(Instance.objects.get(pk=one.pk).instance_id == one.instance_id for one in created)


def test_a_start_in_the_future_is_not_claimed_before_its_time(store, token, start):
    pk = start(start_at=store.now() + HOUR)

    assert store.claim_instances(token, 10).instances == []
    assert not store.has_work()
    assert store.next_due_at() == row(pk).scheduled_start_at == row(pk).claimable_at


def test_a_message_for_a_future_start_claims_it_without_beginning_it(store, token, start):
    start_at = store.now() + HOUR
    start(start_at=start_at)
    store.send([to("order-1", raised(), visible_at=PAST)])

    [claimed] = store.claim_instances(token, 10).instances

    assert not claimed.begins
    assert claimed.claimable_at == start_at


REFUSING = [policy for policy in OnDuplicate if policy is not OnDuplicate.TERMINATE]
REPLACING = {OnDuplicate.REPLACE_TERMINAL, OnDuplicate.TERMINATE}


@pytest.mark.parametrize("status", LIVE)
@pytest.mark.parametrize("on_duplicate", REFUSING)
def test_the_id_of_a_live_instance_is_not_taken(store, start, status, on_duplicate):
    pk = start()
    Instance.objects.update(status=status)

    [refused] = store.create_instances([NewInstance("order-1", "other")], on_duplicate)

    assert (refused.created, refused.pk, refused.existing_status) == (False, pk, status)
    assert row(pk).name == "order"


@pytest.mark.parametrize("status", TERMINAL)
@pytest.mark.parametrize("on_duplicate", OnDuplicate)
def test_the_id_of_an_ended_instance_is_taken_only_where_that_is_asked_for(store, start, status, on_duplicate):
    pk = start()
    Instance.objects.update(status=status)

    [outcome] = store.create_instances([NewInstance("order-1", "other")], on_duplicate)

    assert outcome.pk == pk
    assert outcome.created is (on_duplicate in REPLACING)
    assert outcome.existing_status == (None if outcome.created else status)
    assert row(pk).name == ("other" if outcome.created else "order")


@pytest.mark.parametrize("status", LIVE)
def test_a_live_instance_is_ended_and_replaced_where_that_is_asked_for(store, start, claim, token, status):
    held = claim(token) if start() else None
    Instance.objects.update(status=status)

    [outcome] = store.create_instances([NewInstance("order-1", "other")], OnDuplicate.TERMINATE)

    assert (outcome.created, outcome.pk) == (True, held.pk)
    assert store.commit(token, [ended(held)]).lost == {held.pk}, "who held it has lost it"
    now = row(held.pk)
    assert (now.name, now.status, now.execution, now.lease_token) == ("other", "Pending", 2, None)


def test_those_around_a_replaced_live_instance_are_told(store, start, claim, token):
    parent = start("parent")
    middle = start("middle", parent_pk=parent, parent_execution=1, parent_task_id=4)
    child = start("child", parent_pk=middle, parent_execution=1, parent_task_id=1)
    gone = start("gone", parent_pk=middle, parent_execution=1, parent_task_id=2)
    Instance.objects.filter(pk=gone).update(status="Completed")

    store.create_instances([NewInstance("middle", "order")], OnDuplicate.TERMINATE)

    assert [(m.type, m.execution, m.task_id) for m in InboxMessage.objects.filter(instance_id=parent)] == [
        ("SubOrchestrationInstanceFailed", 1, 4)
    ]
    assert [m.type for m in InboxMessage.objects.filter(instance_id=child)] == ["ExecutionTerminated"]
    assert not InboxMessage.objects.filter(instance_id__in=[gone, middle]).exists()
    assert Instance.objects.get(pk=middle).parent_id is None


def test_equal_ids_in_one_call_start_one_instance(store):
    first, second = store.create_instances([NewInstance("order-1", "order"), NewInstance("order-1", "other")])

    assert (first.created, second.created, second.existing_status) == (True, False, "Pending")
    assert first.pk == second.pk
    assert row(first.pk).name == "order"


def test_equal_ids_in_one_call_replace_an_ended_instance_once(store, running, token):
    claimed = running()
    store.commit(token, [ended(claimed)])

    first, second = store.create_instances([NewInstance("order-1", "order")] * 2)

    assert (first.created, second.created, second.existing_status) == (True, False, "Pending")
    assert row(claimed.pk).execution == 2


@pytest.fixture
def with_belongings(store, running, token):
    """An ended instance that left rows in every table."""
    claimed = running(input='"old"', tags={"team": "a"})
    store.commit(
        token,
        [
            ended(
                claimed,
                history=[raised()],
                output='"result"',
                custom_status='"almost"',
                work_items=[scheduled()],
                timers=[NewTimer(1, 0, NOON)],
                opened_waits=[NewWait(2, "approved", NOON)],
            )
        ],
    )
    InboxMessage.objects.create(hub=store.hub, instance_id=claimed.pk, type="TaskCompleted", execution=1)
    return claimed


def test_a_new_start_under_an_ended_instances_id_sees_nothing_of_it(store, with_belongings, token):
    pk = with_belongings.pk

    store.create_instances([NewInstance("order-1", "order", input='"new"')])

    [claimed] = store.claim_instances(token, 10).instances
    assert (claimed.pk, claimed.execution, claimed.last_sequence, claimed.begins) == (pk, 2, 0, True)
    assert (claimed.messages, claimed.tags, claimed.custom_status) == ([], {}, None)
    loaded = store.load_history({pk: 2})[pk]
    assert (loaded.input, loaded.events) == ('"new"', [])
    now = row(pk)
    assert (now.output, now.failure, now.error, now.started_at, now.completed_at) == (None, None, "", None, None)
    for model in BELONGINGS:
        assert not model.objects.filter(instance_id=pk).exists()


def test_a_retried_child_keeps_the_history_of_its_earlier_executions(store, with_belongings):
    pk = with_belongings.pk

    store.create_instances([NewInstance("order-1", "order", keep_history=True)])

    assert len(store.load_history({pk: 1})[pk].events) == 1
    assert store.load_history({pk: 2})[pk].events == []


def test_a_replaced_instance_is_lost_to_who_held_it(store, with_belongings, token, claim):
    late = claim()  # for its late message

    store.create_instances([NewInstance("order-1", "order")])

    assert store.commit(token, [ended(late)]).lost == {late.pk}


def test_a_start_is_undone_with_the_callers_transaction(store):
    with transaction.atomic():
        store.create_instances([NewInstance("order-1", "order")])
        transaction.set_rollback(True)

    assert not Instance.objects.exists()


def test_hubs_do_not_see_one_another(store, start, token):
    start()
    stranger = type(store)("elsewhere", "default")

    assert stranger.create_instances([NewInstance("order-1", "order")])[0].created
    assert [one.instance_id for one in store.claim_instances(token, 10).instances] == ["order-1"]
    assert stranger.send([to("order-2")]) == 0
