"""Reading an author's function: what it takes, and how its input and output convert to and from JSON.

What can't work is refused with a ConfigurationError when the function is declared. Annotations that name something not
defined yet are resolved on first use instead.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from orchestrations.authoring import payloads
from orchestrations.authoring.conversions import Decoder, UnsupportedType, decoder_for, type_name
from orchestrations.errors import ConfigurationError, PayloadRejected

EMPTY = inspect.Parameter.empty
CONTEXT_NAMES = frozenset({"context", "ctx", "_context", "_ctx", "_"})
RESULT_ARGUMENT = {Generator: 2, Coroutine: 2, Awaitable: 0}
"""Which type argument of a return annotation is the result of the function, once it has run to its end."""


class UnresolvedAnnotation(ConfigurationError):
    """An annotation names what is not defined (yet)."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes, by position."""

    takes_context: bool
    input: inspect.Parameter | None


def orchestrator_signature(function: Callable[..., Any], name: str) -> Signature:
    """Read ``(context)`` or ``(context, input)``. Raises ConfigurationError for anything else."""
    if inspect.isasyncgenfunction(inspect.unwrap(function)):
        problem = "is an async generator"
        raise refusal("orchestrator", name, function, problem, "Use await instead of yield, or no async.")
    parameters = _positional("orchestrator", name, function)
    if not 1 <= len(parameters) <= 2:
        raise refusal(
            "orchestrator",
            name,
            function,
            f"takes {_listed(parameters)}",
            "Let it take (context) or (context, input); many inputs make one dataclass, dict or list.",
        )
    return Signature(takes_context=True, input=parameters[1] if len(parameters) == 2 else None)


def activity_signature(function: Callable[..., Any], name: str) -> Signature:
    """Read ``()``, ``(input)``, ``(context)`` or ``(context, input)``. Raises ConfigurationError for anything else.

    One parameter is the context if it is annotated as ActivityContext, or has no annotation and the name of a context.
    """
    plain = inspect.unwrap(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise refusal("activity", name, function, "is a generator", "Return a list, or declare it an orchestrator.")
    parameters = _positional("activity", name, function)
    with_context = bool(parameters) and takes_context(parameters[0], "ActivityContext")
    inputs = parameters[1:] if with_context else parameters
    if len(inputs) > 1:
        raise refusal(
            "activity",
            name,
            function,
            f"takes {_listed(parameters)}",
            "Let it take (input) or (context: ActivityContext, input); many inputs make one dataclass, dict or list.",
        )
    return Signature(with_context, inputs[0] if inputs else None)


def refusal(kind: str, name: str, function: Callable[..., Any], problem: str, remedy: str) -> ConfigurationError:
    """Return the error for a declaration that can't work, with the place of the function."""
    return ConfigurationError(f"The {kind} {name!r} ({place_of(function)}) {problem}. {remedy}")


def place_of(function: Callable[..., Any]) -> str:
    """Return where a function is defined: its dotted name, file and line."""
    plain = inspect.unwrap(function)
    name = f"{plain.__module__}.{getattr(plain, '__qualname__', type(plain).__qualname__)}"
    code = getattr(plain, "__code__", None)
    return f"{name}, {code.co_filename}:{code.co_firstlineno}" if code else name


class Conversion:
    """Converts one function's input and output by its annotations. Decoders are compiled once, at the latest on use."""

    def __init__(self, kind: str, name: str, function: Callable[..., Any], parameter: inspect.Parameter | None) -> None:
        self.kind = kind
        self.name = name
        self.function = function
        self.parameter = parameter
        self.input_subject = f"{kind} {name!r}: {f'parameter {parameter.name!r}' if parameter else 'input'}"
        self.output_subject = f"{kind} {name!r}: return value"

    def decode_input(self, text: str | None) -> Any:
        """Return the input as annotated, or the parameter's default where there is none. Raises PayloadRejected."""
        if text is None and self.parameter is not None and self.parameter.default is not EMPTY:
            return self.parameter.default
        return payloads.decode_with(self.input_decoder, text, self.input_subject)

    def encode_input(self, value: object) -> str | None:
        """Return the input as JSON text. Raises PayloadRejected."""
        return payloads.encode(value, self.input_subject)

    def decode_output(self, text: str | None) -> Any:
        """Return the result as the function's return annotation says. Raises PayloadRejected."""
        return payloads.decode_with(self.output_decoder, text, self.output_subject)

    def encode_output(self, value: object) -> str | None:
        """Return the result as JSON text. Raises PayloadRejected."""
        return payloads.encode(value, self.output_subject)

    @cached_property
    def input_decoder(self) -> Decoder:
        """The decoder of the input parameter's annotation. Raises ConfigurationError."""
        annotation = EMPTY if self.parameter is None else self.parameter.annotation
        what = f"parameter {self.parameter.name!r}" if self.parameter else "input"
        return self._compile(lambda: self._resolve(annotation), what)

    @cached_property
    def output_decoder(self) -> Decoder:
        """The decoder of the return annotation, or of a generator's third argument. Raises ConfigurationError."""
        return self._compile(lambda: _result_of(self._resolve(_return_annotation(self.function))), "return value")

    @cached_property
    def input_type(self) -> str:
        """The name of the class that the input is annotated with; empty for Any. Raises what resolving it raises."""
        return _class_name(self._resolve(EMPTY if self.parameter is None else self.parameter.annotation))

    @cached_property
    def output_type(self) -> str:
        """The name of the class that the result is annotated with; empty for Any. Raises what resolving it raises."""
        return _class_name(_result_of(self._resolve(_return_annotation(self.function))))

    def compile(self) -> None:
        """Compile both decoders now. Raises ConfigurationError naming the function, the parameter and the type."""
        _ = self.input_decoder, self.output_decoder

    def compile_if_resolvable(self) -> None:
        """Compile both decoders unless an annotation names what is not defined yet. Raises ConfigurationError."""
        try:
            self.compile()
        except UnresolvedAnnotation:
            return  # on first use, when the module has been read to its end

    def _resolve(self, annotation: Any) -> Any:
        if annotation is EMPTY:
            return Any
        plain = inspect.unwrap(self.function)
        holder = SimpleNamespace(__annotations__={"it": annotation})
        return typing.get_type_hints(holder, globalns=getattr(plain, "__globals__", {}), include_extras=True)["it"]

    def _compile(self, resolve: Callable[[], Any], what: str) -> Decoder:
        kind: Any = EMPTY
        try:
            kind = resolve()
            return decoder_for(kind)
        except NameError as error:
            raise UnresolvedAnnotation(
                f"The {self.kind} {self.name!r} ({place_of(self.function)}) annotates its {what} with {error.name!r}, "
                "which is not defined there. Import it at run time, not only for type checkers."
            ) from error
        except (UnsupportedType, TypeError, SyntaxError) as error:
            shown = f" as {type_name(kind)}" if kind is not EMPTY else ""
            raise refusal(
                self.kind,
                self.name,
                self.function,
                f"annotates its {what}{shown}, which JSON can't be decoded to: {error}",
                "Use a type with a JSON form, such as a dataclass, or Any.",
            ) from error


def check_input_given(conversion: Conversion, value: object) -> None:
    """Refuse an input for a function that takes none, because it would be lost silently. Raises PayloadRejected."""
    if value is not None and conversion.parameter is None:
        raise PayloadRejected(
            f"{conversion.kind} {conversion.name!r} takes no input, and was given a {type(value).__qualname__}. "
            "Give the function a parameter for it, or leave the input out.",
            subject=conversion.input_subject,
        )


def _positional(kind: str, name: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that can be given by position; whatever else has to have a default."""
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            problem = f"takes {stars}{parameter.name}, so that its input can't be told"
            raise refusal(kind, name, function, problem, "Name them; a decorator below needs functools.wraps.")
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is EMPTY:
            problem = f"needs the keyword argument {parameter.name!r}, which nobody would give it"
            raise refusal(kind, name, function, problem, "Give it a default, or make it part of the input.")
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if positional and positional[0].name in ("self", "cls"):
        raise refusal(kind, name, function, "is a method", "Declare a function of a module.")
    return positional


def takes_context(parameter: inspect.Parameter, context: str) -> bool:
    """Whether the parameter is annotated as that class of context, or not at all and named like a context."""
    annotation = parameter.annotation
    if annotation in (EMPTY, Any, "Any", "typing.Any"):
        return parameter.name in CONTEXT_NAMES
    written = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return written.strip("'\" ").rpartition(".")[2] == context


def _listed(parameters: list[inspect.Parameter]) -> str:
    if not parameters:
        return "no parameters"
    plural = "" if len(parameters) == 1 else "s"
    return f"{len(parameters)} parameter{plural} ({', '.join(parameter.name for parameter in parameters)})"


def _class_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and typing.get_origin(kind) is None else ""


def _return_annotation(function: Callable[..., Any]) -> Any:
    return inspect.signature(function).return_annotation


def _result_of(annotation: Any) -> Any:
    """The type of the final result where the annotation tells how it comes about (``Generator[Task, Any, int]``)."""
    origin = typing.get_origin(annotation) or annotation
    if origin in (Generator, Coroutine, Awaitable, AsyncGenerator, Iterator, Iterable):
        arguments = typing.get_args(annotation)
        index = RESULT_ARGUMENT.get(origin, len(arguments))
        return arguments[index] if index < len(arguments) else Any
    return annotation
