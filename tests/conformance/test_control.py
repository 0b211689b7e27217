"""Suspend, resume and terminate: in every status, twice, at the same time, and through a family of instances."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from orchestrations import InstanceEnded, InstanceNotFound, orchestrator
from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance, Timer
from tests.runtime import functions

LIVE = ["Pending", "Scheduled", "Running", "Suspended"]
ENDED = ["Completed", "Failed", "Terminated"]
VERBS = ["terminate", "suspend", "resume"]
AFTER = {
    ("Pending", "terminate"): "Terminated",
    ("Pending", "suspend"): "Suspended",
    ("Pending", "resume"): "Running",
    ("Scheduled", "terminate"): "Terminated",
    ("Scheduled", "suspend"): "Suspended",
    ("Scheduled", "resume"): "Pending",
    ("Running", "terminate"): "Terminated",
    ("Running", "suspend"): "Suspended",
    ("Running", "resume"): "Running",
    ("Suspended", "terminate"): "Terminated",
    ("Suspended", "suspend"): "Suspended",
    ("Suspended", "resume"): "Running",
}


@pytest.fixture
def bring(client, worker, stage):
    """Brings the instance "order" into a status."""

    def bring(status: str) -> None:
        start_at = timezone.now() + timedelta(days=1) if status == "Scheduled" else None
        orchestrator = functions.fails_once if status == "Failed" else functions.waits
        client.start_new(orchestrator, "order", None if status == "Failed" else 1, start_at=start_at)
        if status in ("Pending", "Scheduled"):
            return
        worker.run_until_idle()
        steps = {
            "Suspended": client.suspend,
            "Terminated": client.terminate,
            "Completed": lambda instance_id: client.raise_event(instance_id, "go", 1),
        }
        if status in steps:
            steps[status]("order")
            worker.run_until_idle()
        assert client.get_status("order").runtime_status == status

    return bring


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize(("status", "verb"), AFTER)
def test_a_live_instance_takes_each_verb_and_a_second_one_changes_nothing(client, worker, bring, status, verb, times):
    bring(status)

    for _ in range(times):
        getattr(client, verb)("order", "because")
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == AFTER[status, verb]
    kinds = {"terminate": "ExecutionTerminated", "suspend": "ExecutionSuspended", "resume": "ExecutionResumed"}
    expected = 1 if AFTER[status, verb] != status and verb != "resume" else None
    if expected:
        assert HistoryEvent.objects.filter(type=kinds[verb]).count() == expected
    assert not InboxMessage.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", ENDED)
def test_an_ended_instance_refuses_and_stays_as_it_is(client, worker, bring, status, verb):
    bring(status)
    before = Instance.objects.values().get()

    with pytest.raises(InstanceEnded):
        getattr(client, verb)("order")

    worker.run_until_idle()
    assert Instance.objects.values().get() == before


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_instance_is_told(client, verb):
    with pytest.raises(InstanceNotFound):
        getattr(client, verb)("nobody")


@pytest.mark.parametrize("verb", VERBS)
def test_many_at_the_same_time_are_one(client, worker, bring, verb):
    bring("Running")

    def call(_: int) -> None:
        try:
            getattr(client, verb)("order")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(call, range(8)))
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == AFTER["Running", verb]
    assert HistoryEvent.objects.filter(type__in=["ExecutionTerminated", "ExecutionSuspended"]).count() <= 1


def test_the_last_of_opposite_verbs_wins(client, worker, bring):
    bring("Running")
    for verb in ("suspend", "resume", "suspend"):
        getattr(client, verb)("order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Suspended"

    for verb in ("resume", "suspend", "resume"):
        getattr(client, verb)("order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"


def test_terminate_beats_a_suspension_in_the_same_batch(client, worker, bring):
    bring("Running")
    client.suspend("order")
    client.terminate("order", "enough")
    client.suspend("order")
    worker.run_until_idle()

    status = client.get_status("order")
    assert (status.runtime_status, status.output) == ("Terminated", "enough")


def test_terminate_beats_poison(client, worker, bring):
    bring("Running")
    Instance.objects.update(attempts=1_000)
    client.raise_event("order", "go")
    client.terminate("order")
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == "Terminated"


def test_terminate_needs_no_code(client, worker, bring, stage):
    bring("Running")
    stage.changed = True  # what it waits in is not what the code does now
    Instance.objects.update(name="gone")
    client.terminate("order")
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == "Terminated"


def test_terminate_overtakes_thousands_of_events_that_nobody_can_take(client, worker, bring):
    bring("Running")
    pk = Instance.objects.get().pk
    Instance.objects.update(name="gone")
    waiting = [InboxMessage(hub="default", instance_id=pk, type="EventRaised", name="go") for _ in range(5_000)]
    InboxMessage.objects.bulk_create(waiting)
    client.terminate("order")
    worker.run_until_idle()

    assert client.get_status("order").runtime_status == "Terminated"
    assert not InboxMessage.objects.exists()


def test_the_output_is_the_reason_and_no_handler_of_the_code_runs(client, worker, stage):
    @orchestrator
    def with_cleanup(context):
        try:
            yield context.wait_for_external_event("go")
        finally:
            yield context.call_activity(functions.work, "cleanup")

    client.start_new(with_cleanup, "order")
    worker.run_until_idle()
    client.terminate("order", "enough")
    worker.run_until_idle()

    status = client.get_status("order")
    assert (status.runtime_status, status.output) == ("Terminated", "enough")
    assert not stage.runs


def test_nothing_starts_after_the_end(client, worker, stage):
    @orchestrator
    def busy(context):
        context.create_timer(timedelta(days=1))
        yield context.task_all([context.call_activity(functions.gated, number) for number in range(50)])

    client.start_new(busy, "order")
    worker.runtime.drain(0.0, gives_way=lambda: len(stage.inside) >= 1)
    client.terminate("order")
    worker.runtime.drain(0.0)
    started = len(stage.inside)
    assert client.get_status("order").runtime_status == "Terminated"

    stage.gate.set()
    worker.run_until_idle()

    assert len(stage.inside) == started
    assert not ActivityWorkItem.objects.exists()
    assert set(Timer.objects.values_list("state", flat=True)) == {"Cancelled"}


# Families -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def family(client, worker):
    """Starts an instance with a child, which has a child; the youngest waits for an event."""

    @orchestrator
    def member(context, depth):
        if depth == 0:
            return (yield context.wait_for_external_event("go"))
        return (yield context.call_sub_orchestrator("member", depth - 1, f"member-{depth - 1}"))

    client.start_new(member, "member-2", 2)
    worker.run_until_idle()

    def statuses() -> list[str]:
        return list(Instance.objects.order_by("-instance_id").values_list("status", flat=True))

    assert statuses() == ["Running"] * 3
    return statuses


def test_terminating_takes_the_family_along(client, worker, family):
    client.terminate("member-2", "enough")
    worker.run_until_idle()

    assert family() == ["Terminated"] * 3


def test_unless_that_is_not_wanted(client, worker, family):
    client.terminate("member-2", "enough", recursive=False)
    worker.run_until_idle()
    assert family() == ["Terminated", "Running", "Running"]

    client.raise_event("member-0", "go", 1)
    worker.run_until_idle()
    assert family() == ["Terminated", "Completed", "Completed"]


@pytest.mark.parametrize(
    ("first", "younger"),
    [
        (lambda client: client.terminate("member-2", recursive=False), "Terminated"),
        (lambda client: client.suspend("member-2", recursive=True), "Suspended"),
    ],
    ids=["termination", "suspension"],
)
def test_of_two_operations_in_one_batch_neither_forgets_the_family(client, worker, family, first, younger):
    first(client)
    client.terminate("member-2", "enough", recursive=younger == "Terminated")
    worker.run_until_idle()

    assert family() == ["Terminated", younger, younger]


def test_a_suspension_reaches_the_family_of_an_instance_that_fails_with_it(client, worker, family):
    Instance.objects.filter(instance_id="member-2").update(attempts=1_000)
    client.suspend("member-2", recursive=True)
    worker.run_until_idle()

    assert family() == ["Failed", "Suspended", "Suspended"]


def test_suspending_leaves_the_family_alone(client, worker, family):
    client.suspend("member-2")
    worker.run_until_idle()
    assert family() == ["Suspended", "Running", "Running"]

    client.raise_event("member-0", "go", 1)
    worker.run_until_idle()
    assert family() == ["Suspended", "Completed", "Completed"]
    client.resume("member-2")
    assert worker.run_until_ended("member-2").output == 1


def test_unless_it_is_recursive(client, worker, family):
    client.suspend("member-2")
    worker.run_until_idle()
    client.suspend("member-2", "stocktaking", recursive=True)  # also where it is suspended itself
    worker.run_until_idle()
    assert family() == ["Suspended"] * 3

    client.resume("member-2", recursive=True)
    worker.run_until_idle()
    assert family() == ["Running"] * 3


def test_a_recursive_resumption_goes_past_who_is_not_suspended(client, worker, family):
    client.suspend("member-0")
    worker.run_until_idle()
    client.resume("member-2", recursive=True)
    worker.run_until_idle()

    assert family() == ["Running"] * 3


def test_children_that_begin_in_the_same_batch_are_suspended_too(client, worker):
    @orchestrator
    def begins_two(context):
        yield context.wait_for_external_event("go")
        child = context.call_sub_orchestrator(functions.waits, 1, "child")
        context.start_new(functions.waits, 1, "forgotten")
        return (yield child)

    client.start_new(begins_two, "order")
    worker.run_until_idle()
    client.raise_event("order", "go")
    client.suspend("order", recursive=True)
    worker.run_until_idle()

    assert dict(Instance.objects.values_list("instance_id", "status")) == {
        "order": "Suspended",
        "child": "Suspended",
        "forgotten": "Running",
    }


def test_a_wide_tree_ends(client, worker):
    @orchestrator
    def tree(context):
        yield context.task_all([context.call_sub_orchestrator(functions.waits, 1) for _ in range(200)])

    client.start_new(tree, "order")
    worker.run_until_idle()
    client.terminate("order")
    worker.run_until_idle()

    assert set(Instance.objects.values_list("status", flat=True)) == {"Terminated"}
    assert Instance.objects.count() == 201


# What a suspended instance does ---------------------------------------------------------------------------------------


def test_what_arrives_while_suspended_is_taken_in_the_order_of_arrival(client, worker, stage):
    @orchestrator
    def takes_all(context):
        seen = []
        tasks = {
            "activity": context.call_activity(functions.gated, "x"),
            "timer": context.create_timer(timedelta(days=1)),
            "event": context.wait_for_external_event("go"),
        }
        while tasks:
            winner = yield context.task_any(list(tasks.values()))
            seen.append(next(name for name, task in tasks.items() if task is winner))
            del tasks[seen[-1]]
        return seen

    client.start_new(takes_all, "order")
    worker.runtime.drain(0.0, gives_way=lambda: bool(stage.inside))
    client.suspend("order")
    worker.runtime.drain(0.0)
    worker.skip_timers("order")
    worker.runtime.drain(0.0)
    client.raise_event("order", "go")
    worker.runtime.drain(0.0)
    stage.gate.set()
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Suspended"

    client.resume("order")

    assert worker.run_until_ended("order").output == ["timer", "event", "activity"]


def test_it_says_by_whom_and_why_it_is_suspended(client, worker, bring):
    bring("Running")
    client.suspend("order", "stocktaking")
    worker.run_until_idle()

    assert Instance.objects.get().waiting_for == "suspended: stocktaking"
