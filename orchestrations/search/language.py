"""The language of the query box: ``status:failed name:Order* tag:region=eu created:-24h retrying``.

``parse`` and ``write`` are each other's inverse. Terms narrow one another; what they mean in SQL is in ``filters``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import Any

from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import DurableError
from orchestrations.search import moments
from orchestrations.search.moments import ANY_TIME, Ago, Span

LONGEST = 2_000  # characters of a query: what fits into an address
KEYS = ("status", "name", "id", "tag", "version", "parent", "error", "fingerprint", "created", "completed", "waiting")
FLAGS = ("retrying", "stuck", "overdue", "no-worker", "children")
NOT_HERE = {
    "or": "OR is not available: separate statuses with commas, as in status:failed,suspended.",
    "not": "NOT is not available: every term says what to show.",
}
MOMENTS = "Write 2026-11-01, 2026-11-01T12:30, or -24h for the last 24 hours (m, h, d and w are the units)."
STATUSES = {status.value.lower(): status for status in RuntimeStatus}

TOKEN = re.compile(r'(?P<key>[A-Za-z][A-Za-z-]*)(?P<operator>:|>=|<=|>|<)|(?P<word>[^\s"]+)|(?P<other>\S)')
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(\*?)')
BARE = re.compile(r'[^\s",]+')
SAFE = re.compile(r'[^\s",*\\][^\s",*]*')


class Mark(StrEnum):
    """What is said of a live instance beyond its status. The values are how a query says them."""

    WAITING_FOR_HUMAN = "waiting:human"
    RETRYING = "retrying"
    STUCK = "stuck"
    OVERDUE = "overdue"
    NO_WORKER = "no-worker"


class QueryError(DurableError, ValueError):
    """A query that can't be read: why, and where. ``position`` and ``end`` count characters from 0."""

    def __init__(self, reason: str, position: int, end: int) -> None:
        super().__init__(f"At position {position + 1}: {reason}")
        self.reason = reason
        self.position = position
        self.end = end


@dataclass(frozen=True, slots=True)
class Text:
    """A text, or the beginning of texts."""

    value: str
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What a query says; every field that is set narrows it."""

    statuses: tuple[RuntimeStatus, ...] = ()
    marks: tuple[Mark, ...] = ()
    name: Text | None = None
    id: Text | None = None
    tags: tuple[tuple[str, str], ...] = ()
    version: str | None = None
    """None for any; the empty text finds those without a version."""
    parent: str | None = None
    error: str | None = None
    fingerprint: str | None = None
    """Failures of one kind."""
    created: Span = ANY_TIME
    completed: Span = ANY_TIME
    children: bool = False
    """Whether sub-orchestrations are shown beside roots."""


@dataclass(frozen=True, slots=True)
class _Value:
    text: str
    is_prefix: bool
    position: int
    end: int


@dataclass(frozen=True, slots=True)
class _Term:
    """A key with its operator and values, or a word alone."""

    key: str
    operator: str
    values: tuple[_Value, ...]
    position: int
    end: int

    def error(self, reason: str) -> QueryError:
        return QueryError(reason, self.position, self.end)

    def only(self, hint: str) -> _Value:
        """Its value, of which there must be one."""
        if self.operator != ":":
            raise self.error(f"{self.key} has no order: write {self.key}:{hint}.")
        if len(self.values) > 1:
            second = self.values[1]
            raise QueryError(
                f"{self.key} takes one value; put it in quotes if it has a comma.", second.position, second.end
            )
        return self.values[0]

    def exact(self, hint: str) -> str:
        value = self.only(hint)
        if value.is_prefix:
            raise QueryError(f"{self.key} takes no *; put the value in quotes if the * is part of it.", *_place(value))
        return value.text


def parse(text: str, zone: tzinfo = UTC) -> Query:
    """Read a query; times without a zone are in ``zone``. Raises QueryError, which names the position."""
    if len(text) > LONGEST:
        raise QueryError(f"A query has at most {LONGEST:,} characters.", LONGEST, len(text))
    query = Query()
    seen: dict[str, _Term] = {}
    for term in _terms(text):
        if term.key in seen and term.key != "tag":
            raise term.error(_twice(term.key))
        if term.key in ("created", "completed"):
            query = _read_span(query, term, zone)
        else:
            query = READERS[term.key](query, term)
            seen[term.key] = term
    _check_range(query, seen)
    return query


def write(query: Query, zone: tzinfo | None = None) -> str:
    """The query in its one canonical form: times with their zone, or without it in ``zone``."""
    terms = []
    if query.statuses:
        terms.append("status:" + ",".join(status.value.lower() for status in query.statuses))
    terms += [mark.value for mark in query.marks]
    for key, pattern in (("name", query.name), ("id", query.id)):
        if pattern is not None:
            terms.append(f"{key}:{quoted(pattern.value)}{'*' if pattern.is_prefix else ''}")
    terms += [f"tag:{quoted(f'{name}={value}')}" for name, value in query.tags]
    for key in ("version", "parent", "error", "fingerprint"):
        value = getattr(query, key)
        if value is not None:
            terms.append(f"{key}:{quoted(value)}")
    for key, span in (("created", query.created), ("completed", query.completed)):
        if span.start is not None:
            terms.append(f"{key}{':' if isinstance(span.start, Ago) else '>'}{moments.write(span.start, zone)}")
        if span.end is not None:
            terms.append(f"{key}<{moments.write(span.end, zone)}")
    return " ".join([*terms, *(["children"] if query.children else [])])


def quoted(text: str) -> str:
    """The text as the value of a key, in quotes where it needs them."""
    if SAFE.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _twice(key: str) -> str:
    if key == "status":
        return "status is there twice: separate the statuses with commas."
    return f"{key} is there twice, and terms narrow one another: keep one."


# Terms ------------------------------------------------------------------------------------------------------------


def _terms(text: str) -> Iterator[_Term]:
    """The terms in their order. AND between two of them may be written and says nothing."""
    position, and_at = 0, None
    has_term = False
    while found := TOKEN.search(text, position):
        if found["word"] and found["word"].upper() == "AND":
            if not has_term or and_at is not None:
                raise QueryError("AND needs a term before it.", *found.span())
            and_at, position = found.span(), found.end()
            continue
        term = _term(text, found)
        yield term
        position, and_at, has_term = term.end, None, True
    if and_at is not None:
        raise QueryError("AND needs a term after it.", *and_at)


def _term(text: str, found: re.Match[str]) -> _Term:
    if not found["key"]:
        return _flag(found)
    key = found["key"].lower()
    if key not in KEYS:
        raise QueryError(f"{found['key']} is no key. {_nearest(key, KEYS)}", found.start("key"), found.end("key"))
    values = [_value(text, found.end(), found)]
    while text[values[-1].end : values[-1].end + 1] == ",":
        values.append(_value(text, values[-1].end + 1, found))
    end = values[-1].end
    if text[end : end + 1].strip():
        raise QueryError("A space is missing here.", end, end + 1)
    return _Term(key, found["operator"], tuple(values), found.start(), end)


def _flag(found: re.Match[str]) -> _Term:
    word = found[0]
    key = word.lower()
    if key in FLAGS:
        return _Term(key, "", (), *found.span())
    if key in NOT_HERE:
        raise QueryError(NOT_HERE[key], *found.span())
    if not found["word"] or "(" in word or ")" in word:
        raise QueryError(
            f'{word} has no meaning here; a text with spaces goes behind a key, as in error:"no funds".', *found.span()
        )
    raise QueryError(
        f"{word} is neither a key nor a mark. {_nearest(key, FLAGS)} To find ids that begin with it, write id:{word}*.",
        *found.span(),
    )


def _value(text: str, position: int, found: re.Match[str]) -> _Value:
    if text[position : position + 1] == '"':
        quoted = QUOTED.match(text, position)
        if not quoted:
            raise QueryError("These quotes are not closed.", position, len(text))
        return _Value(re.sub(r"\\(.)", r"\1", quoted[1], flags=re.S), bool(quoted[2]), *quoted.span())
    bare = BARE.match(text, position)
    if not bare:
        raise QueryError(f"{found['key']} needs a value behind the {found['operator']}", found.start(), position)
    value = bare[0]
    return _Value(value.removesuffix("*"), value.endswith("*"), *bare.span())


def _place(value: _Value) -> tuple[int, int]:
    return value.position, value.end


def _nearest(word: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."


# What each key says -----------------------------------------------------------------------------------------------


def _read_statuses(query: Query, term: _Term) -> Query:
    if term.operator != ":":
        raise term.error("status has no order: write status:failed.")
    chosen = set()
    for value in term.values:
        status = STATUSES.get(value.text.lower())
        if status is None or value.is_prefix:
            raise QueryError(
                f"{value.text} is no status. {_nearest(value.text.lower(), tuple(STATUSES))}", *_place(value)
            )
        chosen.add(status)
    return replace(query, statuses=tuple(status for status in RuntimeStatus if status in chosen))


def _read_mark(query: Query, term: _Term) -> Query:
    given = term.key
    if term.key == "waiting":
        if (value := term.exact("human")).lower() != "human":
            raise term.error(f"waiting:{value} is not available: waiting:human finds what waits for a person.")
        given = Mark.WAITING_FOR_HUMAN
    marks = {*query.marks, Mark(given)}
    return replace(query, marks=tuple(mark for mark in Mark if mark in marks))


def _read_pattern(key: str) -> Callable[[Query, _Term], Query]:
    def read(query: Query, term: _Term) -> Query:
        value = term.only("Order*")
        if not value.text:
            raise QueryError(f"{key} needs a value.", *_place(value))
        return _with(query, key, Text(value.text, value.is_prefix))

    return read


def _read_tag(query: Query, term: _Term) -> Query:
    text = term.exact("region=eu")
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise term.error("A tag is a name and a value: write tag:region=eu.")
    if name in dict(query.tags):
        raise term.error(f"The tag {name} is there twice, and no instance has two values of it.")
    return replace(query, tags=tuple(sorted([*query.tags, (name, value)])))


def _read_version(query: Query, term: _Term) -> Query:
    return replace(query, version=term.exact("1.2"))


def _read_text(query: Query, term: _Term) -> Query:
    hint = HINTS[term.key]
    if not (text := term.exact(hint)):
        raise term.error(f"{term.key} needs a value, as in {term.key}:{hint}.")
    return _with(query, term.key, text)


def _read_children(query: Query, term: _Term) -> Query:
    return replace(query, children=True)


def _with(query: Query, field: str, value: object) -> Query:
    changes: dict[str, Any] = {field: value}
    return replace(query, **changes)


HINTS = {"parent": "ord-7F3A", "error": '"no funds"', "fingerprint": "5f1d3c0a"}
READERS: dict[str, Callable[[Query, _Term], Query]] = {
    "status": _read_statuses,
    "name": _read_pattern("name"),
    "id": _read_pattern("id"),
    "tag": _read_tag,
    "version": _read_version,
    "parent": _read_text,
    "error": _read_text,
    "fingerprint": _read_text,
    "waiting": _read_mark,
    "retrying": _read_mark,
    "stuck": _read_mark,
    "overdue": _read_mark,
    "no-worker": _read_mark,
    "children": _read_children,
}


def _read_span(query: Query, term: _Term, zone: tzinfo) -> Query:
    """``>`` and ``>=`` are from then on, ``<`` is before, ``<=`` up to the end of what is named, ``:`` all of it."""
    if len(term.values) > 1:
        raise QueryError(f"{term.key} takes one time.", *_place(term.values[1]))
    value = term.values[0]
    known = query.created if term.key == "created" else query.completed
    first, dots, last = value.text.partition("..")
    if dots and term.operator == ":":
        span = Span(_moment(value, first, zone).first, _moment(value, last, zone).after)
    else:
        span = _bound(term.operator, _moment(value, value.text, zone))
    if (known.start is not None and span.start is not None) or (known.end is not None and span.end is not None):
        raise term.error(f"{term.key} has that bound twice.")
    span = Span(known.start if span.start is None else span.start, known.end if span.end is None else span.end)
    if span.is_empty:
        raise term.error(f"Nothing is {term.key} then: the end is not after the beginning.")
    return replace(query, created=span) if term.key == "created" else replace(query, completed=span)


def _bound(operator: str, typed: moments.Typed) -> Span:
    if operator in (">", ">="):
        return Span(start=typed.first)
    if operator == "<":
        return Span(end=typed.first)
    if operator == "<=":
        return Span(end=typed.after)
    return Span(typed.first) if isinstance(typed.first, Ago) else Span(typed.first, typed.after)


def _moment(value: _Value, text: str, zone: tzinfo) -> moments.Typed:
    typed = None if value.is_prefix else moments.read(text, zone)
    if typed is None:
        raise QueryError(f"{text or value.text} is no time. {MOMENTS}", *_place(value))
    return typed


def _check_range(query: Query, seen: dict[str, _Term]) -> None:
    """What no index finds is looked for row by row: among the rows of a time range, or of something narrower."""
    is_bounded = query.created.start is not None or query.parent is not None or query.id is not None
    for key in ("version", "error"):
        if key in seen and not is_bounded:
            raise seen[key].error(f"No index finds {key}, so that it needs a time range: add created:-7d, for example.")
