"""Continue as new: generations that don't mix, and lose nothing between them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations import OrchestrationClient, orchestrator
from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance, Timer
from tests.runtime import functions


def test_it_begins_anew_under_the_same_id_with_an_empty_history(client, run, events):
    created = None

    @orchestrator
    def once_more(context, number):
        nonlocal created
        yield context.call_activity(functions.work, number)
        if number == 0:
            context.set_custom_status("kept")
            context.continue_as_new(1)
        return number

    status = run(once_more, 0, "order")

    row = Instance.objects.get()
    assert (status.output, status.custom_status, row.execution) == (1, "kept", 2)
    assert events("order") == [
        "ExecutionStarted",
        "TaskScheduled",
        "TaskCompleted",
        "ExecutionCompleted",
    ]
    assert set(HistoryEvent.objects.values_list("execution", flat=True)) == {2}
    assert row.created_at <= row.started_at, "the instance is as old as before"


def test_tags_stay_and_the_version_may_change(client, worker):
    @orchestrator(version="2")
    def upgrades(context, seen):
        seen = [*seen, [context.version, dict(context.tags)]]
        yield context.task_all([])
        if len(seen) < 3:
            context.continue_as_new(seen, new_version="2" if len(seen) == 2 else None)
        return seen

    client.start_new(upgrades, "order", [], tags={"team": "a"}, version="1")

    assert worker.run_until_ended("order").output == [["1", {"team": "a"}], ["1", {"team": "a"}], ["2", {"team": "a"}]]


@pytest.mark.parametrize("with_new_id", [True, False])
def test_a_restart_begins_with_the_input_and_the_version_of_the_start(client, worker, with_new_id):
    @orchestrator(version="2")
    def counts_up(context, number):
        yield context.task_all([])
        if number < 3:
            context.continue_as_new(number + 1, new_version="2")
        return [context.version, number]

    client.start_new(counts_up, "order", 0, version="1")
    assert worker.run_until_ended("order").output == ["2", 3]
    assert client.get_status("order").input == 3, "the status shows the present generation's"

    for restarted in ("order", client.restart("order", with_new_id)):  # what was restarted is restarted alike
        again = client.restart(restarted, restart_with_new_instance_id=True)
        row = Instance.objects.get(instance_id=again)
        assert (row.input, row.version, row.first_version) == ("0", "1", None)
        assert worker.run_until_ended(again).output == ["2", 3]


def test_a_restart_of_what_was_started_without_input_has_none(client, worker):
    @orchestrator
    def sets_out(context, number):
        yield context.task_all([])
        if number is None:
            context.continue_as_new(1)
        return number

    client.start_new(sets_out, "order")
    worker.run_until_ended("order")

    assert Instance.objects.get(instance_id=client.restart("order")).input is None


def test_uuids_of_all_generations_differ(client, worker):
    @orchestrator
    def mints(context, seen):
        seen = [*seen, context.new_uuid(), str(context.new_guid())]
        if len(seen) < 40:
            context.continue_as_new(seen)
        return seen

    client.start_new(mints, "order", [])

    minted = worker.run_until_ended("order").output
    assert (len(minted), len(set(minted))) == (40, 40)


def test_a_hundred_generations_take_a_thousand_events_once_and_in_order(client, worker):
    @orchestrator
    def adds(context, seen):
        for _ in range(10):
            seen = [*seen, (yield context.wait_for_external_event("go"))]
        if len(seen) < 1_000:
            context.continue_as_new(seen)
        return seen

    client.start_new(adds, "order", [])
    for number in range(1_000):
        client.raise_event("order", "Go" if number % 2 else "gO", number)
        if number % 150 == 0:
            worker.run_until_idle()

    assert worker.run_until_ended("order").output == list(range(1_000))
    assert Instance.objects.get().execution == 100


def test_carried_events_come_before_new_ones(client, worker):
    @orchestrator
    def two_steps(context, seen):
        if not seen:
            yield context.wait_for_external_event("begin")
            context.continue_as_new(["begun"])
            return None
        for _ in range(3):
            seen = [*seen, (yield context.wait_for_external_event("go"))]
        return seen

    client.start_new(two_steps, "order", [])
    client.raise_event("order", "go", 1)
    client.raise_event("order", "go", 2)
    worker.run_until_idle()
    client.raise_event("order", "begin")
    client.raise_event("order", "go", 3)

    assert worker.run_until_ended("order").output == ["begun", 1, 2, 3]


def test_a_carried_event_still_tells_who_raised_it(client, worker):
    @orchestrator
    def takes_over(context, begun):
        yield context.wait_for_external_event("go" if begun else "begin")
        if not begun:
            context.continue_as_new(True)

    client.start_new(takes_over, "order", False)
    by = OrchestrationClient(actor="ada")
    by.raise_event("order", "go")
    by.raise_event("order", "begin")
    worker.run_until_ended("order")

    carried = HistoryEvent.objects.get(execution=2, type="EventRaised")
    assert (carried.sequence, carried.name, carried.attributes) == (1, "go", '{"by":"ada"}')


def test_buffered_events_go_only_where_the_author_says_so(client, worker):
    @orchestrator
    def forgets(context, number):
        yield context.wait_for_external_event("begin")
        if number == 0:
            context.continue_as_new(1, save_events=False)
            return None
        return (yield context.wait_for_external_event("go", timeout=timedelta(days=1), default="none"))

    client.start_new(forgets, "order", 0)
    client.raise_event("order", "go", 1)
    client.raise_event("order", "begin")
    worker.run_until_idle()
    client.raise_event("order", "begin")
    worker.run_until_idle()
    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == "none"


def test_what_the_last_turn_sent_arrives_once(client, worker):
    @orchestrator
    def sends(context, number):
        yield context.wait_for_external_event("go")
        context.send_event("listener", "news", number)
        context.start_new(functions.chain, 1, f"spun-off-{number}")
        if number < 3:
            context.continue_as_new(number + 1)
        return number

    @orchestrator
    def listener(context):
        seen = []
        while len(seen) < 4:
            seen.append((yield context.wait_for_external_event("news")))
        return seen

    client.start_new(listener, "listener")
    client.start_new(sends, "order", 0)
    for _ in range(4):
        client.raise_event("order", "go")

    assert worker.run_until_ended("order").output == 3
    assert worker.run_until_ended("listener").output == [0, 1, 2, 3]
    worker.run_until_idle()
    spun_off = Instance.objects.filter(instance_id__startswith="spun-off", status="Completed")
    assert spun_off.count() == 4


def test_the_late_ends_of_one_generations_work_never_reach_the_next(client, worker, stage):
    """Task 1 is an activity, 2 a timer and 3 a child, in both generations; those of the first end in the second."""

    @orchestrator
    def three_open(context, generation):
        tasks = [
            context.call_activity(functions.gated, f"activity {generation}"),
            context.create_timer(timedelta(days=1)),
            context.call_sub_orchestrator(functions.waits, 1),
        ]
        if generation == 1:
            yield context.wait_for_external_event("next")
            context.continue_as_new(2)
            return None
        return (yield context.task_all(tasks))

    client.start_new(three_open, "order", 1)
    worker.runtime.drain(0.0, gives_way=lambda: bool(stage.inside))
    client.raise_event("order", "next")
    worker.runtime.drain(0.0, gives_way=lambda: "activity 2" in stage.inside)
    first_child, second_child = Instance.objects.exclude(instance_id="order").order_by("pk")
    client.raise_event(first_child.instance_id, "go", "child 1")
    stage.gate.set()
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"
    assert Timer.objects.filter(instance__instance_id="order", state="Pending").count() == 1

    client.raise_event(second_child.instance_id, "go", "child 2")
    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == ["activity 2", None, ["child 2"]]
    worker.run_until_idle()
    assert not ActivityWorkItem.objects.exists()
    assert not InboxMessage.objects.exists()


def test_suspended_in_the_batch_that_continues_as_new_the_next_generation_is_suspended(client, worker):
    @orchestrator
    def counts(context, number):
        if number == 2:
            return number
        yield context.wait_for_external_event("go")
        context.continue_as_new(number + 1)
        return None

    client.start_new(counts, "order", 1)
    worker.run_until_idle()
    client.raise_event("order", "go")
    client.suspend("order", "stocktaking")
    client.suspend("order", "again")
    worker.run_until_idle()

    row = Instance.objects.get()
    assert (row.status, row.execution, row.waiting_for) == ("Suspended", 2, "suspended: stocktaking")

    client.resume("order")

    assert worker.run_until_ended("order").output == 2


def test_suspended_and_resumed_in_that_batch_it_goes_on(client, worker):
    client.start_new(functions.collects, "order", [])
    worker.run_until_idle()
    client.raise_event("order", "go", 0)
    client.suspend("order")
    client.resume("order")
    for number in range(1, 10):
        client.raise_event("order", "go", number)

    assert worker.run_until_ended("order").output == list(range(10))


def test_terminated_between_two_generations_it_ends(client, worker):
    client.start_new(functions.collects, "order", [])
    worker.run_until_idle()
    client.raise_event("order", "go", 0)
    client.terminate("order", "enough")
    worker.run_until_idle()

    status = client.get_status("order")
    assert (status.runtime_status, status.output) == ("Terminated", "enough")


def test_of_two_calls_in_one_turn_the_last_counts(client, worker):
    @orchestrator
    def twice(context, number):
        if number:
            return [number, (yield context.wait_for_external_event("go"))]
        yield context.call_activity(functions.work, 0)
        context.continue_as_new(1, save_events=False)
        context.continue_as_new(2)
        return None

    client.start_new(twice, "order", 0)
    client.raise_event("order", "go", "kept")

    assert worker.run_until_ended("order").output == [2, "kept"]


def test_what_a_finally_block_does_behind_the_call_has_no_effect(client, worker, stage):
    @orchestrator
    def tidies(context, number):
        if number:
            return number
        try:
            yield context.wait_for_external_event("go")
            context.continue_as_new(1)
            yield context.create_timer(timedelta(days=1))
        finally:
            stage.left.append("finally")
            context.call_activity(functions.work, "cleanup")
            yield context.create_timer(timedelta(days=1))

    client.start_new(tidies, "order", 0)
    client.raise_event("order", "go")

    assert worker.run_until_ended("order").output == 1
    assert stage.left == ["finally"]
    assert not (stage.runs or Timer.objects.exists())


def test_a_finally_block_may_begin_the_next_generation(client, worker):
    @orchestrator
    def begins_again(context, number):
        try:
            yield context.wait_for_external_event("go")
        finally:
            if number == 0:
                context.continue_as_new(1)
        return number

    client.start_new(begins_again, "order", 0)
    for _ in range(2):
        client.raise_event("order", "go")

    assert worker.run_until_ended("order").output == 1


def test_will_continue_as_new_says_so_and_the_code_goes_on_to_its_next_wait(run, stage):
    seen = []

    @orchestrator
    def looks(context, number):
        seen.append(context.will_continue_as_new)
        if number == 0:
            context.continue_as_new(1)
            seen.append(context.will_continue_as_new)
            yield context.call_activity(functions.work, "ignored")
            seen.append("never reached")
        return number

    assert run(looks, 0).output == 1
    assert seen[:3] == [False, True, False]
    assert "never reached" not in seen
    assert not stage.runs
