"""Rewind where the code answers a failure with an error of its own, which says nothing of where it comes from."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from orchestrations import DurableHttpResponse, EntityId, RetryPolicy, TaskFailedError, entity, orchestrator
from orchestrations.models import HistoryEvent
from orchestrations.testing import answering_http
from tests.runtime import functions

DAY = timedelta(days=1)
RETRY = RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=2)


class OrderFailed(Exception):
    """An error of the author's, unlike any that the engine knows."""


@pytest.fixture(autouse=True)
def declared(stage):
    """What may fail, and a server that fails with it."""

    @entity
    def fragile(context):
        if "x" in stage.failing:
            raise LookupError("no x")
        context.set_result("x")

    def answer(request):
        if "x" in stage.failing:
            raise ConnectionError("no x")
        return DurableHttpResponse(200, content="x")

    with answering_http(answer):
        yield


CALLS = {
    "activity": lambda context: context.call_activity(functions.work, "x"),
    "retried activity": lambda context: context.call_activity(functions.work, "x", retry=RETRY),
    "child": lambda context: context.call_sub_orchestrator(functions.calls, ["work", "x"]),
    "entity": lambda context: context.call_entity(EntityId("fragile", "a"), "try"),
    "http": lambda context: context.call_http("GET", "https://example.com/"),
}


def looks_at_the_winner(context, call):
    winner = yield context.task_any([call(context), context.create_timer(DAY)])
    if winner.is_failed:
        raise OrderFailed("x could not be done")
    return "done"


def looks_at_the_call(context, call):
    task = call(context)
    yield context.task_any([task, context.create_timer(DAY)])
    assert not task.is_failed, "x could not be done"
    return "done"


def remembers_a_flag(context, call):
    failed = False
    try:
        yield call(context)
    except TaskFailedError:
        failed = True
    if failed:
        raise OrderFailed("x could not be done")
    return "done"


def stumbles_over_it(context, call):
    results = []
    with suppress(TaskFailedError):
        results.append((yield call(context)))
    return results[0] and "done"


def compensates_behind_the_block(context, call):
    problem = None
    try:
        yield call(context)
    except TaskFailedError as error:
        problem = str(error)
    if problem:
        yield context.call_activity(functions.work, "undo")
        raise OrderFailed(f"undone: {problem}")
    return "done"


def compensates_and_says_nothing(context, call):
    failed = False
    try:
        yield call(context)
    except TaskFailedError:
        failed = True
    if failed:
        yield context.call_activity(functions.work, "undo")
        yield context.create_timer(timedelta(0))
        raise OrderFailed("given up")
    return "done"


def raises_a_group(context, call):
    tasks, errors = [call(context), context.call_activity(functions.work, "y")], []
    for task in tasks:
        try:
            yield task
        except TaskFailedError as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("some failed", errors)
    return "done"


def raises_from_none(context, call):
    try:
        yield call(context)
    except TaskFailedError:
        raise OrderFailed("x could not be done") from None
    return "done"


ANSWERS = [
    looks_at_the_winner,
    looks_at_the_call,
    remembers_a_flag,
    stumbles_over_it,
    compensates_behind_the_block,
    compensates_and_says_nothing,
    raises_a_group,
    raises_from_none,
]


class Steps:
    """A generator's steps, to be awaited: the same code in an ``async def``."""

    def __init__(self, steps):
        self.steps = steps

    def __await__(self):
        return (yield from self.steps)


@pytest.fixture
def style():
    """Of the orchestrators."""
    return "generator"


@pytest.fixture
def declare(style):
    """Makes an orchestrator of steps."""

    def declare(steps):
        if style == "async":

            @orchestrator(name="answers")
            async def answers(context, _):
                return await Steps(steps(context))
        else:

            @orchestrator(name="answers")
            def answers(context, _):
                return (yield from steps(context))

    return declare


@pytest.fixture
def rewound(client, worker, stage):
    """Lets it fail, heals everything, and rewinds it once."""

    def rewound(*failing):
        stage.failing = set(failing)
        client.start_new("answers", "order")
        assert worker.run_until_ended("order").runtime_status == "Failed"
        stage.failing.clear()
        client.rewind("order")
        return worker.run_until_ended("order")

    return rewound


@pytest.mark.parametrize(("call", "style"), [*((call, "generator") for call in CALLS), ("activity", "async")])
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__)
def test_what_failed_is_done_again_whatever_the_code_raised(declare, rewound, stage, answer, call):
    declare(lambda context: answer(context, CALLS[call]))

    status = rewound("x")

    assert (status.runtime_status, status.output) == ("Completed", "done")
    assert stage.runs["y"] <= 1


def test_all_that_are_named_are_done_again_at_once(declare, rewound, stage):
    def collects(context):
        problems = []
        for value in ("a", "x", "b", "z"):
            try:
                yield context.call_activity(functions.work, value)
            except TaskFailedError as error:
                problems.append(str(error))
        if problems:
            raise OrderFailed("; ".join(problems))
        return "done"

    declare(collects)

    assert rewound("x", "z").output == "done"
    assert stage.runs["a"] == 1, "it was done before anything failed"


def test_failures_with_nothing_between_them_are_done_again_together(declare, rewound, stage):
    def counts(context):
        failed = 0
        for task in [context.call_activity(functions.work, value) for value in ("x", "a", "z")]:
            try:
                yield task
            except TaskFailedError:
                failed += 1
        if failed:
            raise OrderFailed(f"{failed} failed")
        return "done"

    declare(counts)

    assert rewound("x", "z").output == "done"
    assert stage.runs == {"x": 2, "a": 1, "z": 2}


def test_a_failure_that_was_handled_before_stays_handled(declare, rewound, stage, client):
    def handles_the_first(context):
        try:
            yield context.call_activity(functions.work, "optional")
        except TaskFailedError:
            yield context.call_activity(functions.work, "instead")
        yield context.call_activity(functions.work, "a")
        return (yield from compensates_and_says_nothing(context, CALLS["activity"]))

    declare(handles_the_first)

    assert rewound("optional", "x").output == "done"
    assert stage.runs == {"optional": 1, "instead": 1, "a": 1, "x": 2, "undo": 1}


def test_a_fault_in_the_code_behind_a_handled_failure_takes_nothing_back(declare, client, worker, stage):
    def stumbles(context):
        try:
            yield context.call_activity(functions.work, "optional")
        except TaskFailedError:
            yield context.call_activity(functions.work, "instead")
        if not stage.mended:
            return {}["missing"]
        return "done"

    stage.failing = {"optional"}
    declare(stumbles)
    client.start_new("answers", "order")
    assert worker.run_until_ended("order").runtime_status == "Failed"
    client.rewind("order")
    assert worker.run_until_ended("order").runtime_status == "Failed", "nobody has mended it"
    stage.mended = True
    client.rewind("order")

    assert worker.run_until_ended("order").output == "done"
    assert stage.runs == {"optional": 1, "instead": 1}


# Events that are not what a wait waits for ------------------------------------------------------------------------


def test_an_event_that_did_not_fit_is_put_aside_and_a_corrected_one_taken(declare, client, worker, stage):
    def waits_for_a_number(context):
        yield context.call_activity(functions.work, "before")
        return (yield context.wait_for_external_event("go", data_type=int, timeout=DAY))

    declare(waits_for_a_number)
    client.start_new("answers", "order")
    client.raise_event("order", "go", "a word")
    assert worker.run_until_ended("order").runtime_status == "Failed"
    client.rewind("order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"

    client.raise_event("order", "go", 5)
    assert worker.run_until_ended("order").output == 5
    assert stage.runs == {"before": 1}
    stored = HistoryEvent.objects.filter(type="EventRaised").order_by("execution")
    assert list(stored.values_list("execution", "payload")) == [(1, '"a word"'), (2, "5")]


def test_events_that_fit_keep_their_order_when_one_between_them_did_not(declare, client, worker):
    def waits_for_numbers(context):
        values = []
        while len(values) < 3:
            values.append((yield context.wait_for_external_event("go", data_type=int)))
        return values

    declare(waits_for_numbers)
    client.start_new("answers", "order")
    for value in (1, "a word", 2, 3):
        client.raise_event("order", "go", value)
    assert worker.run_until_ended("order").runtime_status == "Failed"
    client.rewind("order")

    assert worker.run_until_ended("order").output == [1, 2, 3]


def test_an_event_that_the_mended_code_can_read_is_taken_after_all(declare, client, worker, stage):
    def reads_more_once_mended(context):
        kind = str if stage.mended else int
        return (yield context.wait_for_external_event("go", data_type=kind))

    declare(reads_more_once_mended)
    client.start_new("answers", "order")
    client.raise_event("order", "go", "a word")
    assert worker.run_until_ended("order").runtime_status == "Failed"
    stage.mended = True
    client.rewind("order")

    assert worker.run_until_ended("order").output == "a word"


def test_a_misfit_that_the_code_dealt_with_stays_dealt_with(declare, rewound, client, worker, stage):
    def asks_again(context):
        try:
            first = yield context.wait_for_external_event("go", data_type=int)
        except ValueError:
            first = yield context.wait_for_external_event("go", data_type=int)
        return [first, (yield context.call_activity(functions.work, "x"))]

    declare(asks_again)
    stage.failing = {"x"}
    client.start_new("answers", "order")
    client.raise_event("order", "go", "a word")
    client.raise_event("order", "go", 5)
    assert worker.run_until_ended("order").runtime_status == "Failed"
    stage.failing.clear()
    client.rewind("order")

    assert worker.run_until_ended("order").output == [5, "x"]
