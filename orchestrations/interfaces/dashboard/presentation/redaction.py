"""Values that look secret are not shown: those of keys that the setting REDACTED_KEYS names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from orchestrations.conf import get_config

HIDDEN = "•••"
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
KEY = re.compile(r'"(?P<key>(?:[^"\\]|\\.){1,200})"\s*:\s*')
VALUE = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{].*|[^\s,}\]]+', re.DOTALL)  # of an array or object all that follows
HARMLESS = frozenset({"null", "true", "false", '""'})


def redact(value: object) -> object:
    """The JSON value with ``•••`` in the place of everything that a secret-looking key holds, at any depth."""
    match value:
        case dict():
            return {key: HIDDEN if _held(key, inner) else redact(inner) for key, inner in value.items()}
        case list():
            return [redact(inner) for inner in value]
        case _:
            return value


def redact_text(text: str) -> str:
    """The same for the beginning of a JSON text, which can't be parsed; where such a key holds an array or object, all
    that follows is hidden."""
    parts: list[str] = []
    place = 0
    for found in KEY.finditer(text):
        value = VALUE.match(text, found.end())
        if found.start() < place or value is None or value[0] in HARMLESS or not is_secret(found["key"]):
            continue
        parts += [text[place : found.end()], f'"{HIDDEN}"']
        place = value.end()
    return "".join([*parts, text[place:]])


def is_secret(key: str) -> bool:
    """Whether a key looks like that of a secret: ``password``, ``apiKey`` and ``X-Auth-Token`` do."""
    return _is_secret(key, get_config().redacted_keys)


@lru_cache(maxsize=4_096)
def _is_secret(key: str, secret: tuple[str, ...]) -> bool:
    words = _words(key)
    return any(_contains(words, _words(one)) for one in secret)


def _held(key: object, value: object) -> bool:
    return value not in (None, "", True, False) and is_secret(str(key))


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def _contains(words: Sequence[str], wanted: Sequence[str]) -> bool:
    size = len(wanted)
    return bool(size) and any(words[start : start + size] == wanted for start in range(len(words) - size + 1))
