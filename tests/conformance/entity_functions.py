"""Entities and orchestrators of these cases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from orchestrations import (
    DurableEntity,
    EntityContext,
    EntityId,
    OrchestrationContext,
    TaskFailedError,
    entity,
    orchestrator,
)
from orchestrations.authoring.registry import registry
from tests.runtime import functions


class Switches:
    """What the tests change while the functions stay."""

    def __init__(self) -> None:
        self.broken = False
        self.seen: list[object] = []


switches = Switches()


def purse(key: str) -> EntityId:
    return EntityId("purse", key)


with registry.preserved():

    @entity
    def counter(context: EntityContext) -> Any:
        """In the form of azure-functions-durable 1.x."""
        value = context.get_state(lambda: 0)
        match context.operation_name:
            case "add":
                context.set_state(value + context.get_input())
            case "get":
                context.set_result(value)
            case "reset":
                context.destruct_on_exit()
            case "fail":
                context.set_state(-1)
                context.signal_entity(EntityId("counter", "told"), "add", 1)
                raise ValueError("not so")
            case "relay":
                context.signal_entity(EntityId("counter", context.get_input()), "add", 1)
            case "start":
                context.set_result(context.schedule_new_orchestration(functions.chain, 0))
            case "hang":
                while True:
                    pass
            case operation:
                raise NotImplementedError(operation)
        return None

    @entity(name="Purse")
    class Purse(DurableEntity):
        """In the form of the durabletask SDK."""

        def deposit(self, amount: int) -> int:
            self.set_state(self.get_state(int, 0) + amount)
            return self.get_state(int)

        def withdraw(self, amount: int) -> int:
            balance = self.get_state(int, 0)
            if amount > balance:
                raise ValueError(f"{balance} is less than {amount}")
            self.set_state(balance - amount)
            return balance - amount

        def balance(self) -> int:
            return self.get_state(int, 0)

    @entity
    @dataclass
    class Basket:
        """Its attributes are its state."""

        items: dict[str, int] = field(default_factory=dict)

        def put(self, item: str) -> None:
            self.items[item] = self.items.get(item, 0) + 1

        def size(self, context: EntityContext) -> tuple[str, int]:
            return context.entity_key, sum(self.items.values())

    @orchestrator
    def call(context: OrchestrationContext, given: list[Any]) -> Any:
        """Call each in turn: [entity, operation, input]."""
        results = []
        for entity_id, operation, value in given:
            try:
                results.append((yield context.call_entity(EntityId.parse(entity_id), operation, value)))
            except TaskFailedError as error:
                results.append([error.details.error_type, error.details.message, str(error)])
        return results

    @orchestrator
    async def transfer(context: OrchestrationContext, given: list[Any]) -> int:
        source, target, amount = given
        async with await context.lock_entities([purse(source), purse(target)]):
            await context.call_entity(purse(source), "withdraw", amount)
            balance: int = await context.call_entity(purse(target), "deposit", amount, return_type=int)
        return balance

    @orchestrator
    def hold(context: OrchestrationContext, keys: list[str]) -> Any:
        """Holds accounts until it is told to go on, then does what it is told."""
        with (yield context.lock_entities([purse(key) for key in keys])):
            context.set_custom_status("holding")
            told = yield context.wait_for_external_event("go")
            if told == "fail":
                raise RuntimeError("told to fail")
            if told == "continue":
                context.continue_as_new([])
                yield context.create_timer(timedelta(days=1))
            return (yield context.call_entity(purse(keys[0]), "balance"))

    @orchestrator
    def hold_and_work(context: OrchestrationContext, key: str) -> Any:
        """Fails inside its critical section as long as the activity does."""
        with (yield context.lock_entities([purse(key)])):
            before = yield context.call_entity(purse(key), "deposit", 1)
            yield context.call_activity(functions.work, "held")
            after = yield context.call_entity(purse(key), "deposit", 10)
        return [before, after]

    @orchestrator
    def entities_beside(context: OrchestrationContext, count: int) -> Any:
        """Signals and calls, and an activity that may fail beside them."""
        context.signal_entity(EntityId("counter", "a"), "add", 1)
        calls = [context.call_entity(EntityId("counter", "a"), "add", 1) for _ in range(count)]
        yield context.task_all([*calls, context.call_activity(functions.work, "beside")])
        return (yield context.call_entity(EntityId("counter", "a"), "get"))

    @orchestrator
    def signal_many(context: OrchestrationContext, given: list[Any]) -> None:
        """Signals in rounds, so that several commits of one sender must keep their order."""
        sender, rounds = given
        for number in range(rounds):
            context.signal_entity(EntityId("log", "a"), "append", [sender, number])
            yield context.create_timer(timedelta(0))

    @entity
    def log(context: EntityContext, entry: Any) -> None:
        context.set_state([*context.get_state(list, []), entry])

    @orchestrator
    def mend(context: OrchestrationContext, given: object) -> Any:
        """Fails in its own code inside the section until it is mended."""
        with (yield context.lock_entities([purse("m")])):
            balance = yield context.call_entity(purse("m"), "deposit", 5)
            if switches.broken:
                raise LookupError("a defect")
        return (yield context.call_entity(purse("m"), "deposit", balance))

    @orchestrator
    def retry_call(context: OrchestrationContext, amount: int) -> Any:
        """Fails with the operation that it calls."""
        return (yield context.call_entity(purse("r"), "withdraw", amount))

    @orchestrator
    def call_beside(context: OrchestrationContext, key: str) -> Any:
        """Fails with its activity while its call of an entity is under way."""
        call = context.call_entity(purse(key), "deposit", 4)
        yield context.call_activity(functions.work, "beside")
        return (yield call)

    @orchestrator
    def break_rule(context: OrchestrationContext, rule: str) -> str:
        a, b = purse("a"), purse("b")
        if rule == "nothing to lock":
            yield context.lock_entities([])
        request = context.lock_entities([a])
        if rule == "before the grant":
            yield context.call_entity(a, "balance")
        with (yield request):
            if rule == "nested":
                yield context.lock_entities([b])
            elif rule == "other":
                yield context.call_entity(b, "balance")
            elif rule == "parallel":
                yield context.task_all([context.call_entity(a, "balance"), context.call_entity(a, "balance")])
            elif rule == "child":
                yield context.call_sub_orchestrator(functions.chain, 0)
            elif rule == "signal":
                context.signal_entity(a, "deposit", 1)
        return "allowed"


FUNCTIONS = [
    counter,
    Purse,
    Basket,
    log,
    call,
    transfer,
    hold,
    hold_and_work,
    entities_beside,
    signal_many,
    mend,
    retry_call,
    call_beside,
    break_rule,
]


@contextmanager
def registered() -> Iterator[Switches]:
    """Register them for the length of one test."""
    switches.__init__()
    with registry.preserved():
        for function in FUNCTIONS:
            is_entity = function.durable.kind == "entity"
            (registry.add_entity if is_entity else registry.add_orchestrator)(function.durable)
        yield switches
