"""Payloads on a page: size first, pretty where they are small, the beginning and a download where they are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestrations.errors import PayloadUnavailable
from orchestrations.interfaces.dashboard.presentation.redaction import redact, redact_text

PRETTY_BYTES = 64 * 1024  # a payload up to this size is shown whole
PREVIEW_CHARACTERS = 4 * 1024  # shown of a larger one
HEX_BYTES = 256  # shown of what is no text
HEX_LINE = 16
NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class PayloadView:
    """``text`` is what the page prints, already cut and without secrets; ``kind`` is the JSON type in words.

    ``value`` is the value itself, without secrets, where the payload is shown whole.
    """

    text: str
    size: str
    kind: str
    is_whole: bool
    value: object = None


def show_payload(text: str | None) -> PayloadView | None:
    """What a page shows of JSON text; None for an absent payload.

    Text that isn't JSON is shown as it is, and the beginning of what isn't text in hexadecimal digits.
    """
    if text is None:
        return None
    data = text.encode("utf-8", "surrogatepass")
    size = size_words(len(data))
    if NO_TEXT.search(text, 0, PREVIEW_CHARACTERS):
        return PayloadView(_hex(data), size, "binary", is_whole=len(data) <= HEX_BYTES)
    if len(data) > PRETTY_BYTES:
        return PayloadView(redact_text(text[:PREVIEW_CHARACTERS]), size, "JSON, cut", is_whole=False)
    try:
        value = redact(json.loads(text))
        pretty = json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return PayloadView(redact_text(text), size, "not JSON", is_whole=True)
    return PayloadView(pretty, size, _kind(value), is_whole=True, value=value)


def without_secrets(text: str) -> str:
    """The JSON text for a download: secrets are hidden, and all else is as it was; text that isn't JSON as it is."""
    try:
        value = json.loads(text)
        shown = redact(value)
        return text if shown == value else json.dumps(shown, ensure_ascii=False)
    except (ValueError, RecursionError):
        return redact_text(text)


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


def _hex(data: bytes) -> str:
    """As a dump: offset, digits, and the characters that can be printed."""
    lines = []
    for start in range(0, min(len(data), HEX_BYTES), HEX_LINE):
        part = data[start : start + HEX_LINE]
        seen = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        lines.append(f"{start:04x}  {part.hex(' '):<47}  {seen}")
    return "\n".join(lines)
