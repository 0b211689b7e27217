"""How the site answers requests under ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from durable_admin.arriving_bodies import Arriving, Receive
from orchestrations.interfaces.bodies import BodyRefused

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class OneThreadHandler(ASGIHandler):
    """Takes a request through middleware and view in one go, in the request's own thread, once its body is there.

    Django's own handler goes from the event loop to that thread and back for each step of each middleware, twenty
    times for a page, which costs more than what most of our answers need. Views are synchronous here; an asynchronous
    one runs on the event loop all the same, and so does whatever a response streams. A body that goes on for ever, in
    bytes or in time, is refused here: Django's handler would keep it on disk first.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the chain in its synchronous form, whatever is asked for."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Returns the site's answer."""
        return await sync_to_async(self.get_response)(request)

    async def handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await super().handle(scope, receive, send)
        except BodyRefused as refused:
            problem = {"type": "about:blank", "status": refused.status, "detail": str(refused), "code": refused.code}
            response = JsonResponse(
                problem, status=refused.status, headers=refused.headers, content_type="application/problem+json"
            )
            await self.send_response(response, send)

    async def read_body(self, receive: Receive) -> IO[bytes]:
        """Returns the body as a file. Raises BodyRefused for one that is too large or too slow."""
        arriving = Arriving(receive)
        try:
            body: IO[bytes] = await super().read_body(arriving)
        except RequestAborted as aborted:
            raise arriving.refused or aborted from None
        return body
