"""A bound form: what it accepts, what it refuses at which field, and what answer it makes."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated
from uuid import UUID

import pytest
from django import forms
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.datastructures import MultiValueDict
from msgspec import Meta

from orchestrations import AnswerFile, HumanForm
from orchestrations.authoring.forms import binding
from orchestrations.authoring.forms.binding import (
    bind_form,
    bind_payload,
    check_form,
    cleaned_payload,
    decode_answer,
    describe_form,
    is_stand_in,
    leave_unchecked,
    outcome_of,
    wants_more_rows,
)
from orchestrations.authoring.forms.files import keep_with_answer
from tests.authoring.forms.declared import Address, Approval, Booking, Colour, Decision, Line, Order, Size

ORDER = {
    "customer": "Acme",
    "verdict": "accept",
    "rating": "4",
    "share": "0.5",
    "day": "2026-02-01",
    "colour": "blue",
    "sizes": ["s", "l"],
    "lines-0-article": "bolt",
    "lines-0-count": "3",
    "lines-0-price": "1.20",
    "lines-1-article": "",
    "lines-2-article": "nut",
    "notes-0-value": "call first",
    "address-street": "High St 1",
}


def posted(values: dict[str, object]) -> MultiValueDict[str, object]:
    return MultiValueDict({name: value if isinstance(value, list) else [value] for name, value in values.items()})


def bound(declared: object, values: dict[str, object], **options: object) -> forms.Form:
    return bind_form(describe_form(declared), posted(values), {}, **options)


def test_an_answer_has_the_values_of_its_type():
    form = bound(Order, ORDER)

    assert check_form(form), form.errors
    answer = cleaned_payload(form)
    assert decode_answer(json.dumps(answer), Order, "the answer") == Order(
        customer="Acme",
        verdict="accept",
        rating=4,
        share=0.5,
        day=date(2026, 2, 1),
        colour=Colour.DEEP_BLUE,
        sizes=[Size.SMALL, Size.LARGE],
        lines=[Line("bolt", 3, Decimal("1.20")), Line("nut")],
        notes=["call first"],
        address=Address("High St 1"),
    )


def test_an_error_stands_at_its_field_and_keeps_what_was_typed():
    form = bound(Order, ORDER | {"rating": "6", "lines-0-count": "many", "address-street": "", "address-town": "Bath"})

    assert not check_form(form)
    assert list(form.errors) == ["rating", "lines", "address"]
    assert form.errors["lines"] == ["Row 1, Count: Enter a whole number."]
    assert form["lines"].rows[0]["count"].errors == ["Enter a whole number."]
    assert form["lines"].rows[0]["count"].value() == "many"
    assert form["address"].subform["street"].errors == ["This field is required."]
    assert not form["lines"].rows[2].errors


def test_the_own_check_of_a_type_is_asked_before_anything_resumes():
    refused = bound(Order, ORDER | {"is_urgent": "on", "rating": "1"})
    assert not check_form(refused)
    assert refused.non_field_errors() == ["Only good ones are urgent."]

    refused = bound(Booking, {"guest": "nobody", "nights": "3"})
    assert not check_form(refused)
    assert refused.errors == {"guest": ["there is no such guest"]}


def test_the_clean_of_a_human_form_is_asked():
    form = bound(Approval, {"decision": "reject"})

    assert not check_form(form)
    assert form.errors == {"reason": ["Required when you reject."]}


def test_an_answer_of_a_human_form_comes_back_cleaned():
    form = bound(Approval, {"decision": "approve", "limit": "1200.50"})

    assert check_form(form)
    answer = cleaned_payload(form)
    assert answer == {"decision": "approve", "limit": "1200.50", "reason": ""}
    assert decode_answer(json.dumps(answer), Approval, "the answer")["limit"] == Decimal("1200.50")


def test_verdicts_are_radio_buttons_with_none_chosen():
    for form in (bind_form(describe_form(Approval)), bind_form(describe_form(Decision))):
        verdict = next(iter(form))
        assert isinstance(verdict.field.widget, forms.RadioSelect)
        assert "checked" not in str(verdict)


@pytest.mark.parametrize(
    ("verdict", "outcome"), [({"decision": "approve"}, "approve"), ({"decision": "later"}, "later"), ({}, ""), (7, "")]
)
def test_the_outcome_is_the_value_of_its_field(verdict, outcome):
    assert outcome_of(describe_form(Approval), verdict) == outcome


def test_a_bool_is_approval_or_rejection():
    assert outcome_of(describe_form(Decision), {"approved": True}) == "approve"
    assert outcome_of(describe_form(Decision), {"approved": False}) == "reject"


def test_defaults_and_initial_values_are_filled_in():
    form = bind_form(
        describe_form(Order), initial={"customer": "Acme", "lines": [{"article": "bolt", "price": "2.50"}]}
    )

    assert 'value="Acme"' in str(form["customer"])
    assert 'value="AB"' in str(form["code"])
    assert [row["article"].value() for row in form["lines"].rows] == ["bolt", None]
    assert 'value="2.50"' in str(form["lines"].rows[0]["price"])


@dataclass
class Moments:
    at: datetime
    clock: time
    length: timedelta
    key: UUID


def test_moments_durations_and_keys_come_back_as_such():
    form = bound(
        Moments,
        {
            "at": "2026-02-01T10:30",
            "clock": "08:15",
            "length": "1 12:00:00",
            "key": "5f5e7a9e-8b1c-4f0f-9a55-1f2e3d4c5b6a",
        },
    )

    assert check_form(form), form.errors
    assert decode_answer(json.dumps(cleaned_payload(form)), Moments, "the answer") == Moments(
        datetime(2026, 2, 1, 10, 30, tzinfo=UTC),
        time(8, 15),
        timedelta(days=1, hours=12),
        UUID("5f5e7a9e-8b1c-4f0f-9a55-1f2e3d4c5b6a"),
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (float, "inf"),
        (float, "nan"),
        (Decimal, "1E+999999"),
        (Decimal, "NaN"),
        (int, "9" * 30),
        (str, "a\x00b"),
        (Annotated[int, Meta(multiple_of=5)], "7"),
    ],
    ids=str,
)
def test_a_value_that_nothing_could_hold_is_refused(kind, text):
    assert not check_form(bound(kind, {"value": text}))


def test_a_type_that_is_no_object_is_asked_for_by_one_field():
    form = bound(list[Size], {"value": ["l"]})

    assert check_form(form)
    assert cleaned_payload(form) == ["l"]


def test_json_is_checked_with_line_and_column():
    refused = bound(None, {"value": '{\n  "a": 1,\n  b: 2}'})
    assert not check_form(refused)
    assert refused.errors["value"][0].startswith("Line 3, column 3: ")
    assert "b: 2" in str(refused["value"])

    accepted = bound(None, {"value": '{"a": [1, null]}'})
    assert check_form(accepted)
    assert cleaned_payload(accepted) == {"a": [1, None]}
    assert cleaned_payload(checked(bound(None, {"value": " "}))) is None


@pytest.mark.parametrize("text", ['"\\u0000"', "NaN", "1e999", "[" * 5000])
def test_json_that_can_not_be_stored_is_refused(text):
    assert not check_form(bound(None, {"value": text}))


def test_a_button_for_one_more_row_keeps_what_was_typed_and_judges_nothing():
    form = bound(Order, {"customer": "A", "lines-0-article": "bolt", "lines-add": "1"})

    assert wants_more_rows(form)
    leave_unchecked(form)
    assert not form.errors
    assert [row["article"].value() for row in form["lines"].rows] == ["bolt", None]
    assert 'value="A"' in str(form["customer"])
    assert not wants_more_rows(bound(Order, ORDER))


def test_nobody_sends_more_rows_than_a_form_has():
    form = bound(Order, ORDER | {"lines-5000-article": "far out"})

    assert not check_form(form)
    assert "allowed" in form.errors["lines"][0]


def test_a_form_whose_class_is_not_here_is_made_from_what_was_stored():
    stored = replace(describe_form(Approval), path="orders.human.Approval")

    form = bind_form(stored, {"decision": "reject", "limit": "6000"})

    assert is_stand_in(form)
    assert not check_form(form)
    assert list(form.errors) == ["limit"]
    assert not is_stand_in(bind_form(describe_form(Approval)))
    assert not is_stand_in(bind_form(describe_form(int)))


def test_a_form_of_another_version_is_made_from_what_was_stored():
    assert is_stand_in(bind_form(replace(describe_form(Approval), version=2)))
    assert is_stand_in(bind_form(replace(describe_form(Order), shapes=describe_form(Order).shapes[:-1])))


def test_nothing_is_imported_because_a_database_says_so():
    form = bind_form(replace(describe_form(Approval), path="this.Zen"))

    assert "this" not in sys.modules
    assert is_stand_in(form)


def test_a_field_that_only_its_class_can_draw_is_not_answered_without_it():
    class Custom(forms.Form):
        decision = forms.ChoiceField(choices=[("yes", "Yes")])
        owner = forms.ModelChoiceField(queryset=None)

    form = bind_form(describe_form(Custom), {"decision": "yes"})

    assert not check_form(form)
    assert "Owner can only be asked for where the code of" in form.non_field_errors()[0]


class Raising(HumanForm):
    decision = forms.ChoiceField(choices=[("yes", "Yes")])

    def clean(self):
        raise KeyError("secret")


def test_a_form_whose_code_raises_refuses_is_logged_and_does_not_say_the_value(monkeypatch):
    logged = []
    monkeypatch.setattr(binding.logger, "exception", lambda *_: logged.append(repr(sys.exception())))
    form = bound(Raising, {"decision": "yes"})

    assert not check_form(form)
    assert form.non_field_errors() == ["The check of this form failed with KeyError. Nothing was sent."]
    assert logged == ["KeyError('secret')"]


@dataclass
class Report:
    title: str
    scan: AnswerFile


def test_a_file_goes_to_the_storage_and_the_answer_says_where(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    stored = describe_form(Report)
    upload = SimpleUploadedFile("../scan 1.txt", b"content", "text/plain")

    form = bind_form(stored, {"title": "x"}, MultiValueDict({"scan": [upload]}))

    assert check_form(form), form.errors
    kept = cleaned_payload(form, partial(keep_with_answer, "default"))
    report = decode_answer(json.dumps(kept), Report, "the answer")
    assert (report.scan.name, report.scan.size, report.scan.content_type) == ("scan 1.txt", 7, "text/plain")
    assert default_storage.exists(report.scan.key)
    with report.scan.open() as file:
        assert file.read() == b"content"


def test_a_payload_is_judged_as_a_person_would_be():
    assert check_form(bind_payload(describe_form(Approval), {"decision": "approve", "limit": 12}))
    answer = cleaned_payload(checked(bind_payload(describe_form(Order), ORDER_PAYLOAD)))
    assert {name: answer[name] for name in ORDER_PAYLOAD} == ORDER_PAYLOAD


ORDER_PAYLOAD = {
    "customer": "Acme",
    "verdict": "accept",
    "rating": 4,
    "share": 0.5,
    "day": "2026-02-01",
    "colour": None,
    "sizes": ["s"],
    "lines": [{"article": "bolt", "count": 2, "price": "1.20"}],
    "notes": ["a"],
    "address": {"street": "High St 1", "town": ""},
    "is_urgent": False,
}


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ([], "This has to be an object."),
        ({"decision": "approve", "by": "eve"}, "There is no field"),
        ({"decision": ["approve"]}, "Select a valid choice"),
        ({"decision": "approve", "limit": True}, "limit: this has to be a number."),
        ({"decision": "approve", "reason": 5}, "reason: this has to be a text."),
        ({}, "This field is required."),
    ],
)
def test_a_payload_that_a_form_could_not_have_made_is_refused(payload, problem):
    form = bind_payload(describe_form(Approval), payload)

    assert not check_form(form)
    assert problem in form.errors.as_text()


def checked(form: forms.Form) -> forms.Form:
    assert check_form(form), form.errors
    return form
