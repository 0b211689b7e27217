"""Durable timers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations.core.events import EventType
from orchestrations.models import InboxMessage, Instance
from orchestrations.store.contract import NewTimer
from tests.store.episodes import HOUR, PAST, checkpoint, inbox, timer_states

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(store, running, token):
    """An instance with these timers."""

    def waiting(*timers, instance_id="order-1", **changes):
        claimed = running(instance_id)
        store.commit(token, [checkpoint(claimed, timers=list(timers), **changes)])
        return claimed

    return waiting


def test_a_due_timer_fires_into_the_inbox(store, waiting, claim):
    due_at = PAST.replace(microsecond=5)
    claimed = waiting(NewTimer(3, 2, due_at))

    assert store.fire_timers() == 1

    [message] = claim().messages
    assert (message.execution, message.event.type) == (1, EventType.TIMER_FIRED)
    assert (message.event.task_id, message.event.attempt) == (3, 2)
    assert message.event.attributes == {"fire_at": "2020-01-01T00:00:00.000005+00:00"}
    assert timer_states(claimed.pk) == {3: "Fired"}


def test_a_timer_fires_once(store, waiting):
    claimed = waiting(NewTimer(1, 0, PAST))

    assert [store.fire_timers(), store.fire_timers()] == [1, 0]
    assert inbox(claimed.pk) == ["TimerFired"]


def test_a_timer_does_not_fire_early(store, waiting):
    later = store.now() + HOUR
    claimed = waiting(NewTimer(1, 0, later))

    assert store.fire_timers() == 0
    assert store.next_due_at() == later
    assert timer_states(claimed.pk) == {1: "Pending"}


def test_timers_fire_in_the_order_in_which_they_are_due(store, waiting):
    ages = [5, 1, 9, 3]
    waiting(*[NewTimer(number, 0, PAST - timedelta(days=age)) for number, age in enumerate(ages)])

    assert store.fire_timers(limit=2) == 2
    assert store.fire_timers(limit=9) == 2
    assert [message.task_id for message in InboxMessage.objects.order_by("pk")] == [2, 0, 3, 1]


def test_a_cancelled_timer_never_fires(store, waiting, token):
    claimed = waiting(NewTimer(1, 0, PAST), release=False)
    claimed.last_sequence = 0

    store.commit(token, [checkpoint(claimed, cancelled_timers=[(1, 0)])])

    assert (store.fire_timers(), store.next_due_at()) == (0, None)


@pytest.mark.parametrize("moved_on", [{"execution": 2}, {"status": "Completed"}, {"status": "Terminated"}])
def test_the_timer_of_an_execution_that_is_over_is_cancelled(store, waiting, moved_on):
    claimed = waiting(NewTimer(1, 0, PAST))
    Instance.objects.update(**moved_on)

    store.fire_timers()

    assert inbox(claimed.pk) == []
    assert timer_states(claimed.pk) == {1: "Cancelled"}
    assert store.fire_timers() == 0


def test_the_timer_of_an_instance_that_is_gone_is_cancelled(store, waiting):
    claimed = waiting(NewTimer(1, 0, PAST))
    Instance.objects.all().delete()

    store.fire_timers()

    assert timer_states(claimed.pk) == {1: "Cancelled"}
    assert not InboxMessage.objects.exists()


def test_timers_fire_for_a_suspended_instance(store, waiting):
    claimed = waiting(NewTimer(1, 0, PAST), status="Suspended")

    assert store.fire_timers() == 1
    assert inbox(claimed.pk) == ["TimerFired"]


def test_the_earliest_of_everything_that_waits_for_time_is_next(store, waiting, start):
    now = store.now()
    waiting(NewTimer(1, 0, now + 3 * HOUR))
    start("order-2", start_at=now + 2 * HOUR)

    assert store.next_due_at() == now + 2 * HOUR


def test_nothing_waits_for_time(store):
    assert store.next_due_at() is None
