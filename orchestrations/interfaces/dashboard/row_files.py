"""Files of rows, made while they are sent. The last line says that one is whole, or cut: without it, it broke off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from orchestrations.interfaces.dashboard.streams import stream

Row = TypeVar("Row")


class UpTo(Generic[Row]):
    """The first ``limit`` of the rows. Once they are read, ``count`` says how many, ``is_cut`` whether there are more.

    One row more than the limit is asked for, and no other.
    """

    def __init__(self, rows: Iterator[Row], limit: int) -> None:
        self._rows, self._limit = rows, limit
        self.count, self.is_cut = 0, False

    def __iter__(self) -> Iterator[Row]:
        """The rows, once."""
        for row in self._rows:
            if self.count == self._limit:
                self.is_cut = True
                return
            self.count += 1
            yield row


def _csv_end(count: int, is_cut: bool) -> bytes:
    if is_cut:
        return f'"Cut: the first {count:,}. The rest is left out, narrow the filter."\r\n'.encode()
    return f'"Complete: {count:,} in all."\r\n'.encode()


def _ndjson_end(count: int, is_cut: bool) -> bytes:
    return json.dumps({"complete": not is_cut, "rows": count}).encode() + b"\n"


Write = Callable[[Iterator[Row]], Iterator[bytes]]
KINDS: dict[str, tuple[str, Callable[[int, bool], bytes]]] = {
    "csv": ("text/csv; charset=utf-8", _csv_end),
    "ndjson": ("application/x-ndjson", _ndjson_end),
}
"""By the ending of the file's name: what it is, and its last line of so many rows."""


def send(
    request: HttpRequest, name: str, kind: str, rows: Iterator[Row], limit: int, write: Write[Row]
) -> StreamingHttpResponse:
    """Send up to ``limit`` of ``rows`` as a file of one of KINDS. Its name has ``name`` and the time."""
    content_type, _ = KINDS[kind]
    file_name = f"{name}-{timezone.now():%Y%m%d-%H%M%S}.{kind}"
    return stream(request, _lines(kind, UpTo(rows, limit), write), file_name, content_type)


def _lines(kind: str, rows: UpTo[Row], write: Write[Row]) -> Iterator[bytes]:
    _, last_line = KINDS[kind]
    yield from write(iter(rows))
    yield last_line(rows.count, rows.is_cut)
