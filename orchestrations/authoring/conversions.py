"""Typed conversion between JSON and Python: one compiled decoder per type, and the types that msgspec leaves to us.

Beyond msgspec's own types (dataclasses, datetimes, Decimal, UUID, enums, TypedDict, NamedTuple, attrs, Struct) these
are pydantic models where pydantic is in use, Django's TextChoices and IntegerChoices, classes with ``to_json`` and
``from_json``, and, outward only, SimpleNamespaces, subclasses of str, int and float, lazy strings of Django, and any
other mapping or sequence.
"""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, TypeAlias, get_origin

import msgspec
from django.utils.functional import Promise

Decoder: TypeAlias = "msgspec.json.Decoder[Any]"

UNTYPED: Decoder = msgspec.json.Decoder()
"""Decodes to plain JSON values; what a missing annotation, ``Any`` and ``object`` stand for."""

DECODERS = 2_048  # kept; a site has a few per function


class UnsupportedType(TypeError):
    """JSON can't be decoded to that type."""


class UnsupportedValue(TypeError):
    """The value has no JSON form."""


def decoder_for(kind: object) -> Decoder:
    """Return the decoder of that type, compiled once. Raises UnsupportedType, or NameError for a forward reference."""
    if kind is None or kind is Any or kind is object or kind is inspect.Parameter.empty:
        return UNTYPED
    try:
        hash(kind)
    except TypeError:
        return _compile(kind)
    return _compile_once(kind)


def type_name(kind: object) -> str:
    """Return the type as its author would write it."""
    if isinstance(kind, type) and get_origin(kind) is None:
        return "None" if kind is type(None) else kind.__qualname__
    return str(kind).replace("typing.", "")


def to_encodable(value: Any) -> Any:
    """Return what to encode in place of a value that msgspec does not know. Raises UnsupportedValue for others."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Promise):
        return str(value)
    kind = type(value)
    if _is_pydantic(kind):
        return value.model_dump(mode="json", round_trip=True)
    if _has_json_methods(kind):
        return kind.to_json(value)
    if isinstance(value, SimpleNamespace):
        return vars(value)
    if isinstance(value, Mapping) and not isinstance(value, dict):
        return dict(value)
    if isinstance(value, Sequence | deque) and not isinstance(value, list | tuple):
        return list(value)
    raise UnsupportedValue(f"{kind.__qualname__} has no JSON form")


def has_form_of_its_own(value: object) -> bool:
    """Whether the value's class says what its JSON is, by code that may fail."""
    return _is_pydantic(type(value)) or _has_json_methods(type(value))


def read_model(model: Any, value: Any) -> Any:
    """A pydantic model of a JSON value, whose members have the names of fields or aliases.

    Read as JSON: a strict model takes no text for a date from Python. Raises pydantic's ValidationError, and what its
    validators raise.
    """
    return model.model_validate_json(msgspec.json.encode(value), by_name=True)


def _from_decoded(kind: type, value: Any) -> Any:
    """msgspec's hook for types that it does not know; it turns a ValueError into one with the path."""
    try:
        if _is_pydantic(kind):
            return _validated(kind, value)
        if issubclass(kind, Enum):
            return kind(value)
        if _has_json_methods(kind):
            return kind.from_json(value)  # type: ignore[attr-defined]
    except (ValueError, TypeError):
        raise
    except Exception as error:  # code of the class, which was written for other values
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return value


def _validated(model: Any, value: Any) -> Any:
    """A pydantic model of the value; its errors say place and reason on one line, without the values."""
    try:
        return read_model(model, value)
    except sys.modules["pydantic"].ValidationError as error:
        reasons = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()]
        raise ValueError("; ".join(reasons)) from error


def _compile(kind: object) -> Decoder:
    try:
        custom = list(_custom_types(kind))
        for unknown in custom:
            if not _is_known(unknown):
                raise UnsupportedType(f"{type_name(unknown)} has no JSON form")
        if not custom:
            return msgspec.json.Decoder(kind)
        return msgspec.json.Decoder(kind, dec_hook=_from_decoded)
    except UnsupportedType:
        raise
    except (TypeError, ValueError) as error:
        raise UnsupportedType(str(error)) from error


_compile_once = lru_cache(maxsize=DECODERS)(_compile)


def _custom_types(kind: object) -> Iterator[type]:
    """The classes anywhere inside the type that msgspec accepts but leaves to a hook."""
    stack: list[Any] = [msgspec.inspect.type_info(kind)]
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(node)
        elif isinstance(node, msgspec.inspect.CustomType):
            yield node.cls
        elif isinstance(node, msgspec.inspect.Type | msgspec.inspect.Field) and id(node) not in seen:
            seen.add(id(node))  # types may contain themselves
            stack.extend(getattr(node, name) for name in node.__struct_fields__)


def _is_known(kind: type) -> bool:
    # msgspec knows enums by their metaclass, and Django's choices have one of their own.
    return kind is object or _is_pydantic(kind) or issubclass(kind, Enum) or _has_json_methods(kind)


def _is_pydantic(kind: type) -> bool:
    # A model's class can exist only once pydantic is imported, so there is no need to import it here.
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


def _has_json_methods(kind: type) -> bool:
    return callable(getattr(kind, "to_json", None)) and callable(getattr(kind, "from_json", None))
