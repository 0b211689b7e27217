"""Work items: claimed, run, completed once."""

from __future__ import annotations

import pytest

from orchestrations.core.events import EventType
from orchestrations.models import ActivityWorkItem
from orchestrations.store.contract import RunsOn
from tests.store.episodes import HOUR, checkpoint, completion, ended, event, inbox, key, scheduled

pytestmark = pytest.mark.django_db


@pytest.fixture
def scheduling(store, running, token):
    """An instance that has scheduled these work items."""

    def scheduling(*items, **columns):
        claimed = running(**columns)
        history = [
            event(EventType.TASK_SCHEDULED, name="charge", payload='{"n":1}', attributes={"tags": {"team": "a"}})
        ]
        store.commit(token, [checkpoint(claimed, history=history, work_items=list(items))])
        return claimed

    return scheduling


def test_a_free_work_item_is_claimed_with_all_that_it_takes_to_run_it(store, scheduling, token):
    claimed = scheduling(scheduled(3, attempt=2))

    [work] = store.claim_activities(token, 10)

    assert (work.instance_pk, work.instance_id, work.execution) == (claimed.pk, "order-1", 1)
    assert (work.task_id, work.attempt, work.name, work.dispatches) == (3, 2, "charge", 1)
    assert (work.input, work.tags, work.timeout_seconds) == ('{"n":1}', {"team": "a"}, None)
    item = ActivityWorkItem.objects.get()
    assert (item.lease_token, item.dispatches) == (token, 1)
    assert item.started_at is not None


def test_a_work_item_is_claimed_once(store, scheduling, token):
    scheduling(scheduled())
    assert store.has_work()

    assert len(store.claim_activities(token, 10)) == 1
    assert store.claim_activities(token, 10) == []
    assert not store.has_work()


def test_one_that_is_born_held_is_nobody_elses(store, scheduling, token):
    scheduling(scheduled(held=True))

    assert store.claim_activities(token, 10) == []
    item = ActivityWorkItem.objects.get()
    assert (item.lease_token, item.dispatches) == (token, 1)
    assert item.started_at is not None


@pytest.mark.parametrize(
    ("room", "claimed"),
    [((2, 3), [0, 1, 2, 3, 4, 5, 8]), ((0, 1), [1, 2, 5, 8]), ((1, 0), [0, 2, 5, 8]), ((0, 0), [2, 5, 8])],
)
def test_of_each_kind_as_many_are_claimed_as_there_is_room_for(store, scheduling, token, room, claimed):
    """And all that need no room: a kind that is full is in nobody's way."""
    kinds = [RunsOn.THREAD, RunsOn.LOOP, RunsOn.NOTHING]
    scheduling(*(scheduled(number, runs_on=kinds[number % 3]) for number in range(9)))
    if room == (2, 3):
        ActivityWorkItem.objects.filter(task_id=7).delete()

    works = store.claim_activities(token, *room)

    assert [work.task_id for work in works] == claimed
    assert [work.runs_on for work in works] == [kinds[number % 3] for number in claimed]


def test_what_is_given_back_can_be_told_what_it_needs(store, scheduling, token):
    given_back = scheduling(scheduled(0), scheduled(1))
    store.claim_activities(token, 10)

    store.detach_activities(token, [key(given_back, 0)], runs_on=RunsOn.LOOP)
    store.detach_activities(token, [key(given_back, 1)])

    assert [(work.task_id, work.dispatches) for work in store.claim_activities(token, 0, 10)] == [(0, 1)]
    assert [(work.task_id, work.dispatches) for work in store.claim_activities(token, 10, 0)] == [(1, 1)]


def test_the_oldest_are_claimed_first(store, scheduling, token):
    scheduling(scheduled(0), scheduled(1), scheduled(2))
    ActivityWorkItem.objects.filter(task_id=2).update(visible_at=store.now() - HOUR)

    assert [work.task_id for work in store.claim_activities(token, 2)] == [2, 0]
    assert [work.task_id for work in store.claim_activities(token, 2)] == [1]


def test_a_hidden_work_item_is_due_at_its_time(store, scheduling, token):
    scheduling(scheduled())
    later = store.now() + HOUR
    ActivityWorkItem.objects.update(visible_at=later)

    assert store.claim_activities(token, 10) == []
    assert store.next_due_at() == later


def test_a_completion_becomes_a_message_and_the_item_goes(store, scheduling, token, claim):
    claimed = scheduling(scheduled())
    [work] = store.claim_activities(token, 10)

    assert store.complete_activities(token, [completion(work)]) == 1

    assert not ActivityWorkItem.objects.exists()
    [message] = claim().messages
    assert (message.execution, message.event.type, message.event.task_id) == (1, EventType.TASK_COMPLETED, 0)
    assert inbox(claimed.pk) == ["TaskCompleted"]


def test_a_second_completion_is_dropped(store, scheduling, token):
    claimed = scheduling(scheduled())
    [work] = store.claim_activities(token, 10)

    assert store.complete_activities(token, [completion(work), completion(work)]) == 1
    assert store.complete_activities(token, [completion(work)]) == 0
    assert inbox(claimed.pk) == ["TaskCompleted"]


def test_the_completion_of_who_lost_the_item_is_dropped(store, scheduling, token, open_lease):
    claimed = scheduling(scheduled())
    [work] = store.claim_activities(token, 10)
    other = open_lease("other:1")

    assert store.complete_activities(other, [completion(work)]) == 0
    assert inbox(claimed.pk) == []
    assert ActivityWorkItem.objects.get().lease_token == token


def test_the_completion_of_an_earlier_attempt_is_dropped(store, scheduling, token):
    claimed = scheduling(scheduled(attempt=2))
    store.claim_activities(token, 10)

    assert store.complete_activities(token, [completion(key(claimed), attempt=1)]) == 0
    assert store.complete_activities(token, [completion(key(claimed), attempt=2)]) == 1


def test_completions_of_many_are_told_in_their_order(store, scheduling, token, claim):
    scheduling(*[scheduled(number) for number in range(5)])
    works = store.claim_activities(token, 10)
    order = [3, 1, 4, 0, 2]

    assert store.complete_activities(token, [completion(works[number]) for number in order]) == 5
    assert [message.event.task_id for message in claim().messages] == order


def test_alike_large_results_that_are_recorded_together_do_not_go_together(
    store, scheduling, token, claim, settings, django_capture_on_commit_callbacks
):
    """A file goes with the message that it is of, and must not take another instance's along."""
    settings.DURABLE = {**settings.DURABLE, "LARGE_PAYLOAD_BYTES": 100}
    instances = [scheduling(scheduled(held=True), instance_id=f"order-{number}") for number in (1, 2)]
    done = [completion(key(claimed)) for claimed in instances]
    for one in done:
        one.event.payload = f'"{"x" * 200}"'
    store.complete_activities(token, done)
    first, last = store.claim_instances(token, 10).instances

    with django_capture_on_commit_callbacks(execute=True):
        store.commit(token, [checkpoint(last, consumed=[message.pk for message in last.messages])])

    store.release_instances(token, [first.pk])
    [message] = claim().messages
    assert (message.event.payload, message.unreadable) == (done[0].event.payload, "")


def test_a_completion_that_comes_after_the_end_of_the_execution_is_dropped(store, running, token):
    claimed = running()
    store.commit(token, [checkpoint(claimed, work_items=[scheduled(held=True)], release=False)])
    store.commit(token, [ended(claimed)])

    assert store.complete_activities(token, [completion(key(claimed))]) == 0
    assert inbox(claimed.pk) == []


def test_the_late_completion_for_an_ended_instance_claims_it(store, running, token, claim):
    claimed = running()
    store.commit(token, [ended(claimed, keeps_activities=True, work_items=[scheduled()])])
    [work] = store.claim_activities(token, 10)

    assert store.complete_activities(token, [completion(work)]) == 1
    assert claim().status == "Completed"


def test_a_detached_item_is_free_at_once_and_was_not_dispatched(store, scheduling, token, open_lease):
    claimed = scheduling(scheduled(0), scheduled(1))
    store.claim_activities(token, 10)

    store.detach_activities(token, [key(claimed, 0)])

    [work] = store.claim_activities(open_lease("other:1"), 10)
    assert (work.task_id, work.dispatches) == (0, 1)


def test_a_detached_item_can_be_put_off(store, scheduling, token):
    claimed = scheduling(scheduled())
    store.claim_activities(token, 10)

    store.detach_activities(token, [key(claimed)], HOUR)

    item = ActivityWorkItem.objects.get()
    assert (item.lease_token, item.dispatches) == (None, 0)
    assert store.claim_activities(token, 10) == []
    assert item.visible_at > store.now() + HOUR / 2


def test_nobody_detaches_what_another_holds(store, scheduling, token, open_lease):
    claimed = scheduling(scheduled())
    store.claim_activities(token, 10)

    store.detach_activities(open_lease("other:1"), [key(claimed)])

    assert ActivityWorkItem.objects.get().lease_token == token
