"""What can be declared an entity, what is refused when it is declared, and how its operations are called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from orchestrations import ConfigurationError, DurableEntity, EntityContext, EntityId, entity
from orchestrations.authoring.functions import RegisteredFunctions
from orchestrations.authoring.registry import registry
from orchestrations.core.entity_context import Operation
from orchestrations.errors import FunctionNotRegistered
from tests.core.plain import START


def execute(declared: Any, name: str, value: object = None, state: object = None) -> tuple[Any, Any]:
    """Result and state of one operation."""
    text = None if state is None else json.dumps(state)
    operation = Operation(EntityId(declared, "a"), name, None if value is None else json.dumps(value), text, START, "s")
    result = declared.durable.execute(EntityContext(operation, RegisteredFunctions()), operation)
    after = None if operation.is_destructed else operation.state
    return (None if result is None else json.loads(result)), (None if after is None else json.loads(after))


def test_the_decorator_returns_what_it_is_put_on_and_registers_it_in_lower_case():
    @entity
    class Counter:
        def add(self) -> None: ...

    @entity(name="Shop.Stock")
    def stock(context): ...

    assert registry.entity("counter") is Counter.durable
    assert registry.entity("shop.stock") is stock.durable
    assert registry.has_entity("counter") and not registry.has_entity("Counter")
    assert EntityId(Counter, "a") == EntityId("COUNTER", "a")
    assert Counter.durable.kind == "entity"
    with pytest.raises(FunctionNotRegistered, match="No entity named 'nothing'"):
        registry.entity("nothing")


def test_a_function_takes_its_input_as_annotated():
    @entity
    def price(context: EntityContext, amount: Decimal = Decimal(1)) -> Decimal:
        context.set_state(amount)
        return amount * 2

    assert execute(price, "any", "1.50") == ("3.00", "1.50")
    assert execute(price, "any") == ("2", "1")


@pytest.mark.parametrize(
    ("operation", "value", "result"),
    [("nothing", None, "nothing"), ("given", 3, 3), ("told", None, "key a"), ("both", 4, ["a", 4])],
)
def test_a_method_takes_context_and_input_or_neither(operation, value, result):
    @entity(name="forms")
    class Forms:
        def nothing(self) -> str:
            return "nothing"

        def given(self, amount: int) -> int:
            return amount

        def told(self, context) -> str:
            return f"key {context.entity_key}"

        def both(self, context: EntityContext, amount: int) -> tuple[str, int]:
            return context.entity_key, amount

    assert execute(Forms, operation, value)[0] == result


def test_the_attributes_of_an_ordinary_object_are_its_state():
    @entity(name="plain")
    class Plain:
        def __init__(self) -> None:
            self.values: list[int] = []

        def put(self, value: int) -> None:
            self.values.append(value)

    assert execute(Plain, "put", 1) == (None, {"values": [1]})
    assert execute(Plain, "put", 2, {"values": [1]}) == (None, {"values": [1, 2]})


def test_a_dataclass_is_restored_with_its_types():
    @entity(name="purse")
    @dataclass
    class Purse:
        held: Decimal = Decimal(0)

        def add(self, amount: Decimal) -> Decimal:
            self.held += amount
            return self.held

    assert execute(Purse, "add", "0.20", {"held": "0.10"}) == ("0.30", {"held": "0.30"})


def test_so_is_a_struct():
    @entity
    class Box(msgspec.Struct):
        held: Decimal = Decimal(0)

        def add(self, amount: Decimal) -> Decimal:
            self.held += amount
            return self.held

    assert execute(Box, "add", "0.20", {"held": "0.10"}) == ("0.30", {"held": "0.30"})


@pytest.mark.parametrize(("operation", "after"), [("replace", {"count": 7}), ("forget", None), ("grow", {"count": 2})])
def test_a_state_that_is_set_goes_before_the_attributes(operation, after):
    @entity(name="both")
    @dataclass
    class Both:
        count: int = 0

        def grow(self) -> None:
            self.count += 1

        def replace(self, context: EntityContext) -> None:
            context.set_state({"count": 7})

        def forget(self, context: EntityContext) -> None:
            self.count += 1
            context.set_state(None)

    assert execute(Both, operation, None, {"count": 1}) == (None, after)


def test_a_durable_entity_keeps_what_it_sets_and_nothing_else():
    @entity(name="kept")
    class Kept(DurableEntity):
        def put(self, value: int) -> None:
            self.forgotten = value
            self.set_state(self.get_state(int, 0) + value)

        def fetch(self) -> bool:
            return hasattr(self, "forgotten")

    assert execute(Kept, "put", 2, 3) == (None, 5)
    assert execute(Kept, "fetch", None, 3) == (False, 3)
    assert execute(Kept, "delete", None, 3) == (None, None)


def test_every_class_can_be_deleted_unless_it_says_otherwise():
    @entity(name="soft")
    class Soft(DurableEntity):
        def delete(self) -> None:
            self.set_state("deleted")

    @entity(name="hard")
    class Hard:
        def put(self) -> None: ...

    assert execute(Soft, "delete", None, 1) == (None, "deleted")
    assert execute(Hard, "delete", None, {}) == (None, None)


@pytest.mark.parametrize(
    "operation", ["_private", "fixed", "of_all", "size", "get_state", "signal_entity", "__init__", "entity_context", ""]
)
def test_only_public_methods_are_operations(operation):
    @entity(name="guarded")
    class Guarded(DurableEntity):
        def _private(self) -> None: ...

        @staticmethod
        def fixed(value: int) -> int:
            return value

        @classmethod
        def of_all(cls) -> None: ...

        @property
        def size(self) -> int:
            return 1

        def public(self) -> None: ...

    with pytest.raises(AttributeError, match="It has delete, public"):
        execute(Guarded, operation)


async def later(context):
    return None


def generator(context):
    yield


def without_context(): ...


def three(context, one, two): ...


def keyword(context, *, needed): ...


def many(context, *values): ...


class Empty:
    _x = 1


class NeedsMore:
    def __init__(self, size: int) -> None: ...

    def grow(self) -> None: ...


class AsyncMethod:
    async def grow(self) -> None: ...


class Slots:
    __slots__ = ("size",)

    def grow(self) -> None: ...


class SomeSlots(Slots):
    def shrink(self) -> None: ...


class TwoInputs:
    def grow(self, one: int, two: int) -> None: ...


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (later, "async or a generator"),
        (generator, "async or a generator"),
        (without_context, "takes no context"),
        (three, "takes 3 parameters"),
        (keyword, "takes needed"),
        (many, "takes values"),
        (Empty, "has no operation"),
        (NeedsMore, "can't be made without size"),
        (AsyncMethod, "async or a generator"),
        (TwoInputs, "takes 2 parameters"),
        (Slots, "attributes in slots"),
        (SomeSlots, "attributes in slots"),
        (7, "which is no function"),
    ],
)
def test_what_can_not_be_run_as_an_entity_is_refused(declared, problem):
    with pytest.raises(ConfigurationError, match=problem):
        entity(declared)


@pytest.mark.parametrize("name", ["", "a@b", "a/b", "@a", "x" * 300, " a"])
def test_a_name_that_no_id_can_hold_is_refused(name):
    with pytest.raises(ConfigurationError, match="can't have"):
        entity(name=name)(lambda context: None)


def test_a_name_is_taken_in_any_case():
    entity(name="twice")(lambda context: None)

    with pytest.raises(ConfigurationError, match="Two entity functions have the name 'twice'"):
        entity(name="TWICE")(lambda context: None)


def test_a_class_is_declared_once():
    @entity
    class Once:
        def run(self) -> None: ...

    with pytest.raises(ConfigurationError, match="declared already"):
        entity(name="again")(Once)
