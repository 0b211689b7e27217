"""Payloads on a page: size first, pretty where they are small, the beginning and a download where they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from orchestrations.errors import PayloadUnavailable

PRETTY_BYTES = 64 * 1024  # a payload up to this size is shown whole
PREVIEW_CHARACTERS = 4 * 1024  # shown of a larger one


@dataclass(frozen=True, slots=True)
class PayloadView:
    """``text`` is what the page prints, already cut; ``kind`` is the JSON type in words."""

    text: str
    size: str
    kind: str
    is_whole: bool


def show_payload(text: str | None) -> PayloadView | None:
    """What a page shows of JSON text; None for an absent payload. Text that isn't JSON is shown as it is."""
    if text is None:
        return None
    size_bytes = len(text.encode("utf-8", "replace"))
    if size_bytes > PRETTY_BYTES:
        return PayloadView(text[:PREVIEW_CHARACTERS], size_words(size_bytes), "JSON, cut", is_whole=False)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return PayloadView(text, size_words(size_bytes), "not JSON", is_whole=True)
    pretty = json.dumps(value, indent=2, ensure_ascii=False)
    return PayloadView(pretty, size_words(size_bytes), _kind(value), is_whole=True)


def read_payload(read: Callable[[], str | None]) -> PayloadView | None:
    """``show_payload`` of what ``read`` returns; where it is kept in a file that can't be read, what is wrong."""
    try:
        return show_payload(read())
    except PayloadUnavailable as error:
        return PayloadView(str(error), "unknown size", "not readable", is_whole=True)


def size_words(size_bytes: int) -> str:
    """``312 B``, ``4.1 KB`` or ``2.0 MB``."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1e3:.1f} KB" if size_bytes < 1e6 else f"{size_bytes / 1e6:.1f} MB"


def _kind(value: object) -> str:
    match value:
        case dict():
            return f"object of {len(value)}"
        case list():
            return f"array of {len(value)}"
        case str():
            return "string"
        case bool():
            return "boolean"
        case None:
            return "null"
        case _:
            return "number"
