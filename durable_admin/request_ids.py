"""A name for each request: its answer carries it, and so does every line that is logged meanwhile.

What a reader is told of a failure can so be found in the log. Nothing else depends on it.
"""

from __future__ import annotations

import logging
import re
import uuid
from contextvars import ContextVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

HEADER = "X-Request-ID"
ACCEPTED = re.compile(r"[A-Za-z0-9_-]{1,64}")  # from a proxy; anything else could forge a line of the log

_current: ContextVar[str] = ContextVar("request_id", default="")


class RequestIdMiddleware(MiddlewareMixin):
    """Gives each answer the header ``X-Request-ID``: the request's own, where a proxy has set one, or a new one."""

    def process_request(self, request: HttpRequest) -> None:
        """Name the request."""
        given = request.headers.get(HEADER, "")
        _current.set(given if ACCEPTED.fullmatch(given) else uuid.uuid4().hex)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Returns the response with the name, which ends here: the thread goes on to other requests."""
        response.headers[HEADER] = _current.get()
        _current.set("")
        return response


class RequestIdFilter(logging.Filter):
    """Lets every record through, and gives it the name of the request in which it was logged, where it was in one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns True."""
        if request_id := _current.get():
            record.request_id = request_id
        return True
