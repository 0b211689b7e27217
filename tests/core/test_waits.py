"""What an instance is said to wait for."""

from __future__ import annotations

from datetime import timedelta

from orchestrations.core.events import EventType
from orchestrations.core.retries import RetryPolicy
from orchestrations.core.waits import SHOWN, describe_waits, event_waits, sentence
from tests.core.cases import done, failed, fired, raised, resumed, run, suspended, terminated

TEN = timedelta(seconds=10)


def said(driver):
    return sentence(driver.execution, describe_waits(driver.execution))


def test_an_activity_is_named_with_its_attempt_and_next_try():
    retry = RetryPolicy(first_retry_interval=TEN, max_number_of_attempts=3)
    orchestrator = lambda context: (yield context.call_activity("charge", retry=retry))  # noqa: E731

    assert said(run(orchestrator)) == "activity charge"
    assert said(run(orchestrator, failed(1))) == "activity charge, attempt 2 of 3, next try 2026-01-01T00:00:12+00:00"
    assert said(run(orchestrator, failed(1), fired(1, 2))) == "activity charge, attempt 2 of 3"


def test_a_wait_has_all_that_a_page_shows():
    driver = run(lambda context: (yield context.wait_for_external_event("go", timeout=TEN, title="Approve\x00 it")))

    assert describe_waits(driver.execution) == [
        {
            "kind": "ExternalEvent",
            "name": "go",
            "task_id": 1,
            "since": "2026-01-01T00:00:01+00:00",
            "due_at": "2026-01-01T00:00:11+00:00",
            "attempt": 1,
            "max_attempts": None,
            "instance_id": None,
            "title": "Approve  it",
        }
    ]
    assert said(driver) == "Approve  it (due 2026-01-01T00:00:11+00:00)"


def test_an_event_without_a_title_is_named_and_without_a_timeout_has_no_deadline():
    assert said(run(lambda context: (yield context.wait_for_external_event("go")))) == "event go"
    driver = run(lambda context: (yield context.wait_for_external_event("go", timeout=TEN)))
    assert said(driver) == "event go (due 2026-01-01T00:00:11+00:00)"


def test_children_and_timers_are_described():
    driver = run(
        lambda context: (yield context.task_all([context.call_sub_orchestrator("ship"), context.create_timer(TEN)]))
    )

    child, timer = describe_waits(driver.execution)
    assert (child["kind"], child["instance_id"]) == ("SubOrchestration", "i1:0001")
    assert (timer["kind"], timer["due_at"]) == ("Timer", "2026-01-01T00:00:11+00:00")
    assert said(driver) == "sub-orchestration ship and 1 more"


def test_the_sentence_names_a_persons_answer_before_the_timer_beside_it():
    def orchestrator(context):
        yield context.task_any([context.create_timer(TEN), context.wait_for_external_event("go")])

    assert said(run(orchestrator)) == "event go and 1 more"


def test_a_large_fan_out_is_counted():
    driver = run(lambda context: (yield context.task_all([context.call_activity("a") for _ in range(1000)])), done(1))

    waits = describe_waits(driver.execution)
    assert len(waits) == SHOWN + 1
    assert waits[-1] == {"kind": "More", "count": 999 - SHOWN}
    assert said(driver) == "activity a and 998 more"


def test_a_task_that_is_awaited_twice_is_listed_once():
    def orchestrator(context):
        task = context.call_activity("a")
        yield context.task_all([task, context.task_any([task])])

    assert len(describe_waits(run(orchestrator).execution)) == 1


def test_describing_waits_does_not_count_as_the_code_looking_at_them():
    def orchestrator(context):
        both = context.task_all([context.wait_for_external_event("e"), context.call_activity("a")])
        yield context.task_any([both, context.create_timer(TEN)])
        context.continue_as_new(0)

    driver = run(orchestrator, raised("e", 1))
    describe_waits(driver.execution)
    driver.feed(driver.stamp(fired(2)))

    assert [event.payload for event in driver.execution.completion.carried_events] == ["1"]


def test_a_suspended_instance_says_who_suspended_it_and_why():
    def orchestrator(context):
        yield context.call_activity("a")

    assert said(run(orchestrator, suspended("month end"))) == "suspended by ann: month end"
    assert said(run(orchestrator, suspended("month end"), resumed())) == "activity a"


def test_an_instance_that_has_ended_waits_for_nothing():
    driver = run(lambda context: (yield context.wait_for_external_event("e")), terminated("x"))

    assert (said(driver), describe_waits(driver.execution), event_waits(driver.execution)) == ("", [], [])


def test_the_open_event_waits_are_those_that_would_take_an_event():
    def orchestrator(context):
        kept = context.wait_for_external_event("kept")
        while True:
            asked = context.wait_for_external_event("asked", timeout=TEN)
            yield context.task_any([asked, kept, context.create_timer(TEN)])

    driver = run(orchestrator, fired(2))

    assert [(wait.id, wait.name) for wait in event_waits(driver.execution)] == [(1, "kept"), (3, "asked")]


def test_the_line_at_which_it_waits_is_the_innermost_that_the_author_wrote():
    def helper(context):
        yield context.call_activity("a")

    def generator(context):
        yield from helper(context)

    async def async_helper(context):
        await context.call_activity("a")

    async def coroutine(context):
        await async_helper(context)

    for orchestrator, innermost in ((generator, helper), (coroutine, async_helper)):
        location = run(orchestrator).execution.location
        assert location.function == innermost.__qualname__
        assert location.file == __file__
        assert location.line == innermost.__code__.co_firstlineno + 1


def test_history_names_each_event_as_durable_task_does():
    def orchestrator(context):
        yield context.task_all([context.call_activity("a"), context.create_timer(TEN)])

    driver = run(orchestrator, done(1), fired(2))

    assert [event.type for event in driver.history] == [
        EventType.EXECUTION_STARTED,
        EventType.TASK_SCHEDULED,
        EventType.TIMER_CREATED,
        EventType.TASK_COMPLETED,
        EventType.TIMER_FIRED,
        EventType.EXECUTION_COMPLETED,
    ]
    assert [event.sequence for event in driver.history] == [1, 2, 3, 4, 5, 6]
