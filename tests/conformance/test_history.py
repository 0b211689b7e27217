"""History: every event is left by what it stands for, with its fields and in order; what keeps it, and what ends it."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise

import pytest

from orchestrations import EntityId, InstanceNotFound, OrchestrationClient, RetryPolicy, TaskFailedError, orchestrator
from orchestrations.core.events import DECIDED, EventType
from orchestrations.models import HistoryEvent
from orchestrations.reading import queries
from tests.conformance import entity_functions
from tests.runtime import functions

COUNTER = EntityId("counter", "a")
SHORTLY = timedelta(milliseconds=1)
TWICE = RetryPolicy(first_retry_interval=SHORTLY, max_number_of_attempts=2)
OF_THE_MOMENT = {"started_at", "worker", "request_id", "fire_at", "failed_at", "left_at"}
"""Attributes that are there but differ from run to run."""

STORY = [
    ("ExecutionStarted", None, 1, "does_everything", None, {"generation": 1, "tags": {"team": "a"}}),
    ("PatchApplied", None, 1, "newer", None, {}),
    ("TaskScheduled", 1, 1, "work", "well", {"tags": {"cost": "low"}}),
    ("TaskCompleted", 1, 1, None, "well", {}),
    ("TaskScheduled", 2, 1, "work", "badly", {"timeout_seconds": 30.0}),
    ("TaskFailed", 2, 1, None, "LookupError: no badly", {}),
    ("TimerCreated", 2, 2, "work", None, {}),  # the pause before the second attempt
    ("TimerFired", 2, 2, None, None, {}),
    ("TaskScheduled", 2, 2, "work", "badly", {"timeout_seconds": 30.0}),
    ("TaskFailed", 2, 2, None, "LookupError: no badly", {}),
    ("TimerCreated", 3, 0, None, None, {}),
    ("TimerFired", 3, 0, None, None, {}),
    ("SubOrchestrationInstanceCreated", 4, 1, "chain", 1, {"instance_id": "child"}),
    ("SubOrchestrationInstanceCompleted", 4, 1, None, [0], {}),
    ("SubOrchestrationInstanceCreated", 5, 1, "calls", ["work", "badly"], {"instance_id": "bad-child"}),
    ("SubOrchestrationInstanceFailed", 5, 1, None, "TaskFailedError: Activity 'work' failed: no badly", {}),
    ("SubOrchestrationInstanceCreated", 6, 1, "chain", 0, {"instance_id": "aside", "fire_and_forget": True}),
    ("EventSent", 7, 1, "hello", [1], {"instance_id": "other"}),
    ("EntityOperationSignaled", 8, 1, "add", 1, {"instance_id": "@counter@a"}),
    ("EntityOperationCalled", 9, 1, "get", None, {"instance_id": "@counter@a"}),
    ("EntityOperationCompleted", 9, 1, "get", 1, {}),
    ("EntityOperationCalled", 10, 1, "fail", 5, {"instance_id": "@counter@a"}),
    ("EntityOperationFailed", 10, 1, "fail", "ValueError: not so", {}),
    ("EntityLockRequested", 11, 1, None, None, {"entities": ["@counter@a"]}),
    ("EntityLockGranted", 11, 1, None, None, {}),
    ("EntityUnlockSent", 12, 1, None, None, {"entities": ["@counter@a"]}),
    ("ExecutionSuspended", None, 1, None, None, {"reason": "wait", "by": "ann"}),
    ("ExecutionResumed", None, 1, None, None, {"reason": "go on", "by": "ann"}),
    ("EventRaised", None, 1, "go", "now", {"by": "ann"}),
    ("ExecutionCompleted", None, 1, None, "now", {"status": "Completed"}),
]
"""The history of ``does_everything``: type, task id, attempt, name, payload (of a failure its line), attributes."""

REWOUND = [
    ("ExecutionStarted", None, 1, "fails_once", None, {"generation": 1, "tags": {}}),
    ("TaskScheduled", 1, 1, "work", "before", {}),
    ("TaskCompleted", 1, 1, None, "before", {}),
    ("ExecutionRewound", None, 1, None, None, {"reason": "mended", "by": "ann", "execution": 1, "removed": 1}),
    ("ExecutionCompleted", None, 1, None, "before", {"status": "Completed"}),
]
FORKED = [
    (
        "ExecutionStarted",
        None,
        1,
        "chain",
        None,
        {"generation": 1, "tags": {}, "instance_id": "order", "version": ""},
    ),
    ("TaskScheduled", 1, 1, "work", 0, {}),
    ("TaskCompleted", 1, 1, None, 0, {}),
    ("ExecutionForked", None, 1, None, None, {"reason": "try", "by": "ann", "instance_id": "again", "version": ""}),
    ("TaskScheduled", 2, 1, "work_async", 1, {}),
    ("TaskCompleted", 2, 1, None, 1, {}),
    ("ExecutionCompleted", None, 1, None, [0, 1], {"status": "Completed"}),
]
TERMINATED = [
    ("ExecutionStarted", None, 1, "waits", None, {"generation": 1, "tags": {}}),
    ("ExecutionTerminated", None, 1, None, None, {"reason": "enough", "by": "ann", "recursive": True}),
    ("ExecutionCompleted", None, 1, None, "enough", {"status": "Terminated"}),
]


@pytest.fixture(autouse=True)
def switches():
    with entity_functions.registered() as switches:
        yield switches


@pytest.fixture
def ann(client):
    """A client in a person's name."""
    return OrchestrationClient(actor="ann")


@pytest.fixture
def story(client, worker, stage, ann):
    """An instance that has done everything that leaves an event."""

    @orchestrator
    def does_everything(context):
        context.patched("newer")
        yield context.call_activity(functions.work, "well", tags={"cost": "low"})
        with pytest.raises(TaskFailedError):
            yield context.call_activity(functions.work, "badly", retry=TWICE, timeout=30)
        yield context.create_timer(SHORTLY)
        yield context.call_sub_orchestrator(functions.chain, 1, "child")
        with pytest.raises(TaskFailedError):
            yield context.call_sub_orchestrator(functions.calls, ["work", "badly"], "bad-child")
        context.start_new(functions.chain, 0, "aside")
        context.send_event("other", "hello", [1])
        context.signal_entity(COUNTER, "add", 1)
        yield context.call_entity(COUNTER, "get")
        with pytest.raises(TaskFailedError):
            yield context.call_entity(COUNTER, "fail", 5)
        with (yield context.lock_entities([COUNTER])):
            pass
        return (yield context.wait_for_external_event("go"))

    stage.failing.add("badly")
    client.start_new(does_everything, "order", tags={"team": "a"})
    worker.run_until_idle()
    ann.suspend("order", "wait")
    worker.run_until_idle()
    ann.resume("order", "go on")
    ann.raise_event("order", "go", "now")
    assert worker.run_until_ended("order").output == "now"
    return rows_of("order")


@pytest.fixture
def rewound(client, worker, stage, ann):
    """An instance that has failed and was rewound, and its history at the time of the failure."""
    client.start_new(functions.fails_once, "order")
    worker.run_until_ended("order")
    failed = list(HistoryEvent.objects.order_by("pk").values())
    stage.mended = True
    ann.rewind("order", "mended")
    assert worker.run_until_ended("order").output == "before"
    return failed


def rows_of(instance_id, execution=None):
    rows = HistoryEvent.objects.filter(instance__instance_id=instance_id).order_by("execution", "sequence")
    return list(rows if execution is None else rows.filter(execution=execution))


def told(row):
    """A row as the tables above have it."""
    payload = None if row.payload is None else json.loads(row.payload)
    if isinstance(payload, dict):
        payload = f"{payload['errorType'].rpartition('.')[2]}: {payload['errorMessage']}"
    attributes = {name: value for name, value in attributes_of(row).items() if name not in OF_THE_MOMENT}
    return (row.type, row.task_id, row.attempt, row.name, payload, attributes)


def attributes_of(row):
    return json.loads(row.attributes) if row.attributes else {}


def types(items):
    return [item["EventType"] for item in items]


# What leaves an event -----------------------------------------------------------------------------------------------


def test_each_event_is_left_by_what_it_stands_for_with_its_fields(story):
    assert [told(row) for row in story] == STORY


def test_a_rewind_and_a_termination_leave_theirs(client, rewound, ann, worker):
    assert [told(row) for row in rows_of("order", 2)] == REWOUND

    client.start_new(functions.waits, "gone", 1)
    worker.run_until_idle()
    ann.terminate("gone", "enough")
    worker.run_until_idle()
    assert [told(row) for row in rows_of("gone")] == TERMINATED


def test_a_fork_begins_with_what_it_kept_and_says_whose_it_was(client, run, worker, ann):
    run(functions.chain, 2, "order")
    ann.fork("order", 4, "again", reason="try")
    worker.run_until_ended("again")

    assert [told(row) for row in rows_of("again")] == FORKED


def test_no_type_of_event_is_left_out_here():
    assert {row[0] for row in (*STORY, *REWOUND, *FORKED, *TERMINATED)} == {kind.value for kind in EventType}


def test_what_differs_from_run_to_run_is_there_and_fits_together(story):
    by_call = {}
    for row in story:
        attributes = attributes_of(row)
        if row.type in {"TaskCompleted", "TaskFailed"}:
            assert set(attributes) == {"started_at", "worker"}
        if "fire_at" in attributes or "request_id" in attributes:
            by_call.setdefault((row.task_id, row.attempt), set()).add(
                attributes.get("fire_at") or attributes["request_id"]
            )
    assert all(len(values) == 1 for values in by_call.values()), "an answer carries what its call was given"
    assert set(by_call) == {(2, 2), (3, 0), (9, 1), (10, 1), (11, 1), (12, 1)}


def test_events_are_numbered_without_gap_and_what_the_code_decided_follows_what_it_was_told(story):
    assert [row.sequence for row in story] == list(range(1, len(story) + 1))
    instants = [row.timestamp for row in story]
    assert instants == sorted(instants)
    for before, row in pairwise(story):
        if row.type in DECIDED:
            assert row.timestamp == before.timestamp, "a decision has the time of the event that led to it"


def test_an_event_is_history_once_a_worker_takes_it_up(client, worker):
    client.start_new(functions.waits, "order", 2)
    assert rows_of("order") == []
    assert client.get_status("order", show_history=True).history is None

    worker.run_until_idle()
    client.raise_event("order", "go", 1)
    assert types(client.get_history("order")) == ["ExecutionStarted"]

    worker.run_until_idle()
    assert types(client.get_history("order")) == ["ExecutionStarted", "EventRaised"]


def test_what_comes_while_it_is_suspended_is_recorded_and_acted_upon_after_the_resumption(client, worker, events):
    client.start_new(functions.waits_then_works, "order")
    worker.run_until_idle()
    client.suspend("order")
    worker.run_until_idle()
    client.raise_event("order", "go", 1)
    worker.run_until_idle()
    suspended = ["ExecutionStarted", "ExecutionSuspended", "EventRaised"]
    assert events("order") == suspended

    client.resume("order")
    worker.run_until_ended("order")
    assert events("order") == [
        *suspended,
        "ExecutionResumed",
        "TaskScheduled",
        "TaskCompleted",
        "ExecutionCompleted",
    ]


# What is shown of it ------------------------------------------------------------------------------------------------


def test_a_call_that_has_ended_is_part_of_its_end(client, story):
    items = client.get_history("order")

    merged = {"TaskScheduled", "EntityOperationCalled"}
    created = EventType.SUB_ORCHESTRATION_CREATED
    expected = [row.type for row in story if row.type not in merged and (row.type != created or row.task_id == 6)]
    assert types(items) == expected
    completed = next(item for item in items if item["EventType"] == "TaskCompleted")
    assert set(completed) == {"EventType", "Timestamp", "ScheduledTime", "FunctionName", "Input", "Result"}
    assert (completed["FunctionName"], completed["Input"], completed["Result"]) == ("work", "well", "well")
    assert completed["ScheduledTime"] <= completed["Timestamp"]
    failed = next(item for item in items if item["EventType"] == "TaskFailed")
    assert (failed["FunctionName"], failed["Reason"]) == ("work", "no badly")
    assert failed["FailureDetails"]["ErrorType"] == "LookupError"
    assert "Traceback" in failed["Details"]
    aside = next(item for item in items if item["EventType"] == created)
    assert (aside["Name"], aside["InstanceId"]) == ("chain", "aside"), "nobody hears of its end"
    assert [item["Reason"] for item in items if item["EventType"] in {"ExecutionSuspended", "ExecutionResumed"}] == [
        "wait",
        "go on",
    ]


def test_inputs_and_results_are_shown_where_asked_for_and_failures_always(client, story):
    bare = client.get_status("order", show_history=True, show_history_output=False, show_input=False).history
    full = client.get_status("order", show_history=True, show_history_output=True, show_input=True).history

    assert full == client.get_history("order")
    assert not [item for item in bare if {"Input", "Result"} & set(item)]
    assert types(bare) == types(full)
    assert len([item for item in bare if "FailureDetails" in item]) == 4
    assert client.get_status("order").history is None


def test_calls_under_way_stay_and_ends_stand_in_the_order_in_which_they_came(client, worker):
    @orchestrator
    def asks_three(context):
        waiting = [context.call_sub_orchestrator(functions.waits, 1, f"child-{number}") for number in range(3)]
        yield context.task_all(waiting)

    client.start_new(asks_three, "order")
    worker.run_until_idle()
    for number in (2, 0):
        client.raise_event(f"child-{number}", "go", number)
        worker.run_until_idle()

    items = client.get_history("order")
    assert types(items) == [
        "ExecutionStarted",
        "SubOrchestrationInstanceCreated",
        "SubOrchestrationInstanceCompleted",
        "SubOrchestrationInstanceCompleted",
    ]
    assert items[1]["InstanceId"] == "child-1"
    assert [item["Result"] for item in items[2:]] == [[2], [0]]
    assert len({item["ScheduledTime"] for item in items[2:]}) == 1


# What keeps it, and what ends it ------------------------------------------------------------------------------------


def test_a_rewind_leaves_the_execution_that_failed_as_it_was(client, rewound, stage):
    again = list(HistoryEvent.objects.filter(execution=1).order_by("pk").values())

    assert again == rewound
    assert client.get_executions("order") == [1, 2]
    failed, present = client.get_history("order", 1), client.get_history("order")
    assert types(failed) == ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"]
    assert failed[-1]["OrchestrationStatus"] == "Failed"
    assert types(present) == ["ExecutionStarted", "TaskCompleted", "ExecutionRewound", "ExecutionCompleted"]
    assert present[:2] == failed[:2], "what was completed stays as it was told"
    assert present == client.get_history("order", 2)
    assert client.get_history("order", 3) == []
    assert stage.runs["before"] == 1


def test_a_generation_has_a_history_of_its_own_and_that_of_the_one_before_is_gone(client, run):
    @orchestrator
    def three_generations(context, number):
        yield context.call_activity(functions.work, number)
        context.set_custom_status(number)
        if number < 3:
            context.continue_as_new(number + 1)

    run(three_generations, 1, "order")

    assert [row.execution for row in rows_of("order")] == [3] * 4
    started, scheduled, *_ = rows_of("order")
    assert (started.payload, attributes_of(started)["generation"]) == ("2", 3), "the custom status it begins with"
    assert scheduled.payload == "3"
    assert client.get_executions("order") == [3]
    assert client.get_history("order", 1) == []


def test_attempts_of_a_sub_orchestration_keep_their_histories(client, worker, stage):
    @orchestrator
    def tries(context):
        with pytest.raises(TaskFailedError):
            yield context.call_sub_orchestrator(functions.calls, ["work", "bad"], "child", retry=TWICE)

    stage.failing.add("bad")
    client.start_new(tries, "order")
    worker.run_until_ended("order")

    assert client.get_executions("child") == [1, 2]
    expected = ["ExecutionStarted", "TaskFailed", "ExecutionCompleted"]
    assert types(client.get_history("child", 1)) == types(client.get_history("child", 2)) == expected


def test_a_new_start_under_the_id_and_a_purge_leave_nothing(client, run):
    run(functions.chain, 3, "order")
    run(functions.chain, 1, "order")
    assert [row.type for row in rows_of("order")].count("TaskCompleted") == 1
    assert len(client.get_executions("order")) == 1

    client.purge_instance_history("order")
    assert not HistoryEvent.objects.exists()
    for read in (client.get_history, client.get_executions):
        with pytest.raises(InstanceNotFound):
            read("order")


# Pages --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [queries.history, queries.history_with_payloads], ids=["previews", "payloads"])
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_pages_are_the_whole(story, read, size):
    instance = queries.get_instance("default", "order")
    pages = [read(instance, limit=size)]
    while pages[-1].next_after is not None:
        pages.append(read(instance, after=pages[-1].next_after, limit=size))

    assert [row.sequence for page in pages for row in page.events] == [row.sequence for row in story]
    assert len(pages) == -(-len(story) // size)
    narrow = read(instance, limit=size, types=[EventType.TIMER_FIRED])
    assert [row.type for row in narrow.events] == ["TimerFired"] * min(size, 2)
    assert (narrow.next_after is None) == (size > 1)


def test_pages_hold_still_while_events_come(client, worker):
    client.start_new(functions.waits, "order", 4)
    worker.run_until_idle()
    seen, after = [], 0
    for number in range(4):
        client.raise_event("order", "go", number)
        worker.run_until_idle()
        page = queries.history(queries.get_instance("default", "order"), after=after, limit=2)
        seen += [row.sequence for row in page.events]
        after = seen[-1]

    assert seen == [row.sequence for row in rows_of("order")] == [1, 2, 3, 4, 5, 6]
