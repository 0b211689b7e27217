"""Timers: of any length, once each, in due order, and on the orchestration's clock."""

# ruff: noqa: DTZ001 -- a naive datetime is what some of these cases are about

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone as django_timezone

from orchestrations import RetryPolicy, TaskCancelledError, orchestrator
from orchestrations.models import HistoryEvent, Instance, Timer
from tests.runtime import functions

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def due(run):
    """The moment at which a timer made for ``fire_at`` is due, as it is stored; it may be past."""

    def due(fire_at: object) -> datetime:
        @orchestrator
        def one_timer(context):
            yield context.create_timer(fire_at)
            return "fired"

        status = run(one_timer, None, "order")
        timer = Timer.objects.get()
        assert (status.runtime_status == "Completed") is (timer.due_at <= django_timezone.now()), "past ones fire"
        return timer.due_at

    return due


@pytest.mark.parametrize(
    ("fire_at", "moment"),
    [
        (datetime(2999, 1, 1), datetime(2999, 1, 1, tzinfo=UTC)),
        (datetime(2999, 1, 1, 12, tzinfo=timezone(timedelta(hours=5))), datetime(2999, 1, 1, 7, tzinfo=UTC)),
        (datetime(2999, 1, 1, 0, 0, 0, 123456), datetime(2999, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        (datetime(9999, 12, 31, 23, 59, 59, 999999), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        (datetime(1, 1, 1), datetime(1, 1, 1, tzinfo=UTC)),
        # The hour that a change of the clocks repeats, before and after; and one that it leaves out
        (datetime(2035, 11, 4, 1, 30, tzinfo=NEW_YORK), datetime(2035, 11, 4, 5, 30, tzinfo=UTC)),
        (datetime(2035, 11, 4, 1, 30, tzinfo=NEW_YORK, fold=1), datetime(2035, 11, 4, 6, 30, tzinfo=UTC)),
        (datetime(2035, 3, 11, 2, 30, tzinfo=NEW_YORK), datetime(2035, 3, 11, 7, 30, tzinfo=UTC)),
    ],
    ids=str,
)
def test_every_moment_of_the_calendar_is_kept_to_the_microsecond(due, fire_at, moment):
    assert due(fire_at) == moment


def test_a_duration_counts_from_the_orchestrations_clock(due):
    moment = due(timedelta(days=400_000, microseconds=1))

    assert moment == HistoryEvent.objects.get(type="ExecutionStarted").timestamp + timedelta(
        days=400_000, microseconds=1
    )


@pytest.mark.parametrize(
    "fire_at", [timedelta.max, timedelta.min, datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))], ids=str
)
def test_what_no_calendar_holds_is_refused_at_the_call(run, fire_at):
    @orchestrator
    def impossible(context):
        try:
            yield context.create_timer(fire_at)
        except ValueError as error:
            return str(error)

    assert "outside of the years 1 to 9999" in run(impossible).output
    assert not Timer.objects.exists()


def test_what_is_no_time_is_refused_at_the_call(run):
    @orchestrator
    def wrong(context):
        yield context.create_timer(5)

    assert run(wrong).failure_details.error_type == "TypeError"


def test_a_long_timer_is_one_row(client, worker):
    client.start_new(functions.sleeps, "order", 3650)
    worker.run_until_idle()
    assert Timer.objects.count() == 1

    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == "woken"


def test_cancelling_is_possible_once_and_only_before_the_end(client, worker):
    @orchestrator
    def cancels(context):
        timer = context.create_timer(timedelta(days=1))
        results = [timer.is_cancelled, timer.cancel(), timer.is_cancelled, timer.cancel()]
        try:
            yield timer
        except TaskCancelledError:
            results.append("raised")
        past = context.create_timer(timedelta(0))
        yield past
        return [*results, past.cancel(), past.is_cancelled]

    client.start_new(cancels, "order")

    assert worker.run_until_ended("order").output == [False, True, True, False, "raised", False, False]
    assert not Timer.objects.filter(task_id=1).exclude(state="Cancelled").exists()
    assert HistoryEvent.objects.filter(type="TimerFired", task_id=1).count() == 0


def test_missed_timers_fire_once_in_due_order(client, worker):
    @orchestrator
    def three_timers(context):
        timers = {days: context.create_timer(timedelta(days=days)) for days in (3, 1, 2)}
        seen = []
        while timers:
            winner = yield context.task_any(list(timers.values()))
            seen.append(next(days for days, timer in timers.items() if timer is winner))
            del timers[seen[-1]]
        return seen

    client.start_new(three_timers, "order")
    worker.run_until_idle()
    for timer in Timer.objects.all():  # no worker ran for ten days
        Timer.objects.filter(pk=timer.pk).update(due_at=timer.due_at - timedelta(days=10))

    assert worker.run_until_ended("order").output == [1, 2, 3]
    assert HistoryEvent.objects.filter(type="TimerFired").count() == 3


def test_the_timer_of_an_ended_or_replaced_execution_is_dropped(client, worker):
    client.start_new(functions.sleeps, "ended", 1)
    client.start_new(functions.sleeps, "replaced", 1)
    worker.run_until_idle()
    client.terminate("ended")
    client.start_new(functions.sleeps, "replaced", 2, on_duplicate="terminate")
    worker.run_until_idle()
    for instance_id in ("ended", "replaced"):
        worker.skip_timers(instance_id)

    worker.run_until_idle()

    assert HistoryEvent.objects.filter(instance__instance_id="ended", type="TimerFired").count() == 0
    assert HistoryEvent.objects.filter(instance__instance_id="replaced", type="TimerFired").count() == 1


def test_a_timer_that_fires_while_suspended_is_delivered_on_resuming(client, worker):
    client.start_new(functions.sleeps, "order", 1)
    worker.run_until_idle()
    client.suspend("order")
    worker.run_until_idle()
    worker.skip_timers("order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Suspended"

    client.resume("order")

    assert worker.run_until_ended("order").output == "woken"


def test_the_clock_stands_between_two_waits_and_never_runs_backwards(client, worker, monkeypatch):
    """The database's clock jumps back an hour between any two episodes."""
    runtime = worker.runtime
    honest = runtime._clock.now
    jumps = iter(range(1_000_000))
    monkeypatch.setattr(runtime._clock, "now", lambda: honest() - timedelta(hours=next(jumps) % 2))

    @orchestrator
    def looks_at_the_clock(context):
        seen = []
        for number in range(6):
            before = context.current_utc_datetime
            yield context.call_activity(functions.work, number)
            seen += [before, context.current_utc_datetime]
        return [moment.isoformat() for moment in seen]

    client.start_new(looks_at_the_clock, "order")
    seen = worker.run_until_ended("order").output

    assert seen == sorted(seen)
    timestamps = list(HistoryEvent.objects.order_by("sequence").values_list("timestamp", flat=True))
    assert timestamps == sorted(timestamps)


@pytest.mark.parametrize("width", [1, 1_000, 20_000])
def test_a_turn_may_be_as_wide_as_the_limit_of_actions(client, worker, width):
    @orchestrator
    def wide(context):
        yield context.task_all([context.create_timer(timedelta(days=1)) for _ in range(width)])

    client.start_new(wide, "order")
    worker.run_until_idle(timeout_seconds=60)
    assert Timer.objects.filter(state="Pending").count() == width
    assert Instance.objects.get().last_sequence == width + 1

    client.terminate("order")
    worker.run_until_idle(timeout_seconds=60)
    assert not Timer.objects.filter(state="Pending").exists()


def test_a_timer_near_the_end_of_time_survives_a_rewind(client, worker, stage):
    @orchestrator
    def waits_for_ever(context):
        until_the_end = datetime(9999, 12, 31, tzinfo=UTC) - context.current_utc_datetime
        timer = context.create_timer(until_the_end)
        done = yield context.call_activity(functions.work, "x")
        yield context.task_any([timer, context.wait_for_external_event("go")])
        return done

    stage.failing = {"x"}
    client.start_new(waits_for_ever, "order")
    assert worker.run_until_ended("order").runtime_status == "Failed"
    stage.failing.clear()
    HistoryEvent.objects.filter(type="ExecutionCompleted").update(timestamp=datetime.now(UTC) - timedelta(days=30))
    client.rewind("order")
    worker.run_until_idle()

    assert Timer.objects.get(state="Pending").due_at.year == 9999
    client.raise_event("order", "go")
    assert worker.run_until_ended("order").output == "x"


def test_retries_without_an_end_in_sight_go_on(client, worker, stage):
    policy = RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=3, retry_timeout=timedelta.max)

    @orchestrator
    def is_patient(context):
        return (yield context.call_activity(functions.work, "x", retry=policy))

    stage.failing = {"x"}
    client.start_new(is_patient, "order")
    assert worker.run_until_ended("order").runtime_status == "Failed"
    assert stage.runs["x"] == 3
