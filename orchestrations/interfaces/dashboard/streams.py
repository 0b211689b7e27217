"""Downloads that are made while they are sent, so that a long one takes neither memory nor patience."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase


def stream(request: HttpRequest, chunks: Iterator[bytes], file_name: str, content_type: str) -> StreamingHttpResponse:
    """Send the chunks as a file; under ASGI each is made in a thread."""
    is_asgi = isinstance(request, ASGIRequest)
    response = StreamingHttpResponse(_awaited(chunks) if is_asgi else chunks, content_type=content_type)
    as_download(response, file_name)
    return response


def download(content: str | bytes, file_name: str, content_type: str) -> HttpResponse:
    """Send what is there already as a file."""
    response = HttpResponse(content, content_type=content_type)
    as_download(response, file_name)
    return response


def as_download(response: HttpResponseBase, file_name: str) -> None:
    """Have the browser keep it as a file of that name, and take it for nothing else than it says to be."""
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
    response.headers["X-Content-Type-Options"] = "nosniff"


async def _awaited(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    following = sync_to_async(lambda: next(chunks, None))
    while (chunk := await following()) is not None:
        yield chunk
