"""Generators written for azure-functions-durable 1.x, and two-argument ones written for durabletask, run unchanged.

Only the import says where the names come from: ``import orchestrations as df`` for the one, ``as task`` for the other.
"""

from __future__ import annotations

import inspect
import json
import logging
import uuid
from datetime import UTC, datetime, timedelta

import pytest

import orchestrations as df
import orchestrations as task
from orchestrations import OrchestrationContext, activity, entity, orchestrator
from tests.durable_http.conftest import Answer, allow, server, spy
from tests.runtime import functions

__all__ = ["allow", "server", "spy"]

logger = logging.getLogger("tests.compatibility")


@pytest.fixture(autouse=True)
def declared(stage, server, allow):
    """The functions that the orchestrators of these cases call."""
    allow(f"127.0.0.1:{server.port}")

    @activity
    def double(value):
        return 2 * value

    @activity
    def fails_twice(name):
        stage.runs[name] += 1
        if stage.runs[name] < 3:
            raise RuntimeError(f"{name} is not ready")
        return name

    @orchestrator
    def child(context):
        yield context.create_timer(context.current_utc_datetime)
        return [context.parent_instance_id, context.get_input()]

    @orchestrator
    def failing_child(context):
        return (yield context.call_activity("fails_twice", "child"))

    @entity
    def counter(context):
        if context.operation_name == "add":
            context.set_state(context.get_state(lambda: 0) + context.get_input())
        context.set_result(context.get_state(lambda: 0))


def test_a_generator_written_for_azure_functions_durable(client, worker, server):
    server.answers = {"/ping": Answer(200, {}, b"pong")}

    @orchestrator
    def orchestrator_function(context: df.DurableOrchestrationContext):
        seen = {}
        first = context.get_input()
        if first["round"] == 2:
            return first["seen"]

        # Activities, with retries
        retry_options = df.RetryOptions(first_retry_interval_in_milliseconds=1, max_number_of_attempts=3)
        seen["activity"] = yield context.call_activity("double", 21)
        seen["by_name"] = yield context.call_activity(name="double", input_=4)
        seen["retried"] = yield context.call_activity_with_retry("fails_twice", retry_options, "activity")
        seen["retried_by_name"] = yield context.call_activity_with_retry(
            name="double", retry_options=retry_options, input_=1
        )

        # Sub-orchestrations
        seen["child"] = yield context.call_sub_orchestrator("child", {"a": 1}, f"{context.instance_id}-child")
        seen["child_by_name"] = yield context.call_sub_orchestrator(name="child", input_=1, instance_id="second-child")
        seen["child_retried"] = yield context.call_sub_orchestrator_with_retry(
            name="failing_child", retry_options=retry_options, input_=None, instance_id="third-child"
        )

        # HTTP
        response = yield context.call_http("GET", first["url"])
        seen["http"] = [response.status_code, response.content]

        # Fan-out, fan-in
        tasks = [context.call_activity("double", number) for number in range(3)]
        seen["all"] = yield context.task_all(tasks)
        seen["ids"] = len({one.id for one in tasks})
        seen["results"] = [one.result for one in tasks]

        # An event against a timer
        event = context.wait_for_external_event("Approval")
        timeout = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
        winner = yield context.task_any([event, timeout])
        seen["winner_is_event"] = winner == event
        seen["event"] = event.result
        if not timeout.is_completed:
            timeout.cancel()
        seen["timer_cancelled"] = timeout.is_cancelled

        # Entities
        counter = df.EntityId("counter", context.instance_id)
        context.signal_entity(counter, "add", 2)
        seen["entity"] = yield context.call_entity(counter, "add", 3)

        # The rest
        context.set_custom_status({"progress": 90})
        seen["custom_status"] = context.custom_status
        seen["identity"] = [context.instance_id, context.parent_instance_id]
        order_id = "order-" + context.new_uuid()
        seen["uuid"] = [uuid.UUID(order_id.removeprefix("order-")).version, type(context.new_guid()) is uuid.UUID]
        seen["clock"] = context.current_utc_datetime.utcoffset() == timedelta(0)
        seen["replaying"] = isinstance(context.is_replaying, bool)
        seen["histories"] = [entry.name for entry in context.histories][:2]
        seen["function_context"] = vars(context.function_context)
        seen["before"] = context.will_continue_as_new
        context.continue_as_new({"round": 2, "seen": {**seen, "after": context.will_continue_as_new}})

    client.start_new("orchestrator_function", "order", {"round": 1, "url": f"{server.url}/ping"})
    client.raise_event("order", "Approval", {"ok": True})

    assert worker.run_until_ended("order").output == {
        "activity": 42,
        "by_name": 8,
        "retried": "activity",
        "retried_by_name": 2,
        "child": ["order", {"a": 1}],
        "child_by_name": ["order", 1],
        "child_retried": "child",
        "http": [200, "pong"],
        "all": [0, 2, 4],
        "ids": 3,
        "results": [0, 2, 4],
        "winner_is_event": True,
        "event": {"ok": True},
        "timer_cancelled": True,
        "entity": 5,
        "custom_status": {"progress": 90},
        "identity": ["order", None],
        "uuid": [5, True],
        "clock": True,
        "replaying": True,
        "histories": ["double", "double"],
        "function_context": {},
        "before": False,
        "after": False,
    }
    assert client.get_status("order").custom_status == {"progress": 90}


def test_a_two_argument_generator_written_for_durabletask(client, worker, caplog):
    @activity
    def ready(ctx: task.ActivityContext, name: str) -> str:
        assert ctx.orchestration_id == "order"
        assert isinstance(ctx.task_id, int)
        return f"{name} is ready"

    @orchestrator
    def listener(ctx: task.OrchestrationContext, _):
        return (yield ctx.wait_for_external_event("news", data_type=list))

    @orchestrator
    def flow(ctx: task.OrchestrationContext, order: dict):
        log = ctx.create_replay_safe_logger(logger)
        if order["round"] == 2:
            return order["seen"]
        log.info("begun")
        seen = {}

        # Activities, with retries
        policy = task.RetryPolicy(
            first_retry_interval=timedelta(milliseconds=1),
            max_number_of_attempts=3,
            backoff_coefficient=1.0,
            max_retry_interval=timedelta(seconds=1),
            retry_timeout=timedelta(seconds=30),
        )
        seen["activity"] = yield ctx.call_activity(ready, input="tea", tags={"team": "a"}, return_type=str)
        seen["retried"] = yield ctx.call_activity("fails_twice", input="activity", retry_policy=policy)

        # Sub-orchestrations
        seen["child"] = yield ctx.call_sub_orchestrator("child", input=1, instance_id="a-child", return_type=list)
        seen["child_retried"] = yield ctx.call_sub_orchestrator("failing_child", retry_policy=policy)

        # Composition
        tasks = [ctx.call_activity("double", input=number) for number in range(3)]
        seen["all"] = yield task.when_all(tasks)
        seen["complete"] = [tasks[0].is_complete, tasks[0].is_failed, tasks[0].get_result()]
        broken = ctx.call_activity("nobody has this")
        try:
            yield broken
        except task.TaskFailedError as error:
            seen["error"] = [error.details.error_type.rpartition(".")[2], bool(error.details.message)]
            seen["exception"] = broken.get_exception() is error

        # Events and timers
        approval = ctx.wait_for_external_event("approval", data_type=dict)
        winner = yield task.when_any([approval, ctx.create_timer(timedelta(hours=1))])
        seen["event"] = winner.get_result()
        timer = ctx.create_timer(datetime(9999, 1, 1, tzinfo=UTC))
        seen["cancelled"] = [timer.cancel(), timer.is_cancelled, timer.cancel()]
        ctx.send_event("listener", "news", data=[1, 2])

        # Entities
        counter = task.EntityInstanceId("counter", "shared")
        ctx.signal_entity(counter, "add", input=1)
        seen["entity"] = yield ctx.call_entity(counter, "add", input=2, return_type=int)
        with (yield ctx.lock_entities([counter])):
            seen["locked"] = yield ctx.call_entity(counter, "add", 1)

        # The rest
        ctx.set_custom_status(custom_status="almost")
        seen["identity"] = [ctx.instance_id, ctx.parent_instance_id, ctx.version]
        seen["uuid"] = uuid.UUID(ctx.new_uuid()).version
        seen["clock"] = ctx.current_utc_datetime > datetime(2020, 1, 1, tzinfo=UTC)
        log.info("done")
        ctx.continue_as_new({"round": 2, "seen": seen}, save_events=True)

    client.start_new(listener, "listener")
    client.start_new(flow, "order", {"round": 1})
    client.raise_event("order", "Approval", {"ok": True})
    with caplog.at_level(logging.INFO, logger.name):
        ended = worker.run_until_ended("order")

    assert ended.output == {
        "activity": "tea is ready",
        "retried": "activity",
        "child": ["order", 1],
        "child_retried": "child",
        "all": [0, 2, 4],
        "complete": [True, False, 0],
        "error": ["FunctionNotRegistered", True],
        "exception": True,
        "event": {"ok": True},
        "cancelled": [True, True, False],
        "entity": 3,
        "locked": 4,
        "identity": ["order", None, ""],
        "uuid": 5,
        "clock": True,
    }
    assert worker.run_until_ended("listener").output == [1, 2]
    assert [record.message for record in caplog.records if record.name == logger.name] == ["begun", "done"]


V1 = {
    "call_activity": "name, input_",
    "call_activity_with_retry": "name, retry_options, input_",
    "call_sub_orchestrator": "name, input_, instance_id",
    "call_sub_orchestrator_with_retry": "name, retry_options, input_, instance_id",
    "call_http": "method, uri, content, headers, token_source",
    "call_entity": "entityId, operationName, operationInput",
    "create_timer": "fire_at",
    "wait_for_external_event": "name",
    "task_all": "activities",
    "task_any": "activities",
    "set_custom_status": "status",
    "continue_as_new": "input_",
    "get_input": "",
    "new_uuid": "",
    "new_guid": "",
}
CLIENT_V1 = {
    "start_new": "instance_id, client_input",
    "get_status": "instance_id, show_history, show_history_output, show_input",
    "get_status_by": "created_time_from, created_time_to, runtime_status",
    "get_status_all": "",
    "raise_event": "instance_id, event_name, event_data",
    "terminate": "instance_id, reason",
    "suspend": "instance_id, reason",
    "resume": "instance_id, reason",
    "rewind": "instance_id, reason",
    "restart": "instance_id, restart_with_new_instance_id",
    "purge_instance_history": "instance_id",
    "purge_instance_history_by": "created_time_from, created_time_to, runtime_status",
}


@pytest.mark.parametrize(
    ("owner", "method", "names"),
    [
        *((OrchestrationContext, method, names) for method, names in V1.items()),
        *((df.OrchestrationClient, method, names) for method, names in CLIENT_V1.items()),
    ],
)
def test_arguments_have_the_names_and_positions_of_the_1x_package(owner, method, names):
    parameters = inspect.signature(getattr(owner, method)).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    wanted = [name for name in names.split(", ") if name]
    if method == "start_new":
        positional = positional[1:]  # the function itself; the 1.x name of it is a mouthful that nobody writes
    assert positional[: len(wanted)] == wanted


def test_a_payload_that_is_text_is_text(run):
    assert run(functions.calls, ["work", json.dumps({"a": 1})]).output == '{"a": 1}'
