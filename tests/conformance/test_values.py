"""Values: what goes in as a type comes out as that type, at every door; and what can't is told where it is given."""

# Without postponed annotations: the functions of these cases are annotated with the type of the case.

import json
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Generic, NamedTuple, NotRequired, Optional, TypedDict, TypeVar
from uuid import UUID

import pydantic
import pytest

from orchestrations import (
    EntityContext,
    EntityId,
    OrchestrationContext,
    PayloadRejected,
    activity,
    entity,
    orchestrator,
)
from orchestrations.models import Instance

Item = TypeVar("Item")


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    LARGE = 3


class Point(NamedTuple):
    x: int
    y: int = 0


Approval = namedtuple("Approval", ["approver", "level"])


class Address(TypedDict):
    city: str
    since: NotRequired[date]


@dataclass(frozen=True)
class Line:
    article: str
    price: Decimal
    colour: Colour = Colour.RED


@dataclass
class Order:
    number: UUID
    due: datetime
    lines: list[Line] = field(default_factory=list)
    wait: timedelta = timedelta(0)
    replaces: Optional["Order"] = None


@dataclass
class Page(Generic[Item]):
    items: list[Item]
    following: Item | None = None


class Money:
    """With the methods of azure-functions-durable 1.x."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    __hash__ = None

    @staticmethod
    def to_json(money: "Money") -> str:
        return f"{money.cents} cents"

    @staticmethod
    def from_json(text: str) -> "Money":
        return Money(int(text.removesuffix(" cents")))


class Payment(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")

    at: datetime
    amount: Decimal
    order_id: UUID = pydantic.Field(alias="orderId")


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LINE = Line("tea", Decimal("1.50"))
ORDER = Order(UUID(int=7), NOON, [LINE], timedelta(days=2), Order(UUID(int=6), NOON))
VALUES = [
    (Order, ORDER),
    (Order | None, ORDER),
    (Line | None, LINE),
    (list[Line], [LINE]),
    (dict[str, Line], {"a": LINE}),
    (tuple[Line, ...], (LINE, LINE)),
    (Page[Line], Page([LINE], LINE)),
    (Point, Point(1, 2)),
    (Approval, Approval("Noor", 2)),
    (Colour, Colour.RED),
    (Size, Size.LARGE),
    (Address, Address(city="Rome", since=date(2020, 2, 29))),
    (Money, Money(150)),
    (list[Money] | None, [Money(1)]),
    (Payment, Payment(at=NOON, amount=Decimal("1.50"), orderId=UUID(int=7))),
    (datetime, NOON.replace(microsecond=1)),
    (date, date(2030, 1, 1)),
    (timedelta, timedelta(days=-1, microseconds=1)),
    (Decimal, Decimal("12345678901234567890.10")),
    (UUID, UUID(int=7)),
    (bytes, b"\x00\xff"),
    (int | str, "1"),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[str(kind) for kind, _ in VALUES])
def test_a_value_has_its_type_behind_every_door(kind, value, client, worker):
    seen = []

    def look(door: str, given: object) -> object:
        seen.append((door, given == value and type(given) is type(value)))
        return given

    @activity
    def typed(given: kind) -> kind:
        return look("activity's input", given)

    @activity
    def untyped(given):
        return given

    @orchestrator
    def child(context: OrchestrationContext, given: kind) -> kind:
        return look("sub-orchestration's input", given)

    @entity
    def box(context: EntityContext) -> None:
        if context.operation_name == "put":
            context.set_state(look("operation's input", context.get_input(kind)))
        context.set_result(context.get_state(expected_type=kind))

    @orchestrator
    def asks(context: OrchestrationContext, given: kind) -> kind:
        look("input", given)
        look("get_input", context.get_input(kind))
        look("activity's result", (yield context.call_activity(typed, given)))
        look("return_type", (yield context.call_activity("untyped", given, return_type=kind)))
        look("expected_type", (yield context.call_activity("untyped", given, kind)))
        look("result of a sub-orchestration", (yield context.call_sub_orchestrator(child, given)))
        look("its return_type", (yield context.call_sub_orchestrator("child", given, return_type=kind)))
        look("data_type", (yield context.wait_for_external_event("first", data_type=kind)))
        look("an event's expected_type", (yield context.wait_for_external_event("second", kind)))
        yield context.call_entity(EntityId("box", "a"), "put", given)
        look("an entity's state", (yield context.call_entity(EntityId("box", "a"), "get", return_type=kind)))
        context.set_custom_status(given)
        return given

    client.start_new(asks, "order", value)
    client.raise_event("order", "first", value)
    client.raise_event("order", "second", value)
    status = worker.run_until_ended("order")

    assert status.failure_details is None
    look("output", status.get_output(kind))
    look("what it was started with", status.get_input(kind))
    look("custom status", status.get_custom_status(kind))
    assert {door for door, same in seen if not same} == set()
    assert len({door for door, _ in seen}) == 16


def test_without_a_type_it_is_plain_json(client, worker):
    @activity
    def untyped(given):
        return [type(given).__name__, given]

    @orchestrator
    def asks(context):
        return (yield context.call_activity("untyped", context.get_input()))

    client.start_new(asks, "order", ORDER)

    kind, given = worker.run_until_ended("order").output
    assert (kind, given["lines"]) == ("dict", [{"article": "tea", "price": "1.50", "colour": "red"}])


def test_annotations_may_be_texts_that_name_what_comes_later(client, worker):
    @orchestrator
    def asks(context: "OrchestrationContext", given: "Later") -> "list[Later]":
        return [given, Later(given.number + 1)]

    client.start_new(asks, "order", Later(1))

    assert worker.run_until_ended("order").get_output(list[Later]) == [Later(1), Later(2)]


@dataclass
class Later:
    number: int


class Opaque:
    pass


class Stubborn:
    def to_json(self) -> Any:
        raise KeyError("unknown")

    @classmethod
    def from_json(cls, value: Any) -> "Stubborn":
        return value["unknown"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            {"a": [1, Opaque()]},
            "holds a value of the type tests.conformance.test_values.Opaque, which has no JSON form",
        ),
        (
            {"a": [1, Stubborn()]},
            "tests.conformance.test_values.Stubborn, whose own code made no JSON of it (KeyError)",
        ),
    ],
)
def test_what_is_no_json_is_told_with_type_and_place_where_it_is_given(value, told, client, worker):
    @activity
    def takes(given):
        return given

    @orchestrator
    def child(context, given):
        return given

    @entity
    def box(context: EntityContext) -> None:
        return

    @orchestrator
    def sends(context):
        calls = {
            "activity 'takes': parameter 'given'": lambda: context.call_activity(takes, value),
            "activity 'elsewhere': input": lambda: context.call_activity("elsewhere", value),
            "orchestrator 'child': parameter 'given'": lambda: context.call_sub_orchestrator(child, value),
            "the external event 'go'": lambda: context.send_event("order", "go", value),
            "entity 'box', operation 'put': input": lambda: context.signal_entity(EntityId("box", "a"), "put", value),
            "the custom status": lambda: context.set_custom_status(value),
        }
        problems = []
        for subject, call in calls.items():
            try:
                call()
            except PayloadRejected as error:
                problems.append((str(error).startswith(subject), told in str(error), error.path))
        yield context.task_all([])
        return problems

    client.start_new(sends, "order")
    client.start_new(sends, "later", start_at=NOON.replace(year=9999))

    assert worker.run_until_ended("order").output == [[True, True, "$.a[1]"]] * 6
    for send in (
        lambda: client.start_new(child, None, value),
        lambda: client.raise_event("later", "go", value),
        lambda: client.signal_entity(EntityId("box", "a"), "put", value),
    ):
        with pytest.raises(PayloadRejected) as refused:
            send()
        assert told in str(refused.value)
        assert refused.value.path == "$.a[1]"
    assert Instance.objects.count() == 2


def test_a_class_that_can_not_read_what_it_is_given_is_told_at_the_start_and_fails_the_call(client, worker):
    @activity
    def takes(given: Stubborn) -> int:
        return 1

    @orchestrator
    def reads(context, given: Stubborn):
        return 1

    @orchestrator
    def calls_it(context):
        return (yield context.call_activity(takes, {}))

    with pytest.raises(PayloadRejected, match=r"parameter 'given' can't be read as Stubborn: KeyError: 'unknown'"):
        client.start_new(reads, None, {})
    client.start_new(calls_it, "order")

    failure = worker.run_until_ended("order").failure_details
    assert failure.is_caused_by("PayloadRejected")
    assert "KeyError: 'unknown'" in failure.message


def test_null_and_nothing_are_the_same_and_take_the_default(client, worker):
    @activity
    def doubled(given: int = 4) -> int:
        return 2 * given

    @orchestrator
    def reads(context, given: int | None = 3):
        calls = [
            context.call_activity(doubled),
            context.call_activity(doubled, None),
            context.call_activity(doubled, 0),
        ]
        return [given, (yield context.task_all(calls)), (yield context.wait_for_external_event("go"))]

    for instance_id, given in (("nothing", {}), ("null", {"client_input": None}), ("zero", {"client_input": 0})):
        client.start_new(reads, instance_id, **given)
    client.raise_event("nothing", "go")
    client.raise_event("null", "go", None)
    client.raise_event("zero", "go", 0)

    outputs = {name: worker.run_until_ended(name).output for name in ("nothing", "null", "zero")}
    assert json.dumps(outputs) == json.dumps(
        {"nothing": [3, [8, 8, 0], None], "null": [3, [8, 8, 0], None], "zero": [0, [8, 8, 0], 0]}
    )
