"""The JSON door, from Python values and back."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from django.contrib.auth.models import User
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import example, given

from orchestrations.authoring import payloads
from orchestrations.errors import ConfigurationError, PayloadRejected
from orchestrations.limits import PAYLOAD_BYTES, PAYLOAD_DEPTH
from tests.authoring.strategies import VALUES

SUBJECT = "activity 'charge': parameter 'order'"


class Colour(StrEnum):
    RED = "red"


class Size(Enum):
    LARGE = 3


class Point(NamedTuple):
    x: int
    y: int


class Address(TypedDict):
    city: str


class Event(msgspec.Struct):
    at: dt.datetime


@dataclass
class Line:
    article: str
    price: Decimal


@dataclass
class Order:
    number: uuid.UUID
    lines: list[Line] = field(default_factory=list)
    due: dt.date | None = None
    wait: dt.timedelta = dt.timedelta(0)


class Legacy:
    """A class of azure-functions-durable 1.x."""

    def __init__(self, name: str) -> None:
        self.name = name

    @staticmethod
    def to_json(legacy):
        return legacy.name

    @staticmethod
    def from_json(text):
        return Legacy(text)


class Opaque:
    pass


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def rejection(value: object) -> PayloadRejected:
    with pytest.raises(PayloadRejected) as caught:
        payloads.encode(value, SUBJECT)
    assert caught.value.subject == SUBJECT
    assert str(caught.value).startswith(SUBJECT)
    return caught.value


@given(VALUES)
@example({"b": 1, "a": [None, float("inf")]})
@example({"\0": None})
@example([10**4299, None])
def test_a_json_value_comes_back_as_it_was_or_is_refused(value):
    try:
        text = payloads.encode(value, SUBJECT)
    except PayloadRejected as error:
        assert error.path.startswith("$")
        return
    back = payloads.decode(text, None, SUBJECT)
    assert json.dumps(back) == json.dumps(value)  # tells 1 from True and 1.0, and sees the order of keys
    if text is not None:
        assert payloads.check_text(text, SUBJECT) == text


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Order(uuid.UUID(int=7), [Line("a", Decimal("1.50"))], dt.date(2030, 1, 1), dt.timedelta(days=2)), Order),
        (dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC), dt.datetime),
        (dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=14))), dt.datetime),
        (dt.time(12, 30), dt.time),
        (Colour.RED, Colour),
        (Size.LARGE, Size),
        (Point(1, 2), Point),
        (Address(city="Rome"), Address),
        (Event(dt.datetime(2030, 1, 1, tzinfo=dt.UTC)), Event),
        ({1: "a", 2: "b"}, dict[int, str]),
        ({3, 1, 2}, set[int]),
        ((1, "a"), tuple[int, str]),
        (b"\x00\xff", bytes),
        (Decimal("12345678901234567890.123456789"), Decimal),
        (10**4299, int),
        ("draft", Literal["draft", "sent"]),
        (3, Annotated[int, msgspec.Meta(ge=0)]),
        ([Line("a", Decimal(1))], list[Line] | None),
    ],
)
def test_a_typed_value_comes_back_as_it_was(value, kind):
    assert payloads.decode(payloads.encode(value, SUBJECT), kind, SUBJECT) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ((1, 2), "[1,2]"),
        (frozenset({1}), "[1]"),
        (deque([1]), "[1]"),
        (range(3), "[0,1,2]"),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (SimpleNamespace(b=1, a=SimpleNamespace(c=2)), '{"b":1,"a":{"c":2}}'),
        (mark_safe("<b>"), '"<b>"'),
        (gettext_lazy("Yes"), '"Yes"'),
        ({1: 2, 1.5: 3}, '{"1":2,"1.5":3}'),
        (2**64, "18446744073709551616"),
        (Decimal("1.50"), '"1.50"'),
        ("\\u0000", '"\\\\u0000"'),
        (["null", None], '["null",null]'),
    ],
)
def test_what_has_a_natural_json_form_takes_it(value, text):
    assert payloads.encode(value, SUBJECT) == text


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        (float("nan"), "$", "NaN"),
        ({"rates": [1.0, float("-inf")], "note": None}, "$.rates[1]", "infinite"),
        (Event(float("inf")), "$.at", "infinite"),
        ("a\0b", "$", "U+0000"),
        ({"items": [{"name": "\0"}]}, "$.items[0].name", "U+0000"),
        ({"a\0": 1}, '$["a\\\\u0000"]', "U+0000"),
        (["\ud800"], "$[0]", "surrogate"),
        ({"\udfff": 1}, '$["\\udfff"]', "surrogate"),
        ({"n": 10**4300}, "$.n", "4,300 digits"),
        ({"a": {("x", "y"): 1}}, "$.a", "key of the type tuple"),
        ({None: 1}, "$", "key of the type NoneType"),
        ({"a": [Opaque()]}, "$.a[0]", "type tests.authoring.test_payloads.Opaque"),
        (Line("a", Opaque()), "$.price", "Opaque"),
        (1j, "$", "type complex"),
        (Opaque, "$", "type type"),
        (nested(PAYLOAD_DEPTH + 1), "$" + "[0]" * PAYLOAD_DEPTH, "nested deeper than 64"),
        (nested(100_000), "$" + "[0]" * PAYLOAD_DEPTH, "nested deeper than 64"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() and "\0" not in value else None,
)
def test_what_cannot_be_stored_is_refused_with_its_path(value, path, problem):
    error = rejection(value)
    assert isinstance(error, TypeError)
    assert error.path == path
    assert problem in str(error)


def test_a_value_that_contains_itself_is_refused():
    value: dict[str, Any] = {}
    value["self"] = [value]
    assert "contains itself" in str(rejection(value))


def test_the_deepest_allowed_value_is_stored():
    text = payloads.encode(nested(PAYLOAD_DEPTH), SUBJECT)
    assert payloads.decode(text, None, SUBJECT) == nested(PAYLOAD_DEPTH)


def test_brackets_in_text_are_not_depth():
    assert payloads.encode({"a": "[{" * 500, 'b"[': '\\"[' * 100}, SUBJECT)


def test_many_shallow_arrays_are_not_depth():
    assert payloads.encode([[] for _ in range(1000)], SUBJECT)


def test_a_payload_may_fill_its_size_and_no_more():
    assert payloads.encode("x" * (PAYLOAD_BYTES - 2), SUBJECT)
    error = rejection("é" * (PAYLOAD_BYTES // 2))
    assert "10,485,762 bytes" in str(error)


def test_a_django_model_is_refused_with_advice():
    assert "primary key" in str(rejection({"user": User(username="anna")}))


def test_the_message_says_what_and_what_to_do():
    assert str(rejection({"a": Opaque()})) == (
        "activity 'charge': parameter 'order' holds a value of the type tests.authoring.test_payloads.Opaque, "
        "which has no JSON form at $.a. "
        "Pass JSON values, dataclasses, enums, datetimes, Decimals or UUIDs, or convert it first."
    )


def test_classes_with_their_own_json_methods_are_converted_by_them():
    text = payloads.encode([Legacy("a")], SUBJECT)
    assert text == '["a"]'
    assert payloads.decode(text, list[Legacy], SUBJECT)[0].name == "a"


class Payment(pydantic.BaseModel):
    amount: Decimal
    order_id: int = pydantic.Field(default=0, alias="orderId")


class Booking(pydantic.BaseModel):
    """Takes nothing that is not exactly what it says."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid")

    at: dt.datetime
    number: uuid.UUID
    colour: Colour
    size: tuple[int, int]
    payments: list[Payment] = []
    seen_as: str = pydantic.Field(default="", serialization_alias="seenAs")

    @pydantic.computed_field
    @property
    def area(self) -> int:
        return self.size[0] * self.size[1]


BOOKING = Booking(
    at=dt.datetime(2030, 1, 1, tzinfo=dt.UTC),
    number=uuid.UUID(int=7),
    colour=Colour.RED,
    size=(2, 3),
    payments=[Payment(amount=Decimal("1.50"), orderId=3)],
    seen_as="guest",
)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (BOOKING, Booking),
        ([BOOKING], list[Booking] | None),
        ({"b": BOOKING}, dict[str, Booking]),
        (pydantic.RootModel[list[int]]([1]), pydantic.RootModel[list[int]]),
    ],
    ids=lambda value: str(type(value)),
)
def test_a_pydantic_model_comes_back_as_it_was(value, kind):
    text = payloads.encode(value, SUBJECT)

    assert payloads.decode(text, kind, SUBJECT) == value
    assert payloads.check_text(text, SUBJECT) == text


def test_a_pydantic_model_is_written_by_its_fields_and_read_by_aliases_too():
    assert payloads.encode(Payment(amount=Decimal(3), orderId=1), SUBJECT) == '{"amount":"3","order_id":1}'
    for name in ("order_id", "orderId"):
        assert payloads.decode(f'{{"amount":1.10,"{name}":1}}', Payment, SUBJECT).order_id == 1


def test_what_a_pydantic_model_refuses_is_told_with_its_place():
    with pytest.raises(
        PayloadRejected, match=r"can't be read as list\[.*Payment\]: amount: Field required - at \$\[0\]"
    ) as caught:
        payloads.decode("[{}]", list[Payment], SUBJECT)
    assert caught.value.path == "$[0]"


class Stubborn:
    """Its methods were written for other values."""

    @staticmethod
    def to_json(stubborn):
        return {}["missing"]

    @staticmethod
    def from_json(value):
        return value.missing


class Holder(pydantic.BaseModel):
    held: Any


class Measured(pydantic.BaseModel):
    by: float


@dataclass
class Checked:
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise LookupError(f"nothing below {self.number}")


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        ([Stubborn()], "$[0]", "Stubborn, whose own code made no JSON of it (KeyError)"),
        (Line("a", Stubborn()), "$.price", "Stubborn, whose own code made no JSON of it (KeyError)"),
        ({"h": Holder(held=Opaque())}, "$.h", "Holder, whose own code made no JSON of it (PydanticSerializationError)"),
        ({"h": Holder(held=b"\xff")}, "$.h", "Holder, whose own code made no JSON of it (UnicodeDecodeError)"),
        ({"h": Measured(by=float("nan"))}, "$.h.by", "NaN"),
    ],
    ids=["to_json", "to_json of an item", "a model", "bytes of a model", "a number of a model"],
)
def test_a_class_that_fails_to_make_its_json_is_refused_with_its_path(value, path, problem):
    error = rejection(value)
    assert error.path == path
    assert problem in str(error)


@pytest.mark.parametrize(
    ("text", "kind", "path", "problem"),
    [
        ('{"a":[1]}', dict[str, list[Stubborn]], "$[...][0]", "AttributeError: 'int' object has no attribute"),
        ('{"number":-1}', Checked, "$", "LookupError: nothing below -1"),
    ],
)
def test_a_class_that_fails_to_read_its_json_is_a_misfit_like_any_other(text, kind, path, problem):
    with pytest.raises(PayloadRejected) as caught:
        payloads.decode(text, kind, SUBJECT)
    assert caught.value.path == path
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "path", "problem"),
    [
        ('{"number":"x"}', Order, "$.number", "Invalid UUID"),
        ('{"article":"a"}', Line, "$", "missing required field price"),
        ('[{"article":1,"price":"1"}]', list[Line], "$[0].article", "Expected str, got int"),
        ('{"a":{"city":1}}', dict[str, Address], "$[...].city", "Expected str, got int"),
        ('{"a":1}', dict[int, int], "$", "Expected int, got str"),
        (None, Order, "$", "Expected object, got null"),
        ('"3"', int, "$", "Expected int, got str"),
        ("-1", Annotated[int, msgspec.Meta(ge=0)], "$", "Expected int >= 0"),
        ("1e999", None, "$", "out of range"),
        ("{", None, "$", "not valid JSON"),
        ("[" * 5000, None, "$", "nested deeper"),
        ('"\ud800"', None, "$", "surrogate"),
    ],
)
def test_what_does_not_fit_the_type_is_refused_with_its_path(text, kind, path, problem):
    with pytest.raises(PayloadRejected) as caught:
        payloads.decode(text, kind, SUBJECT)
    assert caught.value.path == path
    assert problem in str(caught.value)
    assert str(caught.value).startswith(SUBJECT)


@pytest.mark.parametrize("kind", [Opaque, list[Opaque], type, complex, int | dt.datetime | uuid.UUID, "Missing", 5])
def test_a_type_without_a_json_form_is_a_configuration_error(kind):
    with pytest.raises(ConfigurationError, match="the result can't be read as"):
        payloads.decode("1", kind, "the result")


@pytest.mark.parametrize("kind", [None, Any, object])
def test_no_type_leaves_plain_json(kind):
    assert payloads.decode('{"a":[1,2.5,null]}', kind, SUBJECT) == {"a": [1, 2.5, None]}
    assert payloads.decode(None, kind, SUBJECT) is None


def test_a_type_that_cannot_be_hashed_still_decodes():
    assert payloads.decode("[1]", Annotated[list[int], ["unhashable"]], SUBJECT) == [1]
