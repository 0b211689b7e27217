"""Looking through JSON text as a whole: how deep it nests, and whether its numbers are in range.

The text is well-formed, and has no space between its tokens.

Ten megabytes may hold millions of tokens, so tokens are looked at one by one only where it can't be avoided: all else
is a pass over the whole text by code in C, and what settles most texts comes first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrations.limits import NUMBER_DIGITS

QUOTE, COMMA = b'"', b","
PART_BYTES = 128 * 1024  # that are split into pieces at a time: a piece takes ten times its text
TO_SQUARE = bytes.maketrans(b"{}", b"[]")
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
OPENING = ord("[")
BLOCK = 64  # brackets

# What a float that is out of range has: 309 digits before its point, or an exponent. Every digit is 0 here, what begins
# a number a comma, and there is no +.
ALIKE = bytes.maketrans(b"123456789E[:-", b"000000000e,,,")
MANY_DIGITS, LONG_EXPONENT = b"0" * 200, b"e0000"
EXPONENT, TEN_DIGITS = b"e000", b",0000000000"  # 999,999,999e299 is in range
# Digits from 3 on are 9 here, and others 0.
BY_HALF = bytes.maketrans(b"12345678E", b"00999999e")
FROM_3, FROM_300 = b"e9", (b"e900", b"e909", b"e990", b"e999")

NO_NUMBERS = {b"", b"true", b"false", b"null"}
COLON_TO_COMMA = bytes.maketrans(b":", COMMA)


def nests_deeper(text: bytes, levels: int) -> bool:
    """Whether arrays and objects nest deeper than that.

    Brackets are looked at one by one only where so many open at a time that it could be.
    """
    depth = 0
    for part in _outside_strings(text):
        brackets = part.translate(TO_SQUARE, NOT_BRACKETS)
        for begin in range(0, len(brackets), BLOCK):
            block = brackets[begin : begin + BLOCK]
            opening = block.count(b"[")
            if depth + opening > levels and depth + _peak(block) > levels:
                return True
            depth += 2 * opening - len(block)
    return False


def _peak(brackets: bytes) -> int:
    """How many of the brackets are open at most at a time."""
    depth = peak = 0
    for bracket in brackets:
        if bracket == OPENING:
            depth += 1
            if depth > peak:
                peak = depth
        else:
            depth -= 1
    return peak


def has_number_out_of_range(text: bytes) -> bool:
    """Whether any number is out of range."""
    return _may_have_large_number(text) and any(map(is_out_of_range, _candidates(text)))


def is_out_of_range(number: bytes) -> bool:
    """Whether it is a float that is infinite, or has more digits than any number may have."""
    digits = number.lstrip(b"-")
    return len(digits) > NUMBER_DIGITS or (math.isinf(float(digits)) and not digits.isdigit())


def _may_have_large_number(text: bytes) -> bool:
    """False for nearly every text; what is in strings counts too."""
    if text[:1] not in b'[{",':  # a number alone, before which nothing stands
        return True
    alike = text.translate(ALIKE, b"+")
    if MANY_DIGITS in alike or LONG_EXPONENT in alike:
        return True
    if EXPONENT not in alike:
        return False
    by_half = text.translate(BY_HALF, b"+")
    return (FROM_3 in by_half and any(exponent in by_half for exponent in FROM_300)) or TEN_DIGITS in alike


def _candidates(text: bytes) -> Iterator[bytes]:
    """Numbers that may be out of range, those of each part once: that come a million times are mostly the same."""
    unfinished = b""
    for part in _outside_strings(text):
        numbers = unfinished + part.translate(COLON_TO_COMMA, b"[]{}")
        *finished, unfinished = numbers.split(COMMA)
        if len(unfinished) > NUMBER_DIGITS + 1:
            break
        if _may_have_large_number(COMMA + numbers):
            yield from set(finished) - NO_NUMBERS
    yield from {unfinished} - NO_NUMBERS


def _outside_strings(text: bytes) -> Iterator[bytes]:
    """What is outside of strings, in parts."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    is_inside = False
    for begin in range(0, len(text), PART_BYTES):
        pieces = text[begin : begin + PART_BYTES].split(QUOTE)
        yield b"".join(pieces[is_inside::2])
        is_inside ^= len(pieces) % 2 == 0
