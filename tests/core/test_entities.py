"""One batch of an entity: operations in order, rollback of each alone, and who may pass while it is locked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrations.core.actions import CreateSubOrchestration, DeliverEvent
from orchestrations.core.entities import (
    CALLERS_KEPT,
    BatchLimits,
    EntityBatch,
    EntityLock,
    EntityStanding,
    decode_callers,
    encode_callers,
    run_batch,
)
from orchestrations.core.entity_ids import EntityId, EntityInstanceId
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.failures import FailureDetails
from tests.core.plain import START, PlainFunctions

COUNTER = EntityId("counter", "a")
OTHER = EntityId("counter", "b")


class Code:
    """Runs a function of the context as the authoring layer would."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def execute(self, context, operation) -> str | None:
        returned = self.function(context)
        value = operation.result if returned is None else returned
        return None if value is None else json.dumps(value)


def counter(context) -> Any:
    """add, get, fail, forget, tell and start, as short as can be."""
    value = context.get_state(lambda: 0)
    match context.operation_name:
        case "add":
            context.set_state(value + context.get_input())
        case "fail":
            context.set_state(-1)
            context.signal_entity(OTHER, "add", 1)
            raise ValueError("no")
        case "forget":
            context.destruct_on_exit()
        case "tell":
            context.signal_entity(OTHER, "add", context.get_input(), START + timedelta(hours=1))
        case "start":
            return context.schedule_new_orchestration("report", value)
    return value if context.operation_name == "get" else None


# Messages -----------------------------------------------------------------------------------------------------------


def signal(name: str, value: object = None, **attributes: object) -> HistoryEvent:
    return HistoryEvent(EventType.ENTITY_SIGNALED, START, None, name, json.dumps(value), attributes=attributes)


def call(name: str, value: object = None, lock: str | None = None, task_id: int = 7) -> HistoryEvent:
    attributes = {"owner": "order", "request_id": f"r{task_id}", "lock": lock}
    return HistoryEvent(EventType.ENTITY_CALLED, START, task_id, name, json.dumps(value), attributes=attributes)


def lock(request_id: str, *entities: str, owner: str = "order") -> HistoryEvent:
    attributes = {"owner": owner, "request_id": request_id, "entities": list(entities or ["@counter@a"])}
    return HistoryEvent(EventType.ENTITY_LOCK_REQUESTED, START, 3, attributes=attributes)


def unlock(request_id: str, *entities: str) -> HistoryEvent:
    attributes = {"request_id": request_id, "entities": list(entities or ["@counter@a"])}
    return HistoryEvent(EventType.ENTITY_UNLOCK_SENT, START, attributes=attributes)


def run(
    *messages: HistoryEvent,
    state: str | None = None,
    held: str | None = None,
    backlog: int = 0,
    limits: BatchLimits | None = None,
    function: Callable[[Any], Any] = counter,
) -> EntityBatch:
    standing = EntityStanding(COUNTER, state, EntityLock("order", held) if held else None, backlog)
    return run_batch(Code(function), PlainFunctions(), standing, messages, START, "seed", limits)


def sent(batch: EntityBatch) -> list[str]:
    """What goes out, in words."""
    return [
        f"{action.event.type} {action.event.name or ''}={action.event.payload or ''} to {action.instance_id}"
        for action in batch.actions
        if isinstance(action, DeliverEvent)
    ]


# Operations ---------------------------------------------------------------------------------------------------------


def test_operations_run_in_order_and_each_sees_the_state_before_it():
    batch = run(signal("add", 2), signal("add", 3), call("get"))

    assert batch.standing.state == "5"
    assert batch.taken == [0, 1, 2]
    assert sent(batch) == ["EntityOperationCompleted get=5 to order"]
    [answer] = batch.actions
    assert (answer.event.task_id, answer.event.attributes) == (7, {"request_id": "r7"})


def test_a_failed_operation_changes_and_sends_nothing_and_the_next_one_runs():
    batch = run(signal("add", 2), signal("fail"), signal("add", 3), call("fail"), signal("add", 1))

    assert batch.standing.state == "6"
    [answer] = batch.actions
    assert (answer.instance_id, answer.event.type) == ("order", EventType.ENTITY_FAILED)
    details = FailureDetails.from_json(json.loads(answer.event.payload))
    assert (details.error_type, details.message) == ("ValueError", "no")
    assert [name for name, _ in batch.failures] == ["fail", "fail"]


def test_whose_operations_were_carried_out_last_is_kept_in_their_order():
    batch = run(signal("add", 1, by="ada"), signal("fail"), call("get"), lock("r1"), signal("add", 1, owner="late"))

    callers = batch.standing.callers
    assert [(one.name, one.operation, one.is_call, one.is_instance) for one in callers] == [
        ("ada", "add", False, False),
        ("", "fail", False, False),
        ("order", "get", True, True),
    ]
    assert {one.at for one in callers} == {START.isoformat()}
    assert decode_callers(encode_callers(callers)) == callers

    standing = replace(batch.standing, lock=None)
    messages = [signal("add", 1, by=str(number)) for number in range(CALLERS_KEPT - 1)]
    kept = run_batch(Code(counter), PlainFunctions(), standing, messages, START, "seed").standing.callers
    assert [one.name for one in kept] == ["order", *map(str, range(CALLERS_KEPT - 1))]


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit(), BaseException("odd")])
def test_whatever_an_operation_raises_is_its_own_failure(error):
    def broken(context):
        if context.operation_name == "break":
            raise error
        context.set_state(1)

    assert run(signal("break"), signal("add"), function=broken).standing.state == "1"


def test_a_keyboard_interrupt_is_for_the_process():
    def interrupted(context):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(signal("add"), function=interrupted)


@pytest.mark.parametrize("value", [0, "", [], False, {}])
def test_a_falsy_state_is_a_state(value):
    batch = run(signal("set"), function=lambda context: context.set_state(value))

    assert batch.standing.state == json.dumps(value)


@pytest.mark.parametrize(
    "function", [lambda context: context.set_state(None), lambda context: context.destruct_on_exit()]
)
def test_no_state_means_deleted_and_the_next_operation_begins_anew(function):
    assert run(signal("x"), state="5", function=function).standing.state is None
    assert run(signal("add", 5), signal("forget"), signal("add", 1), state="9").standing.state == "1"


def test_what_an_operation_sends_goes_out_in_its_order():
    batch = run(signal("tell", 1), call("get"), signal("tell", 2))

    assert sent(batch) == [
        "EntityOperationSignaled add=1 to @counter@b",
        "EntityOperationCompleted get=0 to order",
        "EntityOperationSignaled add=2 to @counter@b",
    ]
    assert batch.actions[0].visible_at == START + timedelta(hours=1)


def test_an_operation_starts_orchestrations_under_ids_of_their_own():
    batch = run(signal("start"), call("start"))

    started = [action for action in batch.actions if isinstance(action, CreateSubOrchestration)]
    assert len({action.instance_id for action in started}) == 2
    assert all(action.fire_and_forget and action.name == "report" for action in started)
    again = run(signal("start"), call("start"))
    assert [action.instance_id for action in again.actions if isinstance(action, CreateSubOrchestration)] == [
        action.instance_id for action in started
    ]


def test_a_context_answers_to_both_sets_of_names():
    seen = {}

    def look(context):
        seen.update(
            v1=(context.entity_name, context.entity_key, context.operation_name, context.is_newly_constructed),
            durabletask=(context.entity_id, context.operation, context.orchestration_id),
            states=(
                context.get_state(),
                context.get_state(int, 4),
                context.get_state(lambda: 5),
                context.get_state(dict),
            ),
            input=context.get_input(),
            now=context.current_utc_datetime,
        )
        context.set_result("from set_result")

    batch = run(call("look", "x"), function=look)

    assert seen == {
        "v1": ("counter", "a", "look", True),
        "durabletask": (COUNTER, "look", "order"),
        "states": (None, 4, 5, None),
        "input": "x",
        "now": START,
    }
    assert sent(batch) == ['EntityOperationCompleted look="from set_result" to order']


# Limits -------------------------------------------------------------------------------------------------------------


def test_a_batch_ends_with_the_operation_after_which_there_is_no_time():
    batch = run(signal("add", 1), signal("add", 1), limits=BatchLimits(has_time=lambda: False))

    assert (batch.standing.state, batch.taken, batch.deferred) == ("1", [0], [])


def test_a_poisonous_operation_fails_unrun():
    limits = BatchLimits(has_time=lambda: False, poison=RuntimeError("deadly"))

    batch = run(call("add", 1), signal("add", 1), limits=limits)

    assert (batch.standing.state, batch.taken) == (None, [0])
    assert sent(batch)[0].startswith("EntityOperationFailed add=")


# Locks --------------------------------------------------------------------------------------------------------------


def test_a_lock_is_granted_and_others_wait_until_it_is_released():
    batch = run(lock("r"), signal("add", 1), call("add", 5, lock="r"), lock("s"), unlock("r"), call("get", task_id=8))

    assert batch.standing.state == "6"
    assert batch.taken == [0, 2, 4, 1, 3]
    assert batch.deferred == [5]
    assert batch.standing.lock == EntityLock("order", "s")
    assert sent(batch) == [
        "EntityLockGranted = to order",
        "EntityOperationCompleted add= to order",
        "EntityLockGranted = to order",
    ]


def test_a_request_goes_through_all_entities_that_it_names():
    batch = run(lock("r", "@counter@a", "@counter@b"))

    [action] = batch.actions
    assert (action.instance_id, action.event.type) == ("@counter@b", EventType.ENTITY_LOCK_REQUESTED)
    assert action.event.attributes == {"owner": "order", "request_id": "r", "entities": ["@counter@b"]}
    assert batch.standing.lock == EntityLock("order", "r")


def test_what_was_deferred_earlier_comes_before_what_came_later():
    batch = run(unlock("r"), signal("add", 1), held="r", backlog=2)

    assert (batch.reveals, batch.taken, batch.deferred) == (True, [0], [])
    assert (batch.standing.lock, batch.standing.backlog, batch.standing.state) == (None, 0, None)


def test_what_is_deferred_in_the_batch_of_a_release_waits_behind_what_was_deferred_earlier():
    batch = run(signal("add", 1), unlock("r"), held="r", backlog=1)

    assert (batch.reveals, batch.taken, batch.deferred) == (True, [1], [])


def test_deferred_messages_are_counted():
    assert run(signal("add", 1), lock("s"), held="r", backlog=3).standing.backlog == 5


def test_a_withdrawal_takes_a_waiting_request_out_wherever_it_waits():
    here = run(lock("s"), unlock("s"), held="r")
    before = run(unlock("s"), held="r", backlog=1)
    nowhere = run(unlock("s"), held="r")

    assert (here.taken, here.deferred, here.withdrawn) == ([1, 0], [], [])
    assert (before.taken, before.withdrawn) == ([0], ["s"])
    assert (nowhere.taken, nowhere.withdrawn) == ([0], [])
    assert here.standing.lock == before.standing.lock == EntityLock("order", "r")


def test_a_withdrawal_follows_the_way_of_its_request():
    batch = run(unlock("r", "@counter@a", "@counter@b", "@counter@c"), held="r")

    [action] = batch.actions
    assert (action.instance_id, action.event.type) == ("@counter@b", EventType.ENTITY_UNLOCK_SENT)
    assert action.event.attributes == {"request_id": "r", "entities": ["@counter@b", "@counter@c"]}


def test_only_the_request_that_holds_the_lock_releases_it():
    batch = run(unlock("earlier"), held="r")

    assert batch.standing.lock == EntityLock("order", "r")


# Ids ----------------------------------------------------------------------------------------------------------------


def test_names_ignore_case_and_keys_do_not():
    assert EntityId("Counter", "A") == EntityId("counter", "A") != EntityId("counter", "a")
    assert str(EntityId("Counter", "A")) == "@counter@A"
    assert EntityInstanceId(entity="Counter", key="A") == EntityId("counter", "A")
    assert len({EntityId("COUNTER", "x"), EntityId("counter", "x")}) == 1


@pytest.mark.parametrize(("name", "key"), [("counter", "a"), ("counter", ""), ("counter", "ann@example.com")])
def test_an_id_is_read_as_it_is_written(name, key):
    entity_id = EntityId(name, key)

    assert EntityId.parse(str(entity_id)) == entity_id == EntityId.from_json(entity_id.to_json())


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("", "a"),
        (" ", "a"),
        ("a@b", "c"),
        ("a/b", "c"),
        ("a", "b/c"),
        ("a", "b\x00"),
        ("a" * 300, ""),
        ("\u0130" * 200, ""),  # in lower case it has twice as many characters
        ("a", "b" * 255),
    ],
)
def test_an_id_that_can_not_be_stored_or_read_back_is_refused(name, key):
    with pytest.raises(ValueError, match="entity id"):
        EntityId(name, key)


@pytest.mark.parametrize("text", ["", "counter", "counter@a", "@counter", "@@a", "x@counter@a"])
def test_text_that_is_no_id_is_refused(text):
    with pytest.raises(ValueError, match="entity id"):
        EntityId.parse(text)
