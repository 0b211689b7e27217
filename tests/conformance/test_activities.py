"""Activities that take long: progress, silence, cancellation, keys that stay, completion from outside or by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import msgspec
import pytest
from django.db import connection, transaction

from orchestrations import (
    ActivityContext,
    ActivityEnded,
    InstanceEnded,
    InvalidCompletionToken,
    OrchestrationClient,
    OrchestrationContext,
    PayloadRejected,
    RetryPolicy,
    TaskFailedError,
    TaskNotOpen,
    activity,
    orchestrator,
)
from orchestrations.authoring.registry import registry
from orchestrations.core.events import EventType
from orchestrations.models import ActivityWorkItem, AuditEntry, HistoryEvent, InboxMessage, Timer
from orchestrations.testing import InProcessWorker
from tests.runtime import functions
from tests.waiting import eventually

THREE_AT_ONCE = RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=3)
PATIENT = RetryPolicy(first_retry_interval=timedelta(days=1), max_number_of_attempts=3)


stage = functions.stage
TOKENS: list[str] = []  # completion tokens that deferred activities have handed out

with registry.preserved():

    @activity
    def asks_outside(context: ActivityContext, timeout: float | None = None) -> int:
        stage.contexts.append(context)
        context.heartbeat({"asked": context.attempt})
        TOKENS.append(context.completion_token)
        return context.defer(timeout)

    @activity(transactional=True)
    def books_and_asks(context: ActivityContext, name: str) -> str:
        AuditEntry.objects.create(hub="default", instance_id=name, actor_name="a", action="book", via="Engine")
        TOKENS.append(context.completion_token)
        return context.defer()

    @activity(transactional=True)
    def books_badly(context: ActivityContext, how: str) -> object:
        """Writes a row and goes wrong in the first attempt."""
        AuditEntry.objects.create(hub="default", instance_id=how, actor_name="a", action="book", via="Engine")
        if context.attempt == 1 and how == "raises":
            raise LookupError(how)
        return object() if context.attempt == 1 else how

    @activity(transactional=True, timeout=0.05)
    def books_slowly(context: ActivityContext, name: str) -> str:
        AuditEntry.objects.create(hub="default", instance_id=name, actor_name="a", action="book", via="Engine")
        stage.contexts.append(context)
        stage.enter(name)
        return name

    @activity
    def counts_on(context: ActivityContext, last: int) -> int:
        """Fails half-way until it has come to the end, each time from where it was."""
        reached = (context.heartbeat_details or 0) + 1
        stage.contexts.append(context)
        context.heartbeat(reached)
        if reached < last:
            raise ConnectionError("lost")
        return reached

    @activity
    def keys(context: ActivityContext, value: object) -> str:
        stage.contexts.append(context)
        if value in stage.failing:
            raise LookupError("not yet")
        return context.idempotency_key

    @orchestrator
    def defers(context: OrchestrationContext, timeout: float | None):
        return (yield context.call_activity(asks_outside, timeout))

    @orchestrator
    def defers_with_retries(context: OrchestrationContext, interval_days: int):
        policy = PATIENT if interval_days else THREE_AT_ONCE
        return (yield context.call_activity(asks_outside, retry=policy))

    @orchestrator
    def defers_watched(context: OrchestrationContext, silence: float):
        return (yield context.call_activity(asks_outside, heartbeat_timeout=silence))

    @orchestrator
    def counts(context: OrchestrationContext, last: int):
        return (yield context.call_activity(counts_on, last, retry=THREE_AT_ONCE))

    @orchestrator
    def silent(context: OrchestrationContext, name: str):
        return (yield context.call_activity(name, 1, heartbeat_timeout=0.05))

    @orchestrator
    def works_patiently(context: OrchestrationContext, value: object):
        return (yield context.call_activity("work", value, retry=PATIENT))

    @orchestrator
    def child_patiently(context: OrchestrationContext):
        return (yield context.call_sub_orchestrator("calls", ["work", "x"], instance_id="child", retry=PATIENT))

    @orchestrator
    def books_twice(context: OrchestrationContext, how: str):
        return (yield context.call_activity(books_badly, how, retry=THREE_AT_ONCE))

    @orchestrator
    def collects_keys(context: OrchestrationContext, generation: int):
        first = yield context.call_activity(keys, "first")
        second = yield context.call_activity(keys, "second")
        if generation:
            context.continue_as_new(generation - 1)
            return None
        return [first, second]


AUTHORED = [
    asks_outside,
    books_and_asks,
    books_badly,
    books_slowly,
    books_twice,
    counts_on,
    keys,
    defers,
    defers_with_retries,
    defers_watched,
    counts,
    silent,
    works_patiently,
    child_patiently,
    collects_keys,
]


@pytest.fixture
def tokens() -> list[str]:
    """In the order in which they were handed out."""
    return TOKENS


@pytest.fixture(autouse=True)
def registered(stage) -> None:
    TOKENS.clear()
    for function in AUTHORED:
        is_activity = function.durable.kind == "activity"
        (registry.add_activity if is_activity else registry.add_orchestrator)(function.durable)


@pytest.fixture
def leave_to_others(monkeypatch) -> Callable[[InProcessWorker], None]:
    """Makes a worker advance instances and run none of their activities."""

    def leave(worker: InProcessWorker) -> None:
        monkeypatch.setattr(worker.runtime.pool, "has_room", lambda *planned: False)
        monkeypatch.setattr(worker.runtime.intake, "claim", lambda *arguments: False)

    return leave


def item() -> ActivityWorkItem:
    return ActivityWorkItem.objects.get()


def failure(status) -> str:
    return f"{status.failure_details.error_type}: {status.failure_details.message}"


def last_failure(instance_id: str) -> dict:
    row = HistoryEvent.objects.filter(instance__instance_id=instance_id, type=EventType.TASK_FAILED).last()
    return msgspec.json.decode(row.payload)


# Inputs, names and results --------------------------------------------------------------------------------------------


def test_none_is_an_input_and_a_result_like_any_other(run):
    assert run(functions.calls, ["work", None]).output is None


def test_an_unregistered_activity_is_a_failure_that_is_not_tried_again(client, run, stage):
    @orchestrator
    def calls_what_is_not_there(context: OrchestrationContext):
        return (yield context.call_activity("unheard_of", 1, retry=THREE_AT_ONCE))

    status = run(calls_what_is_not_there, instance_id="order")

    assert status.runtime_status == "Failed"
    details = last_failure("order")
    assert details["isNonRetriable"]
    assert details["errorType"].endswith("FunctionNotRegistered")
    assert HistoryEvent.objects.filter(type=EventType.TASK_SCHEDULED).count() == 1


def test_an_error_reaches_the_orchestrator_with_type_message_and_trace(run, stage):
    stage.failing = {"x"}
    run(functions.calls, ["work", "x"], "order")

    details = last_failure("order")
    assert (details["errorType"], details["errorMessage"]) == ("LookupError", "'no x'"[1:-1])
    assert "functions.py" in details["stackTrace"]


# Transactional activities ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raises", "returns no JSON"])
def test_what_a_failed_attempt_wrote_in_its_transaction_is_undone(run, how):
    assert run("books_twice", how, "order").output == how

    assert AuditEntry.objects.filter(instance_id=how).count() == 1
    ends = HistoryEvent.objects.filter(type__in=[EventType.TASK_COMPLETED, EventType.TASK_FAILED])
    assert [end.type for end in ends.order_by("sequence")] == ["TaskFailed", "TaskCompleted"]


SAVED = {"in a savepoint": 2, "after one that was undone": 1, "with a hook that raises": 1}


@pytest.mark.parametrize(
    "how",
    [*SAVED, "set_rollback", "commit", "a durable block", "an undone block without savepoint", "a closed connection"],
)
def test_what_it_wrote_and_its_result_are_kept_or_undone_together(run, how):
    """Whatever it does with the transaction that it is in."""

    def book() -> None:
        AuditEntry.objects.create(hub="default", instance_id="trip", actor_name="a", action="book", via="Engine")

    def undo(savepoint: bool) -> None:
        with suppress(KeyError), transaction.atomic(savepoint=savepoint):
            book()
            raise KeyError

    def hook() -> None:
        raise KeyError

    def durably() -> None:
        with transaction.atomic(durable=True):
            book()

    deeds = {
        "in a savepoint": lambda: transaction.atomic()(book)(),
        "after one that was undone": lambda: undo(savepoint=True),
        "with a hook that raises": lambda: transaction.on_commit(hook),
        "set_rollback": lambda: transaction.set_rollback(True),
        "commit": connection.commit,
        "a durable block": durably,
        "an undone block without savepoint": lambda: undo(savepoint=False),
        "a closed connection": connection.close,
    }

    @activity(transactional=True)
    def books_somehow(how: str) -> str:
        book()
        deeds[how]()
        return how

    status = run(functions.calls, ["books_somehow", how], "order")

    assert status.runtime_status == ("Completed" if how in SAVED else "Failed")
    assert AuditEntry.objects.filter(instance_id="trip").count() == SAVED.get(how, 0)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="while such an activity runs on SQLite nobody else writes")
def test_what_it_wrote_is_undone_when_its_time_is_over(client, worker, stage):
    client.start_new(functions.calls, "order", ["books_slowly", "trip"])
    worker.run_until_ended("order")
    assert last_failure("order")["errorType"] == "TimeoutError"
    stage.gate.set()
    eventually(lambda: stage.left)
    worker.run_until_idle()

    assert not AuditEntry.objects.filter(instance_id="trip").exists()
    assert HistoryEvent.objects.filter(type=EventType.TASK_COMPLETED).count() == 0


# Timeouts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gated", "gated_async"])
def test_past_the_timeout_of_the_call_the_attempt_fails_and_another_may_follow(client, worker, stage, name):
    """The call's own goes before the activity's; the attempt is told, and what it returns later is ignored."""
    stage.gate.clear()

    @orchestrator
    def impatient(context: OrchestrationContext):
        try:
            yield context.call_activity(name, 1, timeout=0.05, retry=THREE_AT_ONCE)
        except TaskFailedError as error:
            return [error.is_caused_by(TimeoutError), error.details.message]

    client.start_new(impatient, "order")
    timed_out, message = worker.run_until_ended("order").output

    assert timed_out and "did not return within 0.05 seconds" in message
    assert stage.runs[1] == 3
    assert all(context.is_cancelled() for context in stage.contexts)
    stage.gate.set()
    worker.run_until_idle()
    assert HistoryEvent.objects.filter(type=EventType.TASK_COMPLETED).count() == 0


def test_an_activity_that_loses_to_a_timer_runs_on_and_may_be_awaited_later(client, worker, stage):
    @orchestrator
    def looks_at_the_clock(context: OrchestrationContext):
        work, timer = context.call_activity("gated", 1), context.create_timer(timedelta(days=1))
        winner = yield context.task_any([work, timer])
        return [winner is timer, (yield work)]

    client.start_new(looks_at_the_clock, "order")
    worker.runtime.drain(0.0, gives_way=lambda: bool(stage.inside))
    worker.skip_timers("order")
    worker.runtime.drain(0.0, gives_way=lambda: Timer.objects.get().state == "Fired")
    assert not stage.contexts[0].is_cancelled()
    stage.gate.set()

    assert worker.run_until_ended("order").output == [True, 1]
    assert stage.runs[1] == 1


# The idempotency key --------------------------------------------------------------------------------------------------


def test_the_key_of_a_call_that_is_made_again_after_a_rewind_stays(client, run, worker, stage):
    stage.failing = {"second"}
    run("collects_keys", 0, "order")
    before = {context.task_id: context.idempotency_key for context in stage.contexts}
    for _ in range(2):
        client.rewind("order")
        worker.run_until_ended("order")
    stage.failing = set()
    client.rewind("order")

    assert worker.run_until_ended("order").output == [before[1], before[2]]
    assert {context.execution for context in stage.contexts} == {1, 2, 3, 4}


def test_no_two_generations_share_a_key(run, stage):
    assert run("collects_keys", 3, "order").runtime_status == "Completed"

    given = [context.idempotency_key for context in stage.contexts]
    assert len(set(given)) == len(given) == 8


def test_no_two_starts_under_one_id_share_a_key(client, run, worker, stage):
    run("collects_keys", 0, "order")
    run("collects_keys", 0, "order")  # replaces the ended one
    client.restart("order", restart_with_new_instance_id=False)
    worker.run_until_ended("order")
    for _ in range(2):
        client.purge_instance_history("order")
        run("collects_keys", 0, "order")
    client.start_new("collects_keys", "order", 0)
    client.start_new("collects_keys", "order", 0, on_duplicate="terminate")
    worker.run_until_ended("order")

    given = [context.idempotency_key for context in stage.contexts]
    assert len(set(given)) == len(given) == 12


def test_the_key_is_the_same_on_the_worker_that_takes_the_call_from_the_table(
    client, make_worker, worker, stage, leave_to_others
):
    """After continue-as-new and rewind, where generation and execution differ."""
    stage.failing = {"second"}
    client.start_new("collects_keys", "order", 1)
    worker.run_until_idle()
    client.rewind("order")
    worker.run_until_idle()
    first = {context.idempotency_key for context in stage.contexts if context.task_id == 2}
    leave_to_others(worker)
    client.rewind("order")
    worker.runtime.turn()
    assert ActivityWorkItem.objects.filter(lease_token=None).count() == 1
    worker.stop()
    stage.contexts.clear()
    make_worker().run_until_idle()

    assert {context.idempotency_key for context in stage.contexts} == first


# Heartbeats -----------------------------------------------------------------------------------------------------------


def test_what_an_attempt_has_told_is_given_to_the_next(run, stage):
    assert run("counts", 3).output == 3
    assert [context.heartbeat_details for context in stage.contexts] == [None, 1, 2]


def test_the_details_of_the_last_attempt_outlive_a_worker(client, make_worker, worker, stage, leave_to_others):
    """The next attempt may be one that another worker takes from the table."""
    leave_to_others(worker)
    client.start_new("counts", "order", 3)
    worker.runtime.turn()
    second = make_worker()
    second.run_until_ended("order")

    assert [context.heartbeat_details for context in stage.contexts] == [None, 1, 2]


@pytest.fixture
def quick_heartbeats(settings) -> None:
    settings.DURABLE = {**settings.DURABLE, "HEARTBEAT_SECONDS": 0.02}


@pytest.mark.usefixtures("quick_heartbeats")
def test_progress_is_written_with_the_workers_heartbeat(client, make_worker, stage):
    worker = make_worker()
    client.start_new(functions.calls, "order", ["gated", 1])
    worker.runtime.drain(0.0, gives_way=lambda: bool(stage.inside))
    stage.contexts[0].heartbeat({"rows": 10})
    eventually(lambda: item().heartbeat_details == '{"rows":10}')
    first = item().heartbeat_at
    stage.contexts[0].heartbeat()
    eventually(lambda: item().heartbeat_at > first)
    assert item().heartbeat_details == '{"rows":10}', "without details the former ones stay"
    stage.gate.set()
    assert worker.run_until_ended("order").output == 1


@pytest.mark.usefixtures("quick_heartbeats")
def test_an_activity_without_news_costs_no_statement(client, make_worker, stage, monkeypatch):
    worker = make_worker()
    written = []
    record = worker.runtime.store.record_heartbeats
    monkeypatch.setattr(
        worker.runtime.store, "record_heartbeats", lambda token, beats: written.append(beats) or record(token, beats)
    )
    client.start_new(functions.fan_out_gated, "order", 3)
    worker.runtime.drain(0.0, gives_way=lambda: len(stage.inside) == 3)
    for context in stage.contexts:
        context.heartbeat(context.task_id)
    eventually(lambda: ActivityWorkItem.objects.filter(heartbeat_details__isnull=False).count() == 3)
    told = len(written)
    looks = threading.Event()
    renew = worker.runtime.store.renew_lease
    monkeypatch.setattr(worker.runtime.store, "renew_lease", lambda *given: looks.set() or renew(*given))
    assert looks.wait(5.0)

    assert len(written) == told
    assert sum(len(beats) for beats in written) == 3


@pytest.mark.parametrize("name", ["gated", "gated_async"])
def test_an_activity_that_falls_silent_fails_and_can_be_tried_again(client, worker, stage, name):
    client.start_new("silent", "order", name)
    worker.run_until_ended("order")

    details = last_failure("order")
    assert details["errorType"] == "TimeoutError"
    assert "sent no heartbeat for 0.05 seconds" in details["errorMessage"]
    assert not details["isNonRetriable"]
    assert stage.contexts[0].is_cancelled()


def test_one_that_is_heard_goes_on(client, worker, stage):
    @activity(heartbeat_timeout=timedelta(seconds=0.2))
    def beats(context: ActivityContext) -> int:
        rounds = 0
        silence = threading.Event()
        while rounds < 20 and not silence.wait(0.02):
            context.heartbeat(rounds)
            rounds += 1
        return rounds

    client.start_new(functions.calls, "order", ["beats", None])

    assert worker.run_until_ended("order").output == 20


def test_details_that_are_too_large_are_refused_where_they_are_given(run):
    @activity
    def tells_all(context: ActivityContext) -> None:
        context.heartbeat("x" * 20_000)

    assert run(functions.calls, ["tells_all", None], "order").runtime_status == "Failed"
    assert "16384 are allowed" in last_failure("order")["errorMessage"]


# Cancellation ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_heartbeats")
@pytest.mark.parametrize("name", ["gated", "gated_async"])
def test_an_activity_hears_of_a_termination_that_another_worker_has_committed(client, make_worker, stage, name):
    first, second = make_worker(), make_worker()
    client.start_new(functions.calls, "order", [name, 1])
    first.runtime.drain(0.0, gives_way=lambda: bool(stage.inside))
    assert not stage.contexts[0].is_cancelled()
    client.terminate("order", "enough")
    second.run_until_ended("order")

    eventually(stage.contexts[0].is_cancelled)
    assert not ActivityWorkItem.objects.exists()
    stage.gate.set()
    first.run_until_idle()
    assert client.get_status("order").runtime_status == "Terminated"


@pytest.mark.usefixtures("quick_heartbeats")
def test_what_is_queued_elsewhere_is_dropped_with_its_execution(client, make_worker, stage, leave_to_others):
    """Four threads are busy with another instance; the activity behind them never starts."""
    first, second = make_worker(), make_worker()
    client.start_new(functions.fan_out_gated, "busy", 4)
    first.runtime.drain(0.0, gives_way=lambda: len(stage.inside) == 4)
    client.start_new(functions.calls, "order", ["work", "never"])
    leave_to_others(second)
    second.runtime.turn()
    token = first.runtime.lease.token
    [work] = first.runtime.store.claim_activities(token, 1)
    first.runtime.pool.submit(work)
    client.terminate("order")
    second.runtime.turn()

    eventually(lambda: first.runtime.pool.in_flight == 4)
    stage.gate.set()
    first.run_until_ended("busy")
    assert stage.runs["never"] == 0


# Completion from outside ----------------------------------------------------------------------------------------------


def test_a_deferred_activity_is_completed_by_its_token(client, run, worker, tokens):
    assert run("defers", None, "order").runtime_status == "Running"
    deferred = item()
    assert (deferred.lease_token, deferred.dispatches) == (None, 1)
    assert deferred.deferred_until > deferred.heartbeat_at

    client.complete_activity(tokens[0], 42)

    assert worker.run_until_ended("order").output == 42
    assert not ActivityWorkItem.objects.exists()


def test_it_is_neither_run_again_nor_lost_when_workers_come_and_go(client, run, worker, make_worker, tokens):
    run("defers", None, "order")
    worker.stop()
    second = make_worker()
    second.run_until_idle()
    second.runtime.store.recover()
    second.run_until_idle()
    assert len(tokens) == 1
    client.complete_activity(tokens[0], 1)

    assert second.run_until_ended("order").output == 1


def test_a_completion_joins_the_callers_transaction(client, run, worker, tokens):
    run("defers", None, "order")
    with pytest.raises(KeyError), transaction.atomic():
        client.complete_activity(tokens[0], 1)
        raise KeyError
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"

    client.complete_activity(tokens[0], 2)
    assert worker.run_until_ended("order").output == 2


def test_a_second_completion_changes_nothing_before_and_after_the_first_is_recorded(client, run, worker, tokens):
    run("defers", None, "order")
    client.complete_activity(tokens[0], 1)
    client.complete_activity(tokens[0], 2)
    assert InboxMessage.objects.count() == 1
    assert worker.run_until_ended("order").output == 1
    client.complete_activity(tokens[0], 3)

    assert HistoryEvent.objects.filter(type=EventType.TASK_COMPLETED).count() == 1
    with pytest.raises(ActivityEnded, match="Instance 'order' is Completed"):
        client.fail_activity(tokens[0], "no")


def test_of_many_completions_at_once_one_counts(client, run, worker, tokens):
    """And the others are told nothing worse than that it is done."""
    run("defers", None, "order")

    def complete(number: int) -> None:
        try:
            OrchestrationClient().complete_activity(tokens[0], number)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(complete, range(6)))
    assert InboxMessage.objects.count() == 1
    assert worker.run_until_ended("order").output in range(6)
    assert HistoryEvent.objects.filter(type=EventType.TASK_COMPLETED).count() == 1


def test_a_result_that_does_not_fit_is_refused_at_the_door(client, run, worker, tokens):
    run("defers", None, "order")
    with pytest.raises(PayloadRejected, match="asks_outside"):
        client.complete_activity(tokens[0], "not a number")
    client.complete_activity(tokens[0], 5)

    assert worker.run_until_ended("order").output == 5


def test_a_failure_from_outside_is_tried_again_with_what_was_told_last(client, run, worker, stage, tokens):
    run("defers_with_retries", 0, "order")
    client.heartbeat_activity(tokens[0], {"asked": "again"})
    client.fail_activity(tokens[0], "the printer is on fire")
    worker.run_until_idle()
    details = last_failure("order")
    assert details["errorType"].endswith("ActivityFailed")
    assert details["errorMessage"] == "the printer is on fire"
    assert stage.contexts[1].heartbeat_details == {"asked": "again"}
    assert item().attempt == 2

    client.fail_activity(tokens[0], "again")  # the first attempt's, and known
    with pytest.raises(ActivityEnded, match="attempt 1 of task 1"):
        client.complete_activity(tokens[0], 1)
    client.complete_activity(tokens[1], 2)
    assert worker.run_until_ended("order").output == 2


def test_a_failure_from_outside_can_forbid_another_attempt(client, run, worker, tokens):
    run("defers_with_retries", 0, "order")
    client.fail_activity(tokens[0], ValueError("no such account"), is_non_retriable=True)

    assert worker.run_until_ended("order").runtime_status == "Failed"
    assert last_failure("order")["errorType"] == "ValueError"


@pytest.mark.parametrize("error", [None, 5, ValueError], ids=["nothing", "a number", "a class"])
def test_a_failure_from_outside_is_an_exception_or_a_text(client, run, tokens, error):
    run("defers", None, "order")
    with pytest.raises(TypeError, match="an exception or a text"):
        client.fail_activity(tokens[0], error)
    assert not InboxMessage.objects.exists()


def test_a_completion_that_overtakes_the_deferral_counts(client, make_worker, stage, tokens):
    """The outside service answers before the activity has returned."""

    @activity
    def answers_at_once(context: ActivityContext, value: int) -> int:
        client.complete_activity(context.completion_token, value)
        stage.enter(value)
        return context.defer()

    worker, second = make_worker(), make_worker()
    client.start_new(functions.calls, "order", ["answers_at_once", 7])
    worker.runtime.drain(0.0, gives_way=lambda: bool(stage.inside))
    second.run_until_ended("order")
    stage.gate.set()
    worker.run_until_idle()

    assert client.get_status("order").output == 7
    assert not ActivityWorkItem.objects.exists()
    assert HistoryEvent.objects.filter(type=EventType.TASK_COMPLETED).count() == 1


def test_nobody_completes_it_in_time(client, run, worker, tokens):
    run("defers", 0.05, "order")
    worker.run_until_ended("order")
    assert "'asks_outside' was not completed from outside in time" in last_failure("order")["errorMessage"]
    with pytest.raises(ActivityEnded, match="Instance 'order' is Failed"):
        client.complete_activity(tokens[0], 1)


@pytest.mark.parametrize("option", ["timeout", "heartbeat_timeout"])
def test_a_timeout_that_no_calendar_holds_is_a_hundred_years(client, run, worker, tokens, option):
    @orchestrator
    def defers_for_ever(context: OrchestrationContext):
        limits = {"timeout": timedelta.max, option: timedelta.max}
        return (yield context.call_activity(asks_outside, **limits))

    run(defers_for_ever, None, "order")
    client.heartbeat_activity(tokens[0])
    assert 99 <= item().visible_at.year - item().scheduled_at.year <= 100
    client.complete_activity(tokens[0], 1)

    assert worker.run_until_ended("order").output == 1


def test_one_that_falls_silent_outside_fails_before_its_time(client, run, worker, tokens):
    run("defers_watched", 0.3, "order")
    client.heartbeat_activity(tokens[0])
    worker.run_until_ended("order")

    assert "'asks_outside' had no heartbeat for 0.3 seconds" in last_failure("order")["errorMessage"]


def test_a_heartbeat_from_outside_puts_the_end_off(client, run, tokens):
    run("defers_watched", 60.0, "order")
    before = item()
    client.heartbeat_activity(tokens[0], {"page": 3})
    after = item()

    assert after.visible_at > before.visible_at
    assert after.visible_at <= after.deferred_until == before.deferred_until
    assert after.heartbeat_details == '{"page":3}'


@pytest.mark.parametrize("how", ["terminate", "rewind", "purge"])
def test_a_late_token_gets_a_clear_answer(client, run, worker, tokens, how):
    run("defers", 0.01 if how == "rewind" else None, "order")
    if how == "rewind":
        worker.run_until_ended("order")
        client.rewind("order")
    else:
        client.terminate("order")
    worker.run_until_idle()
    if how == "purge":
        client.purge_instance_history("order")
    reason = {
        "terminate": "Instance 'order' is Terminated",
        "rewind": "Instance 'order' (has gone on|is Failed)",
        "purge": "Its instance is gone",
    }[how]
    for act in (client.complete_activity, client.fail_activity, client.heartbeat_activity):
        with pytest.raises(ActivityEnded, match=reason):
            act(tokens[0], "1" if act == client.fail_activity else 1)
    assert not InboxMessage.objects.exists()


def test_a_token_that_was_altered_or_belongs_elsewhere_is_none(client, run, tokens):
    run("defers", None)
    other = OrchestrationClient(hub="other")
    for who, token in ((client, tokens[0] + "x"), (client, ""), (client, "a:b:c"), (other, tokens[0])):
        with pytest.raises(InvalidCompletionToken):
            who.complete_activity(token, 1)


def test_a_transactional_activity_that_defers_keeps_what_it_wrote(client, run, worker, tokens):
    run(functions.calls, ["books_and_asks", "trip"], "order")
    assert AuditEntry.objects.filter(instance_id="trip").count() == 1
    client.complete_activity(tokens[0], "booked")

    assert worker.run_until_ended("order").output == "booked"
    assert AuditEntry.objects.filter(instance_id="trip").count() == 1


def test_a_large_result_from_outside_arrives_whole(client, run, worker, tokens):
    run(functions.calls, ["books_and_asks", "trip"], "order")
    client.complete_activity(tokens[0], "x" * 600_000)

    assert worker.run_until_ended("order").output == "x" * 600_000


def test_a_suspended_instance_takes_the_completion_when_it_is_resumed(client, run, worker, tokens):
    run("defers", None, "order")
    client.suspend("order")
    worker.run_until_idle()
    client.complete_activity(tokens[0], 3)
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Suspended"
    client.resume("order")

    assert worker.run_until_ended("order").output == 3


# By hand --------------------------------------------------------------------------------------------------------------


def test_a_call_that_waits_for_its_next_attempt_is_retried_now(client, run, worker, stage):
    stage.failing = {"x"}
    run("works_patiently", "x", "order")
    stage.failing = set()
    OrchestrationClient(actor="dana").retry_now("order", 1, "the printer is mended")

    assert worker.run_until_ended("order").output == "x"
    entry = AuditEntry.objects.get(action="retry_now")
    assert (entry.actor_name, entry.reason, entry.details) == ("dana", "the printer is mended", {"task": 1})


def test_a_sub_orchestration_is_retried_now_too(client, run, worker, stage):
    stage.failing = {"x"}
    run("child_patiently", None, "order")
    stage.failing = set()
    client.retry_now("order", 1)

    assert worker.run_until_ended("order").output == "x"


def test_an_activity_that_rests_after_a_crash_is_retried_now(client, worker, make_worker, leave_to_others):
    leave_to_others(worker)
    client.start_new(functions.calls, "order", ["work", 1])
    worker.runtime.turn()
    ActivityWorkItem.objects.update(visible_at=worker.runtime.store.now() + timedelta(hours=1), dispatches=2)
    client.retry_now("order", 1)

    assert make_worker().run_until_ended("order").output == 1


def test_a_timer_is_skipped(client, run, worker):
    run(functions.sleeps, 30, "order")
    OrchestrationClient(actor="dana").skip_timer("order", 1, "no need to wait")

    assert worker.run_until_ended("order").output == "woken"
    assert Timer.objects.get().state == "Fired"
    assert AuditEntry.objects.get().action == "skip_timer"


@pytest.mark.parametrize("verb", ["retry_now", "skip_timer", "complete_task"])
def test_there_is_nothing_to_cut_short_where_nothing_waits(client, run, worker, verb):
    run(functions.waits, 1, "order")
    with pytest.raises(TaskNotOpen, match="under the task id 9"):
        getattr(client, verb)("order", 9)
    client.terminate("order")
    worker.run_until_idle()
    with pytest.raises(InstanceEnded):
        getattr(client, verb)("order", 1)
    assert not AuditEntry.objects.exists()


def test_a_retry_is_no_timer_and_a_timer_no_retry(client, run, stage):
    stage.failing = {"x"}
    run("works_patiently", "x", "order")
    run(functions.sleeps, 1, "sleeper")
    with pytest.raises(TaskNotOpen):
        client.skip_timer("order", 1)
    with pytest.raises(TaskNotOpen):
        client.retry_now("sleeper", 1)
    with pytest.raises(TaskNotOpen):
        client.complete_task("sleeper", 1)


def test_an_activity_between_two_attempts_is_completed_by_hand(client, run, worker, stage):
    stage.failing = {"x"}
    run("works_patiently", "x", "order")
    OrchestrationClient(actor="dana").complete_task("order", 1, "done by phone", "the customer called")

    assert worker.run_until_ended("order").output == "done by phone"
    assert Timer.objects.get().state == "Cancelled"
    entry = AuditEntry.objects.get(action="complete_task")
    assert (entry.reason, entry.details) == ("the customer called", {"task": 1, "activity": "work"})
    event = HistoryEvent.objects.get(type=EventType.TASK_COMPLETED)
    assert msgspec.json.decode(event.attributes)["by"] == "dana"


def test_what_was_completed_by_hand_replays(client, run, worker, stage, make_worker):
    """With a wait after it, so that another worker continues from history."""

    @orchestrator
    def then_waits(context: OrchestrationContext):
        first = yield context.call_activity("work", "x", retry=PATIENT)
        return [first, (yield context.wait_for_external_event("go"))]

    stage.failing = {"x"}
    run(then_waits, None, "order")
    client.complete_task("order", 1, "by hand")
    worker.run_until_idle()
    client.raise_event("order", "go", 1)

    assert make_worker().run_until_ended("order").output == ["by hand", 1]


@pytest.mark.parametrize("name", ["gated", "gated_async"])
def test_an_activity_that_runs_is_completed_by_hand_and_told_so(client, worker, stage, name):
    client.start_new(functions.calls, "order", [name, 1])
    worker.runtime.drain(0.0, gives_way=lambda: bool(stage.inside))
    client.complete_task("order", 1, "by hand")
    client.complete_task("order", 1, "twice")

    assert worker.run_until_ended("order").output == "by hand"
    eventually(stage.contexts[0].is_cancelled)
    stage.gate.set()
    worker.run_until_idle()
    assert client.get_status("order").output == "by hand"
    assert HistoryEvent.objects.filter(type=EventType.TASK_COMPLETED).count() == 1


def test_a_queued_activity_is_completed_by_hand_and_never_runs(client, worker, make_worker, stage, leave_to_others):
    leave_to_others(worker)
    client.start_new(functions.calls, "order", ["work", "queued"])
    worker.runtime.turn()
    client.complete_task("order", 1, "by hand")
    worker.runtime.turn()

    assert client.get_status("order").output == "by hand"
    make_worker().run_until_idle()
    assert stage.runs["queued"] == 0


def test_the_result_given_by_hand_must_fit(client, run):
    run("defers", None, "order")
    with pytest.raises(PayloadRejected):
        client.complete_task("order", 1, "text")


def test_a_completion_by_hand_and_the_timer_before_the_next_attempt_meet(client, run, worker, stage):
    """Whichever the instance takes first: the call ends once, and nothing of the next attempt is left."""
    stage.failing = {"x"}
    run("works_patiently", "x", "order")
    client.retry_now("order", 1)
    worker.runtime.store.fire_timers()
    assert [message.type for message in InboxMessage.objects.all()] == [EventType.TIMER_FIRED]
    Timer.objects.update(state=Timer.State.PENDING)  # as the client saw it just before
    client.complete_task("order", 1, "by hand")

    assert worker.run_until_ended("order").output == "by hand"
    worker.run_until_idle()
    assert not ActivityWorkItem.objects.exists()
