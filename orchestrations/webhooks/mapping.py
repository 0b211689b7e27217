"""From a request to an input: JSON with paths in its texts, and nothing that could be called or computed.

``{body.order.lines[0].sku}`` leads into the body, ``{headers.x-kind}`` to a header, ``{id}`` to the message's id. A
text that is one path alone becomes the value there; otherwise the value becomes a part of the text. ``{{`` and ``}}``
are braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

ROOTS = ("body", "headers", "id")
PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
STEP = re.compile(r"\.([A-Za-z0-9_$@-]+)|\[([0-9]{1,6})\]|\[\"([^\"\]]+)\"\]")
DEEPEST = 32  # arrays and objects in a mapping


class MappingError(ValueError):
    """A mapping that can't be read, or a request that lacks what it asks for; ``path`` is the path."""

    def __init__(self, message: str, path: str = "") -> None:
        self.path = path
        super().__init__(message)


def check(template: object) -> None:
    """Raise MappingError unless every text of the template can be read."""
    for text in _texts(template, 0):
        for piece in _pieces(text):
            if isinstance(piece, _Path):
                piece.check()


def expand(template: object, request: Mapping[str, Any]) -> Any:
    """The template with the request's values in the place of paths. Raises MappingError where one leads nowhere."""
    if isinstance(template, str):
        return _expand_text(template, request)
    if isinstance(template, Mapping):
        return {str(key): expand(value, request) for key, value in template.items()}
    if isinstance(template, list):
        return [expand(value, request) for value in template]
    return template


def expand_to_text(template: str, request: Mapping[str, Any]) -> str:
    """The same for what must be a text: a name, or an id."""
    value = _expand_text(template, request)
    return value if isinstance(value, str) else _as_text(value, template)


class _Path:
    def __init__(self, text: str) -> None:
        self.text = text.strip()

    def check(self) -> None:
        self.root()
        list(self.steps())

    def root(self) -> str:
        root = re.split(r"[.\[]", self.text, maxsplit=1)[0]
        if root not in ROOTS:
            raise MappingError(f"The path {self.text!r} begins with none of {', '.join(ROOTS)}.", self.text)
        return root

    def steps(self) -> Iterator[str | int]:
        position = len(self.root())
        while position < len(self.text):
            step = STEP.match(self.text, position)
            if step is None:
                raise MappingError(
                    f"The path {self.text!r} can't be read from its character {position + 1} on. Write names behind "
                    'dots and numbers in brackets, such as body.lines[0].sku, or ["a name"].',
                    self.text,
                )
            position = step.end()
            yield int(step[2]) if step[2] is not None else step[1] or step[3]

    def follow(self, request: Mapping[str, Any]) -> Any:
        value = request[self.root()]
        for step in self.steps():
            has_item = isinstance(step, int) and isinstance(value, list) and step < len(value)
            has_name = isinstance(step, str) and isinstance(value, Mapping) and step in value
            if not (has_item or has_name):
                raise MappingError(f"The request has nothing at {self.text}.", self.text)
            value = value[step]
        return value


def _texts(template: object, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        raise MappingError(f"The mapping is more than {DEEPEST} levels deep.")
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from _texts(value, depth + 1)
    elif isinstance(template, list):
        for value in template:
            yield from _texts(value, depth + 1)


def _pieces(text: str) -> Iterator[str | _Path]:
    for piece in PIECE.finditer(text):
        if piece[0] in ("{{", "}}"):
            yield piece[0][0]
        elif piece[0] in ("{", "}"):
            raise MappingError(f"The text {text!r:.100} has a brace without its other one. Write it twice to mean it.")
        elif piece[1] is not None:
            yield _Path(piece[1])
        else:
            yield piece[0]


def _expand_text(text: str, request: Mapping[str, Any]) -> Any:
    pieces = list(_pieces(text))
    if len(pieces) == 1 and isinstance(pieces[0], _Path):
        return pieces[0].follow(request)
    return "".join(piece if isinstance(piece, str) else _as_text(piece.follow(request), piece.text) for piece in pieces)


def _as_text(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list):
        raise MappingError(f"What is at {path} is no text or number, and is to be a part of a text.", path)
    return msgspec.json.encode(value).decode()
