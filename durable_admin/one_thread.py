"""How the site answers requests under ASGI."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneThreadHandler(ASGIHandler):
    """Takes a request through middleware and view in one go, in the request's own thread.

    Django's own handler goes from the event loop to that thread and back for each step of each middleware, twenty
    times for a page, which costs more than what most of our answers need. Views are synchronous here; an asynchronous
    one runs on the event loop all the same, and so does whatever a response streams.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the chain in its synchronous form, whatever is asked for."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Returns the site's answer."""
        return await sync_to_async(self.get_response)(request)
