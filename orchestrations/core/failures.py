"""Failure details: what went wrong, as data that crosses processes with its whole chain of causes."""

from __future__ import annotations

import hashlib
import re
import traceback
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrations.core.stack_traces import frames, place_of
from orchestrations.limits import FAILURE_CHAIN, FAILURE_MESSAGE_CHARACTERS, STACK_TRACE_CHARACTERS

CHANGING = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")  # parts of a message that differ from one failure to the next


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """One failure and, in ``inner_failure``, what caused it.

    ``error_type`` is the qualified name of the exception class; ``type_names`` those of all its base classes too, so
    that ``is_caused_by`` knows subclasses without importing anything.
    """

    error_type: str
    message: str
    stack_trace: str = ""
    inner_failure: FailureDetails | None = None
    is_non_retriable: bool = False
    type_names: tuple[str, ...] = field(default=())

    @classmethod
    def from_exception(cls, error: BaseException, *, depth: int = 0) -> FailureDetails:
        """Describe an exception with its causes. An exception that carries ``details`` passes them on as its cause."""
        details = _attribute(error, "details")
        if isinstance(details, FailureDetails):
            inner = details.cut(FAILURE_CHAIN - depth)
        else:
            cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
            inner = cls.from_exception(cause, depth=depth + 1) if cause is not None and depth < FAILURE_CHAIN else None
        kind = type(error)
        return cls(
            error_type=qualified_name(kind),
            message=_message(error),
            stack_trace=_stack_trace(error),
            inner_failure=inner,
            is_non_retriable=_attribute(error, "is_non_retriable") is True,
            type_names=tuple(qualified_name(base) for base in kind.__mro__ if base not in (object, BaseException)),
        )

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FailureDetails:
        """Read the stored form; unknown keys are ignored and missing ones empty."""
        inner = value.get("innerFailure")
        return cls(
            error_type=str(value.get("errorType", "")),
            message=str(value.get("errorMessage", "")),
            stack_trace=str(value.get("stackTrace") or ""),
            inner_failure=cls.from_json(inner) if isinstance(inner, dict) else None,
            is_non_retriable=bool(value.get("isNonRetriable")),
            type_names=tuple(value.get("typeNames", ())),
        )

    def to_json(self) -> dict[str, Any]:
        """The stored form, with the Durable Task key names."""
        return {
            "errorType": self.error_type,
            "errorMessage": self.message,
            "stackTrace": self.stack_trace,
            "innerFailure": self.inner_failure.to_json() if self.inner_failure else None,
            "isNonRetriable": self.is_non_retriable,
            "typeNames": list(self.type_names),
        }

    def cut(self, length: int) -> FailureDetails | None:
        """The failure with no more than that many links of its chain of causes."""
        if length <= 0:
            return None
        inner = self.inner_failure.cut(length - 1) if self.inner_failure is not None else None
        return self if inner == self.inner_failure else replace(self, inner_failure=inner)

    def is_caused_by(self, error_type: type[BaseException] | str) -> bool:
        """Whether this failure or one of its causes is of that type.

        A class matches its subclasses too; a string matches the qualified or the bare class name.
        """
        wanted = error_type if isinstance(error_type, str) else qualified_name(error_type)
        failure: FailureDetails | None = self
        while failure is not None:
            for name in (failure.error_type, *failure.type_names):
                if name == wanted or (isinstance(error_type, str) and name.rpartition(".")[2] == wanted):
                    return True
            failure = failure.inner_failure
        return False

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
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _attribute(error: BaseException, name: str) -> object:
    try:
        return getattr(error, name, None)
    except Exception:  # the author's property is the author's code
        return None


def _message(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception as broken:  # the author's __str__ is the author's code
        message = f"<{type(error).__name__} whose __str__ raised {type(broken).__name__}>"
    return _storable(message)[:FAILURE_MESSAGE_CHARACTERS]


def _stack_trace(error: BaseException) -> str:
    """The error's own frames; its causes carry theirs. The innermost frames are kept where it is long."""
    lines = traceback.format_exception(type(error), error, error.__traceback__, chain=False)
    return _storable("".join(lines))[-STACK_TRACE_CHARACTERS:]


def _storable(text: str) -> str:
    """Without what PostgreSQL or UTF-8 can't hold."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
