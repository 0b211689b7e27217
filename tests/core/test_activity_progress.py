"""What an attempt told of its progress reaches the next one, and results given by hand end a call at any time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations.core.actions import CancelTimer, CreateTimer, ScheduleTask
from orchestrations.core.events import EventType
from orchestrations.core.retries import RetryPolicy
from orchestrations.core.status import RuntimeStatus
from tests.core.plain import Driver

PATIENT = RetryPolicy(first_retry_interval=timedelta(minutes=1), max_number_of_attempts=3)


def calls(context):
    first = yield context.call_activity("work", 1, retry=PATIENT, heartbeat_timeout=30)
    second = yield context.call_activity("work", first)
    return [first, second]


@pytest.fixture
def driver() -> Driver:
    driver = Driver(calls)
    driver.start()
    return driver


def by_hand(driver: Driver, attempt: int, payload: str = '"by hand"'):
    return driver.event(EventType.TASK_COMPLETED, 1, attempt=attempt, payload=payload, attributes={"by_hand": True})


def fired(driver: Driver, attempt: int):
    return driver.event(EventType.TIMER_FIRED, 1, attempt=attempt)


def tell_and_fail(driver: Driver, attempt: int, details: str):
    event = driver.failed(1, attempt=attempt)
    event.attributes["heartbeat_details"] = details
    return driver.feed(event)


@pytest.mark.parametrize("reloads", [False, True])
def test_each_attempt_is_scheduled_with_what_the_one_before_told(driver, reloads):
    given = []
    for attempt in (1, 2):
        tell_and_fail(driver, attempt, f'{{"page":{attempt}}}')
        if reloads:
            driver.reload()
        [action] = driver.feed(fired(driver, attempt + 1)).actions
        given.append((action.attempt, action.heartbeat_details, action.heartbeat_timeout_seconds))

    assert given == [(2, '{"page":1}', 30.0), (3, '{"page":2}', 30.0)]
    scheduled = [event for event in driver.history if event.type is EventType.TASK_SCHEDULED]
    assert [event.attributes.get("heartbeat_details") for event in scheduled] == [None, '{"page":1}', '{"page":2}']
    driver.reload()


def test_an_attempt_that_told_nothing_leaves_nothing(driver):
    tell_and_fail(driver, 1, "1")
    driver.feed(fired(driver, 2))
    driver.feed(driver.failed(1, attempt=2))

    [action] = driver.feed(fired(driver, 3)).actions
    assert action.heartbeat_details is None


@pytest.mark.parametrize("reloads", [False, True])
def test_a_result_given_by_hand_between_two_attempts_ends_the_call_and_its_timer(driver, reloads):
    [timer] = tell_and_fail(driver, 1, "1").actions
    assert isinstance(timer, CreateTimer)
    if reloads:
        driver.reload()

    cancel, schedule = driver.feed(by_hand(driver, 2)).actions
    assert cancel == CancelTimer(1, 2)
    assert isinstance(schedule, ScheduleTask)
    assert driver.feed(fired(driver, 2)).events == [], "the timer that came too late"
    driver.reload()
    driver.feed(driver.completed(2, 5))
    assert driver.execution.status is RuntimeStatus.COMPLETED


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_it_ends_the_attempt_that_runs_whatever_its_number(driver, attempt):
    assert driver.feed(by_hand(driver, attempt)).actions[-1].task_id == 2
    assert driver.feed(by_hand(driver, attempt)).events == [], "once"
    assert driver.feed(driver.completed(1, 9)).events == [], "the late result of the run"


def test_a_result_that_is_not_given_by_hand_must_be_of_the_present_attempt(driver):
    tell_and_fail(driver, 1, "1")

    assert driver.feed(driver.completed(1, 9, attempt=1)).events == []
    assert driver.feed(driver.completed(1, 9, attempt=2)).events == []


def test_a_result_given_by_hand_while_suspended_is_taken_on_resume(driver):
    driver.feed(driver.event(EventType.EXECUTION_SUSPENDED))
    assert driver.feed(by_hand(driver, 1)).actions == []
    assert driver.feed(driver.completed(1, 9)).events == [], "the call has its end"

    [action] = driver.feed(driver.event(EventType.EXECUTION_RESUMED)).actions
    assert action.input == '"by hand"'
    driver.reload()
