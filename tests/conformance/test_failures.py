"""Failures: type, message, traceback and causes survive every step from the activity to whoever asks."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from orchestrations import OrchestrationFailed, TaskFailedError, activity, orchestrator
from orchestrations.models import HistoryEvent, Instance
from tests.runtime import functions


class StockError(LookupError):
    """An error of the author's, with a base class."""


@pytest.fixture(autouse=True)
def declared(stage):
    @activity
    def breaks(value):
        try:
            raise StockError(f"no {value}")
        except StockError as cause:
            raise RuntimeError("could not ship") from cause

    @orchestrator
    def nested(context, depth):
        """Sub-orchestrations down to an activity that breaks."""
        if depth == 0:
            return (yield context.call_activity("breaks", "wool"))
        return (yield context.call_sub_orchestrator("nested", depth - 1))


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_the_chain_survives_any_depth_of_sub_orchestrations(client, worker, depth):
    client.start_new("nested", "order", depth)
    failure = worker.run_until_ended("order").failure_details

    for kind in (StockError, LookupError, RuntimeError, TaskFailedError, "StockError", f"{__name__}.StockError"):
        assert failure.is_caused_by(kind), kind
    assert not failure.is_caused_by(ValueError)
    assert not failure.is_caused_by("Stock")
    chain = []
    while failure is not None:
        chain.append(failure.error_type.rpartition(".")[2])
        failure = failure.inner_failure
    assert chain[-2:] == ["RuntimeError", "StockError"]


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_members_of_a_group_and_properties_survive_any_depth_of_sub_orchestrations(client, worker, depth):
    class CardDeclined(StockError):
        properties = {"code": 51, "limits": [100, 200]}

    @activity
    def breaks_in_parts(value):
        raise ExceptionGroup("two parts", [CardDeclined(value), OSError("no disk")])

    @orchestrator
    def nested_group(context, depth):
        if depth == 0:
            return (yield context.call_activity(breaks_in_parts, "wool"))
        return (yield context.call_sub_orchestrator("nested_group", depth - 1))

    client.start_new(nested_group, "order", depth)
    failure = worker.run_until_ended("order").failure_details

    for kind in (StockError, LookupError, OSError, "CardDeclined", ExceptionGroup):
        assert failure.is_caused_by(kind), kind
    declined = next(one for one in failure.all_failures() if one.error_type.endswith("CardDeclined"))
    assert declined.properties == {"code": 51, "limits": [100, 200]}


def test_the_traceback_shows_the_authors_line(client, worker):
    client.start_new("nested", "order", 1)
    failure = worker.run_until_ended("order").failure_details

    innermost = failure
    while innermost.inner_failure is not None:
        innermost = innermost.inner_failure
    assert 'raise StockError(f"no {value}")' in innermost.stack_trace
    assert innermost.message == "no wool"


def test_the_code_sees_what_it_catches(client, worker):
    @orchestrator
    def catches(context):
        try:
            yield context.call_sub_orchestrator("nested", 2)
        except TaskFailedError as error:
            return [error.is_caused_by(StockError), error.is_caused_by(OSError), error.details.message]

    client.start_new(catches, "order")

    caught, other, message = worker.run_until_ended("order").output
    assert (caught, other) == (True, False)
    assert "could not ship" in message


def test_compensation_runs_and_finally_runs_on_failure(client, worker, stage):
    @orchestrator
    def saga(context):
        yield context.call_activity(functions.work, "reserve")
        try:
            yield context.call_activity("breaks", "wool")
        except TaskFailedError:
            yield context.call_activity(functions.work, "release")
            raise
        finally:
            yield context.call_activity(functions.work, "close")

    client.start_new(saga, "order")

    assert worker.run_until_ended("order").runtime_status == "Failed"
    assert stage.runs == {"reserve": 1, "release": 1, "close": 1}


def test_an_error_of_the_code_itself_fails_the_instance_with_its_line(run):
    @orchestrator
    def divides(context):
        yield context.call_activity(functions.work, 1)
        return 1 / 0

    status = run(divides, None, "order")

    assert status.runtime_status == "Failed"
    assert status.output == "division by zero"
    assert "return 1 / 0" in status.failure_details.stack_trace
    assert Instance.objects.get().error == "ZeroDivisionError: division by zero"
    with pytest.raises(OrchestrationFailed, match="division by zero"):
        status.raise_if_failed()


class Unspeakable(Exception):
    """An error whose own code fails wherever it is asked."""

    def __str__(self):
        raise SystemExit

    def __bool__(self):
        raise KeyError("x")


@pytest.mark.parametrize("name", ["breaks_unspeakably", "breaks_unspeakably_async"])
def test_an_error_that_can_not_be_read_is_a_failure_at_once_like_any_other(client, worker, name):
    """And the thread that ran it, and the worker that advanced the orchestrator, go on."""

    @activity
    def breaks_unspeakably(value):
        raise ValueError(value) from Unspeakable()

    @activity
    async def breaks_unspeakably_async(value):
        raise ValueError(value) from Unspeakable()

    @orchestrator
    def passes_on(context, name):
        try:
            yield context.call_activity(name, "wool")
        except TaskFailedError as error:
            assert error.is_caused_by(Unspeakable)
            raise Unspeakable from error

    client.start_new(passes_on, "order", name)
    failure = worker.run_until_ended("order").failure_details

    chain = [one.error_type.rpartition(".")[2] for one in failure.all_failures()]
    assert chain == ["Unspeakable", "TaskFailedError", "ValueError", "Unspeakable"]
    assert failure.message == "<Unspeakable whose __str__ raised SystemExit>"


def test_an_event_whose_type_exits_fails_the_wait_and_not_the_worker(client, worker):
    @dataclass
    class Parcel:
        weight: int

        def __post_init__(self):
            raise SystemExit("too heavy")

    @orchestrator
    def takes_a_parcel(context):
        try:
            yield context.wait_for_external_event("parcel", data_type=Parcel)
        except SystemExit as error:
            return str(error)

    client.start_new(takes_a_parcel, "order")
    client.raise_event("order", "parcel", {"weight": 1})

    assert worker.run_until_ended("order").output == "too heavy"


def test_a_result_that_is_no_json_fails_the_call_with_its_type(run):
    @activity
    def gives_a_socket(value):
        return object()

    @orchestrator
    def asks(context):
        return (yield context.call_activity(gives_a_socket, 1))

    failure = run(asks).failure_details

    assert failure.is_caused_by("PayloadRejected")
    assert "gives_a_socket" in failure.message
    assert "object" in failure.message


def test_an_input_that_is_no_json_is_refused_at_the_call(run, stage):
    @orchestrator
    def sends(context):
        try:
            yield context.call_activity(functions.work, {1, 2, object()})
        except ValueError as error:
            return type(error).__name__

    assert run(sends).output == "PayloadRejected"
    assert not stage.runs


def test_an_output_that_is_no_json_fails_the_instance(run):
    @orchestrator
    def returns(context):
        yield context.task_all([])
        return object()

    assert run(returns).failure_details.is_caused_by("PayloadRejected")


def test_a_custom_status_that_is_too_long_raises_in_the_code(run):
    @orchestrator
    def boasts(context):
        try:
            context.set_custom_status("x" * 8_192)  # two bytes each, and the quotes
        except ValueError as error:
            context.set_custom_status("x" * 8_190)
            yield context.task_all([])
            return str(error)

    status = run(boasts)
    assert "16384 are allowed" in status.output
    assert len(status.custom_status) == 8_190


def test_a_setting_says_how_long_a_custom_status_may_be(settings, run):
    settings.DURABLE = {**settings.DURABLE, "CUSTOM_STATUS_BYTES": 20}

    @orchestrator
    def reports(context, status):
        context.set_custom_status(status)
        return (yield context.call_activity(functions.work, "done"))

    assert run(reports, "12345678").custom_status == "12345678"
    failure = run(reports, "123456789").failure_details
    assert failure.is_caused_by(ValueError) and "22 bytes, and 20 are allowed" in failure.message


def test_a_failed_task_is_in_the_history_with_its_details(client, worker):
    client.start_new("nested", "order", 0)
    worker.run_until_ended("order")

    details = json.loads(HistoryEvent.objects.get(type="TaskFailed").payload)
    assert details["errorType"] == "RuntimeError"
    assert details["innerFailure"]["errorType"] == f"{__name__}.StockError"
    assert details["isNonRetriable"] is False


def test_status_and_history_agree_whenever_one_looks(client, worker):
    """A reader that looks between any two turns sees a status that the last event of the history bears out."""
    client.start_new(functions.chain, "order", 5)
    seen = []
    while not seen or seen[-1][0] not in ("Completed", "Failed"):
        worker.runtime.turn()
        status = client.get_status("order")
        last = HistoryEvent.objects.order_by("-sequence").first()
        seen.append((str(status.runtime_status), 0 if last is None else last.sequence))
        if last is not None:
            assert (last.type == "ExecutionCompleted") is status.is_terminal
            assert Instance.objects.get().last_sequence == last.sequence

    assert [sequence for _, sequence in seen] == sorted(sequence for _, sequence in seen)
    assert seen[-1][0] == "Completed"


def test_failures_of_one_kind_can_be_found(client, worker):
    for instance_id, depth in (("order-1", 0), ("order-2", 0), ("order-3", 1)):
        client.start_new("nested", instance_id, depth)
        worker.run_until_ended(instance_id)

    found = Instance.objects.filter(status="Failed", parent=None).order_by("pk")
    kinds = {instance.error_fingerprint for instance in found}
    assert found.count() == 3
    assert len(kinds) == 1
    assert "" not in kinds
