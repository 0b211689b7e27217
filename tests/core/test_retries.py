"""Retry policies: how long to wait, and when to give up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrations.core.errors import TaskFailedError
from orchestrations.core.events import EventType
from orchestrations.core.failures import FailureDetails
from orchestrations.core.retries import RetryOptions, RetryPolicy
from tests.core.cases import done, error, failed, fired, output, run
from tests.core.plain import START


def seconds(number):
    return timedelta(seconds=number)


def policy(**fields):
    return RetryPolicy(**{"first_retry_interval": seconds(2), "max_number_of_attempts": 5, **fields})


class Fatal(Exception):
    is_non_retriable = True


@pytest.mark.parametrize(
    ("fields", "delays"),
    [
        ({}, [2, 2, 2]),
        ({"backoff_coefficient": 3}, [2, 6, 18]),
        ({"backoff_coefficient": 1.5}, [2, 3, 4.5]),
        ({"backoff_coefficient": 3, "max_retry_interval": seconds(10)}, [2, 6, 10]),
        ({"max_retry_interval": seconds(0)}, [0, 0, 0]),
        ({"first_retry_interval": seconds(0), "backoff_coefficient": float("inf")}, [0, 0, 0]),
    ],
)
def test_the_delay_is_first_times_coefficient_to_the_retries_before_up_to_the_cap(fields, delays):
    assert [policy(**fields).delay_before(attempt) for attempt in (2, 3, 4)] == [seconds(delay) for delay in delays]


@pytest.mark.parametrize("coefficient", [2, 10.0, 1e300, float("inf")])
def test_a_patient_policy_never_waits_longer_than_a_year(coefficient):
    patient = policy(backoff_coefficient=coefficient, max_number_of_attempts=10_000)

    assert patient.delay_before(9_999) == timedelta(days=365)


@pytest.mark.parametrize(
    ("fields", "attempt", "now", "cause", "answer"),
    [
        ({}, 5, 0, ValueError(), True),
        ({}, 6, 0, ValueError(), False),
        ({"retry_timeout": seconds(10)}, 2, 9.9, ValueError(), True),
        ({"retry_timeout": seconds(10)}, 2, 10, ValueError(), False),
        ({"retry_timeout": timedelta.max}, 2, 10, ValueError(), True),
        ({"retry_timeout": seconds(0)}, 2, 0, ValueError(), False),
        ({}, 2, 0, Fatal(), False),
        ({"non_retryable": [KeyError]}, 2, 0, KeyError(), False),
        ({"non_retryable": [LookupError]}, 2, 0, KeyError(), False),
        ({"non_retryable": ["KeyError"]}, 2, 0, KeyError(), False),
        ({"non_retryable": [KeyError]}, 2, 0, ValueError(), True),
        ({"handle": lambda error: error.is_caused_by(KeyError)}, 2, 0, KeyError(), True),
        ({"handle": lambda error: error.is_caused_by(KeyError)}, 2, 0, ValueError(), False),
    ],
)
def test_another_attempt_is_allowed_while_nothing_speaks_against_it(fields, attempt, now, cause, answer):
    failure = TaskFailedError("failed", FailureDetails.from_exception(cause))

    assert policy(**fields).allows(attempt, failure, START, START + seconds(now)) is answer


@pytest.mark.parametrize(
    "fields",
    [
        {"first_retry_interval": seconds(-1)},
        {"max_number_of_attempts": 0},
        {"max_number_of_attempts": float("nan")},
        {"backoff_coefficient": 0.9},
        {"backoff_coefficient": float("nan")},
        {"max_retry_interval": seconds(-1)},
        {"retry_timeout": seconds(-1)},
        {"jitter": 1.5},
        {"jitter": float("nan")},
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused(fields):
    with pytest.raises(ValueError, match="must"):
        policy(**fields)


async def asks_somebody(failure):
    return False


def asks_and_waits(failure):
    yield
    return False


@pytest.mark.parametrize(
    "fields",
    [
        {"handle": asks_somebody},
        {"handle": asks_and_waits},
        {"handle": True},
        {"non_retryable": [ValueError("an instance")]},
        {"non_retryable": [int]},
        {"non_retryable": None},
    ],
    ids=["async", "generator", "no function", "an instance", "no exception", "nothing"],
)
def test_what_could_not_decide_at_once_is_refused_before_anything_fails(fields):
    with pytest.raises(TypeError, match="must"):
        policy(**fields)


@pytest.mark.parametrize(
    "given",
    [KeyError, "KeyError", (kind for kind in (OSError, KeyError)), {KeyError}],
    ids=["class", "name", "generator", "set"],
)
def test_types_that_are_not_retried_may_be_given_in_any_form_and_count_each_time(given):
    policy_of_all = policy(non_retryable=given)
    failure = TaskFailedError("failed", FailureDetails.from_exception(KeyError()))

    for attempt in (2, 3):
        assert policy_of_all.allows(attempt, failure, START, START) is False


def test_retry_options_are_a_policy_in_milliseconds():
    options = RetryOptions(1500, 4, 2.0, 60_000, 90_000)

    assert options.first_retry_interval == seconds(1.5)
    assert options.first_retry_interval_in_milliseconds == 1500
    assert (options.max_number_of_attempts, options.backoff_coefficient) == (4, 2.0)
    assert (options.max_retry_interval, options.retry_timeout) == (seconds(60), seconds(90))


@pytest.mark.parametrize("number", [0, 3, 4], ids=["first", "longest", "timeout"])
def test_retry_options_longer_than_any_timedelta_are_refused(number):
    given = [1500, 4, 2.0, 60_000, 90_000]
    given[number] = 10**18

    with pytest.raises(ValueError, match="fewer milliseconds"):
        RetryOptions(*given)


def calling_with(retry):
    def orchestrator(context):
        return (yield context.call_activity_with_retry("a", retry))

    return orchestrator


class Elsewhere:
    """A policy of another library."""

    first_retry_interval = seconds(1)
    max_number_of_attempts = 3


@pytest.mark.parametrize(
    "call",
    [
        lambda context, given: context.call_activity("a", retry=given),
        lambda context, given: context.call_activity_with_retry("a", given),
        lambda context, given: context.call_sub_orchestrator("o", retry_policy=given),
        lambda context, given: context.call_http("GET", "https://shop.example/", retry=given),
    ],
    ids=["activity", "activity of 1.x", "child", "http"],
)
@pytest.mark.parametrize("given", [3, "thrice", seconds(1), Elsewhere(), RetryPolicy], ids=["number", "text", "time",
                         "elsewhere", "class"])  # fmt: skip
def test_what_is_no_policy_is_refused_at_the_call(call, given):
    driver = run(lambda context: (yield call(context, given)))

    assert "retry takes a RetryPolicy or RetryOptions of orchestrations, not" in error(driver).message
    assert error(driver).error_type == "TypeError"
    assert [event.type for event in driver.history if event.task_id] == []


def test_all_attempts_share_the_task_id_and_count_from_one():
    driver = run(calling_with(policy()), failed(1), fired(1, 2), failed(1, attempt=2), fired(1, 3), done(1, 7, 3))

    scheduled = [event for event in driver.history if event.type is EventType.TASK_SCHEDULED]
    assert [(event.task_id, event.attempt) for event in scheduled] == [(1, 1), (1, 2), (1, 3)]
    assert output(driver) == 7


def test_the_retry_timeout_counts_on_the_orchestrations_clock_from_the_first_attempt():
    retry = policy(retry_timeout=seconds(3))  # the failures come 1, 3 seconds after the first dispatch

    driver = run(calling_with(retry), failed(1), fired(1, 2), failed(1, attempt=2))

    assert error(driver).is_caused_by(ValueError)


def test_jitter_takes_off_a_share_that_is_the_same_each_time_and_differs_between_calls():
    jittered = policy(first_retry_interval=seconds(100), jitter=0.5)
    due = [
        run(lambda context: (yield context.task_all([context.call_activity("a", retry=jittered) for _ in range(5)])),
            *(failed(number) for number in range(1, 6))).execution.tasks
        for _ in range(2)
    ]  # fmt: skip
    delays = [[(task.retry_at - START).total_seconds() - 1 - number for number, task in tasks.items()] for tasks in due]

    assert delays[0] == delays[1]
    assert all(50 <= delay <= 100 for delay in delays[0])
    assert len(set(delays[0])) == 5


def test_a_replayed_retry_is_due_when_the_history_says_and_not_when_todays_policy_does():
    driver = run(calling_with(policy(first_retry_interval=seconds(100), jitter=1.0)), failed(1))
    recorded = driver.execution.tasks[1].retry_at
    driver.definition = replace(driver.definition, function=calling_with(policy(first_retry_interval=seconds(1))))

    driver.reload()

    assert driver.execution.tasks[1].retry_at == recorded


def test_a_predicate_that_fails_ends_the_attempts_and_says_why():
    seen = []

    def broken(failure):
        raise ZeroDivisionError("in handle")

    def orchestrator(context):
        try:
            yield context.call_activity("a", retry=policy(handle=broken))
        except TaskFailedError as failure:
            seen.append(failure)

    run(orchestrator, failed(1))

    assert isinstance(seen[0].__cause__, ZeroDivisionError)
    trace = FailureDetails.from_exception(seen[0]).stack_trace
    assert "the retry policy's handle raised ZeroDivisionError: in handle at" in trace
    assert "test_retries.py" in trace


def test_a_predicate_that_exits_ends_the_attempts_and_not_the_worker():
    def exits(failure):
        raise SystemExit

    assert error(run(calling_with(policy(handle=exits)), failed(1))).is_caused_by(ValueError)
