"""The fields of a class whose values are JSON objects, whatever library the class is of."""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from orchestrations.authoring.conversions import to_encodable, type_name
from orchestrations.authoring.forms.constraints import Constraints
from orchestrations.errors import ConfigurationError

PURE_FACTORIES = (list, dict, set, frozenset, tuple)  # others might return something else each time


@dataclass(frozen=True, slots=True)
class Member:
    """One field of a class. ``default`` is a JSON value, or None where the class has none that could be shown."""

    name: str
    annotation: Any
    is_required: bool
    default: Any = None
    constraints: Constraints = field(default_factory=Constraints)


def members_of(kind: Any) -> list[Member] | None:
    """The fields of a dataclass, TypedDict, msgspec Struct or pydantic model; None for any other type."""
    if not isinstance(kind, type):
        return None
    for is_one, read in READERS:
        if is_one(kind):
            return list(read(kind))
    return None


def is_pydantic_model(kind: object) -> bool:
    """Whether it is a pydantic model; such a class exists only where pydantic has been imported."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def _is_typed_dict(kind: type) -> bool:
    return issubclass(kind, dict) and hasattr(kind, "__total__")


def _is_struct(kind: type) -> bool:
    # Those that are written as arrays have no names in JSON.
    return issubclass(kind, msgspec.Struct) and not kind.__struct_config__.array_like


def _of_dataclass(kind: Any) -> Iterator[Member]:
    hints = _hints(kind)
    for one in dataclasses.fields(kind):
        if not one.init:
            continue
        is_required = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        default = one.default if one.default is not dataclasses.MISSING else _made_by(one.default_factory)
        constraints = Constraints().with_marks([one.metadata])
        yield Member(one.name, hints[one.name], is_required, _as_json(default), constraints)


def _of_typed_dict(kind: Any) -> Iterator[Member]:
    for name, annotation in _hints(kind).items():
        yield Member(name, annotation, name in kind.__required_keys__)


def _of_struct(kind: Any) -> Iterator[Member]:
    hints = _hints(kind)
    for one in msgspec.structs.fields(kind):
        default = one.default if one.default is not msgspec.NODEFAULT else _made_by(one.default_factory)
        yield Member(one.encode_name, hints[one.name], one.required, _as_json(default))


def _of_pydantic(kind: Any) -> Iterator[Member]:
    for name, told in kind.model_fields.items():
        default = _made_by(told.default_factory) if told.default_factory else told.default
        is_required = told.is_required()
        constraints = Constraints().with_marks([told])
        yield Member(
            told.alias or name, told.annotation, is_required, None if is_required else _as_json(default), constraints
        )


READERS: tuple[tuple[Any, Any], ...] = (
    (dataclasses.is_dataclass, _of_dataclass),
    (_is_typed_dict, _of_typed_dict),
    (_is_struct, _of_struct),
    (is_pydantic_model, _of_pydantic),
)


def _hints(kind: Any) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"The form of {type_name(kind)} can't be made: an annotation names {error.name!r}, which is not defined "
            "there. Import it at run time, not only for type checkers."
        ) from error


def _made_by(factory: Any) -> Any:
    return factory() if factory in PURE_FACTORIES else None


def _as_json(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=to_encodable)
    except (TypeError, ValueError):
        return None  # a default that can't be shown; the class still has it
