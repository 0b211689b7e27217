"""The group commit: fencing, and everything that one episode may write."""

from __future__ import annotations

import json

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from orchestrations.core.events import EventType
from orchestrations.models import ActivityWorkItem, HistoryEvent, Instance, OpenWait, Timer
from orchestrations.store.contract import NewInstance, NewTimer, NewWait
from tests.store.episodes import (
    HOUR,
    NOON,
    checkpoint,
    ended,
    event,
    inbox,
    raised,
    row,
    scheduled,
    timer_states,
    to,
)

pytestmark = pytest.mark.django_db


def child(claimed, instance_id="child", task_id=7, **columns):
    links = {"parent_pk": claimed.pk, "parent_execution": claimed.execution, "parent_task_id": task_id}
    return NewInstance(instance_id, "order", **(links | columns))


# The fence ---------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_written_as_a_whole(store, running, token):
    claimed = running(input='"old"')

    result = store.commit(
        token,
        [
            checkpoint(
                claimed,
                custom_status='"half"',
                started_at=NOON,
                waiting_for="activity charge",
                waits="[]",
                blocked_at="orders.py:12 in order",
                blocked_code="yield context.call_activity(charge)",
                blocked_stack="[]",
                history=[event(EventType.EXECUTION_STARTED, name="order"), event(EventType.TASK_SCHEDULED, task_id=0)],
            )
        ],
    )

    now = row(claimed.pk)
    assert not result.lost
    assert (now.status, now.execution, now.last_sequence, now.lease_token) == ("Running", 1, 2, None)
    assert (now.custom_status, now.started_at, now.completed_at) == ('"half"', NOON, None)
    assert (now.waiting_for, now.waits) == ("activity charge", "[]")
    assert (now.blocked_at, now.blocked_code) == ("orders.py:12 in order", "yield context.call_activity(charge)")
    assert now.blocked_stack == "[]"
    assert (now.input, now.claimable_at) == ('"old"', None)
    assert [one.sequence for one in store.load_history({claimed.pk: 1})[claimed.pk].events] == [1, 2]


def test_how_it_ended_is_written(store, running, token):
    claimed = running()

    failure = {"failure": '{"errorType":"X"}', "error": "X: " + 400 * "y", "error_fingerprint": "0123456789abcdef"}
    store.commit(token, [ended(claimed, status="Failed", **failure)])

    now = row(claimed.pk)
    assert now.error_fingerprint == "0123456789abcdef"
    assert (now.status, now.completed_at, now.output) == ("Failed", NOON, None)
    assert (now.failure, len(now.error)) == ('{"errorType":"X"}', 300)


def test_the_start_is_remembered_by_later_commits(store, running, token):
    claimed = running()
    store.commit(token, [checkpoint(claimed, started_at=NOON, release=False)])

    store.commit(token, [checkpoint(claimed)])

    assert row(claimed.pk).started_at == NOON


STALE = {
    "token": lambda claimed: Instance.objects.update(lease_token=claimed.pk + 1_000_000),
    "released lease": lambda claimed: Instance.objects.update(lease_token=None),
    "sequence": lambda claimed: Instance.objects.update(last_sequence=5),
    "execution": lambda claimed: Instance.objects.update(execution=2),
    "instance": lambda claimed: Instance.objects.all().delete(),
}


@pytest.mark.parametrize("belief", STALE)
def test_nothing_is_written_for_an_instance_that_has_moved_on(store, running, token, belief):
    claimed = running()
    STALE[belief](claimed)
    before = list(Instance.objects.values())

    result = store.commit(
        token,
        [
            checkpoint(
                claimed,
                history=[raised()],
                work_items=[scheduled()],
                timers=[NewTimer(1, 0, NOON)],
                opened_waits=[NewWait(2, "approved", NOON)],
                children=[child(claimed)],
                messages=[to("order-1")],
            )
        ],
    )

    assert result.lost == {claimed.pk}
    assert list(Instance.objects.values()) == before
    for model in (HistoryEvent, ActivityWorkItem, Timer, OpenWait):
        assert not model.objects.exists()
    assert inbox(claimed.pk) == []


def test_a_lost_instance_takes_nobody_along(store, start, token):
    start("order-1")
    start("order-2")
    one, other = store.claim_instances(token, 10).instances
    Instance.objects.filter(pk=one.pk).update(lease_token=None)

    assert store.commit(token, [checkpoint(one), checkpoint(other)]).lost == {one.pk}
    assert row(other.pk).status == "Running"


def test_the_same_checkpoint_is_not_written_twice(store, running, token):
    claimed = running()
    written = checkpoint(claimed, history=[raised()], release=False)

    assert store.commit(token, [written]).lost == set()
    assert store.commit(token, [written]).lost == {claimed.pk}
    assert HistoryEvent.objects.count() == 1


def test_a_commit_of_nothing_is_nothing(store, token, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert store.commit(token, []).lost == set()


def test_a_refused_commit_leaves_nothing(store, running, token):
    claimed = running()
    twice = checkpoint(claimed, history=[raised(sequence=1), raised(sequence=1)])

    with pytest.raises(IntegrityError), transaction.atomic():
        store.commit(token, [twice])

    assert (row(claimed.pk).last_sequence, row(claimed.pk).lease_token) == (0, token)
    assert not HistoryEvent.objects.exists()


# Generations -------------------------------------------------------------------------------------------------------


def continued(claimed, **changes):
    values = {
        "status": "Pending",
        "new_execution": claimed.execution + 1,
        "new_last_sequence": 0,
        "claimable_at": NOON,
        "new_input": ('"next"',),
        "ends_execution": True,
        "forgets_history": True,
    }
    return checkpoint(claimed, **(values | changes))


def test_continue_as_new_begins_again_with_the_new_input(store, running, token, claim):
    claimed = running(input='"first"')
    store.commit(token, [checkpoint(claimed, history=[raised()], timers=[NewTimer(1, 0, NOON)], release=False)])
    claimed.last_sequence = 1

    store.commit(token, [continued(claimed, new_version="2")])

    again = claim()
    assert (again.pk, again.execution, again.last_sequence, again.begins) == (claimed.pk, 2, 0, True)
    assert again.version == "2"
    assert store.load_history({claimed.pk: 2})[claimed.pk].input == '"next"'
    assert not HistoryEvent.objects.exists()
    assert not Timer.objects.exists()


def test_continue_as_new_without_input_forgets_the_old_one(store, running, token):
    claimed = running(input='"first"')

    store.commit(token, [continued(claimed, new_input=(None,))])

    assert row(claimed.pk).input is None


def test_messages_outlive_the_generation(store, running, token, claim):
    claimed = running()
    store.send([to("order-1")])

    store.commit(token, [continued(claimed)])

    assert [message.event.name for message in claim().messages] == ["approved"]


def test_a_new_execution_gets_the_history_and_the_work_of_the_checkpoint(store, running, token):
    claimed = running()
    rewound = checkpoint(
        claimed,
        new_execution=2,
        history=[raised()],
        work_items=[scheduled()],
        timers=[NewTimer(1, 0, NOON)],
        opened_waits=[NewWait(2, "approved", NOON)],
    )

    store.commit(token, [rewound])

    for model in (HistoryEvent, ActivityWorkItem, Timer, OpenWait):
        assert model.objects.get().execution == 2


# Work --------------------------------------------------------------------------------------------------------------


def test_the_end_of_an_execution_drops_its_work(store, running, token):
    claimed = running()
    opened = [NewWait(3, "approved", NOON)]
    timers = [NewTimer(1, 0, NOON), NewTimer(2, 0, NOON + HOUR)]
    store.commit(
        token, [checkpoint(claimed, work_items=[scheduled()], timers=timers, opened_waits=opened, release=False)]
    )
    Timer.objects.filter(task_id=1).update(state="Fired")

    store.commit(token, [ended(claimed)])

    assert not ActivityWorkItem.objects.exists()
    assert not OpenWait.objects.exists()
    assert timer_states(claimed.pk) == {1: "Fired", 2: "Cancelled"}


def test_activities_that_nobody_awaits_may_run_to_their_end(store, running, token):
    claimed = running()
    store.commit(token, [checkpoint(claimed, work_items=[scheduled()], release=False)])

    store.commit(token, [ended(claimed, keeps_activities=True)])

    assert ActivityWorkItem.objects.count() == 1


def test_a_retried_activity_replaces_the_attempt_that_ended(store, running, token):
    claimed = running()
    store.commit(token, [checkpoint(claimed, work_items=[scheduled(held=True)], release=False)])

    store.commit(token, [checkpoint(claimed, ended_activities=[0], work_items=[scheduled(attempt=2)])])

    assert ActivityWorkItem.objects.get().attempt == 2


def test_only_the_named_timers_and_waits_end(store, running, token):
    claimed = running()
    timers = [NewTimer(1, 0, NOON), NewTimer(1, 1, NOON), NewTimer(2, 0, NOON)]
    opened = [NewWait(3, "approved", NOON), NewWait(4, "paid", NOON, NOON + HOUR, "Pay?", '{"groups":[]}', "a.py:1")]
    store.commit(token, [checkpoint(claimed, timers=timers, opened_waits=opened, release=False)])

    store.commit(token, [checkpoint(claimed, cancelled_timers=[(1, 1)], closed_waits=[3])])

    states = {(timer.task_id, timer.attempt): timer.state for timer in Timer.objects.all()}
    assert states == {(1, 0): "Pending", (1, 1): "Cancelled", (2, 0): "Pending"}
    left = OpenWait.objects.get()
    assert (left.wait_id, left.name, left.since, left.due_at) == (4, "paid", NOON, NOON + HOUR)
    assert (left.title, left.request, left.location, left.hub) == ("Pay?", '{"groups":[]}', "a.py:1", store.hub)


# Children ----------------------------------------------------------------------------------------------------------


def test_a_child_is_started_by_its_parents_commit(store, running, token):
    parent = running("parent")

    store.commit(token, [checkpoint(parent, children=[child(parent, input="1")])])

    started = Instance.objects.get(instance_id="child")
    assert (started.parent_id, started.parent_execution, started.parent_task_id) == (parent.pk, 1, 7)
    assert (started.status, started.input) == ("Pending", "1")


def test_the_parent_of_a_child_whose_id_is_taken_is_told(store, running, start, token):
    parent = running("parent")
    start("child", start_at=store.now() + HOUR)

    store.commit(token, [checkpoint(parent, children=[child(parent)])])

    [again] = store.claim_instances(token, 10).instances
    [message] = again.messages
    assert (message.execution, message.event.type, message.event.task_id) == (1, EventType.SUB_ORCHESTRATION_FAILED, 7)
    failure = json.loads(message.event.payload)
    assert failure["errorType"] == "InstanceAlreadyExists"
    assert "'child'" in failure["errorMessage"]
    assert failure["isNonRetriable"] is False


def test_of_two_children_with_one_id_the_second_is_refused(store, running, token):
    parent = running("parent")

    store.commit(token, [checkpoint(parent, children=[child(parent, task_id=1), child(parent, task_id=2)])])

    assert Instance.objects.get(instance_id="child").parent_task_id == 1
    claimed = {one.instance_id: one for one in store.claim_instances(token, 10).instances}
    assert [message.event.task_id for message in claimed["parent"].messages] == [2]


def test_two_parents_can_want_one_child_in_one_commit(store, start, token):
    start("one")
    start("other")
    one, other = store.claim_instances(token, 10).instances

    store.commit(token, [checkpoint(one, children=[child(one)]), checkpoint(other, children=[child(other)])])

    assert sorted([inbox(one.pk), inbox(other.pk)]) == [[], ["SubOrchestrationInstanceFailed"]]


def test_an_ended_childs_id_is_taken_again(store, running, token):
    store.commit(token, [ended(running("child"))])
    parent = running("parent")

    store.commit(token, [checkpoint(parent, children=[child(parent)])])

    started = Instance.objects.get(instance_id="child")
    assert (started.execution, started.status, started.parent_id) == (2, "Pending", parent.pk)
    assert inbox(parent.pk) == []


@pytest.mark.parametrize("end", [checkpoint, ended])
def test_an_instance_is_never_its_own_child(store, running, token, end):
    parent = running("parent")

    store.commit(token, [end(parent, children=[child(parent, "parent")])])

    assert (row(parent.pk).execution, row(parent.pk).parent_id) == (1, None)
    assert inbox(parent.pk) == ["SubOrchestrationInstanceFailed"]


def test_nobody_is_told_of_a_refused_child_that_nobody_awaits(store, running, start, token):
    parent = running("parent")
    start("child")

    store.commit(token, [checkpoint(parent, children=[child(parent, task_id=None)])])

    assert inbox(parent.pk) == []


# Size --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["tuned"], indirect=True)
def test_a_group_commit_is_a_handful_of_statements_whatever_its_size(store, token):
    statements = []
    for size in (2, 60):
        names = [f"order-{size}-{number}" for number in range(size)]
        store.create_instances([NewInstance(name, "order") for name in names])
        claimed = store.claim_instances(token, 100).instances
        checkpoints = [
            checkpoint(one, history=[raised(), raised()], work_items=[scheduled(held=True)], ended_activities=[9])
            for one in claimed
        ]
        with CaptureQueriesContext(connection) as queries:
            assert not store.commit(token, checkpoints).lost
        work = [
            query["sql"]
            for query in queries
            if not query["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))
        ]
        statements.append(len(work))

    assert statements[0] == statements[1] <= 10


@pytest.mark.parametrize("store", ["tuned"], indirect=True)
def test_a_very_wide_episode_commits(store, running, token):
    width = 70_000  # more than a PostgreSQL statement takes parameters
    claimed = running()
    history = [event(EventType.TASK_SCHEDULED, task_id=number, name="charge") for number in range(width)]
    items = [scheduled(number, sequence=number + 1) for number in range(width)]

    assert not store.commit(token, [checkpoint(claimed, history=history, work_items=items, release=False)]).lost
    assert ActivityWorkItem.objects.count() == width

    claimed.last_sequence = width
    assert not store.commit(token, [checkpoint(claimed, ended_activities=list(range(width)))]).lost
    assert not ActivityWorkItem.objects.exists()
