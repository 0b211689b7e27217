"""Several workers and clients at once, each on a connection of its own."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import wait
from datetime import timedelta
from functools import partial
from itertools import chain
from threading import Barrier, Event

import psycopg
import pytest
from django.db import connection, transaction

from orchestrations.models import ActivityWorkItem, InboxMessage, Instance, WorkerLease
from orchestrations.store.contract import NewInstance, NewTimer, OnDuplicate
from orchestrations.store.postgresql import notification_channel
from tests.store.episodes import PAST, checkpoint, completion, ended, inbox, raised, row, scheduled, to

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def at_once(in_thread):
    """Runs the functions together, and returns their results in order."""

    def at_once(*functions):
        together = Barrier(len(functions))

        def run(function):
            together.wait(10)
            return function()

        return [future.result(60) for future in [in_thread(run, function) for function in functions]]

    return at_once


def test_two_workers_never_claim_the_same_instance(store, open_lease, at_once):
    names = {f"order-{number}" for number in range(100)}
    store.create_instances([NewInstance(name, "order") for name in names])

    def worker():
        token = open_lease()
        claimed = []
        while batch := store.claim_instances(token, 7).instances:
            claimed += [one.instance_id for one in batch]
            store.commit(token, [checkpoint(one, release=False) for one in batch])
        return claimed

    claims = Counter(chain.from_iterable(at_once(*[worker] * 4)))

    assert set(claims.values()) == {1}
    assert claims.keys() <= names  # one that another was just locking is left for the next look
    left = [one.instance_id for one in store.claim_instances(open_lease(), 100).instances]
    assert claims.keys() | set(left) == names
    assert not claims.keys() & set(left)


def test_two_workers_never_run_the_same_work_item(store, running, token, open_lease, at_once):
    items = [scheduled(number) for number in range(100)]
    store.commit(token, [checkpoint(running(), work_items=items)])

    def worker():
        own = open_lease()
        claimed = []
        while works := store.claim_activities(own, 3):
            claimed += [work.task_id for work in works]
        return claimed

    claims = Counter(chain.from_iterable(at_once(*[worker] * 4)))

    claims.update(work.task_id for work in store.claim_activities(token, 100))
    assert claims == dict.fromkeys(range(100), 1)


def test_of_two_commits_of_one_episode_one_is_lost(store, running, token, at_once):
    claimed = running()
    for _ in range(10):
        first, second = at_once(
            *[lambda: store.commit(token, [checkpoint(claimed, history=[raised()], release=False)]).lost] * 2
        )

        assert sorted([first, second], key=len) == [set(), {claimed.pk}]
        claimed.last_sequence += 1
    assert [event.sequence for event in store.load_history({claimed.pk: 1})[claimed.pk].events] == list(range(1, 11))


def test_two_completions_of_one_activity_are_one_event(store, running, token, at_once):
    claimed = running()
    items = [scheduled(number) for number in range(20)]
    store.commit(token, [checkpoint(claimed, work_items=items)])
    completions = [completion(work) for work in store.claim_activities(token, 20)]

    accepted = at_once(
        lambda: store.complete_activities(token, completions),
        lambda: store.complete_activities(token, completions[::-1]),
        lambda: sum(store.complete_activities(token, [one]) for one in completions),
    )

    assert sum(accepted) == 20
    assert len(inbox(claimed.pk)) == 20
    assert not ActivityWorkItem.objects.exists()


@pytest.mark.parametrize("before", ["nothing", "an ended instance"])
def test_of_concurrent_starts_under_one_id_one_wins(store, running, token, at_once, before):
    if before == "an ended instance":
        store.commit(token, [ended(running())])

    outcomes = at_once(*[lambda: store.create_instances([NewInstance("order-1", "order")])[0]] * 8)

    assert sorted(outcome.created for outcome in outcomes) == [False] * 7 + [True]
    assert {outcome.existing_status for outcome in outcomes} == {None, "Pending"}
    assert Instance.objects.get().execution == (1 if before == "nothing" else 2)


def test_starts_of_the_same_ids_in_any_order_do_not_deadlock(store, at_once):
    names = [f"order-{number}" for number in range(50)]

    def starter(order):
        return lambda: store.create_instances([NewInstance(name, "order") for name in order], OnDuplicate.ERROR)

    outcomes = at_once(*[starter(names), starter(names[::-1])] * 3)

    winners = Counter(outcome.instance_id for outcome in chain.from_iterable(outcomes) if outcome.created)
    assert winners == dict.fromkeys(names, 1)


def test_a_message_that_is_committed_after_a_claim_began_is_not_lost(store, running, token, in_thread):
    store.commit(token, [checkpoint(running())])
    sent, looked = Event(), Event()

    def sender():
        with transaction.atomic():
            store.send([to("order-1")])
            sent.set()
            if connection.features.has_select_for_update:  # elsewhere a claim waits for the sender
                looked.wait(10)

    sending = in_thread(sender)
    assert sent.wait(10)
    early = store.claim_instances(token, 10).instances
    looked.set()
    sending.result(10)

    claimed = early or store.claim_instances(token, 10).instances
    assert [message.event.name for message in claimed[0].messages] == ["approved"]


def test_a_message_that_arrives_while_its_instance_goes_to_sleep_wakes_it(store, running, token, claim):
    claimed = running()
    store.send([to("order-1")])

    store.commit(token, [checkpoint(claimed)])

    assert store.has_work()
    assert len(claim().messages) == 1


def test_a_sender_does_not_hold_up_the_commit_of_its_target(store, running, token, in_thread):
    if not connection.features.has_select_for_update:
        pytest.skip("one writer at a time")
    claimed = running()
    sent, committed = Event(), Event()

    def sender():
        with transaction.atomic():
            store.send([to("order-1")])
            sent.set()
            assert committed.wait(10)

    sending = in_thread(sender)
    assert sent.wait(10)
    assert not store.commit(token, [checkpoint(claimed)]).lost
    committed.set()
    sending.result(10)


def test_a_timer_fires_once_whoever_looks(store, running, token, at_once):
    timers = [NewTimer(number, 0, PAST) for number in range(100)]
    claimed = running()
    store.commit(token, [checkpoint(claimed, timers=timers)])

    def fire():
        while store.fire_timers(limit=7):
            pass

    at_once(*[fire] * 4)
    fire()

    fired = Counter(InboxMessage.objects.values_list("task_id", flat=True))
    assert fired == dict.fromkeys(range(100), 1)


def test_a_sweep_frees_nothing_of_the_living(store, open_lease, at_once):
    store.create_instances([NewInstance(f"order-{number}", "order") for number in range(100)])
    done = Event()

    def worker():
        lost = set()
        for _ in range(15):
            token = open_lease()  # younger than the sweep's snapshot
            claimed = store.claim_instances(token, 5).instances
            lost |= store.commit(token, [ended(one) for one in claimed]).lost
        done.set()
        return lost

    def sweep():
        freed = 0
        while not done.is_set():
            freed += store.recover().instances
        return freed

    assert at_once(worker, sweep) == [set(), 0]


def test_a_dead_workers_last_commit_and_its_recovery_agree(store, start, open_lease, at_once):
    for number in range(10):
        token = open_lease()
        pk = start(f"order-{number}")
        [claimed] = store.claim_instances(token, 1).instances
        WorkerLease.objects.filter(token=token).update(expires_at=PAST)

        result, _ = at_once(partial(store.commit, token, [ended(claimed)]), store.recover)

        assert row(pk).status == ("Pending" if result.lost else "Completed")
        store.recover()
        assert row(pk).lease_token is None
        Instance.objects.all().delete()


def deadlocks():
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("store", ["tuned"], indirect=True)
def test_everything_at_once_never_deadlocks(store, open_lease, in_thread):
    names = [f"order-{number}" for number in range(20)]
    store.create_instances([NewInstance(name, "order") for name in names])
    before = deadlocks()

    def worker():
        token = open_lease()
        for _ in range(15):
            checkpoints = []
            for one in store.claim_instances(token, 8).instances:
                crossed = [to(name) for name in names[:: -1 if one.pk % 2 else 1]]
                consumed = [message.pk for message in one.messages]
                finish = ended if one.execution % 3 else checkpoint
                checkpoints.append(
                    finish(one, messages=crossed, consumed=consumed, work_items=[scheduled()], keeps_activities=True)
                    if one.begins
                    else ended(one, consumed=consumed, ended_activities=[0])
                )
            store.commit(token, checkpoints[::-1])
            works = store.claim_activities(token, 8)
            store.complete_activities(token, [completion(work) for work in works[::-1]])
            store.recover()
            store.fire_timers()

    def client():
        for _ in range(15):
            store.create_instances([NewInstance(name, "order") for name in names])
            store.send([to(name) for name in names])
            store.purge(list(Instance.objects.filter(status="Completed").values_list("pk", flat=True)[:5]))

    futures = [in_thread(function) for function in [worker, client] * 3]
    wait(futures, 120)

    for future in futures:
        future.result(0)
    assert deadlocks() == before


@pytest.mark.parametrize("store", ["tuned"], indirect=True)
def test_a_notification_goes_out_with_the_commit_and_not_without(store):
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL notifies")
    parameters = connection.get_connection_params()
    known = {name: parameters[name] for name in ("host", "port", "user", "password", "dbname") if parameters.get(name)}
    with psycopg.connect(**known, autocommit=True) as listener:
        listener.execute(f"LISTEN {notification_channel(store.hub)}")
        with transaction.atomic():
            store.notify_workers()
            transaction.set_rollback(True)
        with transaction.atomic():
            store.notify_workers()
            assert list(listener.notifies(timeout=0)) == []

        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
        assert list(listener.notifies(timeout=0)) == []


def test_workers_of_other_hubs_are_not_notified():
    assert notification_channel("a") != notification_channel("b")
    assert len(notification_channel("ü" * 45).encode()) <= 63


def test_a_lease_expires_by_the_databases_clock(store, open_lease, running, token):
    claimed = running()
    assert store.renew_lease(token, timedelta(seconds=-1), 0)

    assert store.recover().instances == 1
    assert row(claimed.pk).lease_token is None
