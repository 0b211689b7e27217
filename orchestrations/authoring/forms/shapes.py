"""What a form is, as plain data: the fields of it, and what is stored of it beside the question that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

Blank = Literal["refuse", "null", "empty", "default"]
"""What a field left empty stands for: an error, null, an empty text or list, or the type's own default."""

WRAPPED = "value"  # the name of the one field of a type that is no object


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldShape:
    """One field. Bounds and defaults are JSON values, as a payload would hold them."""

    name: str
    type: str
    label: str
    help: str = ""
    blank: Blank = "refuse"
    default: Any = None
    choices: tuple[tuple[Any, str], ...] = ()
    minimum: Any = None
    maximum: Any = None
    is_minimum_excluded: bool = False
    is_maximum_excluded: bool = False
    multiple_of: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str = ""
    max_digits: int | None = None
    decimal_places: int | None = None
    fields: tuple[FieldShape, ...] = ()
    is_flat: bool = False
    """Whether each row is a bare value and no object."""

    def as_dict(self) -> dict[str, Any]:
        """The shape as JSON values, without what is at its default."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        told = {name: value for name, value in told.items() if value != DEFAULTS.get(name)}
        if self.choices:
            told["choices"] = [list(choice) for choice in self.choices]
        if self.fields:
            told["fields"] = [field.as_dict() for field in self.fields]
        return told

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> FieldShape:
        """Read what ``as_dict`` made; keys of a later release are passed over."""
        known = {name: told[name] for name in (field.name for field in fields(cls)) if name in told}
        if "choices" in known:
            known["choices"] = tuple((value, label) for value, label in known["choices"])
        if "fields" in known:
            known["fields"] = tuple(cls.of(field) for field in known["fields"])
        return cls(**known)


DEFAULTS = {field.name: field.default for field in fields(FieldShape) if field.name not in ("name", "type", "label")}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormDescription:
    """A form without its code: enough to draw it and to check most of it where the code is missing."""

    path: str = ""
    """Dotted name of the class; empty where the shapes alone are the form."""
    version: int = 1
    shapes: tuple[FieldShape, ...] = ()
    outcome: str = ""
    """Name of the field that holds the verdict; empty where the form has none."""
    bulk: bool = False
    """Whether many questions with this form may be answered at once."""
    is_wrapped: bool = False
    """Whether the answer is the value of the one field, and no object."""

    @property
    def schema(self) -> dict[str, Any]:
        """The fields as JSON values, for a column."""
        return {"fields": [shape.as_dict() for shape in self.shapes], "wrapped": self.is_wrapped}

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "path": self.path,
            "version": self.version,
            "outcome": self.outcome,
            "bulk": self.bulk,
            "schema": self.schema,
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> FormDescription:
        """Read what ``as_dict`` made."""
        schema = told.get("schema") or {}
        return cls(
            path=str(told.get("path", "")),
            version=int(told.get("version", 1)),
            outcome=str(told.get("outcome", "")),
            bulk=bool(told.get("bulk", False)),
            shapes=tuple(FieldShape.of(field) for field in schema.get("fields", ())),
            is_wrapped=bool(schema.get("wrapped", False)),
        )

    def shape(self, name: str) -> FieldShape | None:
        """The field of that name."""
        return next((shape for shape in self.shapes if shape.name == name), None)


JSON_SHAPE = FieldShape(
    name=WRAPPED,
    type="json",
    label="Answer (JSON)",
    help="Text goes in double quotes. Empty means no value.",
    blank="null",
)
JSON_BOX = FormDescription(shapes=(JSON_SHAPE,), is_wrapped=True)
"""The form of what declares none: one box for a JSON value."""
