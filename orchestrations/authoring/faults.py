"""Finding what JSON or a database can't hold, and the path to it, in Python values and in foreign JSON text.

Nothing here recurses, whatever the depth of what it reads. Values never appear in what it says; only types and paths.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from orchestrations.authoring import json_scans
from orchestrations.authoring.conversions import has_form_of_its_own, to_encodable
from orchestrations.limits import NUMBER_DIGITS, PAYLOAD_BYTES, PAYLOAD_DEPTH

PATH_BYTES = 250_000  # of text that is searched for a path, token by token; what lies beyond is reported at the root
PATH_KEY_CHARACTERS = 60  # of one key, shown in a path; keys are as long as the sender likes

# Possessive, and a string that is never closed matches up to the end: no input makes these backtrack or start over.
STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
STRUCTURE = re.compile(STRING + rb"|[\[\]{},:]", re.DOTALL)
NUMBERS = re.compile(STRING + rb"|-?[0-9][0-9.eE+-]*", re.DOTALL)
# Matched from the beginning, escape by escape: a search for these would look back at every byte.
LONE_SURROGATE = re.compile(
    rb"(?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]|\\(?!u[dD][89abAB]).)*+"
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2})",
    re.DOTALL,
)
ESCAPED_NUL = re.compile(rb"(?:[^\\]++|\\(?!u0000).)*+(\\u0000)", re.DOTALL)
BYTE = re.compile(r" \(byte (\d+)\)$")


class Fault(NamedTuple):
    """One thing that can't be stored: where it is, what it is (completing "The input ..."), and the way out."""

    path: str
    problem: str
    remedy: str


class Problem(NamedTuple):
    """A fault whose path is not known yet."""

    problem: str
    remedy: str

    def at(self, path: str) -> Fault:
        """The fault at that path."""
        return Fault(path, self.problem, self.remedy)


NUL = Problem("holds the character U+0000", "Remove it; PostgreSQL can't store it.")
SURROGATE = Problem("holds half of a surrogate pair, which is no character", "Replace it; UTF-8 can't express it.")
NOT_UTF8 = Problem("is not UTF-8", "Send one JSON value in UTF-8.")
NOT_FINITE = Problem("holds NaN or an infinite number, which JSON does not have", "Pass None or a string instead.")
TOO_LONG_INTEGER = Problem(f"holds an integer of more than {NUMBER_DIGITS:,} digits", "Pass it as a string.")
TOO_LARGE_NUMBER = Problem("holds a number that is out of range", "Send it as a string.")
TOO_DEEP = Problem(f"is nested deeper than {PAYLOAD_DEPTH} levels or contains itself", "Flatten it.")


def too_large(size: int) -> Problem:
    """The problem of a payload of that many bytes."""
    return Problem(
        f"has {size:,} bytes as JSON, and {PAYLOAD_BYTES:,} are allowed",
        "Keep the bulk in a file store or a table, and pass a reference to it.",
    )


def unsupported(value: object) -> Problem:
    """The problem of a value that has no JSON form."""
    name = _type_of(value)
    if hasattr(value, "_meta") and hasattr(value, "pk"):
        remedy = "Pass the primary key of a Django model, and load the object where it is needed."
    else:
        remedy = "Pass JSON values, dataclasses, enums, datetimes, Decimals or UUIDs, or convert it first."
    return Problem(f"holds a value of the type {name}, which has no JSON form", remedy)


def unwilling(value: object, error: Exception) -> Problem:
    """The problem of a value whose class says what its JSON is, and raises instead."""
    problem = f"holds a value of the type {_type_of(value)}, whose own code made no JSON of it ({type(error).__name__})"
    return Problem(problem, "Mend what the class says of its JSON form, or convert it first.")


def _type_of(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# Text -------------------------------------------------------------------------------------------------------------


def find_in_text(text: bytes) -> Fault | None:
    """Return the first thing in well-formed JSON text without space between tokens that can't be stored, or None."""
    if is_too_deep(text):
        return too_deep(text)
    if (offset := offset_of_nul(text)) is not None:
        return NUL.at(path_at(text, offset))
    if (offset := _offset_of_large_number(text)) is not None:
        return TOO_LARGE_NUMBER.at(path_at(text, offset))
    return None


def too_deep(text: bytes) -> Fault:
    """Return the fault of text that nests too deep, with the path of the first array or object that does."""
    return TOO_DEEP.at(path_at(text, _offset_too_deep(text)))


def malformed(text: bytes, error: msgspec.DecodeError) -> Fault:
    """Return the fault that a JSON parser's error stands for."""
    if not text.strip():
        return Fault("$", "is empty", "Send one JSON value, such as null.")
    if surrogate := LONE_SURROGATE.match(text):
        return SURROGATE.at(path_at(text, surrogate.start(1)))
    message = str(error)
    match = BYTE.search(message)
    offset = int(match[1]) if match else len(text)
    reason = BYTE.sub("", message).removeprefix("JSON is malformed: ")
    return Fault(path_at(text, offset), f"is not valid JSON ({reason}, byte {offset})", "Send one JSON value in UTF-8.")


def is_too_deep(text: bytes) -> bool:
    """Whether well-formed JSON text nests deeper than PAYLOAD_DEPTH. Exact, and nearly free for small texts."""
    if text.count(b"[") + text.count(b"{") <= PAYLOAD_DEPTH:
        return False
    return json_scans.nests_deeper(text, PAYLOAD_DEPTH)


def offset_of_nul(text: bytes) -> int | None:
    """Where the text holds an escaped U+0000, as opposed to an escaped backslash followed by "u0000"."""
    if b"\\u0000" not in text:
        return None
    match = ESCAPED_NUL.match(text)
    return match.start(1) if match else None


def path_at(text: bytes, offset: int) -> str:
    """Return the path of the JSON value (or key) at that byte, for text that may be malformed."""
    if offset > PATH_BYTES:
        return "$"
    containers: list[int | str | None] = []  # the index or key that each open container has come to
    previous = b""
    for token in STRUCTURE.finditer(text, 0, PATH_BYTES):
        if token.start() >= offset or len(containers) > PAYLOAD_DEPTH:
            break
        _follow(containers, token[0], previous)
        previous = token[0]
    return "$" + "".join(step(place) for place in containers if place is not None)


def step(place: int | str) -> str:
    """Return one step of a path: ``[3]``, ``.name`` or ``["odd name"]``."""
    if isinstance(place, int):
        return f"[{place}]"
    shown = place if len(place) <= PATH_KEY_CHARACTERS else place[:PATH_KEY_CHARACTERS] + "…"
    return f".{shown}" if shown.isidentifier() and shown.isascii() else f"[{json.dumps(shown)}]"


def _follow(containers: list[int | str | None], mark: bytes, previous: bytes) -> None:
    """Move on by one structural mark or string."""
    if mark in (b"[", b"{"):
        containers.append(0 if mark == b"[" else None)
    elif not containers:
        return
    elif mark in (b"]", b"}"):
        containers.pop()
    elif isinstance(last := containers[-1], int):
        containers[-1] = last + (mark == b",")
    elif mark[:1] == b'"' and previous in (b"{", b","):
        containers[-1] = mark[1:-1].decode(errors="replace")


def _offset_too_deep(text: bytes) -> int:
    depth = 0
    for token in STRUCTURE.finditer(text, 0, PATH_BYTES):
        if token[0] in b"[{":
            depth += 1
            if depth > PAYLOAD_DEPTH:
                return token.start()
        elif token[0] in b"]}":
            depth -= 1
    return len(text)


def _offset_of_large_number(text: bytes) -> int | None:
    """Where a number is that no reader of ours could decode; strings that only look like it don't count."""
    if not json_scans.has_number_out_of_range(text):
        return None
    for token in NUMBERS.finditer(text, 0, PATH_BYTES):
        if token.end() == PATH_BYTES:  # there may be more of it
            break
        if token[0][:1] != b'"' and json_scans.is_out_of_range(token[0]):
            return token.start()
    return len(text)


# Values -----------------------------------------------------------------------------------------------------------


def find_in_value(value: object) -> Fault | None:
    """Return the first thing in a Python value, in document order, that JSON or a database can't hold, or None."""
    stack: list[tuple[str, Any, int]] = [("$", value, 0)]
    while stack:
        path, item, depth = stack.pop()
        children = _children(item)
        if children is None:
            if problem := _problem_of_leaf(item):
                return problem.at(path)
            continue
        if depth >= PAYLOAD_DEPTH:
            return TOO_DEEP.at(path)
        below = []
        for place, child in children:
            if not isinstance(place, int | str) and (problem := _problem_of_key(place)):
                return problem.at(path)
            if isinstance(place, str) and (problem := _problem_of_text(place)):
                return problem.at(path + step(place))
            below.append((path + step(place if isinstance(place, int | str) else str(place)), child, depth + 1))
        stack.extend(reversed(below))
    return None


def _children(item: Any) -> Iterator[tuple[Any, Any]] | None:
    """The places and values inside, or None for a leaf."""
    if isinstance(item, dict):
        return iter(item.items())
    if isinstance(item, list | tuple | set | frozenset):
        return enumerate(item)
    if isinstance(item, msgspec.Struct):
        return ((name, getattr(item, name)) for name in item.__struct_fields__)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return ((field.name, getattr(item, field.name)) for field in dataclasses.fields(item))
    if isinstance(item, str | int | float | Enum):
        return None
    try:
        converted = to_encodable(item)
    except Exception:  # the leaf's problem tells
        return None
    return _children(converted) if type(converted) is not type(item) else None


def _problem_of_leaf(item: object) -> Problem | None:
    if isinstance(item, str):
        return _problem_of_text(item)
    if isinstance(item, float):
        return None if math.isfinite(item) else NOT_FINITE
    try:
        msgspec.json.encode(item, enc_hook=to_encodable)
    except Exception as error:  # a class's own to_json may raise anything
        return _problem_of_error(item, error)
    return None


def _problem_of_error(item: object, error: Exception) -> Problem:
    if has_form_of_its_own(item):
        return unwilling(item, error)
    if isinstance(error, UnicodeEncodeError):
        return SURROGATE
    return TOO_LONG_INTEGER if isinstance(error, ValueError) else unsupported(item)


def _problem_of_key(key: object) -> Problem | None:
    try:
        msgspec.json.encode({key: None}, enc_hook=to_encodable)
    except TypeError:
        return Problem(f"has a key of the type {type(key).__qualname__}", "Use strings or numbers as keys.")
    except ValueError:
        return TOO_LONG_INTEGER
    return None


def _problem_of_text(text: str) -> Problem | None:
    if "\0" in text:
        return NUL
    try:
        text.encode()
    except UnicodeEncodeError:
        return SURROGATE
    return None
