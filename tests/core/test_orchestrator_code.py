"""The author's code: every shape that it may have, every way in which it may end, and what it may rely on."""

from __future__ import annotations

import logging
import time
import traceback
import uuid
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from orchestrations.core.entity_ids import EntityId
from orchestrations.core.errors import NonDeterminismError, OrchestrationStateError, TaskFailedError
from orchestrations.core.events import EventType
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.interruptions import EpisodeTimeout
from orchestrations.core.status import RuntimeStatus
from orchestrations.limits import CUSTOM_STATUS_BYTES
from tests.core.cases import done, error, failed, fired, in_words, output, raised, rewound, run, started
from tests.core.plain import START, Driver

# Shapes -----------------------------------------------------------------------------------------------------------


def test_a_plain_function_completes_with_its_return_value():
    assert output(run(lambda context: context.instance_id)) == "i1"


def test_a_plain_function_that_raises_stop_iteration_fails():
    assert error(run(lambda context: next(iter([])))).error_type == "StopIteration"


def test_a_generator_may_delegate_to_helper_generators():
    def twice(context, value):
        first = yield context.call_activity("double", value)
        return (yield context.call_activity("double", first))

    def orchestrator(context):
        return (yield from twice(context, 1)) + (yield from twice(context, 2))

    assert output(run(orchestrator, done(1, 2), done(2, 4), done(3, 4), done(4, 8))) == 12


def test_an_async_orchestrator_awaits_tasks_and_helper_coroutines():
    async def twice(context, value):
        first = await context.call_activity("double", value)
        return await context.call_activity("double", first)

    async def orchestrator(context):
        try:
            return await twice(context, 1)
        except TaskFailedError as failure:
            return failure.details.message

    assert output(run(orchestrator, done(1, 2), done(2, 4))) == 4
    assert output(run(orchestrator, done(1, 2), failed(2, ValueError("broken")))) == "broken"


def test_the_input_is_the_second_parameter_and_get_input():
    def orchestrator(context, value):
        assert context.get_input() == value
        return (yield context.call_activity("a", value["n"]))

    driver = run(orchestrator, input={"n": 3})

    assert [in_words(action) for action in driver.episodes[0].actions] == ["schedule a#1(3)"]


def test_an_input_that_can_not_be_decoded_fails_the_instance():
    driver = Driver(lambda context, value: value, takes_input=True)
    driver.facts = InstanceFacts("i1", "orchestrator", input="{")
    driver.reload()
    driver.start()

    assert error(driver).is_caused_by("JSONDecodeError")


# Ways to end ------------------------------------------------------------------------------------------------------


class Broken(Exception):
    """Even its properties fail."""

    def __str__(self):
        raise ValueError("no text")

    @property
    def details(self):
        raise ValueError("no details")


class Odd(BaseException):
    """Not an Exception."""


class WorkerStops(SystemExit):
    """How a worker process is told to stop."""


@pytest.mark.parametrize(
    "raises",
    [ValueError("v"), SystemExit(3), GeneratorExit(), Odd(), EpisodeTimeout(), Broken(), StopIteration()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("kind", ["plain", "generator", "async"])
def test_whatever_the_code_raises_fails_the_instance(raises, kind):
    def plain(context):
        raise raises

    def generator(context):
        yield context.task_all([])
        raise raises

    async def coroutine(context):
        await context.task_all([])
        raise raises

    driver = run({"plain": plain, "generator": generator, "async": coroutine}[kind])

    assert driver.execution.status is RuntimeStatus.FAILED
    assert error(driver).is_caused_by(type(raises).__name__)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, WorkerStops])
def test_the_process_can_still_be_told_to_stop(stop):
    def orchestrator(context):
        yield context.task_all([])
        raise stop

    with pytest.raises(stop):
        run(orchestrator)


def test_a_result_that_can_not_be_encoded_fails_the_instance():
    assert error(run(lambda context: object())).error_type == "TypeError"


def test_a_result_that_can_not_be_decoded_fails_the_task_without_another_attempt(retry_thrice):
    def orchestrator(context):
        try:
            yield context.call_activity("a", retry=retry_thrice)
        except TaskFailedError as failure:
            return failure.details.error_type

    broken = done(1)
    broken.payload = "{"

    assert output(run(orchestrator, broken)) == "json.decoder.JSONDecodeError"


@pytest.mark.parametrize("value", [None, 5, [1, 2], "task", object()], ids=lambda value: type(value).__name__)
def test_waiting_for_what_is_no_task_raises_in_the_code_at_that_line(value):
    def orchestrator(context):
        yield value

    failure = error(run(orchestrator))

    assert failure.summary.startswith(f"TypeError: The orchestrator waited for {type(value).__name__!r}, which is not")
    assert "yield value" in failure.stack_trace


@pytest.mark.parametrize(
    "wait",
    [
        lambda context, task: task,
        lambda context, task: context.task_all([context.create_timer(timedelta(1)), task]),
        lambda context, task: context.task_any([context.task_all([]), context.create_timer(timedelta(1)), task]),
    ],
    ids=["itself", "in task_all", "in task_any"],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda context: context.call_activity("a"),
        lambda context: context.call_sub_orchestrator("o"),
        lambda context: context.create_timer(timedelta(1)),
        lambda context: context.wait_for_external_event("go"),
        lambda context: context.call_http("GET", "https://shop.example/"),
        lambda context: context.call_entity(EntityId("counter", "a"), "get"),
        lambda context: context.lock_entities([EntityId("counter", "a")]),
        lambda context: context.task_all([context.call_activity("a")]),
    ],
    ids=["activity", "child", "timer", "event", "http", "entity", "lock", "group"],
)
def test_waiting_for_a_task_of_another_execution_raises_in_the_code(make, wait):
    kept = []

    def keeps(context):
        kept.append(make(context))
        yield kept[0]

    def takes(context):
        try:
            yield wait(context, kept[0])
        except OrchestrationStateError as refusal:
            return str(refusal)

    run(keeps)

    assert "belongs to another execution" in output(run(takes))


def test_waiting_for_what_is_no_task_may_be_survived():
    def orchestrator(context):
        try:
            yield 1
        except TypeError:
            return (yield context.call_activity("a"))

    assert output(run(orchestrator, done(1, "on we go"))) == "on we go"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python's own word on such code
def test_a_bare_except_in_a_loop_can_not_hold_up_the_engine():
    def stubborn(context):
        while True:
            try:
                yield context.call_activity("a")
            except BaseException:  # noqa: S112
                continue

    driver = run(stubborn)
    driver.execution.discard()

    assert driver.execution.is_discarded


def test_code_that_is_discarded_decides_and_logs_nothing(caplog):
    def orchestrator(context):
        logger = context.create_replay_safe_logger(logging.getLogger("orders"))
        try:
            yield context.call_activity("a")
        finally:
            logger.warning("left")
            yield context.call_activity("clean up")

    driver = run(orchestrator)
    driver.execution.discard()

    assert driver.execution.take_actions() == []
    assert caplog.records == []


def test_code_that_no_longer_fits_is_let_go_as_silently(caplog):
    def orchestrator(context):
        logger = context.create_replay_safe_logger(logging.getLogger("orders"))
        try:
            yield context.call_activity("a")
        finally:
            logger.warning("left")
            yield context.call_activity("clean up")

    driver = run(orchestrator)
    driver.history[1].name = "b"
    with pytest.raises(NonDeterminismError):
        driver.reload()

    assert caplog.records == []


def test_an_execution_that_was_discarded_takes_no_events():
    driver = run(lambda context: (yield context.call_activity("a")))
    driver.execution.discard()

    with pytest.raises(OrchestrationStateError):
        driver.feed(driver.stamp(done(1)))


def test_too_many_actions_fail_the_instance(monkeypatch):
    monkeypatch.setattr("orchestrations.core.execution.EPISODE_ACTIONS", 10)

    def orchestrator(context):
        yield context.task_all([context.call_activity("a") for _ in range(11)])

    assert "more than 10 actions" in error(run(orchestrator)).message


def test_too_long_a_history_fails_the_instance_and_says_so_on_every_replay(monkeypatch):
    monkeypatch.setattr("orchestrations.core.execution.HISTORY_EVENTS", 5)

    def orchestrator(context):
        while True:
            yield context.call_activity("a")

    driver = run(orchestrator, done(1), done(2), done(3))
    driver.reload()

    assert error(driver).summary.startswith("HistoryLimitExceeded: The execution passed 5 events.")


# What code may rely on --------------------------------------------------------------------------------------------


def test_the_clock_stands_still_between_waits_and_is_the_same_on_replay():
    seen = []

    def orchestrator(context):
        seen.append((context.current_utc_datetime, context.current_utc_datetime))
        yield context.create_timer(timedelta(seconds=10))
        seen.append((context.current_utc_datetime, context.current_utc_datetime))

    driver = run(orchestrator, fired(1))
    driver.reload()

    first, second = START + timedelta(seconds=1), START + timedelta(seconds=2)
    assert seen == [(first, first), (second, second)] * 2


def test_the_clock_never_runs_backwards():
    def orchestrator(context):
        times = [context.current_utc_datetime]
        for number in range(2):
            yield context.call_activity("a", number)
            times.append(context.current_utc_datetime)
        return [time.isoformat() for time in times]

    driver = run(orchestrator)
    early = done(1)
    early.timestamp = datetime(2020, 1, 1, tzinfo=UTC)
    driver.feed(early)
    driver.feed(driver.stamp(done(2)))

    times = output(driver)
    assert times == sorted(times)
    assert [event.timestamp for event in driver.history] == sorted(event.timestamp for event in driver.history)


def test_uuids_are_those_of_durable_task_and_the_same_on_replay():
    made = []

    def orchestrator(context):
        made.append([context.new_uuid(), context.new_guid()])
        yield context.call_activity("a")
        made[-1].append(context.new_uuid())

    driver = run(orchestrator, done(1))
    driver.reload()

    namespace = uuid.uuid5(uuid.NAMESPACE_OID, "9e952958-5e33-4daf-827f-2fa12937b875")
    times = ("2026-01-01T00:00:01.000000Z", "2026-01-01T00:00:01.000000Z", "2026-01-01T00:00:02.000000Z")
    first, second, third = (uuid.uuid5(namespace, f"i1_{time}_{number}") for number, time in enumerate(times))
    assert made == [[str(first), second, str(third)]] * 2


def test_uuids_of_a_later_generation_differ_from_the_first_ones_at_the_same_moment():
    made = []

    def orchestrator(context):
        made.append(context.new_uuid())

    for generation in (1, 2, 2):
        driver = Driver(orchestrator)
        driver.feed(driver.event(EventType.EXECUTION_STARTED, attributes={"generation": generation}))

    assert made[0] != made[1] == made[2]


def test_a_replay_safe_logger_logs_each_line_once(caplog):
    caplog.set_level(logging.INFO, "orders")

    def orchestrator(context):
        logger = context.create_replay_safe_logger(logging.getLogger("orders"))
        logger.info("begun %s", 1, extra={"order": 7})
        yield context.call_activity("a")
        logger.info("done")

    driver = run(orchestrator)
    driver.reload()
    driver.feed(driver.stamp(done(1)))
    driver.reload()

    assert [record.getMessage() for record in caplog.records] == ["begun 1", "done"]
    assert {record.instance_id for record in caplog.records} == {"i1"}
    assert caplog.records[0].order == 7
    assert caplog.records[0].funcName == "orchestrator"


def test_is_replaying_is_true_for_what_is_recorded_and_false_for_what_is_new():
    seen = []

    def orchestrator(context):
        seen.append(context.is_replaying)
        yield context.call_activity("a")
        seen.append(context.is_replaying)

    driver = run(orchestrator)
    driver.reload()
    driver.feed(driver.stamp(done(1)))

    assert seen == [False, True, False]


def test_the_context_tells_what_the_instance_is():
    def orchestrator(context):
        facts = [context.name, context.version, context.parent_instance_id, dict(context.tags), context.custom_status]
        context.set_custom_status([1])
        return [*facts, context.custom_status, context.will_continue_as_new]

    driver = Driver(orchestrator)
    driver.facts = InstanceFacts("i1", "ship", "2", parent_instance_id="p", tags={"k": "v"})
    driver.reload()
    driver.start()

    assert output(driver) == ["ship", "2", "p", {"k": "v"}, None, [1], False]


def test_a_replay_sees_what_the_history_says_of_the_instance_and_not_what_its_row_says_now():
    seen = []

    def orchestrator(context):
        seen.append([context.parent_instance_id, dict(context.tags), context.custom_status])
        context.set_custom_status("mine")
        yield context.call_activity("a")

    driver = Driver(orchestrator)
    known = {"parent": "p", "tags": {"k": "v"}}
    driver.feed(driver.event(EventType.EXECUTION_STARTED, payload='"inherited"', attributes=known))
    driver.facts = InstanceFacts("i1", driver.facts.name, tags={"k": "changed"})
    driver.reload()

    assert seen == [["p", {"k": "v"}, "inherited"]] * 2


def test_the_last_custom_status_wins_and_replay_finds_it_again():
    def orchestrator(context):
        context.set_custom_status("first")
        context.set_custom_status({"step": 2})
        yield context.call_activity("a")
        context.set_custom_status(None)

    driver = run(orchestrator)
    assert driver.execution.custom_status == '{"step": 2}'
    driver.reload()
    assert driver.execution.custom_status == '{"step": 2}'
    driver.feed(driver.stamp(done(1)))
    assert driver.execution.custom_status is None


def test_a_custom_status_over_the_limit_raises_in_the_code():
    def orchestrator(context, length):
        context.set_custom_status("x" * length)

    longest = CUSTOM_STATUS_BYTES // 2 - len('""')

    assert output(run(orchestrator, input=longest)) is None
    assert error(run(orchestrator, input=longest + 1)).error_type == "ValueError"


def test_a_later_generation_gives_its_children_other_ids():
    def orchestrator(context):
        yield context.call_sub_orchestrator("c")

    driver = Driver(orchestrator)
    driver.facts = InstanceFacts("i1", "o", execution=3)
    driver.reload()
    start = started()
    start.attributes["generation"] = 2
    driver.feed(driver.stamp(start))

    assert driver.execution.tasks[1].child_id == "i1:2.0001"


def test_a_child_id_that_would_be_too_long_is_a_digest():
    def orchestrator(context):
        yield context.call_sub_orchestrator("c")

    driver = Driver(orchestrator)
    driver.facts = InstanceFacts("i" * 255, "o")
    driver.reload()
    driver.start()

    assert len(driver.execution.tasks[1].child_id) == 32


def test_a_scheduled_activity_points_to_the_event_that_holds_its_input():
    def orchestrator(context):
        yield context.task_all([context.call_activity("a", number) for number in range(3)])

    driver = run(orchestrator)

    for action in driver.episodes[0].actions:
        assert driver.history[action.sequence - 1].payload == action.input


def test_an_error_that_is_raised_again_and_again_gathers_no_frames():
    def orchestrator(context):
        task = context.call_activity("a")
        yield context.task_any([task])
        depths = []
        for _ in range(3):
            try:
                task.get_result()
            except TaskFailedError as failure:
                depths.append(len(traceback.extract_tb(failure.__traceback__)))
        return depths

    depths = output(run(orchestrator, failed(1)))
    assert len(set(depths)) == 1


class Nowhere(tzinfo):
    """A time zone that knows no offset: Python takes what is in it for naive."""

    def utcoffset(self, moment):
        return None


@pytest.mark.parametrize("zone", [None, Nowhere()], ids=["no zone", "a zone without an offset"])
def test_a_naive_timer_is_utc_wherever_the_worker_runs(monkeypatch, zone):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        driver = run(lambda context: (yield context.create_timer(datetime(2026, 1, 1, tzinfo=zone))))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert driver.execution.tasks[1].due_at == START


def test_a_rewind_message_does_nothing_to_code_that_waits():
    driver = run(lambda context: (yield context.wait_for_external_event("e")), rewound(), raised("e", 1))

    assert output(driver) == 1


def test_tasks_answer_to_the_names_of_both_python_sdks():
    def orchestrator(context):
        task = context.call_activity("a")
        unfinished = [task.is_completed, task.is_complete, task.is_failed, task.state.value, task.result]
        with pytest.raises(ValueError, match="has not completed"):
            task.get_result()
        with pytest.raises(ValueError, match="has not failed"):
            task.get_exception()
        yield context.task_any([task])
        with pytest.raises(TaskFailedError) as raised_here:
            task.get_result()
        assert task.get_exception() is raised_here.value
        return [unfinished, [task.is_completed, task.is_complete, task.is_failed, task.state.value]]

    driver = run(orchestrator, failed(1))

    assert output(driver) == [[False, False, False, "running", None], [True, True, True, "failed"]]
