"""Entities, as declared by an author: a function of (context[, input]), or a class whose methods are the operations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from orchestrations.authoring import payloads
from orchestrations.authoring.signatures import Conversion, refusal, takes_context
from orchestrations.core.entity_context import EntityContext, Operation
from orchestrations.core.entity_ids import EntityId

DELETE = "delete"


class DurableEntity:
    """What an entity class may be a subclass of: its methods reach the state through ``get_state`` and ``set_state``.

    An object is made for each operation; attributes that a method sets are gone when the operation ends.
    """

    entity_context: EntityContext
    """The operation that is carried out."""

    def get_state(self, intended_type: object = None, default: Any = None) -> Any:
        """A copy of the state as that type, or the default where there is none."""
        return self.entity_context.get_state(intended_type, default)

    def set_state(self, state: object) -> None:
        """Replace the state by a JSON value; None deletes the entity."""
        self.entity_context.set_state(state)

    def signal_entity(
        self, entity_id: object, operation_name: str, input: object = None, signal_time: datetime | None = None
    ) -> None:
        """Ask an operation of another entity, if this one ends well."""
        self.entity_context.signal_entity(entity_id, operation_name, input, signal_time)

    def schedule_new_orchestration(
        self, orchestrator_name: object, input: object = None, instance_id: str | None = None
    ) -> str:
        """Start an orchestration, if this operation ends well, and return its instance id."""
        return self.entity_context.schedule_new_orchestration(orchestrator_name, input, instance_id)

    def delete(self) -> None:
        """Delete the entity."""
        self.set_state(None)


@dataclass(frozen=True, slots=True)
class Method:
    """A function or method, and what it is to be given beside ``self``."""

    function: Callable[..., Any]
    takes_context: bool
    conversion: Conversion

    def call(self, *given: object, context: EntityContext, operation: Operation) -> Any:
        """Call it with ``given``, then the context and the input where it takes them. Raises PayloadRejected."""
        arguments = [*given, context] if self.takes_context else [*given]
        if self.conversion.parameter is not None:
            arguments.append(self.conversion.decode_input(operation.input))
        return self.function(*arguments)

    def encode_result(self, returned: object, operation: Operation) -> str | None:
        """What it returned, else what ``set_result`` was given, as JSON text. Raises PayloadRejected."""
        return self.conversion.encode_output(operation.result if returned is None else returned)


@dataclass(frozen=True, slots=True)
class EntityDefinition:
    """A registered entity."""

    kind: ClassVar[str] = "entity"

    name: str
    function: Callable[..., Any]
    """The function or class that was decorated."""

    def execute(self, context: EntityContext, operation: Operation) -> str | None:
        """Carry out one operation and return its result as JSON text."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class FunctionEntity(EntityDefinition):
    """An entity that is one function for all operations."""

    method: Method = field(repr=False, compare=False)

    def execute(self, context: EntityContext, operation: Operation) -> str | None:
        """Call the function."""
        return self.method.encode_result(self.method.call(context=context, operation=operation), operation)


@dataclass(frozen=True, slots=True)
class ClassEntity(EntityDefinition):
    """An entity whose public methods are its operations.

    The attributes of its object are its state, unless the class is a DurableEntity.
    """

    methods: Mapping[str, Method] = field(repr=False, compare=False)

    def execute(self, context: EntityContext, operation: Operation) -> str | None:
        """Make the object, call the method, and keep what became of the object."""
        kind: Any = self.function
        is_state = not issubclass(kind, DurableEntity)
        method = self.methods.get(operation.name)
        if method is None:
            if operation.name != DELETE:
                known = ", ".join(sorted(self.methods))
                raise AttributeError(f"The entity {self.name!r} has no operation {operation.name!r}. It has {known}.")
            operation.is_destructed = True
            return None
        target = self._restored(operation.state) if is_state else kind()
        if not is_state:
            target.entity_context = context
        result = method.encode_result(method.call(target, context=context, operation=operation), operation)
        if is_state and not operation.is_state_set:
            operation.state = payloads.encode(_attributes(target), f"entity {self.name!r}: state")
        return result

    def _restored(self, state: str | None) -> Any:
        kind: Any = self.function
        if state is None:
            return kind()
        if _has_fields(kind):
            return payloads.decode(state, kind, f"entity {self.name!r}: state")
        target = kind.__new__(kind)
        target.__dict__.update(payloads.decode(state, dict[str, Any], f"entity {self.name!r}: state"))
        return target


def entity_definition(name: str, declared: Any) -> EntityDefinition:
    """Read an entity's function or class. Raises ConfigurationError for what can't be run as one."""
    if inspect.isclass(declared):
        return _class_entity(name, declared)
    method = _method(name, declared, skip=0)
    if not method.takes_context:
        raise refusal("entity", name, declared, "takes no context", "Let it take (context) or (context, input).")
    return FunctionEntity(name, declared, method)


def _class_entity(name: str, declared: type) -> ClassEntity:
    inherited = set(vars(DurableEntity)) - {DELETE} if issubclass(declared, DurableEntity) else set()
    methods = {
        operation: _method(f"{name}.{operation}", function, skip=1)
        for operation, function in inspect.getmembers(declared, inspect.isfunction)
        if not operation.startswith("_") and operation not in inherited and not _is_static(declared, operation)
    }
    if not methods:
        raise refusal("entity", name, declared, "has no operation", "Give the class public methods.")
    if _has_slots(declared):
        problem = "keeps attributes in slots, which are no state"
        raise refusal("entity", name, declared, problem, "Make it a dataclass, or leave __slots__ out.")
    required = [
        parameter.name
        for parameter in list(inspect.signature(declared.__init__).parameters.values())[1:]  # type: ignore[misc]
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    if required:
        problem = f"can't be made without {', '.join(required)}"
        raise refusal("entity", name, declared, problem, "Give defaults: an entity begins with its first operation.")
    return ClassEntity(name, declared, methods)


def _method(name: str, function: Callable[..., Any], skip: int) -> Method:
    plain = inspect.unwrap(function)
    if inspect.iscoroutinefunction(plain) or inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        problem = "is async or a generator, and operations run to their end at once"
        raise refusal("entity", name, function, problem, "Start an orchestration for what takes long.")
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes = bool(positional) and (takes_context(positional[0], "EntityContext") or (skip == 0 and len(positional) > 1))
    inputs = positional[1:] if takes or skip == 0 else positional
    unfit = [
        p.name for p in parameters if p not in positional and (p.kind is not p.KEYWORD_ONLY or p.default is p.empty)
    ]
    if len(inputs) > 1 or unfit:
        own = "self, " * skip
        raise refusal(
            "entity",
            name,
            function,
            f"takes {', '.join(unfit) or f'{len(positional)} parameters'}",
            f"Let it take ({own}context), ({own}input) or ({own}context, input)."
            if skip
            else "Let it take (context) or (context, input).",
        )
    conversion = Conversion("entity", name, function, inputs[0] if inputs else None)
    conversion.compile_if_resolvable()
    return Method(function, takes or (skip == 0 and bool(positional)), conversion)


def _attributes(target: object) -> object:
    """The object's state: what has fields is encoded as such, any other by its attributes."""
    return target if _has_fields(type(target)) else vars(target)


def _has_fields(kind: type) -> bool:
    """Whether objects of the class are written and read by their fields, with the fields' types."""
    return is_dataclass(kind) or issubclass(kind, msgspec.Struct) or hasattr(kind, "__attrs_attrs__")


def _has_slots(declared: type) -> bool:
    """Whether objects of an ordinary class have attributes that ``vars`` doesn't show."""
    if issubclass(declared, DurableEntity) or _has_fields(declared):
        return False
    return declared.__dictoffset__ == 0 or any(vars(base).get("__slots__") for base in declared.__mro__)


def _is_static(declared: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(declared, name), staticmethod)


def entity_name_problem(name: str) -> str | None:
    """Why an entity can't have that name; None where it can."""
    try:
        EntityId(name, "")
    except ValueError as error:
        return str(error)
    return None
