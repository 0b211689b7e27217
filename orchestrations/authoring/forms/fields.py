"""From the shape of a field to the Django form field that draws and checks it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import (
    MaxLengthValidator,
    MaxValueValidator,
    MinLengthValidator,
    MinValueValidator,
    RegexValidator,
)
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_duration, parse_time
from django.utils.functional import lazy

from orchestrations.authoring import payloads
from orchestrations.authoring.forms.shapes import FieldShape
from orchestrations.errors import PayloadRejected
from orchestrations.limits import ANSWER_FILE_BYTES, FORM_NUMBER_DIGITS

RADIOS = 5  # choices up to which they are all shown; more go into a list that opens
EMAIL_CHARACTERS = 320  # Django's own limit
LARGEST_INTEGER = 2**63 - 1  # that every database, and most programs, can hold
NO_CHOICE = ("", "—")


class DateInput(forms.DateInput):
    """A date, by the browser's own calendar."""

    input_type = "date"


class TimeInput(forms.TimeInput):
    """A time of day, by the browser's own means."""

    input_type = "time"


class DateTimeInput(forms.DateTimeInput):
    """A date and a time, by the browser's own calendar."""

    input_type = "datetime-local"


class ChoiceField(forms.TypedChoiceField):
    """One of a few JSON values; what is posted is each value as text."""

    def __init__(self, *, shape: FieldShape, **options: Any) -> None:
        values = _by_text(shape)
        self.shown = [(text, label) for text, (_, label) in values.items()]
        is_short = len(self.shown) <= RADIOS
        shown = [NO_CHOICE, *self.shown] if shape.blank == "null" or not is_short else self.shown
        widget = forms.RadioSelect if is_short else forms.Select
        super().__init__(choices=shown, coerce=_coerced(values), empty_value=None, widget=widget, **options)

    def make_retractable(self) -> None:
        """Draw it as a list with an empty entry: a radio button can't be let go again."""
        self.widget = forms.Select()
        self.choices = [NO_CHOICE, *self.shown]

    def prepare_value(self, value: Any) -> Any:
        """The text that stands for a JSON value."""
        return "" if value is None else str(value)


class ChoicesField(forms.TypedMultipleChoiceField):
    """Several of a few JSON values, as check boxes."""

    def __init__(self, *, shape: FieldShape, **options: Any) -> None:
        values = _by_text(shape)
        shown = [(text, label) for text, (_, label) in values.items()]
        super().__init__(
            choices=shown, coerce=_coerced(values), empty_value=[], widget=forms.CheckboxSelectMultiple, **options
        )

    def prepare_value(self, value: Any) -> Any:
        """The texts that stand for JSON values."""
        return [str(one) for one in value or ()]


class FloatField(forms.FloatField):
    """A number; not one that JSON does not have."""

    def to_python(self, value: Any) -> Any:
        """The number, finite."""
        number = super().to_python(value)
        if number is not None and not math.isfinite(number):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return number


class TypedText(str):
    """What somebody typed, as opposed to a JSON value that is a text."""


class JsonField(forms.CharField):
    """Any JSON value. Errors of its syntax name line and column."""

    widget = forms.Textarea

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.widget.attrs |= {"rows": 8, "class": "mono", "spellcheck": "false", "autocomplete": "off"}

    def to_python(self, value: Any) -> Any:
        """The JSON value, or None for an empty box."""
        text = str(value or "").strip()
        if not text:
            return None
        try:
            checked = payloads.check_text(text, "The value")
        except PayloadRejected as rejected:
            raise ValidationError(_syntax_problem(text) or str(rejected), code="invalid") from rejected
        return payloads.decode(checked, None, "the value")

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, marked as such."""
        return None if data is None else TypedText(data)

    def prepare_value(self, value: Any) -> Any:
        """A JSON value as text, with a line for each entry; what was typed as it stands."""
        if isinstance(value, TypedText) or value is None:
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


def _syntax_problem(text: str) -> str | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"Line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}."
    except (ValueError, RecursionError):
        return None
    return None


def field_for(shape: FieldShape) -> forms.Field:
    """The form field of a shape that has no fields below it. Its ``initial`` is the shape's default."""
    options: dict[str, Any] = {
        "required": shape.blank == "refuse",
        "label": shape.label,
        "help_text": shape.help,
        "initial": _initial(shape),
        "validators": list(_validators(shape)),
    }
    return MAKERS[shape.type](shape, options)


def _text(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    kind: Any = {"email": forms.EmailField, "url": forms.URLField}.get(shape.type, forms.CharField)
    if shape.type == "multiline":
        options["widget"] = forms.Textarea(attrs={"rows": 4})
    if shape.type == "url":
        options["assume_scheme"] = "https"
    longest = EMAIL_CHARACTERS if shape.max_length is None and shape.type == "email" else shape.max_length
    field: forms.Field = kind(min_length=shape.min_length, max_length=longest, **options)
    return field


def _integer(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    options["validators"] += [MinValueValidator(-LARGEST_INTEGER), MaxValueValidator(LARGEST_INTEGER)]
    low = None if shape.minimum is None else math.ceil(_number(shape.minimum))
    high = None if shape.maximum is None else math.floor(_number(shape.maximum))
    # Whole numbers have a nearest one inside of an excluded bound.
    if shape.is_minimum_excluded:
        low = math.floor(_number(shape.minimum)) + 1
    if shape.is_maximum_excluded:
        high = math.ceil(_number(shape.maximum)) - 1
    return forms.IntegerField(min_value=low, max_value=high, **options)


def _float(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    field = FloatField(**options)
    field.widget.attrs |= _shown_bounds(shape)
    return field


def _decimal(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    field = forms.DecimalField(max_digits=shape.max_digits, decimal_places=shape.decimal_places, **options)
    field.widget.attrs |= _shown_bounds(shape)
    if shape.max_digits is None:
        field.validators.append(_check_digits)
    return field


def _shown_bounds(shape: FieldShape) -> dict[str, Any]:
    told = {"min": shape.minimum, "max": shape.maximum}
    return {name: bound for name, bound in told.items() if bound is not None}


def _boolean(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    return forms.BooleanField(**options)


def _date(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    return forms.DateField(widget=DateInput(format="%Y-%m-%d"), **options)


def _time(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    field = forms.TimeField(widget=TimeInput(attrs={"step": "any"}, format="%H:%M:%S"), **options)
    field.input_formats = ["%H:%M:%S", "%H:%M:%S.%f", "%H:%M"]
    return field


def _datetime(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    options["help_text"] = options["help_text"] or _zone_help()
    return forms.DateTimeField(widget=DateTimeInput(attrs={"step": "any"}, format="%Y-%m-%dT%H:%M:%S"), **options)


def _zone() -> str:
    return f"Time zone: {timezone.get_current_timezone_name()}."


_zone_help = lazy(_zone, str)


def _duration(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    options["help_text"] = options["help_text"] or "Days and time, as in “3 00:00:00”, or as in “P3DT4H”."
    return forms.DurationField(**options)


def _uuid(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    return forms.UUIDField(**options)


def _file(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    field = forms.FileField(**options | {"initial": None}, max_length=200)
    field.validators.append(_check_size)
    return field


def _json(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    return JsonField(**options)


def _choice(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    options.pop("validators")
    return ChoiceField(shape=shape, **options)


def _choices(shape: FieldShape, options: dict[str, Any]) -> forms.Field:
    options["validators"] = list(length_validators(shape))
    return ChoicesField(shape=shape, **options)


MAKERS: dict[str, Callable[[FieldShape, dict[str, Any]], forms.Field]] = {
    "text": _text,
    "multiline": _text,
    "email": _text,
    "url": _text,
    "integer": _integer,
    "float": _float,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "duration": _duration,
    "uuid": _uuid,
    "file": _file,
    "choice": _choice,
    "choices": _choices,
    "json": _json,
}

PARSERS: dict[str, Callable[[str], Any]] = {
    "date": parse_date,
    "time": parse_time,
    "datetime": parse_datetime,
    "duration": parse_duration,
    "decimal": Decimal,
}


def parsed(shape: FieldShape, value: Any) -> Any:
    """A JSON value as the Python value of the shape's type; as it stands where the type has no other form."""
    parse = PARSERS.get(shape.type)
    if parse is None or value is None:
        return value
    found = parse(str(value))
    if isinstance(found, datetime) and timezone.is_naive(found):
        return timezone.make_aware(found)
    return found


def length_validators(shape: FieldShape) -> list[Callable[[Any], None]]:
    """Checks of how many entries a list has."""
    found: list[Callable[[Any], None]] = []
    if shape.min_length is not None:
        found.append(MinLengthValidator(shape.min_length, f"Give at least {shape.min_length}."))
    if shape.max_length is not None:
        found.append(MaxLengthValidator(shape.max_length, f"Give at most {shape.max_length}."))
    return found


def _initial(shape: FieldShape) -> Any:
    try:
        return parsed(shape, shape.default)
    except (ValueError, ArithmeticError):
        return None


def _validators(shape: FieldShape) -> list[Callable[[Any], None]]:
    found: list[Callable[[Any], None]] = []
    if shape.pattern:
        found.append(RegexValidator(re.compile(shape.pattern), f"This has to match the pattern {shape.pattern}."))
    if shape.type != "integer":
        if shape.minimum is not None:
            kind: Any = _MoreThan if shape.is_minimum_excluded else MinValueValidator
            found.append(kind(_limit(shape, shape.minimum)))
        if shape.maximum is not None:
            kind = _LessThan if shape.is_maximum_excluded else MaxValueValidator
            found.append(kind(_limit(shape, shape.maximum)))
    if shape.multiple_of is not None:
        found.append(_MultipleOf(_limit(shape, shape.multiple_of)))
    return found


def _limit(shape: FieldShape, value: Any) -> Any:
    return _number(value) if shape.type in ("integer", "float") else parsed(shape, value)


def _number(value: Any) -> Any:
    return Decimal(value) if isinstance(value, str) else value


class _MoreThan(MinValueValidator):
    message = "Ensure this value is greater than %(limit_value)s."

    def compare(self, a: Any, b: Any) -> bool:
        return bool(a <= b)


class _LessThan(MaxValueValidator):
    message = "Ensure this value is less than %(limit_value)s."

    def compare(self, a: Any, b: Any) -> bool:
        return bool(a >= b)


class _MultipleOf(MinValueValidator):
    message = "Ensure this value is a multiple of %(limit_value)s."

    def compare(self, a: Any, b: Any) -> bool:
        if isinstance(a, float) or isinstance(b, float):
            return not math.isclose(math.remainder(a, b), 0, abs_tol=1e-9)
        return bool(a % b)


def _check_digits(value: Decimal) -> None:
    """Refuse numbers that would be written out with a million zeros somewhere."""
    if (
        not value.is_finite()
        or abs(value.adjusted()) > FORM_NUMBER_DIGITS
        or len(value.as_tuple().digits) > FORM_NUMBER_DIGITS
    ):
        raise ValidationError(f"Give at most {FORM_NUMBER_DIGITS} digits.", code="max_digits")


def _check_size(upload: Any) -> None:
    if upload.size > ANSWER_FILE_BYTES:
        raise ValidationError(f"The file has {upload.size:,} bytes, and {ANSWER_FILE_BYTES:,} are allowed.")


def _by_text(shape: FieldShape) -> dict[str, tuple[Any, str]]:
    return {str(value): (value, label) for value, label in shape.choices}


def _coerced(values: dict[str, tuple[Any, str]]) -> Callable[[str], Any]:
    return lambda text: values[text][0]
