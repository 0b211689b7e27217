"""Retries: how often, how long between, and what ends them, on the orchestration's clock."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from orchestrations import RetryOptions, RetryPolicy, orchestrator
from orchestrations.models import HistoryEvent, Timer
from tests.runtime import functions

DAY = timedelta(days=1)


@pytest.fixture
def attempt_all(client, worker):
    """Calls ``work`` with "x" under a policy, skipping the pauses; gives the status and the pauses in days."""

    def attempt_all(policy):
        @orchestrator
        def calls_with_retry(context):
            return (yield context.call_activity(functions.work, "x", retry=policy))

        client.start_new(calls_with_retry, "order")
        worker.run_until_idle()
        while worker.skip_timers("order"):
            worker.run_until_idle()
        created = HistoryEvent.objects.filter(type="TimerCreated").order_by("sequence")
        pauses = [_fire_at(row) - row.timestamp for row in created]
        return client.get_status("order"), [pause / DAY for pause in pauses]

    return attempt_all


def _fire_at(row):
    return datetime.fromisoformat(json.loads(row.attributes)["fire_at"])


@pytest.mark.parametrize(
    ("policy", "pauses"),
    [
        (RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=1), []),
        (RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=3), [1, 1]),
        (RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=4, backoff_coefficient=3), [1, 3, 9]),
        (
            RetryPolicy(
                first_retry_interval=DAY,
                max_number_of_attempts=5,
                backoff_coefficient=2,
                max_retry_interval=3 * DAY,
            ),
            [1, 2, 3, 3],
        ),
        (RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=3), []),
        (RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=9, handle=lambda error: False), []),
        (RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=9, non_retryable=[LookupError]), []),
        (RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=2, non_retryable=["ValueError"]), [1]),
        (RetryOptions(86_400_000, 3), [1, 1]),
    ],
    ids=[
        "one attempt is no retry",
        "the first attempt counts",
        "pauses grow",
        "up to the longest",
        "without a pause there is no timer",
        "a predicate may refuse",
        "a type may be left out",
        "another type is tried again",
        "in the form of azure-functions-durable",
    ],
)
def test_the_pauses_of_a_call_that_always_fails(attempt_all, stage, policy, pauses):
    stage.failing = {"x"}

    status, paused = attempt_all(policy)

    assert status.runtime_status == "Failed"
    assert status.failure_details.is_caused_by(LookupError)
    assert paused == pauses
    expected = policy.max_number_of_attempts if policy.handle is None and policy.non_retryable != (LookupError,) else 1
    assert stage.runs["x"] == expected


def test_jitter_shortens_each_pause_and_is_in_the_history(attempt_all, stage):
    stage.failing = {"x"}

    _, paused = attempt_all(RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=6, jitter=0.5))

    assert len(set(paused)) == 5
    assert all(0.5 <= pause <= 1 for pause in paused)


def test_the_retry_timeout_counts_on_the_orchestrations_clock(client, worker, stage, monkeypatch):
    """The worker stands still for ten days after the call has succeeded; nothing of that makes it fail on replay."""
    stage.failing = {"x"}
    policy = RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=3, retry_timeout=timedelta(hours=1))

    @orchestrator
    def heals(context):
        value = yield context.call_activity(functions.work, "y", retry=policy)
        yield context.wait_for_external_event("go")
        return value

    client.start_new(heals, "order")
    worker.run_until_idle()
    honest = worker.runtime._clock.now
    monkeypatch.setattr(worker.runtime._clock, "now", lambda: honest() + 10 * DAY)
    worker.runtime.cache.clear()
    client.raise_event("order", "go")

    assert worker.run_until_ended("order").output == "y"


def test_once_it_has_passed_there_is_no_other_attempt(client, worker, stage, monkeypatch):
    stage.failing = {"x"}
    policy = RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=9, retry_timeout=timedelta(hours=36))

    @orchestrator
    def patient(context):
        return (yield context.call_activity(functions.work, "x", retry=policy))

    client.start_new(patient, "order")
    worker.run_until_idle()
    honest = worker.runtime._clock.now
    monkeypatch.setattr(worker.runtime._clock, "now", lambda: honest() + timedelta(hours=40))
    worker.skip_timers("order")

    assert worker.run_until_ended("order").runtime_status == "Failed"
    assert stage.runs["x"] == 2


def test_a_retry_that_waits_ends_with_its_instance(client, worker, stage):
    stage.failing = {"x"}
    policy = RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=3)

    @orchestrator
    def waits_to_retry(context):
        return (yield context.call_activity(functions.work, "x", retry=policy))

    client.start_new(waits_to_retry, "order")
    worker.run_until_idle()
    assert "next try" in client._rows("order").get().waiting_for
    client.terminate("order")
    worker.run_until_idle()

    assert set(Timer.objects.values_list("state", flat=True)) == {"Cancelled"}
    assert stage.runs["x"] == 1


def test_another_worker_keeps_the_count(client, make_worker, stage):
    stage.failing = {"x"}
    policy = RetryPolicy(first_retry_interval=DAY, max_number_of_attempts=3)

    @orchestrator
    def counted(context):
        return (yield context.call_activity(functions.work, "x", retry=policy))

    client.start_new(counted, "order")
    for _ in range(3):
        worker = make_worker()
        worker.run_until_idle()
        worker.skip_timers("order")
        worker.stop()

    assert client.get_status("order").runtime_status == "Failed"
    assert stage.runs["x"] == 3
