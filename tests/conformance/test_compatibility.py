"""Generators written for azure-functions-durable 1.x, and two-argument ones written for durabletask, run unchanged.

Only the import says where the names come from: ``import orchestrations as df`` for the one, ``as task`` for the other.
The two flows use every public member of the context and of the tasks of their library, in the releases named below;
the last tests hold the flows to these lists, and every signature to those of the packages.
"""

from __future__ import annotations

import ast
import inspect
import json
import logging
import textwrap
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import orchestrations as df
import orchestrations as task
from orchestrations import OrchestrationContext, activity, entity, orchestrator
from orchestrations.core.context import MISSING
from tests.durable_http.conftest import Answer, allow, server, spy
from tests.runtime import functions

__all__ = ["allow", "server", "spy"]

logger = logging.getLogger("tests.compatibility")

# azure-functions-durable 1.7.0 ------------------------------------------------------------------------------------

V1 = {
    "call_activity": "name, input_=None, expected_type=None",
    "call_activity_with_retry": "name, retry_options, input_=None, expected_type=None",
    "call_sub_orchestrator": "name, input_=None, instance_id=None, version=None, expected_type=None",
    "call_sub_orchestrator_with_retry": "name, retry_options, input_=None, instance_id=None, version=None, "
    "expected_type=None",
    "call_http": "method, uri, content=None, headers=None, token_source=None, is_raw_str=False",
    "call_entity": "entityId, operationName, operationInput=None, expected_type=None",
    "signal_entity": "entityId, operationName, operationInput=None",
    "create_timer": "fire_at",
    "wait_for_external_event": "name, expected_type=None",
    "task_all": "activities",
    "task_any": "activities",
    "set_custom_status": "status",
    "continue_as_new": "input_",
    "get_input": "expected_type=None",
    "new_uuid": "",
    "new_guid": "",
}
V1_PROPERTIES = {
    "custom_status", "current_utc_datetime", "function_context", "histories", "instance_id", "is_replaying",
    "parent_instance_id", "version", "will_continue_as_new",
}  # fmt: skip
V1_TASKS = {"id", "state", "result", "is_completed", "is_cancelled", "cancel"}
V1_CLIENT = {
    "start_new": "orchestration_function_name, instance_id=None, client_input=None, version=None",
    "get_status": "instance_id, show_history=False, show_history_output=False, show_input=False",
    "get_status_by": "created_time_from=None, created_time_to=None, runtime_status=None, instance_id_prefix=None",
    "get_status_all": "",
    "raise_event": "instance_id, event_name, event_data=None",
    "terminate": "instance_id, reason",
    "suspend": "instance_id, reason",
    "resume": "instance_id, reason",
    "rewind": "instance_id, reason",
    "restart": "instance_id, restart_with_new_instance_id=True",
    "purge_instance_history": "instance_id",
    "purge_instance_history_by": "created_time_from=None, created_time_to=None, runtime_status=None",
}

# durabletask 1.12.0 -----------------------------------------------------------------------------------------------

DURABLETASK = {
    "call_activity": "activity, *, input=None, retry_policy=None, tags=None, return_type=None",
    "call_sub_orchestrator": "orchestrator, *, input=None, instance_id=None, retry_policy=None, version=None, "
    "return_type=None",
    "call_entity": "entity, operation, input=None, *, return_type=None",
    "signal_entity": "entity_id, operation_name, input=None, signal_time=None",
    "lock_entities": "entities",
    "create_timer": "fire_at",
    "wait_for_external_event": "name, *, data_type=None",
    "send_event": "instance_id, event_name, *, data=None",
    "set_custom_status": "custom_status",
    "continue_as_new": "new_input, *, save_events=False, new_version=None",
    "new_uuid": "",
    "create_replay_safe_logger": "logger",
}
DURABLETASK_PROPERTIES = {"instance_id", "parent_instance_id", "version", "current_utc_datetime", "is_replaying"}
DURABLETASK_TASKS = {
    "is_complete", "is_failed", "result", "get_result", "get_exception", "is_cancelled", "cancel", "get_tasks",
    "pending_tasks", "get_completed_tasks",
}  # fmt: skip

ALIASES = {
    "name": {"activity", "orchestrator"},
    "entityId": {"entity", "entity_id"},
    "operationName": {"operation"},
    "operation_name": {"operationName"},
    "operationInput": {"input"},
    "operation_input": {"operationInput", "input"},
    "status": {"custom_status"},
    "input_": {"new_input"},
}
"""Arguments of ours that one of the packages calls otherwise; both names can be given."""

OTHER_DEFAULTS = {
    (df.OrchestrationClient, "get_status", "show_input"): True,
    (OrchestrationContext, "continue_as_new", "save_events"): True,
}
"""What differs on purpose; docs/reference/compatibility.md says why."""


@dataclass
class Line:
    """What a case of these tests asks for with an ``expected_type``."""

    item: str
    pieces: int


@pytest.fixture(autouse=True)
def declared(stage, server, allow):
    """The functions that the orchestrators of these cases call."""
    allow(f"127.0.0.1:{server.port}", HTTP_TOKEN_SOURCES={"AzureManagedIdentity": f"{__name__}.give_token"})

    @activity
    def double(value):
        return 2 * value

    @activity
    def lists(value):
        return {"item": value, "pieces": 1}

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

    @orchestrator(name="versioned", version="2")
    def versioned(context):
        return {"item": context.version, "pieces": 2}

    @orchestrator
    def failing_child(context):
        return (yield context.call_activity("fails_twice", "child"))

    @entity
    def counter(context: df.DurableEntityContext):
        if context.operation_name == "add":
            context.set_state(context.get_state(lambda: 0, int) + context.get_input(int))
        context.set_result(context.get_state(lambda: 0))


def give_token(resource: str) -> str:
    return f"a token for {resource}"


def test_a_generator_written_for_azure_functions_durable(client, worker, server):
    server.answers = {"/ping": Answer(200, {}, b"pong")}

    @orchestrator
    def orchestrator_function(context: df.DurableOrchestrationContext):
        seen = {}
        first = context.get_input()
        assert context.get_input(dict) == first
        if first["round"] == 2:
            return first["seen"]

        # Activities, with retries
        retry_options = df.RetryOptions(first_retry_interval_in_milliseconds=1, max_number_of_attempts=3)
        seen["activity"] = yield context.call_activity("double", 21)
        seen["by_name"] = yield context.call_activity(name="double", input_=4)
        seen["typed"] = (yield context.call_activity("lists", "tea", Line)).item
        seen["retried"] = yield context.call_activity_with_retry("fails_twice", retry_options, "activity")
        seen["retried_by_name"] = yield context.call_activity_with_retry(
            name="double", retry_options=retry_options, input_=1
        )
        seen["retried_typed"] = (
            yield context.call_activity_with_retry("lists", retry_options, "milk", expected_type=Line)
        ).item

        # Sub-orchestrations
        seen["child"] = yield context.call_sub_orchestrator("child", {"a": 1}, f"{context.instance_id}-child")
        seen["child_by_name"] = yield context.call_sub_orchestrator(name="child", input_=1, instance_id="second-child")
        seen["child_typed"] = (yield context.call_sub_orchestrator("versioned", None, "third-child", "2", Line)).item
        seen["child_retried"] = yield context.call_sub_orchestrator_with_retry(
            name="failing_child", retry_options=retry_options, input_=None, instance_id="fourth-child"
        )
        seen["child_retried_typed"] = (
            yield context.call_sub_orchestrator_with_retry("versioned", retry_options, None, "fifth-child", "2", Line)
        ).item

        # HTTP
        response = yield context.call_http("GET", first["url"])
        seen["http"] = [response.status_code, response.content]
        token_source = df.ManagedIdentityTokenSource("https://vault.test")
        yield context.call_http("POST", first["url"], {"a": 1}, {"X-Shop": "7"}, token_source)
        yield context.call_http(
            method="PUT", uri=first["url"], content="a text", headers=None, token_source=None, is_raw_str=True
        )
        yield context.call_http("PUT", first["url"], content="a text")

        # Fan-out, fan-in
        tasks = [context.call_activity("double", number) for number in range(3)]
        running = tasks[0].state
        seen["all"] = yield context.task_all(tasks)
        seen["states"] = [running.name, tasks[0].state.name]
        seen["ids"] = len({one.id for one in tasks})
        seen["results"] = [one.result for one in tasks]
        broken = context.call_activity("nobody has this")
        try:
            yield broken
        except Exception as error:
            seen["error"] = "nobody has this" in str(error)
        seen["states"].append(broken.state.name)

        # An event against a timer
        event = context.wait_for_external_event("Approval", Line)
        timeout = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
        winner = yield context.task_any([event, timeout])
        seen["winner_is_event"] = winner == event
        seen["event"] = event.result.item
        if not timeout.is_completed:
            timeout.cancel()
        seen["timer_cancelled"] = timeout.is_cancelled

        # Entities
        counter = df.EntityId("counter", context.instance_id)
        context.signal_entity(counter, "add", 2)
        context.signal_entity(entityId=counter, operationName="add", operationInput=5)
        seen["entity"] = yield context.call_entity(counter, "add", 3)
        seen["entity_typed"] = yield context.call_entity(
            entityId=counter, operationName="add", operationInput=0, expected_type=float
        )

        # The rest
        context.set_custom_status({"progress": 90})
        seen["custom_status"] = context.custom_status
        seen["identity"] = [context.instance_id, context.parent_instance_id, context.version]
        order_id = "order-" + context.new_uuid()
        seen["uuid"] = [uuid.UUID(order_id.removeprefix("order-")).version, type(context.new_guid()) is uuid.UUID]
        seen["clock"] = context.current_utc_datetime.utcoffset() == timedelta(0)
        seen["replaying"] = isinstance(context.is_replaying, bool)
        seen["histories"] = [entry.name for entry in context.histories][:2]
        seen["function_context"] = vars(context.function_context)
        seen["before"] = context.will_continue_as_new
        context.continue_as_new({"round": 2, "seen": seen})
        assert context.will_continue_as_new

    client.start_new(
        orchestration_function_name="orchestrator_function",
        instance_id="order",
        client_input={"round": 1, "url": f"{server.url}/ping"},
    )
    client.raise_event("order", "Approval", {"item": "sugar", "pieces": 3})

    assert worker.run_until_ended("order").output == {
        "activity": 42,
        "by_name": 8,
        "typed": "tea",
        "retried": "activity",
        "retried_by_name": 2,
        "retried_typed": "milk",
        "child": ["order", {"a": 1}],
        "child_by_name": ["order", 1],
        "child_typed": "2",
        "child_retried": "child",
        "child_retried_typed": "2",
        "http": [200, "pong"],
        "all": [0, 2, 4],
        "states": ["RUNNING", "SUCCEEDED", "FAILED"],
        "ids": 3,
        "results": [0, 2, 4],
        "error": True,
        "winner_is_event": True,
        "event": "sugar",
        "timer_cancelled": True,
        "entity": 10,
        "entity_typed": 10.0,
        "custom_status": {"progress": 90},
        "identity": ["order", None, None],
        "uuid": [5, True],
        "clock": True,
        "replaying": True,
        "histories": ["double", "double"],
        "function_context": {},
        "before": False,
    }
    status = client.get_status("order", show_input=True)
    assert status.custom_status == {"progress": 90}
    assert status.runtime_status == df.OrchestrationRuntimeStatus.Completed
    assert status.input_["round"] == 2
    bodies = [(received.body, received.headers.get("x-shop")) for received in server.received]
    assert bodies == [(b"", None), (b'{"a":1}', "7"), (b"a text", None), (b'"a text"', None)]
    assert server.received[1].headers["authorization"] == "Bearer a token for https://vault.test"


def test_an_entity_written_for_azure_functions_durable(client, worker, stage):
    @entity
    def shelf(context: df.DurableEntityContext):
        line = context.get_state(lambda: Line("nothing", 0), Line)
        if context.operation_name == "put":
            line = context.get_input(Line)
            context.set_state(line)
        if context.operation_name == "clear":
            context.destruct_on_exit()
        known = [context.entity_name, context.entity_key, context.is_newly_constructed]
        context.set_result([*known, line.item, context.get_state(expected_type=dict) is not None])

    @orchestrator
    def orchestrator_function(context: df.DurableOrchestrationContext):
        a_shelf = df.EntityId("Shelf", "Top")
        answers = []
        for operation, line in (("look", None), ("put", {"item": "tea", "pieces": 2}), ("look", None), ("clear", None)):
            answers.append((yield context.call_entity(a_shelf, operation, line)))
        return answers

    client.start_new("orchestrator_function", "order")

    assert worker.run_until_ended("order").output == [
        ["shelf", "Top", True, "nothing", False],
        ["shelf", "Top", True, "tea", True],
        ["shelf", "Top", False, "tea", True],
        ["shelf", "Top", False, "tea", True],
    ]
    assert not client.read_entity_state(df.EntityId("shelf", "Top")).entity_exists


def test_a_two_argument_generator_written_for_durabletask(client, worker, caplog):
    @activity
    def ready(ctx: task.ActivityContext, name: str) -> str:
        assert ctx.orchestration_id == "order"
        assert isinstance(ctx.task_id, int)
        return f"{name} is ready"

    @orchestrator
    def listener(ctx: task.OrchestrationContext, _):
        return (yield ctx.wait_for_external_event("news", data_type=list))

    @orchestrator(version="2")
    def flow(ctx: task.OrchestrationContext, order: dict):
        log = ctx.create_replay_safe_logger(logger)
        if order["round"] == 2:
            return {**order["seen"], "new_version": ctx.version}
        log.info("begun")
        seen = {"replaying": [ctx.is_replaying]}

        # Activities, with retries
        policy = task.RetryPolicy(
            first_retry_interval=timedelta(milliseconds=1),
            max_number_of_attempts=3,
            backoff_coefficient=1.0,
            max_retry_interval=timedelta(seconds=1),
            retry_timeout=timedelta(seconds=30),
        )
        seen["activity"] = yield ctx.call_activity(ready, input="tea", tags={"team": "a"}, return_type=str)
        seen["by_name"] = yield ctx.call_activity(activity="double", input=2)
        seen["retried"] = yield ctx.call_activity("fails_twice", input="activity", retry_policy=policy)

        # Sub-orchestrations
        seen["child"] = yield ctx.call_sub_orchestrator("child", input=1, instance_id="a-child", return_type=list)
        seen["child_retried"] = yield ctx.call_sub_orchestrator("failing_child", retry_policy=policy)
        versioned = yield ctx.call_sub_orchestrator(orchestrator="versioned", version="2", return_type=Line)
        seen["child_version"] = versioned.item

        # Composition
        tasks = [ctx.call_activity("double", input=number) for number in range(3)]
        everything = task.when_all(tasks)
        seen["pending"] = [everything.pending_tasks, everything.get_completed_tasks()]
        seen["all"] = yield everything
        seen["pending"] += [everything.pending_tasks, everything.get_completed_tasks()]
        seen["tasks"] = everything.get_tasks() == tasks
        seen["complete"] = [tasks[0].is_complete, tasks[0].is_failed, tasks[0].get_result(), tasks[1].result]
        broken = ctx.call_activity("nobody has this")
        try:
            yield broken
        except task.TaskFailedError as error:
            details = error.details
            seen["error"] = [details.error_type.rpartition(".")[2], bool(details.message), details.stack_trace is None]
            seen["cause"] = details.is_caused_by("FunctionNotRegistered")
            seen["exception"] = broken.get_exception() is error

        # Events and timers
        approval = ctx.wait_for_external_event("approval", data_type=dict)
        winner = yield task.when_any([approval, ctx.create_timer(timedelta(hours=1))])
        seen["event"] = winner.get_result()
        wait = ctx.wait_for_external_event("never")
        seen["wait_cancelled"] = [wait.cancel(), wait.is_cancelled]
        try:
            yield wait
        except task.TaskCancelledError:
            seen["wait_cancelled"].append("raised")
        timer = ctx.create_timer(datetime(9999, 1, 1, tzinfo=UTC))
        seen["cancelled"] = [timer.cancel(), timer.is_cancelled, timer.cancel()]
        ctx.send_event("listener", "news", data=[1, 2])

        # Entities
        counter = task.EntityInstanceId("counter", "shared")
        ctx.signal_entity(counter, "add", input=1)
        ctx.signal_entity(entity_id=counter, operation_name="add", input=1, signal_time=ctx.current_utc_datetime)
        ctx.signal_entity(counter, "add", 90, datetime(9999, 1, 1, tzinfo=UTC))
        yield ctx.call_entity(counter, "get")
        seen["entity"] = yield ctx.call_entity(entity=counter, operation="add", input=2, return_type=int)
        with (yield ctx.lock_entities([counter])):
            seen["locked"] = yield ctx.call_entity(counter, "add", 1)

        # The rest
        ctx.set_custom_status(custom_status="almost")
        seen["identity"] = [ctx.instance_id, ctx.parent_instance_id, ctx.version]
        seen["uuid"] = uuid.UUID(ctx.new_uuid()).version
        seen["clock"] = ctx.current_utc_datetime > datetime(2020, 1, 1, tzinfo=UTC)
        seen["replaying"].append(ctx.is_replaying)
        log.info("done")
        ctx.continue_as_new(new_input={"round": 2, "seen": seen}, save_events=True, new_version="2")

    client.start_new(listener, "listener")
    client.start_new(flow, "order", {"round": 1}, version="")
    client.raise_event("order", "Approval", {"ok": True})
    with caplog.at_level(logging.INFO, logger.name):
        ended = worker.run_until_ended("order")

    replaying = ended.output.pop("replaying")
    assert replaying in ([False, False], [True, False]), "in memory, and replayed for the last episode"
    assert ended.output == {
        "activity": "tea is ready",
        "by_name": 4,
        "retried": "activity",
        "child": ["order", 1],
        "child_retried": "child",
        "child_version": "2",
        "pending": [3, 0, 0, 3],
        "all": [0, 2, 4],
        "tasks": True,
        "complete": [True, False, 0, 2],
        "error": ["FunctionNotRegistered", True, False],
        "cause": True,
        "exception": True,
        "event": {"ok": True},
        "wait_cancelled": [True, True, "raised"],
        "cancelled": [True, True, False],
        "entity": 4,
        "locked": 5,
        "identity": ["order", None, None],
        "uuid": 5,
        "clock": True,
        "new_version": "2",
    }
    assert worker.run_until_ended("listener").output == [1, 2]
    assert [record.message for record in caplog.records if record.name == logger.name] == ["begun", "done"]


def test_an_entity_written_for_durabletask(client, worker):
    @entity
    def till(ctx: task.EntityContext, amount: int):
        if ctx.operation == "sum":
            ctx.set_state(ctx.get_state(int, 0) + amount)
            return ctx.get_state(int)
        state = ctx.get_state(intended_type=int, default=0)
        ctx.signal_entity(task.EntityInstanceId("counter", "shared"), "add", state + amount)
        started = ctx.schedule_new_orchestration("child", ctx.orchestration_id, f"{ctx.entity_id.key}-child")
        return [str(ctx.entity_id), ctx.orchestration_id, started]

    @entity
    class Box(task.DurableEntity):
        def put(self, amount: int) -> int:
            self.set_state(self.get_state(int, 0) + amount)
            self.signal_entity(task.EntityInstanceId("counter", "shared"), "add", amount)
            return self.get_state(int)

    @orchestrator
    def flow(ctx: task.OrchestrationContext, _):
        a_till, box = task.EntityInstanceId("till", "a"), task.EntityInstanceId("Box", "b")
        answers = [(yield ctx.call_entity(a_till, "sum", 5)), (yield ctx.call_entity(a_till, "tell", 1))]
        answers.append((yield ctx.call_entity(box, "put", 3)))
        yield ctx.call_entity(box, "delete")
        return answers

    client.start_new(flow, "order")

    assert worker.run_until_ended("order").output == [5, ["@till@a", "order", "a-child"], 3]
    worker.run_until_idle()
    assert client.get_status("a-child").output == [None, "order"]
    assert client.read_entity_state(task.EntityInstanceId("counter", "shared")).entity_state == 9
    assert not client.read_entity_state(task.EntityInstanceId("box", "b")).entity_exists


def test_a_generator_whose_annotations_are_those_of_durabletask(client, worker):
    @activity
    def ready(ctx: task.ActivityContext, name: str) -> str:
        return f"{name} is ready"

    @orchestrator
    def flow(ctx: task.OrchestrationContext, name: str) -> Generator[task.Task[Any], Any, list[str]]:
        tasks: list[task.Task[str]] = [ctx.call_activity(ready, input=name)]
        return (yield task.when_all(tasks))

    client.start_new(flow, "order", "tea")

    assert worker.run_until_ended("order").output == ["tea is ready"]


def attributes_used(test: Callable[..., None], of: str | None = None) -> set[str]:
    """The attributes that a test reads, of the variable of that name or of anything."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(test)))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {node.attr for node in found if of is None or (isinstance(node.value, ast.Name) and node.value.id == of)}


def test_the_flows_use_every_member_of_the_contexts_and_tasks():
    v1 = test_a_generator_written_for_azure_functions_durable
    durabletask = test_a_two_argument_generator_written_for_durabletask

    assert {*V1, *V1_PROPERTIES} - attributes_used(v1, "context") == set()
    assert attributes_used(v1) >= V1_TASKS
    assert {*DURABLETASK, *DURABLETASK_PROPERTIES} - attributes_used(durabletask, "ctx") == set()
    assert attributes_used(durabletask) >= DURABLETASK_TASKS


def read(signature: str) -> list[inspect.Parameter]:
    """The parameters of a literal signature."""
    function: dict[str, Callable[..., None]] = {}
    exec(f"def function({signature}): ...", function)  # noqa: S102 (of the literals above)
    return list(inspect.signature(function["function"]).parameters.values())


SIGNATURES = [
    *((OrchestrationContext, method, signature) for method, signature in V1.items()),
    *((OrchestrationContext, method, signature) for method, signature in DURABLETASK.items()),
    *((df.OrchestrationClient, method, signature) for method, signature in V1_CLIENT.items()),
]


@pytest.mark.parametrize(("owner", "method", "signature"), SIGNATURES)
def test_arguments_have_the_names_positions_and_defaults_of_both_packages(owner, method, signature):
    ours = inspect.signature(getattr(owner, method))
    theirs = read(signature)
    ours.bind(None, **{parameter.name: None for parameter in theirs})
    by_position = list(ours.parameters.values())[1:]
    for place, parameter in enumerate(theirs):
        same = [ours.parameters[parameter.name]]
        if parameter.kind is not parameter.KEYWORD_ONLY:
            same.append(by_position[place])
            assert parameter.name in (same[-1].name, *ALIASES.get(same[-1].name, ()))
            assert same[-1].kind is parameter.POSITIONAL_OR_KEYWORD
        if parameter.default is not parameter.empty:
            wanted = OTHER_DEFAULTS.get((owner, method, parameter.name), parameter.default)
            assert all(own.default in (wanted, MISSING) for own in same)


def test_a_payload_that_is_text_is_text(run):
    assert run(functions.calls, ["work", json.dumps({"a": 1})]).output == '{"a": 1}'
