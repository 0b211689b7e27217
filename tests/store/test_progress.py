"""Activities that take long: heartbeats of those that run, those that are completed from outside, waits cut short."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction

from orchestrations.core.events import EventType
from orchestrations.models import ActivityWorkItem, Timer
from orchestrations.store.contract import ActivityKey, NewTimer, NewWorkItem
from orchestrations.store.progress_contract import ActivityAttempt, DeferredActivity, Heartbeat
from tests.store.episodes import HOUR, PAST, checkpoint, completion, event, inbox, key, scheduled

pytestmark = pytest.mark.django_db
OPTIONS = {"heartbeat_timeout_seconds": 7.5, "heartbeat_details": "3"}


@pytest.fixture
def held(store, running, token):
    """An instance that has scheduled as many activities, each held by the token."""

    def held(count: int = 1, **options):
        claimed = running()
        history = [event(EventType.TASK_SCHEDULED, name="charge", attributes=options)]
        items = [scheduled(number, held=True) for number in range(count)]
        store.commit(token, [checkpoint(claimed, history=history, work_items=items)])
        return claimed

    return held


def attempt(claimed, task_id: int = 0, number: int = 1) -> ActivityAttempt:
    return ActivityAttempt(claimed.pk, claimed.execution, task_id, number)


def deferred(claimed, task_id: int = 0, **given) -> DeferredActivity:
    values = {"timeout": HOUR, "silence": None, "details": None} | given
    return DeferredActivity(attempt(claimed, task_id), **values)


def work_item(task_id: int = 0) -> ActivityWorkItem:
    return ActivityWorkItem.objects.get(task_id=task_id)


# Heartbeats


def test_heartbeats_are_written_for_what_the_token_holds(store, held, token, open_lease):
    claimed = held(3)
    beats = [Heartbeat(attempt(claimed, number), f'{{"n":{number}}}') for number in range(2)]

    assert store.record_heartbeats(token, beats) == {attempt(claimed, 0), attempt(claimed, 1)}
    assert store.record_heartbeats(open_lease("other:1"), beats) == set()
    assert store.record_heartbeats(token, [Heartbeat(attempt(claimed, 2, number=2), "1")]) == set()

    assert [work_item(number).heartbeat_details for number in range(3)] == ['{"n":0}', '{"n":1}', None]
    assert abs(work_item(1).heartbeat_at - store.now()) < timedelta(seconds=5)
    assert work_item(2).heartbeat_at is None
    assert work_item(1).lease_token == token


def test_no_heartbeats_are_no_statement(store, token, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert store.record_heartbeats(token, []) == set()
        assert store.defer_activities(token, []) == 0


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_does_not_wait_for_who_has_locked_the_work_item(store, held, token, in_thread):
    claimed = held(2)
    with transaction.atomic():
        ActivityWorkItem.objects.filter(task_id=0).update(name="locked")
        beats = [Heartbeat(attempt(claimed, number), "1") for number in range(2)]
        written = in_thread(store.record_heartbeats, token, beats).result(timeout=10)

    assert written == {attempt(claimed, 1)}


def test_who_takes_the_activity_up_gets_the_latest_details_and_the_options_of_the_call(store, held, token, open_lease):
    claimed = held(1, **OPTIONS)
    other = open_lease("other:1")
    store.detach_activities(token, [key(claimed)])
    [work] = store.claim_activities(other, 1)
    assert (work.heartbeat_timeout_seconds, work.heartbeat_details) == (7.5, "3"), "of the attempt before"
    store.record_heartbeats(other, [Heartbeat(attempt(claimed), "4")])
    store.close_lease(other)

    [work] = store.claim_activities(token, 1)
    assert (work.heartbeat_details, work.generation, work.deferred_until) == ("4", 1, None)


def test_the_generation_of_the_call_is_kept(store, running, token):
    store.commit(token, [checkpoint(running(), work_items=[NewWorkItem(0, 1, 1, "charge", None, False, 5)])])

    assert store.claim_activities(token, 1)[0].generation == 5


# Completion from outside


def test_a_deferred_activity_is_nobodys_until_its_time_is_over(store, held, token, open_lease):
    claimed = held()
    assert store.defer_activities(token, [deferred(claimed, details="5")]) == 1

    item = work_item()
    assert (item.lease_token, item.heartbeat_details, item.dispatches) == (None, "5", 1)
    assert item.visible_at == item.deferred_until
    assert item.started_at is not None
    assert store.claim_activities(token, 10) == []
    assert not store.has_work()
    assert store.next_due_at() == item.deferred_until, "so that somebody is awake then"
    assert store.complete_activities(token, [completion(key(claimed))]) == 0
    store.close_lease(token)
    store.recover()
    assert work_item().visible_at == item.visible_at

    ActivityWorkItem.objects.update(visible_at=PAST, deferred_until=PAST)
    [work] = store.claim_activities(open_lease("other:1"), 10)
    assert work.deferred_until == PAST


def test_an_end_that_its_worker_did_not_survive_is_found_again(store, held, token, open_lease):
    claimed = held()
    store.defer_activities(token, [deferred(claimed)])
    ActivityWorkItem.objects.update(visible_at=PAST)
    store.claim_activities(token, 1)
    store.close_lease(token)

    [work] = store.claim_activities(open_lease("other:1"), 1)
    assert work.deferred_until is not None


def test_silence_comes_before_the_end(store, held, token):
    claimed = held(2)
    store.defer_activities(
        token, [deferred(claimed, 0, silence=timedelta(minutes=1)), deferred(claimed, 1, silence=timedelta(hours=5))]
    )

    assert work_item(0).deferred_until - work_item(0).visible_at == timedelta(minutes=59)
    assert work_item(1).deferred_until == work_item(1).visible_at


def test_nobody_defers_what_another_holds_or_what_is_gone(store, held, token, open_lease):
    claimed = held()

    assert store.defer_activities(open_lease("other:1"), [deferred(claimed)]) == 0
    assert work_item().lease_token == token
    ActivityWorkItem.objects.all().delete()
    assert store.defer_activities(token, [deferred(claimed)]) == 0


def test_many_are_deferred_at_once_each_until_its_own_time(store, held, token):
    claimed = held(20)
    many = [deferred(claimed, number, timeout=timedelta(hours=number + 1)) for number in range(20)]

    assert store.defer_activities(token, many) == 20
    ends = list(ActivityWorkItem.objects.order_by("task_id").values_list("deferred_until", flat=True))
    assert [end - ends[0] for end in ends] == [timedelta(hours=number) for number in range(20)]


def test_a_heartbeat_from_outside_puts_silence_off_but_not_the_end(store, held, token):
    claimed = held()
    minute = timedelta(minutes=1)
    store.defer_activities(token, [deferred(claimed, silence=minute)])
    ActivityWorkItem.objects.update(visible_at=store.now() + timedelta(seconds=1))

    assert store.renew_deferred(Heartbeat(attempt(claimed), "6"), minute)
    item = work_item()
    assert item.heartbeat_details == "6"
    assert item.visible_at > store.now() + timedelta(seconds=50)
    assert store.renew_deferred(Heartbeat(attempt(claimed), None), timedelta(hours=9))
    item = work_item()
    assert item.visible_at == item.deferred_until
    assert item.heartbeat_details == "6"


def test_a_heartbeat_from_outside_finds_the_attempt_only(store, held, token):
    claimed = held()

    assert store.renew_deferred(Heartbeat(attempt(claimed), "1"), None), "also while it still runs"
    assert work_item().lease_token == token
    assert not store.renew_deferred(Heartbeat(attempt(claimed, number=2), "1"), None)
    ActivityWorkItem.objects.all().delete()
    assert not store.renew_deferred(Heartbeat(attempt(claimed), "1"), None)


# Waits cut short


def test_a_timer_is_made_due(store, running, token):
    claimed = running()
    later = store.now() + HOUR
    store.commit(token, [checkpoint(claimed, timers=[NewTimer(1, 0, later), NewTimer(2, 3, later)])])

    assert not store.hasten(claimed.pk, 1, 1, retry=True), "it is the author's"
    assert not store.hasten(claimed.pk, 1, 2, retry=False), "it comes before an attempt"
    assert not store.hasten(claimed.pk, 2, 1, retry=False), "of another execution"
    assert store.fire_timers() == 0
    assert store.hasten(claimed.pk, 1, 1, retry=False)
    assert store.hasten(claimed.pk, 1, 2, retry=True)
    assert store.fire_timers() == 2
    assert inbox(claimed.pk) == ["TimerFired", "TimerFired"]
    assert not store.hasten(claimed.pk, 1, 1, retry=False), "it has fired"
    assert set(Timer.objects.values_list("state", flat=True)) == {"Fired"}


def test_an_activity_that_rests_is_free_at_once_but_one_that_is_deferred_stays(store, held, token):
    claimed = held(2)
    store.detach_activities(token, [ActivityKey(claimed.pk, 1, 0)])
    ActivityWorkItem.objects.filter(task_id=0).update(visible_at=store.now() + HOUR)
    store.defer_activities(token, [deferred(claimed, 1)])

    assert store.hasten(claimed.pk, 1, 0, retry=True)
    assert not store.hasten(claimed.pk, 1, 1, retry=True)
    assert [work.task_id for work in store.claim_activities(token, 10)] == [0]
