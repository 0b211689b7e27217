"""For random types of the supported kinds: valid values come through, invalid ones stop at their field, and the form
made from the stored description judges alike."""

from __future__ import annotations

import json
from dataclasses import dataclass, make_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from django.utils.datastructures import MultiValueDict
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from orchestrations.authoring.forms.binding import (
    bind_form,
    bind_payload,
    check_form,
    cleaned_payload,
    decode_answer,
    describe_form,
)
from orchestrations.authoring.forms.shapes import FormDescription
from tests.authoring.forms.declared import Colour, Size

WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9)
YEARS = (datetime(1970, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001 - the zone is added to what is drawn
MOMENTS = st.datetimes(*YEARS, timezones=st.just(UTC))

# An annotation, its values, and a text that a form has to refuse.
SINGLE: list[tuple[Any, st.SearchStrategy[Any], str | None]] = [
    (str, WORDS, None),
    (Annotated[str, Meta(min_length=2, max_length=4)], st.text("abc", min_size=2, max_size=4), "a"),
    (Annotated[str, Meta(pattern="^[a-c]+$")], st.text("abc", min_size=1, max_size=9), "d"),
    (int, INTEGERS, "1.5"),
    (Annotated[int, Meta(gt=3, le=7)], st.integers(4, 7), "3"),
    (Annotated[int, Meta(multiple_of=3)], st.integers(-99, 99).map(lambda number: number * 3), "4"),
    (float, st.floats(allow_nan=False, allow_infinity=False), "one"),
    (Annotated[float, Meta(ge=0, lt=1)], st.floats(0, 1, exclude_max=True), "1"),
    (Decimal, DECIMALS, "1,5,0"),
    (bool, st.booleans(), None),
    (date, st.dates(), "2026-13-01"),
    (time, st.times(), "25:00"),
    (datetime, MOMENTS, "yesterday"),
    (timedelta, st.timedeltas(-timedelta(days=999), timedelta(days=9999)), "a while"),
    (UUID, st.uuids(), "1234"),
    (Colour, st.sampled_from(Colour), "green"),
    (Size, st.sampled_from(Size), "m"),
    (Literal["a", "b", 3], st.sampled_from(["a", "b", 3]), "c"),
]


@dataclass
class Point:
    """What is nested: a text that is never empty, so that no row is taken for none."""

    name: str
    x: int
    colour: Colour | None = None


def points() -> st.SearchStrategy[Point]:
    return st.builds(Point, WORDS, INTEGERS, st.none() | st.sampled_from(Colour))


MANY: list[tuple[Any, st.SearchStrategy[Any], str | None]] = [
    (list[Colour], st.lists(st.sampled_from(Colour), unique=True), None),
    (list[Point], st.lists(points(), max_size=4), None),
    (list[int], st.lists(INTEGERS, max_size=4), None),
    (Point, points(), None),
]


def optional(kind: tuple[Any, st.SearchStrategy[Any], str | None]) -> tuple[Any, Any, str | None]:
    annotation, values, invalid = kind
    return annotation | None if annotation is not str else str | None, st.none() | values, invalid


KINDS = [*SINGLE, *MANY, *(optional(kind) for kind in [*SINGLE[:3], *SINGLE[3:9], *SINGLE[10:], MANY[3]])]


def in_browser(value: Any) -> str:
    """What somebody would type, or a control would send, for a value."""
    if isinstance(value, Colour | Size):
        return str(value.value)
    if isinstance(value, timedelta):
        return f"{value.days} {timedelta(seconds=value.seconds, microseconds=value.microseconds)}"
    return value.isoformat() if isinstance(value, date | time) else str(value)


def post(posted: MultiValueDict[str, str], name: str, value: Any) -> None:
    if isinstance(value, Point):
        for part in ("name", "x", "colour"):
            post(posted, f"{name}-{part}", getattr(value, part))
    elif isinstance(value, list) and all(isinstance(one, Colour) for one in value):
        posted.setlist(name, [in_browser(one) for one in value])
    elif isinstance(value, list):
        for index, one in enumerate(value):
            post(posted, f"{name}-{index}" + ("" if isinstance(one, Point) else "-value"), one)
    elif value is True:
        posted[name] = "on"
    elif value is not None and value is not False:
        posted[name] = in_browser(value)


@st.composite
def asked(draw: st.DrawFn) -> tuple[Any, Any, dict[str, str]]:
    """A type, a value of it, and an invalid text by the name of each field that has one."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    names = [f"field_{index}" for index in range(len(kinds))]
    declared = make_dataclass("Asked", [(name, kind[0]) for name, kind in zip(names, kinds, strict=True)])
    value = declared(*(draw(kind[1]) for kind in kinds))
    return declared, value, {name: kind[2] for name, kind in zip(names, kinds, strict=True) if kind[2] is not None}


def typed(value: Any) -> MultiValueDict[str, str]:
    posted: MultiValueDict[str, str] = MultiValueDict()
    for name, one in vars(value).items():
        post(posted, name, one)
    return posted


@given(asked())
def test_a_valid_value_comes_through_the_form_as_it_was(case):
    declared, value, _ = case

    form = bind_form(describe_form(declared), typed(value), {}, declared=declared)

    assert check_form(form), form.errors
    text = json.dumps(cleaned_payload(form))
    assert decode_answer(text, declared, "the answer") == value
    again = bind_payload(describe_form(declared), json.loads(text), declared=declared)
    assert check_form(again), again.errors
    assert decode_answer(json.dumps(cleaned_payload(again)), declared, "the answer") == value


@given(asked(), st.randoms())
def test_an_invalid_value_is_refused_at_its_field_alone(case, random):
    declared, value, invalid = case
    posted = typed(value)
    wrong = {name for name in invalid if random.random() < 0.5}
    for name in wrong:
        posted[name] = invalid[name]

    form = bind_form(describe_form(declared), posted, {}, declared=declared)

    assert check_form(form) == (not wrong)
    assert set(form.errors) == wrong


@given(asked(), st.randoms())
def test_the_stored_description_makes_a_form_with_the_same_verdicts(case, random):
    declared, value, invalid = case
    posted = typed(value)
    for name in invalid:
        if random.random() < 0.3:
            posted[name] = random.choice([invalid[name], ""])
    described = describe_form(declared)
    stored = FormDescription.of(json.loads(json.dumps(described.as_dict())))

    with_class = bind_form(described, posted, {}, declared=declared)
    without = bind_form(stored, posted, {})

    assert check_form(with_class) == check_form(without)
    assert with_class.errors == without.errors
    if with_class.is_valid():
        assert cleaned_payload(with_class) == cleaned_payload(without)
