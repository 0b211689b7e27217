"""From a type to the fields of its form. What no form can ask for is refused, with the name of the field."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from orchestrations.authoring.conversions import UnsupportedType, decoder_for, type_name
from orchestrations.authoring.forms.constraints import Constraints
from orchestrations.authoring.forms.files import AnswerFile
from orchestrations.authoring.forms.members import Member, members_of
from orchestrations.authoring.forms.shapes import WRAPPED, FieldShape, FormDescription
from orchestrations.errors import ConfigurationError
from orchestrations.limits import FORM_FIELDS

SUPPORTED = (
    "str, int, float, Decimal, bool, date, time, datetime, timedelta, UUID, an Enum or Literal of texts or numbers, "
    "AnswerFile, Optional of these, a list of them, and one level of dataclasses, TypedDicts, Structs or pydantic "
    "models, alone or as a list"
)
VERDICTS = ("outcome", "decision", "verdict", "approved")  # names under which a type's verdict is found
VERDICT_LABELS = ((True, "Approve"), (False, "Reject"))
YES_OR_NO = ((True, "Yes"), (False, "No"))
SIMPLE: dict[object, str] = {
    str: "text", int: "integer", float: "float", Decimal: "decimal", bool: "boolean", date: "date", time: "time",
    datetime: "datetime", timedelta: "duration", UUID: "uuid", AnswerFile: "file",
}  # fmt: skip
FORMATS = {"email": "email", "idn-email": "email", "uri": "url", "url": "url", "multiline": "multiline"}
PYDANTIC_TEXTS = {"EmailStr": "email", "AnyUrl": "url", "HttpUrl": "url", "AnyHttpUrl": "url"}
LISTS = (list, set, frozenset, Sequence, Set)


class Reading(NamedTuple):
    """A type without what surrounds it."""

    kind: Any
    constraints: Constraints
    is_nullable: bool


class Unsupported(TypeError):
    """The annotation can't be asked for by a form."""


def describe_type(kind: Any) -> FormDescription:
    """The form of a type. Raises ConfigurationError, naming the field, for what no form can ask for."""
    members = members_of(_read(kind, Constraints()).kind)
    is_wrapped = members is None
    if members is None:
        members = [Member(WRAPPED, kind, True)]
    if not members or len(members) > FORM_FIELDS:
        raise ConfigurationError(
            f"The form of {type_name(kind)} has {len(members)} fields, and 1 to {FORM_FIELDS} can be asked for. "
            "Ask for less, or for something."
        )
    shapes = _shapes(kind, members, depth=0)
    try:
        decoder_for(kind)
    except (UnsupportedType, NameError) as error:
        raise ConfigurationError(
            f"The form of {type_name(kind)} can't be made: {error}. Use a type that JSON can be decoded to."
        ) from error
    outcome = _outcome_of(shapes)
    return FormDescription(
        shapes=tuple(_as_verdict(shape) if shape.name == outcome else shape for shape in shapes),
        outcome=outcome,
        is_wrapped=is_wrapped,
    )


def _shapes(owner: Any, members: list[Member], depth: int) -> list[FieldShape]:
    shapes = []
    for member in members:
        try:
            shapes.append(_shape(member, depth))
        except Unsupported as refused:
            annotation = type_name(_read(member.annotation, Constraints()).kind)
            reason = f" ({refused})" if str(refused) else ""
            named = "it" if member.name == WRAPPED else f"its field {member.name!r}"
            raise ConfigurationError(
                f"The form of {type_name(owner)} can't be made: {named} is {annotation}{reason}. "
                f"Supported are {SUPPORTED}."
            ) from None
    return shapes


def _shape(member: Member, depth: int) -> FieldShape:
    kind, constraints, is_nullable = _read(member.annotation, member.constraints)
    shape = FieldShape(
        name=member.name,
        type="",
        label=constraints.label or _as_words(member.name),
        help=constraints.help or "",
        default=member.default,
    )
    if _is_list(kind):
        shape = _list_shape(shape, kind, constraints, depth)
    else:
        shape = _single_shape(shape, kind, constraints, is_nullable, depth)
    return replace(shape, blank=_blank(shape, member, is_nullable))


def _single_shape(shape: FieldShape, kind: Any, constraints: Constraints, is_nullable: bool, depth: int) -> FieldShape:
    if choices := _choices(kind):
        return replace(shape, type="choice", choices=choices)
    if kind is bool and is_nullable:
        return replace(shape, type="choice", choices=YES_OR_NO)
    if members := members_of(kind) if kind is not AnswerFile else None:
        if depth:
            raise Unsupported("one level of objects can be asked for")
        return replace(shape, type="group", fields=tuple(_shapes(kind, members, depth + 1)))
    return _bounded(replace(shape, type=_simple_type(kind, constraints)), constraints)


def _simple_type(kind: Any, constraints: Constraints) -> str:
    if getattr(kind, "__module__", "") == "pydantic.networks" and kind.__name__ in PYDANTIC_TEXTS:
        return PYDANTIC_TEXTS[kind.__name__]
    if not isinstance(kind, type) or kind not in SIMPLE:
        raise Unsupported
    simple = SIMPLE[kind]
    return FORMATS.get(constraints.format or "", simple) if simple == "text" else simple


def _list_shape(shape: FieldShape, kind: Any, constraints: Constraints, depth: int) -> FieldShape:
    item, *others = [one for one in typing.get_args(kind) if one is not Ellipsis] or [Any]
    if others:
        raise Unsupported("a tuple of fixed length")
    shape = replace(shape, min_length=constraints.min_length, max_length=constraints.max_length)
    reading = _read(item, Constraints())
    if choices := _choices(reading.kind):
        return replace(shape, type="choices", choices=choices)
    if depth:
        raise Unsupported("a list inside of an object")
    if members := members_of(reading.kind) if reading.kind is not AnswerFile else None:
        rows = tuple(_shapes(reading.kind, members, depth + 1))
        if all(row.type in ("boolean", "choices") for row in rows):
            raise Unsupported("a row of nothing but check boxes, which an empty row could not be told from")
        return replace(shape, type="rows", fields=rows)
    if reading.is_nullable or reading.kind is bool or _is_list(reading.kind):
        raise Unsupported("a list of what may be empty")
    cell = _shape(Member(WRAPPED, item, True), depth + 1)
    return replace(shape, type="rows", fields=(replace(cell, label=shape.label),), is_flat=True)


def _bounded(shape: FieldShape, told: Constraints) -> FieldShape:
    low, high = told.ge if told.gt is None else told.gt, told.le if told.lt is None else told.lt
    return replace(
        shape,
        minimum=_bound(low),
        maximum=_bound(high),
        is_minimum_excluded=told.gt is not None,
        is_maximum_excluded=told.lt is not None,
        multiple_of=_bound(told.multiple_of),
        min_length=told.min_length,
        max_length=told.max_length,
        pattern=told.pattern or "",
        max_digits=told.max_digits,
        decimal_places=told.decimal_places,
    )


def _bound(value: Any) -> Any:
    """A bound as a JSON value."""
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, date | time | datetime) else value


def _blank(shape: FieldShape, member: Member, is_nullable: bool) -> Any:
    if shape.type == "boolean":
        return "empty"  # not ticked is False
    if is_nullable:
        return "null"
    if shape.type in ("choices", "rows"):
        return "refuse" if shape.min_length else "empty"
    if member.is_required:
        return "refuse"
    may_be_empty = shape.type in ("text", "multiline") and not (shape.min_length or shape.pattern)
    return "empty" if may_be_empty and isinstance(member.default, str) else "default"


def _read(kind: Any, constraints: Constraints) -> Reading:
    """Take off ``Annotated``, ``Optional``, ``Required`` and the like."""
    is_nullable = False
    while True:
        origin = typing.get_origin(kind)
        if origin is Annotated:
            kind, *marks = typing.get_args(kind)
            constraints = constraints.with_marks(marks)
        elif origin in (typing.Required, typing.NotRequired, typing.Final):
            (kind,) = typing.get_args(kind)
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        elif origin in (typing.Union, types.UnionType) and type(None) in typing.get_args(kind):
            others = tuple(one for one in typing.get_args(kind) if one is not type(None))
            is_nullable, kind = True, typing.Union[others]  # noqa: UP007 - made at run time
        elif origin is Literal and None in typing.get_args(kind):
            values = tuple(one for one in typing.get_args(kind) if one is not None)
            is_nullable, kind = True, Literal[values]
        else:
            return Reading(kind, constraints, is_nullable)


def _choices(kind: Any) -> tuple[tuple[Any, str], ...]:
    if typing.get_origin(kind) is Literal:
        found = tuple((value, _as_words(value)) for value in typing.get_args(kind))
    elif isinstance(kind, type) and issubclass(kind, Enum) and not issubclass(kind, Flag):
        found = tuple((member.value, str(getattr(member, "label", _as_words(member.name)))) for member in kind)
    else:
        return ()
    keys = {str(value) for value, _ in found}
    if len(keys) < len(found) or not all(isinstance(value, str | int) for value, _ in found):
        raise Unsupported("its values have to be texts or whole numbers that differ as they are written")
    return found


def _is_list(kind: Any) -> bool:
    origin = typing.get_origin(kind) or kind
    return origin in LISTS or (origin is tuple and typing.get_args(kind)[-1:] == (Ellipsis,))


def _outcome_of(shapes: list[FieldShape]) -> str:
    by_name = {shape.name: shape for shape in shapes}
    verdicts = (by_name[name] for name in VERDICTS if name in by_name)
    fit = (shape.name for shape in verdicts if shape.type in ("choice", "boolean") and shape.blank != "null")
    return next(fit, "")


def _as_verdict(shape: FieldShape) -> FieldShape:
    """A verdict is chosen and never assumed, so that a check box becomes a pair of choices and has no default."""
    choices = VERDICT_LABELS if shape.type == "boolean" else shape.choices
    return replace(shape, type="choice", choices=choices, blank="refuse", default=None)


def _as_words(name: object) -> str:
    words = str(name).replace("_", " ").strip()
    words = words.lower() if words.isupper() else words
    return words[:1].upper() + words[1:] or str(name)


def is_open_ended(kind: Any) -> bool:
    """Whether the type says nothing that a form could ask for: none at all, ``Any``, or any JSON object."""
    return kind in (None, Any, object, dict, Mapping) or typing.get_origin(kind) in (dict, Mapping)
