"""What becomes of a declaration: plain data that says the whole form, or a refusal that names the field."""

from __future__ import annotations

import json
from dataclasses import make_dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Optional

import annotated_types
import pydantic
import pytest
from django import forms
from msgspec import Meta

from orchestrations import HumanForm
from orchestrations.authoring.forms.binding import describe_form
from orchestrations.authoring.forms.shapes import JSON_BOX, FormDescription
from orchestrations.errors import ConfigurationError
from tests.authoring.forms.declared import Address, Amount, Approval, Booking, Colour, Decision, Line, Order, Size, Trip

DECLARED = [Approval, Order, Amount, Trip, Booking, Decision, int, list[Size], Literal["a", 2], None]


class Pair(NamedTuple):
    first: int
    second: int


def told(annotation: Any, **shape: Any) -> None:
    described = describe_form(make_dataclass("Asked", [("it", annotation)])).shapes[0]
    assert {key: getattr(described, key) for key in shape} == shape


@pytest.mark.parametrize("declared", DECLARED, ids=str)
def test_a_description_survives_storage_as_json(declared):
    described = describe_form(declared)

    assert FormDescription.of(json.loads(json.dumps(described.as_dict()))) == described


def test_a_human_form_says_its_path_version_layout_and_outcome():
    described = describe_form(Approval)

    assert described.path == "tests.authoring.forms.declared.Approval"
    assert (described.version, described.outcome, described.bulk) == (3, "decision", True)
    assert [shape.name for shape in described.shapes] == ["decision", "limit", "reason"]


@pytest.mark.parametrize("declared", [Order, Amount, Trip, Booking])
def test_a_class_of_any_library_is_described_field_by_field(declared):
    described = describe_form(declared)

    assert described.path.endswith(declared.__name__)
    assert [shape.name for shape in described.shapes] == list(declared.__annotations__)


def test_bounds_are_read_wherever_they_are_written():
    told(Annotated[int, Meta(ge=1, lt=6)], minimum=1, maximum=6, is_maximum_excluded=True)
    told(Annotated[int, annotated_types.Interval(ge=1, le=6)], minimum=1, maximum=6)
    told(Annotated[str, annotated_types.Len(2, 5)], min_length=2, max_length=5)
    told(Annotated[str, Meta(pattern="^a")], pattern="^a")
    told(Annotated[Decimal, annotated_types.Gt(Decimal("0.5"))], minimum="0.5", is_minimum_excluded=True)
    told(Annotated[date, annotated_types.Ge(date(2026, 1, 1))], minimum="2026-01-01")
    told(Annotated[list[Size], annotated_types.MinLen(1)], min_length=1, blank="refuse")
    assert describe_form(Booking).shapes[0].min_length == 2
    assert describe_form(Booking).shapes[1].maximum == 30


def test_what_is_left_empty_is_said_by_the_type():
    told(str, blank="refuse")
    told(Optional[str], blank="null")  # noqa: UP045 - this spelling too
    told(Literal["a", None], blank="null")
    told(bool, blank="empty")
    told(list[Line], blank="empty")
    told(Address | None, blank="null")
    by_name = {shape.name: shape.blank for shape in describe_form(Order).shapes}
    assert (by_name["code"], by_name["mail"], by_name["address"]) == ("default", "default", "null")


def test_labels_come_from_metadata_choices_and_names():
    order = {shape.name: shape for shape in describe_form(Order).shapes}

    assert (order["customer"].label, order["customer"].help) == ("Who", "As in the contract.")
    assert order["is_urgent"].label == "Is urgent"
    assert order["mail"].label == "E-mail"
    assert order["colour"].choices == (("red", "Red"), ("blue", "Deep blue"))
    assert order["sizes"].choices == (("s", "Quite small"), ("l", "Rather large"))


def test_the_verdict_of_a_type_is_chosen_and_never_assumed():
    verdict = describe_form(Decision).shapes[0]

    assert describe_form(Decision).outcome == "approved"
    assert (verdict.type, verdict.blank) == ("choice", "refuse")
    assert verdict.choices == ((True, "Approve"), (False, "Reject"))


@pytest.mark.parametrize("kind", [None, Any, dict, dict[str, Any]], ids=str)
def test_what_declares_nothing_gets_a_box_for_json(kind):
    assert describe_form(kind) == JSON_BOX


@pytest.mark.parametrize(
    "annotation",
    [
        bytes,
        dict[str, int],
        int | str,
        Any,
        tuple[int, str],
        list[list[int]],
        list[bool],
        Pair,
        make_dataclass("Outer", [("inner", Address)]),
        list[make_dataclass("Flags", [("one", bool)])],
        Literal["1", 1],
        complex,
    ],
    ids=str,
)
def test_an_unsupported_annotation_is_refused_with_field_and_remedy(annotation):
    declared = make_dataclass("Asked", [("fine", int), ("limits", annotation)])

    with pytest.raises(
        ConfigurationError, match=r"(Asked|Outer) .*'(limits|inner)' is .* Supported are str, int, float"
    ):
        describe_form(declared)
    assert describe_form(declared, or_json=True) == JSON_BOX


def test_a_type_that_names_what_is_not_there_is_refused_with_the_name():
    with pytest.raises(ConfigurationError, match="names 'Missing'"):
        describe_form(make_dataclass("Asked", [("it", "Missing")]))


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"outcome": "verdict"}, "names 'verdict', and the form has no such field"),
        ({"layout": ["decision", "rest"]}, "names 'rest'"),
        ({"outcome": "reason"}, "which is no choice"),
        ({"version": "3"}, "has the version '3'"),
        ({"bulk": 1}, "bulk = 1"),
        ({"verdict": "decision"}, "has 'verdict', which means nothing"),
    ],
)
def test_a_human_form_that_can_not_work_is_refused_when_it_is_declared(told, problem):
    with pytest.raises(ConfigurationError, match=problem):
        type(
            "Broken",
            (HumanForm,),
            {
                "decision": forms.ChoiceField(choices=[("a", "A")]),
                "reason": forms.CharField(),
                "Human": type("Human", (), told),
                "__module__": __name__,
            },
        )


def test_an_ordinary_django_form_will_do():
    class Plain(forms.Form):
        decision = forms.ChoiceField(choices=[("yes", "Yes"), ("no", "No")])
        owner = forms.ModelChoiceField(queryset=None)

    described = describe_form(Plain)

    assert described.outcome == "decision"
    assert [shape.type for shape in described.shapes] == ["choice", "unknown"]


def test_pydantic_knows_addresses():
    class Contact(pydantic.BaseModel):
        site: pydantic.HttpUrl

    assert describe_form(Contact).shapes[0].type == "url"
    assert describe_form(Order).shape("colour").choices[0][0] == Colour.RED.value
