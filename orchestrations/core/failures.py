"""Failure details: what went wrong, as data that crosses processes with its whole chain of causes."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from orchestrations.core.interruptions import is_authors
from orchestrations.core.stack_traces import frames, place_of
from orchestrations.limits import (
    FAILURE_CHAIN,
    FAILURE_MESSAGE_CHARACTERS,
    FAILURE_PROPERTIES_BYTES,
    FAILURES,
    STACK_TRACE_CHARACTERS,
)

T = TypeVar("T")

BUILTIN = "builtins."
TRACEBACK = "Traceback (most recent call last):\n"
CHANGING = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")  # parts of a message that differ from one failure to the next


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """One failure and, in ``inner_failure``, what caused it.

    ``members`` are those of an ExceptionGroup, and ``properties`` what the exception's attribute of that name held.
    ``error_type`` is the qualified name of the exception class; ``type_names`` those of all its base classes too, so
    that ``is_caused_by`` knows subclasses without importing anything.
    """

    error_type: str
    message: str
    stack_trace: str = ""
    inner_failure: FailureDetails | None = None
    is_non_retriable: bool = False
    type_names: tuple[str, ...] = field(default=())
    properties: dict[str, Any] = field(default_factory=dict)
    members: tuple[FailureDetails, ...] = ()

    @classmethod
    def from_exception(cls, error: BaseException) -> FailureDetails:
        """Describe an exception with its causes, and a group with its members.

        An exception that carries ``details`` passes them on as its cause, and one whose ``properties`` are a dictionary
        passes on what of them is JSON. At most FAILURE_CHAIN causes one after another are kept, and FAILURES in all.
        """
        return cls._described(error, FAILURE_CHAIN, iter(range(FAILURES - 1)))

    @classmethod
    def _described(cls, error: BaseException, length: int, room: Iterator[int]) -> FailureDetails:
        """``length`` causes may follow one another, and ``room`` gives out one number for each failure."""
        kind, details = type(error), _attribute(error, "details")
        inner: FailureDetails | None = None
        members: tuple[FailureDetails, ...] = ()
        if isinstance(details, FailureDetails):
            inner = details._cut(length, room)
        elif length and (cause := _read(lambda: _cause(error), None)) is not None:
            inner = cls._described(cause, length - 1, room) if _has_room(room) else None
        if issubclass(kind, BaseExceptionGroup) and length:
            members = tuple(cls._described(member, length - 1, room) for member in _parts(error) if _has_room(room))
        return cls(
            error_type=qualified_name(kind),
            message=message_of(error),
            stack_trace=_stack_trace(error),
            inner_failure=inner,
            is_non_retriable=_attribute(error, "is_non_retriable") is True,
            type_names=tuple(qualified_name(base) for base in kind.__mro__ if base not in (object, BaseException)),
            properties=_properties(error),
            members=members,
        )

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FailureDetails:
        """Read the stored form; unknown keys are ignored and missing ones empty."""
        inner, properties = value.get("innerFailure"), value.get("properties")
        return cls(
            error_type=str(value.get("errorType", "")),
            message=str(value.get("errorMessage", "")),
            stack_trace=str(value.get("stackTrace") or ""),
            inner_failure=cls.from_json(inner) if isinstance(inner, dict) else None,
            is_non_retriable=bool(value.get("isNonRetriable")),
            type_names=tuple(value.get("typeNames", ())),
            properties=properties if isinstance(properties, dict) else {},
            members=tuple(cls.from_json(member) for member in value.get("members", ()) if isinstance(member, dict)),
        )

    def to_json(self) -> dict[str, Any]:
        """The stored form, with the Durable Task key names; ``properties`` and ``members`` where there are any."""
        value: dict[str, Any] = {
            "errorType": self.error_type,
            "errorMessage": self.message,
            "stackTrace": self.stack_trace,
            "innerFailure": self.inner_failure.to_json() if self.inner_failure else None,
            "isNonRetriable": self.is_non_retriable,
            "typeNames": list(self.type_names),
        }
        if self.properties:
            value["properties"] = self.properties
        if self.members:
            value["members"] = [member.to_json() for member in self.members]
        return value

    def _cut(self, length: int, room: Iterator[int]) -> FailureDetails | None:
        """The failure with no more than that many links of its chain of causes, nor than there is room for."""
        if length <= 0 or not _has_room(room):
            return None
        inner = self.inner_failure._cut(length - 1, room) if self.inner_failure is not None else None
        members = tuple(kept for member in self.members if (kept := member._cut(length - 1, room)) is not None)
        return replace(self, inner_failure=inner, members=members)

    def all_failures(self) -> Iterator[FailureDetails]:
        """This failure, its causes and the members of groups among them."""
        yield self
        for member in self.members:
            yield from member.all_failures()
        if self.inner_failure is not None:
            yield from self.inner_failure.all_failures()

    def is_caused_by(self, error_type: type[BaseException] | str) -> bool:
        """Whether this failure, one of its causes or a member of a group among them is of that type.

        A class matches its subclasses too; a string matches the qualified or the bare class name. Python's own classes
        are bare here, and may be asked for as ``builtins.ValueError`` too, as the durabletask SDK names them.
        """
        if error_type is BaseException:
            return True
        wanted = error_type.removeprefix(BUILTIN) if isinstance(error_type, str) else qualified_name(error_type)
        names = (name for failure in self.all_failures() for name in (failure.error_type, *failure.type_names))
        is_bare = wanted == error_type
        return any(name == wanted or (is_bare and name.rpartition(".")[2] == wanted) for name in names)

    @property
    def summary(self) -> str:
        """One line: the bare class name and the first line of the message."""
        first_line = self.message.splitlines()[0] if self.message else ""
        return f"{self.error_type.rpartition('.')[2]}: {first_line}"[:300]

    @property
    def fingerprint(self) -> str:
        """What failures of the same kind have in common, as 16 hexadecimal digits: the error type and where it arose.

        They are those of the innermost cause that passed through the author's code; file and function count, the line
        doesn't, so that an edit elsewhere in the file keeps them together. An error without the author's code counts
        by its message, whatever is quoted or numbered in it.
        """
        chain: list[FailureDetails] = []
        failure: FailureDetails | None = self
        while failure is not None:
            chain.append(failure)
            failure = failure.inner_failure
        culprit, place = chain[-1], CHANGING.sub("", chain[-1].message)
        for cause in reversed(chain):
            frame = place_of(frames(cause.stack_trace))
            if frame is not None and frame.is_own:
                file = "/".join(frame.file.replace("\\", "/").split("/")[-3:])
                culprit, place = cause, f"{file} {frame.function}"
                break
        text = f"{culprit.error_type}\n{place}"
        return hashlib.blake2s(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def qualified_name(kind: type[BaseException]) -> str:
    """The class's name with its module, or the bare name of a built-in."""
    module = _read(lambda: f"{kind.__module__}.", "")
    return _storable(kind.__qualname__ if module == BUILTIN else f"{module}{kind.__qualname__}")


def _read(read: Callable[[], T], otherwise: T) -> T:
    """What is read of an error, which is the author's code; where that fails, the error is described without."""
    try:
        return read()
    except BaseException as broken:
        if not is_authors(broken):
            raise
        return otherwise


def _attribute(error: BaseException, name: str) -> object:
    return _read(lambda: getattr(error, name, None), None)


def _cause(error: BaseException) -> BaseException | None:
    """What it was raised from or, unless that is hidden, while handling; whatever truth value that has."""
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def _parts(error: BaseException) -> tuple[BaseException, ...]:
    """The members of a group."""
    none: tuple[BaseException, ...] = ()
    return _read(lambda: tuple(getattr(error, "exceptions", none)), none)


def _has_room(room: Iterator[int]) -> bool:
    return next(room, None) is not None


def _properties(error: BaseException) -> dict[str, Any]:
    """The error's ``properties``, as far as they are JSON and within their limit."""
    given = _attribute(error, "properties")
    items: list[tuple[Any, Any]] = []
    if isinstance(given, dict):
        items = _read(lambda: list(given.items()), items)
    kept: dict[str, Any] = {}
    room = FAILURE_PROPERTIES_BYTES
    for name, value in items:
        text = _as_json({name: value}) if isinstance(name, str) else b""
        if text and len(text) <= room:
            room -= len(text)
            kept.update(msgspec.json.decode(text))
    return kept


def _as_json(value: object) -> bytes:
    """The value as JSON; empty for one that is none."""
    return _read(lambda: msgspec.json.encode(value), b"")


def message_of(error: BaseException) -> str:
    """Its message, as it is stored."""
    try:
        message = str.__str__(str(error))  # a plain one, also of a subclass of str
    except BaseException as broken:
        if not is_authors(broken):
            raise
        message = f"<{type(error).__name__} whose __str__ raised {type(broken).__name__}>"
    return _storable(message)[:FAILURE_MESSAGE_CHARACTERS]


def _stack_trace(error: BaseException) -> str:
    """The error's own frames; its causes carry theirs. Where all is too long, the innermost and the message's start."""
    lines = _read(lambda: "".join(traceback.format_exception(type(error), error, error.__traceback__, chain=False)), "")
    text = _storable(lines)
    if not text or len(text) > STACK_TRACE_CHARACTERS:
        passed = _storable(_read(lambda: "".join(traceback.format_tb(error.__traceback__)), ""))
        told = _storable(_read(lambda: "".join(traceback.format_exception_only(error)), ""))
        told = told[: STACK_TRACE_CHARACTERS // 2]
        text = f"{TRACEBACK}{passed[-(STACK_TRACE_CHARACTERS - len(TRACEBACK) - len(told)) :]}{told}"
    return text


def _storable(text: str) -> str:
    """Without what PostgreSQL or UTF-8 can't hold."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
