"""From what a form has cleaned to the JSON value of the answer, and back from there to what a form would post."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Model, QuerySet
from django.utils.datastructures import MultiValueDict

from orchestrations.authoring.conversions import to_encodable
from orchestrations.authoring.forms.fields import parsed
from orchestrations.authoring.forms.files import AnswerFile
from orchestrations.authoring.forms.shapes import WRAPPED, FieldShape, FormDescription

KeepFile: TypeAlias = "Callable[[UploadedFile[Any]], AnswerFile]"

EMPTY: dict[str, Any] = {"choices": [], "rows": []}
"""What ``blank = "empty"`` stands for; a text otherwise."""
TEXTS = frozenset({"text", "multiline", "email", "url", "date", "time", "datetime", "duration", "uuid"})
NUMBERS = frozenset({"integer", "float", "decimal"})


def answer_of(description: FormDescription, cleaned: Mapping[str, Any], keep: KeepFile) -> Any:
    """The JSON value of a form's cleaned data."""
    told = _told(description.shapes, cleaned, keep)
    return told.get(WRAPPED) if description.is_wrapped else told


def plain(value: Any, keep: KeepFile) -> Any:
    """A cleaned value of any Django field as a JSON value. Raises TypeError for what has none."""
    if isinstance(value, UploadedFile):
        return msgspec.to_builtins(keep(value))
    if isinstance(value, QuerySet):
        return [plain(one.pk, keep) for one in value]
    if isinstance(value, Model):
        return plain(value.pk, keep)
    if isinstance(value, Mapping):
        return {str(key): plain(one, keep) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one, keep) for one in value]
    return msgspec.to_builtins(value, str_keys=True, enc_hook=to_encodable)


def restored(shapes: tuple[FieldShape, ...], told: Any) -> Any:
    """An object of JSON values with the Python types that its form had cleaned: Decimal, date and so on."""
    if not isinstance(told, Mapping):
        return told
    by_name = {shape.name: shape for shape in shapes}
    return {name: _restored(by_name[name], value) if name in by_name else value for name, value in told.items()}


def as_posted(shapes: tuple[FieldShape, ...], told: Mapping[str, Any], prefix: str = "") -> MultiValueDict[str, Any]:
    """JSON values as a browser would post them. Raises TypeError, naming the field, for a value of the wrong kind."""
    posted: MultiValueDict[str, Any] = MultiValueDict()
    for shape in shapes:
        value = told.get(shape.name, shape.default if shape.blank == "default" else None)
        if value is not None:
            _post(posted, shape, prefix + shape.name, value)
    return posted


def _told(shapes: tuple[FieldShape, ...], cleaned: Mapping[str, Any], keep: KeepFile) -> dict[str, Any]:
    told = {}
    for shape in shapes:
        value = cleaned.get(shape.name)
        if value is not None and value != "" and value != []:
            told[shape.name] = _value(shape, value, keep)
        elif shape.blank == "null":
            told[shape.name] = None
        elif shape.blank == "empty":
            told[shape.name] = EMPTY.get(shape.type, "")
    return told


def _value(shape: FieldShape, value: Any, keep: KeepFile) -> Any:
    if shape.type == "group":
        return _told(shape.fields, value, keep)
    if shape.type == "rows" and not shape.is_flat:
        return [_told(shape.fields, row, keep) for row in value]
    return plain(value, keep)


def _restored(shape: FieldShape, value: Any) -> Any:
    if shape.type == "group":
        return restored(shape.fields, value)
    if shape.type == "rows" and isinstance(value, list):
        if shape.is_flat:
            return [_restored(shape.fields[0], one) for one in value]
        return [restored(shape.fields, one) for one in value]
    return parsed(shape, value) if isinstance(value, str) else value


def _post(posted: MultiValueDict[str, Any], shape: FieldShape, name: str, value: Any) -> None:
    if shape.type == "group":
        posted.update(as_posted(shape.fields, _expect(shape, value, Mapping, "an object"), f"{name}-"))
    elif shape.type == "rows":
        for index, row in enumerate(_expect(shape, value, list, "a list")):
            told = {WRAPPED: row} if shape.is_flat else _expect(shape, row, Mapping, "a list of objects")
            posted.update(as_posted(shape.fields, told, f"{name}-{index}-"))
    elif shape.type == "choices":
        posted.setlist(name, [str(one) for one in _expect(shape, value, list, "a list")])
    elif shape.type == "boolean":
        if _expect(shape, value, bool, "true or false"):
            posted[name] = "on"
    elif shape.type == "json":
        posted[name] = msgspec.json.encode(value).decode()
    elif shape.type == "file":
        raise TypeError(f"{shape.name}: a file is sent by the form, and not as JSON.")
    else:
        posted[name] = _single(shape, value)


def _single(shape: FieldShape, value: Any) -> Any:
    if shape.type in TEXTS:
        return _expect(shape, value, str, "a text")
    if shape.type in NUMBERS:
        is_number = isinstance(value, int | float | str) and not isinstance(value, bool)
        return str(_expect(shape, value, object if is_number else (), "a number"))
    return str(value) if shape.type == "choice" else value


def _expect(shape: FieldShape, value: Any, kind: Any, words: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{shape.name}: this has to be {words}.")
    return value
