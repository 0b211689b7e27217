"""From a Django form class to the shapes of its fields: what is stored, for where the class can't be found."""

from __future__ import annotations

from typing import Any

import msgspec
from django import forms
from django.core.validators import RegexValidator

from orchestrations.authoring.conversions import to_encodable
from orchestrations.authoring.forms.annotations import VERDICTS
from orchestrations.authoring.forms.human_form import HumanForm, HumanOptions
from orchestrations.authoring.forms.nested import GroupField, RowsField
from orchestrations.authoring.forms.shapes import FieldShape, FormDescription
from orchestrations.limits import FORM_CHOICES

UNKNOWN = "unknown"
"""A field that only its own class can draw and check."""

# The more special class before the one that it is made of.
TYPES: tuple[tuple[type[forms.Field], str], ...] = (
    (forms.ModelChoiceField, UNKNOWN),
    (forms.EmailField, "email"),
    (forms.URLField, "url"),
    (forms.UUIDField, "uuid"),
    (forms.JSONField, "json"),
    (forms.CharField, "text"),
    (forms.FloatField, "float"),
    (forms.DecimalField, "decimal"),
    (forms.IntegerField, "integer"),
    (forms.NullBooleanField, "choice"),
    (forms.BooleanField, "boolean"),
    (forms.TypedMultipleChoiceField, UNKNOWN),
    (forms.MultipleChoiceField, "choices"),
    (forms.TypedChoiceField, UNKNOWN),
    (forms.FilePathField, UNKNOWN),
    (forms.ChoiceField, "choice"),
    (forms.DateTimeField, "datetime"),
    (forms.DateField, "date"),
    (forms.TimeField, "time"),
    (forms.DurationField, "duration"),
    (forms.ImageField, UNKNOWN),
    (forms.FileField, "file"),
)


def is_form_class(declared: object) -> bool:
    """Whether it is a class of Django forms."""
    return isinstance(declared, type) and issubclass(declared, forms.Form)


def describe_form_class(form: type[forms.Form]) -> FormDescription:
    """The description of a form class, in the order of its layout."""
    options = form.human if issubclass(form, HumanForm) else HumanOptions()
    fields: dict[str, forms.Field] = form.base_fields
    ordered = [*options.layout, *(name for name in fields if name not in options.layout)]
    shapes = tuple(_shape(name, fields[name]) for name in ordered)
    outcome = options.outcome or next((name for name in VERDICTS if _is_verdict(fields.get(name))), "")
    return FormDescription(
        path=f"{form.__module__}.{form.__qualname__}",
        version=options.version,
        shapes=shapes,
        outcome=outcome,
        bulk=options.bulk,
    )


def _is_verdict(field: forms.Field | None) -> bool:
    return isinstance(field, forms.ChoiceField) and field.required


def _shape(name: str, field: forms.Field) -> FieldShape:
    if isinstance(field, GroupField | RowsField):
        return field.shape
    kind = next((kind for form_field, kind in TYPES if isinstance(field, form_field)), UNKNOWN)
    told: dict[str, Any] = {
        "name": name,
        "type": kind,
        "label": str(field.label or name.replace("_", " ").capitalize()),
        "help": str(field.help_text),
        "default": _initial(field),
    }
    for key in ("min_length", "max_length", "max_digits", "decimal_places"):
        told[key] = getattr(field, key, None)
    told["minimum"] = _as_json(getattr(field, "min_value", None))
    told["maximum"] = _as_json(getattr(field, "max_value", None))
    told["pattern"] = _pattern(field)
    told |= _by_kind(field, kind)
    return FieldShape(**told)


def _by_kind(field: forms.Field, kind: str) -> dict[str, Any]:
    """What differs from kind to kind: the choices, and what an empty field stands for."""
    told: dict[str, Any] = {"blank": "refuse" if field.required else "null"}
    if kind == "text":
        told["blank"] = "refuse" if field.required else "empty"
        told["type"] = "multiline" if isinstance(field.widget, forms.Textarea) else "text"
    elif kind == "boolean":
        told["blank"] = "refuse" if field.required else "empty"
    elif isinstance(field, forms.NullBooleanField):
        told |= {"choices": ((True, "Yes"), (False, "No")), "blank": "null"}
    elif kind in ("choice", "choices"):
        told["choices"] = tuple(_flat(field.choices))[:FORM_CHOICES]  # type: ignore[attr-defined]
        if kind == "choices":
            told["blank"] = "refuse" if field.required else "empty"
        elif not field.required:
            told["blank"] = "empty"
    return told


def _flat(choices: Any) -> list[tuple[Any, str]]:
    """Choices without their groups and without the empty one."""
    found: list[tuple[Any, str]] = []
    for value, label in choices:
        if isinstance(label, list | tuple):
            found += _flat(label)
        elif value not in ("", None):
            found.append((str(value), str(label)))
    return found


def _pattern(field: forms.Field) -> str:
    if not isinstance(field, forms.RegexField | forms.SlugField):
        return ""
    regex: Any = next((one.regex for one in field.validators if isinstance(one, RegexValidator)), None)
    return str(getattr(regex, "pattern", regex or ""))


def _initial(field: forms.Field) -> Any:
    return None if callable(field.initial) else _as_json(field.initial)


def _as_json(value: Any) -> Any:
    if callable(value):
        return None
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=to_encodable)
    except (TypeError, ValueError):
        return None
