"""Answers: the body, up to its limit and as text, and where and when a 202 says to ask again."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from orchestrations.core.retries import LONGEST_INTERVAL
from orchestrations.errors import HttpRequestFailed, HttpRequestRefused
from orchestrations.limits import HTTP_BODY_BYTES, HTTP_POLL_SECONDS

GZIP_OR_DEFLATE = 47  # zlib: a window of the largest size, header recognised
GZIP = b"\x1f"  # what a member of gzip begins with
# Of Python's codecs those that are charsets; some of the others take quadratic time.
CHARSETS = ("utf-8", "utf-16", "utf-32", "ascii", "iso8859", "cp", "koi8", "shift_jis", "euc", "gb", "big5", "iso2022")


async def read_body(response: httpx.Response, described: str) -> bytes:
    """The body, unpacked. Raises HttpRequestRefused above HTTP_BODY_BYTES, before more than that is in memory."""
    encoding = response.headers.get("content-encoding", "identity").strip().casefold()
    if encoding in ("", "identity"):
        chunks: AsyncIterator[bytes] = response.aiter_raw()
    elif encoding in ("gzip", "x-gzip", "deflate"):
        chunks = _inflated(response.aiter_raw(), described)
    else:
        raise HttpRequestRefused(f"{described} was answered in an encoding that was not asked for.")
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > HTTP_BODY_BYTES:
            raise HttpRequestRefused(
                f"{described} was answered with more than {HTTP_BODY_BYTES:,} bytes. Fetch such data in an activity of "
                "your own, and keep it in a file store."
            )
    return bytes(body)


async def _inflated(chunks: AsyncIterator[bytes], described: str) -> AsyncIterator[bytes]:
    """Unpacked in pieces of at most the limit, however far a chunk expands."""
    unpacker = zlib.decompressobj(GZIP_OR_DEFLATE)
    is_empty = True  # as the answer to a HEAD is
    try:
        async for chunk in chunks:
            is_empty = is_empty and not chunk
            while chunk:
                if unpacker.eof and not chunk.startswith(GZIP):
                    break  # padding
                if unpacker.eof:  # gzip may come in several members
                    unpacker = zlib.decompressobj(GZIP_OR_DEFLATE)
                yield unpacker.decompress(chunk, HTTP_BODY_BYTES)
                chunk = unpacker.unconsumed_tail or unpacker.unused_data
        yield unpacker.flush()
    except zlib.error:
        raise HttpRequestRefused(f"{described} was answered with content that is not packed as it says.") from None
    if not (is_empty or unpacker.eof):
        raise HttpRequestFailed(f"{described} was answered with content that breaks off.")


def text_of(body: bytes, headers: httpx.Headers) -> str:
    """The body as text that every database holds: by its charset, what can't be read replaced."""
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    charset = "utf-8"
    with suppress(LookupError, ValueError, TypeError):
        known = codecs.lookup(str(message.get_content_charset("utf-8"))).name
        charset = known if known.startswith(CHARSETS) else charset
    text = body.decode(charset, errors="replace")
    return text.encode("utf-8", errors="replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def recorded_headers(headers: httpx.Headers) -> dict[str, str]:
    """Headers by name; those that came several times are joined, as RFC 9110 has it."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers.raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        known = next((key for key in joined if key.casefold() == name.casefold()), None)
        joined[known or name] = f"{joined[known]}, {value}" if known else value
    return joined


def next_address(asked: str, url: httpx.URL, location: str) -> str:
    """Where an answer of ``url`` leads, as a whole address; what is none is refused when it is asked.

    At the origin of ``asked`` it has the spelling of that one, which may hold letters beyond ASCII, so that everybody
    sees that the origin is the same.
    """
    try:
        found = url.join(location)
        if not asked.isascii() and _origin(found) == _origin(httpx.URL(asked)):
            return urlsplit(str(found))._replace(netloc=urlsplit(asked).netloc).geturl()
        return str(found)
    except (httpx.InvalidURL, ValueError):
        return location


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port


def seconds_to_wait(headers: Mapping[str, str], default_seconds: float) -> float:
    """In how many seconds to ask again.

    What Retry-After says, a number of seconds or a date, by the server's own clock where it tells that; else the
    default. Never less than HTTP_POLL_SECONDS and never more than a year.
    """
    text = headers.get("retry-after", "").strip()
    seconds = default_seconds
    if text.isascii() and text.isdigit():
        seconds = float(text[:12])
    elif (due := _date(text)) is not None:
        seconds = (due - (_date(headers.get("date", "")) or datetime.now(UTC))).total_seconds()
    return min(max(seconds, HTTP_POLL_SECONDS), LONGEST_INTERVAL.total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date
