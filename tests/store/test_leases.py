"""Leases of workers, and what becomes of the work of those that died."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations.models import ActivityWorkItem, Instance, LostWorker, WorkerLease
from orchestrations.store.contract import ActivityKey
from orchestrations.store.lease_contract import Recovery
from orchestrations.store.leases import back_off
from tests.store.episodes import PAST, checkpoint, completion, row, scheduled

pytestmark = pytest.mark.django_db


def die(token):
    WorkerLease.objects.filter(token=token).update(expires_at=PAST)


def test_every_lease_has_a_token_of_its_own_for_ever(store, open_lease):
    first, second = open_lease(), open_lease()
    store.close_lease(second)

    assert first < second < open_lease()


def test_a_lease_says_who_holds_it(store, token):
    lease = WorkerLease.objects.get(token=token)

    assert (lease.hub, lease.worker, lease.host, lease.pid) == (store.hub, "host:1", "host", 1)
    assert (lease.capacity, lease.functions, lease.in_flight) == (16, "{}", 0)
    assert timedelta(seconds=14) < lease.expires_at - store.now() <= timedelta(seconds=15)


def test_a_renewed_lease_lives_longer(store, token):
    assert store.renew_lease(token, timedelta(minutes=5), in_flight=3)

    lease = WorkerLease.objects.get(token=token)
    assert lease.expires_at - store.now() > timedelta(minutes=4)
    assert lease.in_flight == 3


def test_a_lease_that_is_gone_can_not_be_renewed(store, token):
    store.close_lease(token)

    assert not store.renew_lease(token, timedelta(minutes=5), 0)


def test_a_closed_lease_frees_everything_at_once(store, running, start, token, open_lease, claim):
    claimed = running("order-1")
    store.commit(token, [checkpoint(claimed, work_items=[scheduled(held=True)])])
    start("order-2")
    claim()

    store.close_lease(token)

    other = open_lease("other:1")
    assert claim(other).instance_id == "order-2"
    assert [(work.task_id, work.dispatches) for work in store.claim_activities(other, 10)] == [(0, 1)]


def test_what_a_worker_does_not_know_of_is_freed_and_not_counted_against_anybody(store, running, start, token, claim):
    claimed = running("order-1")
    items = [scheduled(task_id, held=True) for task_id in (0, 1)]
    store.commit(token, [checkpoint(claimed, work_items=items)])
    pk = start("order-2")
    claim()

    store.disown(token, [ActivityKey(claimed.pk, 1, 0)])

    assert (row(pk).lease_token, row(pk).attempts) == (None, 0)
    left = ActivityWorkItem.objects.order_by("task_id").values_list("lease_token", "dispatches")
    assert list(left) == [(token, 1), (None, 0)]
    assert WorkerLease.objects.filter(token=token).exists()


def test_what_a_dead_worker_held_is_freed(store, running, start, token, open_lease, claim):
    claimed = running("order-1")
    store.commit(token, [checkpoint(claimed, work_items=[scheduled(held=True)])])
    start("order-2")
    held = claim()
    die(token)

    assert store.recover() == Recovery(workers=1, instances=1, activities=1)

    assert store.recover() == Recovery()
    assert row(held.pk).lease_token is None
    [work] = store.claim_activities(open_lease("other:1"), 10)
    assert work.dispatches == 2
    assert not store.renew_lease(token, timedelta(minutes=5), 0)


def test_what_a_living_worker_holds_is_left_alone(store, running, token):
    claimed = running()
    store.commit(token, [checkpoint(claimed, work_items=[scheduled(held=True)], release=False)])

    assert store.recover() == Recovery()
    assert row(claimed.pk).lease_token == token
    assert ActivityWorkItem.objects.get().lease_token == token


def test_a_sweep_that_was_cut_off_is_finished_by_the_next(store, running, token):
    claimed = running()
    WorkerLease.objects.all().delete()

    assert store.recover() == Recovery(instances=1)
    assert row(claimed.pk).lease_token is None


def test_the_dead_workers_commit_is_lost(store, running, token):
    claimed = running()
    die(token)
    store.recover()

    assert store.commit(token, [checkpoint(claimed)]).lost == {claimed.pk}


def test_the_dead_workers_completion_is_dropped(store, running, token):
    store.commit(token, [checkpoint(running(), work_items=[scheduled()])])
    [work] = store.claim_activities(token, 10)
    die(token)
    store.recover()

    assert store.complete_activities(token, [completion(work)]) == 0


def test_other_hubs_are_swept_by_their_own_workers(store, running, token):
    claimed = running()
    die(token)

    type(store)("elsewhere", "default").recover()

    assert row(claimed.pk).lease_token == token


@pytest.mark.parametrize(
    ("dispatches", "seconds"), [(0, 0), (1, 0), (2, 2), (3, 4), (4, 8), (9, 256), (10, 512), (11, 600), (30_000, 600)]
)
def test_an_activity_that_kills_its_workers_rests_ever_longer(dispatches, seconds):
    assert back_off(dispatches).total_seconds() == seconds


def test_the_rest_is_part_of_the_recovery(store, running, token):
    items = [scheduled(number) for number in range(3)]
    store.commit(token, [checkpoint(running(), work_items=items)])
    store.claim_activities(token, 10)
    for number in range(3):
        ActivityWorkItem.objects.filter(task_id=number).update(dispatches=number + 1)
    die(token)

    before = store.now()
    store.recover()

    rests = [item.visible_at - before for item in ActivityWorkItem.objects.order_by("task_id")]
    assert rests[0] < timedelta(seconds=1)
    assert timedelta(seconds=2) <= rests[1] < timedelta(seconds=5)  # those that died together come back apart
    assert timedelta(seconds=4) <= rests[2] < timedelta(seconds=9)
    assert not Instance.objects.filter(lease_token__isnull=False).exists()


def test_it_is_remembered_which_workers_were_lost(store, token):
    WorkerLease.objects.update(expires_at=PAST, in_flight=3)
    LostWorker.objects.create(
        hub=store.hub, worker="old", started_at=PAST, heartbeat_at=PAST, lost_at=PAST, in_flight=0
    )

    store.recover()

    [lost] = LostWorker.objects.all()
    assert (lost.worker, lost.in_flight) == ("host:1", 3)


def test_a_worker_that_stops_by_itself_is_not_lost(store, token):
    store.close_lease(token)
    store.recover()

    assert not LostWorker.objects.exists()
