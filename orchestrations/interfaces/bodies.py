"""Reading the body of a request for any interface: bounded, and none that would have to be unpacked first."""

from __future__ import annotations

from typing import IO

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.http.request import UnreadablePostError

AS_IT_IS = ("", "identity")


class BodyRefused(Exception):
    """A body that is not read, with the status, the code and the headers of the answer; the message says what to do."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}


def read(request: HttpRequest, limit: int, stream: IO[bytes] | None = None) -> bytes:
    """The body, of at most ``limit`` bytes; from ``stream``, where a framework has it, else from the request.

    Raises BodyRefused: 415 for one with a content coding, 413 for a longer one, before it is read where its length was
    declared, 411 where the server can't tell its length, and 400 for one that was cut off. Django's own limit is meant
    for forms, and is not asked.
    """
    _require_no_coding(request)
    too_large = BodyRefused(
        413, "too_large", f"The body is larger than {limit:,} bytes. Store it elsewhere and send a reference."
    )
    if declared_length(request) > limit:
        raise too_large
    if is_chunked(request) and not isinstance(request, ASGIRequest):  # there the body would seem to be empty
        raise BodyRefused(411, "length_required", "The body has no declared length. Send it with Content-Length.")
    try:
        body = (stream or request).read(limit + 1)
    except UnreadablePostError as error:
        message = "The body ended before its declared length. Send the request again."
        raise BodyRefused(400, "incomplete_body", message) from error
    if len(body) > limit:
        raise too_large
    return bytes(body)


def is_chunked(request: HttpRequest) -> bool:
    """Whether there may be a body though no length of one was declared."""
    return "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH")


def declared_length(request: HttpRequest) -> int:
    """The Content-Length in bytes; 0 where there is none, or none that could be meant."""
    text = request.META.get("CONTENT_LENGTH") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _require_no_coding(request: HttpRequest) -> None:
    """What unpacks to a hundred times its size is left packed."""
    coding = request.headers.get("Content-Encoding", "")
    if coding.strip().casefold() not in AS_IT_IS:
        message = f"The body is encoded as {coding!r:.60}, which is not undone here. Send it as it is."
        raise BodyRefused(415, "unsupported_encoding", message, {"Accept-Encoding": "identity"})
