"""Patterns of names, in grants, keys and webhooks: ``*`` stands for any characters or none, all else for itself.

Lists are narrowed by the same patterns in SQL; see ``orchestrations.search.filters.named_like``.
"""

from __future__ import annotations

from orchestrations.errors import InvalidPattern
from orchestrations.limits import PATTERN_STARS

ANY = "*"


def check_pattern(text: str) -> str:
    """Return the pattern. Raises InvalidPattern for one that would match nothing, or take long to compare."""
    if not text.strip():
        raise InvalidPattern("The pattern is empty. Write a name, a pattern such as billing_*, or * for every name.")
    if not text.isprintable():
        raise InvalidPattern("The pattern has a character that no name has. Write printable characters alone.")
    if ANY * 2 in text:
        raise InvalidPattern("The pattern has two * beside each other. One stands for any number of characters.")
    if text.count(ANY) > PATTERN_STARS:
        raise InvalidPattern(
            f"The pattern has {text.count(ANY)} *. Write at most {PATTERN_STARS}, or several patterns."
        )
    return text


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text is as the pattern says. Letter case counts; takes time in proportion to the text."""
    first, *rest = pattern.split(ANY)
    if not rest:
        return text == pattern
    *middle, last = rest
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        place = text.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True
