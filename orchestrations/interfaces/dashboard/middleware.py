"""Response headers of every page of this dashboard; other interfaces and Django's admin keep their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
OWN_NAMES = {"login", "logout"}


@sync_and_async_middleware
def dashboard_headers(get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> object:
    """Set the content security policy, and keep what a signed-in person saw out of shared and back-button caches."""

    from asgiref.sync import iscoroutinefunction

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return _protect(request, await get_response(request))  # type: ignore[misc]

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        return _protect(request, get_response(request))  # type: ignore[arg-type]

    return synchronous


def _protect(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    match = request.resolver_match
    if match is None or match.app_name == "dashboard" or match.view_name in OWN_NAMES:
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Cache-Control", "no-store, private")
        response.headers.setdefault("Vary", "Cookie")
    return response
