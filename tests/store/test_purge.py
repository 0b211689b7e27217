"""Purging ended instances."""

from __future__ import annotations

import pytest

from orchestrations.core.events import EventType
from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance, OpenWait, Timer
from orchestrations.store import composed
from orchestrations.store.contract import Message, NewInstance, NewTimer, NewWait
from orchestrations.store.human_tasks import BELONGINGS as OF_TASKS
from tests import rows
from tests.store.episodes import NOON, checkpoint, ended, event, raised, scheduled

pytestmark = pytest.mark.django_db

EVERYTHING = (HistoryEvent, InboxMessage, ActivityWorkItem, Timer, OpenWait, Instance)


def full(claimed, end):
    return end(
        claimed,
        history=[raised()],
        work_items=[scheduled()],
        timers=[NewTimer(1, 0, NOON)],
        opened_waits=[NewWait(2, "approved", NOON)],
        messages=[Message(event(EventType.TASK_COMPLETED), instance_pk=claimed.pk)],
    )


def test_an_ended_instance_goes_with_all_its_rows(store, running, token):
    claimed = running()
    store.commit(token, [full(claimed, ended)])

    assert store.purge([claimed.pk]) == 1

    for model in EVERYTHING:
        assert not model.objects.exists()


def test_tasks_for_people_go_with_their_instance_and_no_others(store, start, token, django_user_model):
    dana = django_user_model.objects.create_user("dana")
    start("asked")
    start("other")
    claimed = store.claim_instances(token, 10).instances
    for one in claimed:
        rows.thread(rows.task(Instance.objects.get(pk=one.pk), "user:dana"), dana)
    store.commit(token, [ended(one) for one in claimed])

    assert store.purge([claimed[0].pk]) == 1

    for model in OF_TASKS:
        assert [row.instance_id for row in model.objects.all()] == [claimed[1].pk]


@pytest.mark.parametrize("status", ["Pending", "Running", "Suspended", "ContinuedAsNew"])
def test_a_live_instance_is_left_alone(store, running, token, status):
    claimed = running()
    store.commit(token, [full(claimed, checkpoint)])
    Instance.objects.update(status=status)
    before = [model.objects.count() for model in EVERYTHING]

    assert store.purge([claimed.pk]) == 0
    assert [model.objects.count() for model in EVERYTHING] == before


def test_only_the_named_instances_go(store, start, token):
    store.create_instances([NewInstance(f"order-{number}", "order") for number in range(3)])
    claimed = store.claim_instances(token, 10).instances
    store.commit(token, [full(one, ended) for one in claimed])

    assert store.purge([claimed[0].pk, claimed[2].pk, 404]) == 2
    for model in EVERYTHING:
        assert model.objects.count() == 1


def test_more_than_a_batch_goes(store, token, monkeypatch):
    monkeypatch.setattr(composed, "BATCH", 2)
    store.create_instances([NewInstance(f"order-{number}", "order") for number in range(5)])
    Instance.objects.update(status="Completed")

    assert store.purge(list(Instance.objects.values_list("pk", flat=True))) == 5


def test_instances_of_other_hubs_stay(store, start):
    pk = start()
    Instance.objects.update(status="Completed")

    assert type(store)("elsewhere", "default").purge([pk]) == 0


def test_a_purged_id_is_new_again(store, start, token, claim):
    pk = start()
    Instance.objects.update(status="Completed")
    store.purge([pk])

    start()

    assert (claim().execution, claim().messages) == (1, [])


def test_the_message_of_a_child_to_a_purged_parent_is_dropped(store, running, token):
    parent = running("parent")
    child = NewInstance("child", "order", parent_pk=parent.pk, parent_execution=1, parent_task_id=1)
    store.commit(token, [ended(parent, children=[child])])
    store.purge([parent.pk])
    [claimed] = store.claim_instances(token, 10).instances
    assert (claimed.parent_pk, claimed.parent_instance_id) == (parent.pk, None)

    store.commit(
        token, [ended(claimed, messages=[Message(event(EventType.SUB_ORCHESTRATION_COMPLETED), instance_pk=parent.pk)])]
    )

    assert not InboxMessage.objects.exists()
