"""What annotations say beside the type: bounds, lengths, labels. msgspec.Meta, annotated-types and pydantic's Field
name these things alike, so that they are read by name, and none of them has to be installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

FIRST_OF = {"label": ("label", "title"), "help": ("help_text", "help", "description", "documentation")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Everything that annotations may say about one field; None where they don't."""

    gt: Any = None
    ge: Any = None
    lt: Any = None
    le: Any = None
    multiple_of: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    max_digits: int | None = None
    decimal_places: int | None = None
    format: str | None = None
    label: str | None = None
    help: str | None = None

    def with_marks(self, marks: Iterable[object]) -> Constraints:
        """These, and on top what the marks of an ``Annotated`` say."""
        found = self
        for mark in marks:
            found = replace(found, **_told_by(mark))
        return found


NAMES = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "max_digits", "decimal_places")


def _told_by(mark: object) -> dict[str, Any]:
    if mark is None or isinstance(mark, str | type):
        return {}
    read = _from_mapping(mark) if isinstance(mark, Mapping) else _from_attributes(mark)
    told: dict[str, Any] = {}
    for part in _parts(mark):
        told |= _told_by(part)
    return told | {name: value for name, value in read.items() if value is not None}


def _from_attributes(mark: object) -> dict[str, Any]:
    told = {name: getattr(mark, name, None) for name in NAMES}
    pattern = told["pattern"]
    told["pattern"] = getattr(pattern, "pattern", pattern)
    for name, spellings in FIRST_OF.items():
        told[name] = next((text for key in spellings if isinstance(text := getattr(mark, key, None), str)), None)
    schema = getattr(mark, "extra_json_schema", None) or getattr(mark, "json_schema_extra", None)
    if isinstance(schema, Mapping):
        told["format"] = schema.get("format")
    return told


def _from_mapping(told: Mapping[Any, Any]) -> dict[str, Any]:
    """The ``metadata`` of a dataclass field."""
    found: dict[str, Any] = {name: told[name] for name in (*NAMES, "format") if name in told}
    for name, spellings in FIRST_OF.items():
        found[name] = next((told[key] for key in spellings if key in told), None)
    return found


def _parts(mark: object) -> Iterable[object]:
    metadata = getattr(mark, "metadata", None)  # of pydantic's FieldInfo, which keeps its bounds there
    return metadata if isinstance(metadata, list | tuple) else ()
