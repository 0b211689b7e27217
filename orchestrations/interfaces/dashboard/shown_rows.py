"""The rows that a page shows, by their keys, as its live parts repeat them in addresses."""

from __future__ import annotations

from orchestrations.limits import LIST_PAGE_MAXIMUM


def keys_in(text: str) -> list[int]:
    """The keys of a text such as ``7,12``, no more than a page has rows. What is none is passed over."""
    return [int(one) for one in text.split(",")[:LIST_PAGE_MAXIMUM] if one.isdecimal() and len(one) < 19]
