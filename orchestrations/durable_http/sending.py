"""Sending one request of ``call_http``: every hop checked, and pinned to the address that was checked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import httpx

from orchestrations.conf import get_config
from orchestrations.core.http_calls import HttpAnswer
from orchestrations.core.http_messages import DurableHttpResponse, HttpRequest, is_same_origin
from orchestrations.durable_http import answers
from orchestrations.durable_http.addresses import Target, read_allow_list, read_target, resolve
from orchestrations.durable_http.credentials import Credentials, credentials_of
from orchestrations.errors import HttpRequestFailed, HttpRequestRefused
from orchestrations.limits import HTTP_REDIRECTS

ACCEPTED = 202
REDIRECTS = frozenset({301, 302, 303, 307, 308})
METHOD_KEPT = frozenset({307, 308})
OF_CONTENT = frozenset({"content-type", "content-language", "content-encoding", "content-location"})
AGENT = "durable-functions-django"


async def send(message: Mapping[str, Any]) -> dict[str, Any]:
    """Send the recorded request, follow its redirects, and return the answer as it is recorded.

    Raises TimeoutError past HTTP_TIMEOUT_SECONDS, HttpRequestFailed where there is no answer, and HttpRequestRefused
    where the request may not go where it is to go, or the answer is too large. No message holds a header or a query.
    """
    request = HttpRequest.from_json(message)
    seconds = get_config().http_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            answer = await _follow(request)
    except TimeoutError:
        raise TimeoutError(f"{request.describe()} was not answered within {seconds:g} seconds.") from None
    return answer.to_json()


async def _follow(request: HttpRequest) -> HttpAnswer:
    hop = request
    for _ in range(HTTP_REDIRECTS + 1):
        answer, url = await exchange(hop)
        location = answer.headers.get("location")
        if answer.status_code not in REDIRECTS or location is None:
            return _as_recorded(request, answer, url)
        hop = _redirected(hop, answer.status_code, answers.next_address(hop.uri, url, location))
    raise HttpRequestRefused(f"{request.describe()} was redirected more than {HTTP_REDIRECTS} times.")


def _redirected(request: HttpRequest, status: int, location: str) -> HttpRequest:
    """The next hop, as browsers make it: a GET unless the status says otherwise, and no credentials for strangers."""
    following = replace(request, uri=location)
    if status not in METHOD_KEPT and request.method != "HEAD":
        headers = {n: v for n, v in request.headers.items() if n.casefold() not in OF_CONTENT}
        following = replace(following, method="GET", content=None, headers=headers)
    return following if is_same_origin(request.uri, location) else following.without_credentials()


def _as_recorded(request: HttpRequest, answer: DurableHttpResponse, url: httpx.URL) -> HttpAnswer:
    """The answer, or of one that is to be polled only where and when; its body would be recorded for each poll."""
    location = answer.headers.get("location")
    if answer.status_code != ACCEPTED or location is None or not request.asynchronous_pattern_enabled:
        return HttpAnswer(answer)
    seconds = answers.seconds_to_wait(answer.headers, get_config().http_poll_seconds)
    return HttpAnswer(DurableHttpResponse(ACCEPTED), answers.next_address(request.uri, url, location), seconds)


async def exchange(request: HttpRequest) -> tuple[DurableHttpResponse, httpx.URL]:
    """One hop: check where it leads, connect there and nowhere else, and read the answer."""
    target = read_target(request.uri)
    addresses = await resolve(target, read_allow_list(get_config().http_allowed))
    credentials = await credentials_of(request)
    described = request.describe()
    for position, address in enumerate(addresses, start=1):
        try:
            return await _converse(_pinned(request, target, address, credentials), credentials, described), target.url
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if position == len(addresses):
                raise HttpRequestFailed(f"{described} found no connection: {error}.") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:  # their texts may hold headers
            raise HttpRequestFailed(f"{described} was broken off ({type(error).__name__}).") from None
    raise HttpRequestFailed(f"{described} has no address.")


def _pinned(request: HttpRequest, target: Target, address: str, credentials: Credentials) -> httpx.Request:
    """The request to that very address; the name stays in Host, in TLS's SNI, and in what the certificate must have."""
    headers = {
        "Host": target.url.netloc.decode("ascii"),
        "User-Agent": AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    given = {name.casefold() for name in credentials.headers}
    headers = {name: value for name, value in headers.items() if name.casefold() not in given}
    # Text in, Latin-1 out: what make_request lets pass can be encoded.
    raw = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in {**headers, **credentials.headers}.items()]
    content = None if request.content is None else request.content.encode()
    return httpx.Request(
        request.method,
        target.url.copy_with(host=address),
        headers=raw,
        content=content,
        extensions={"sni_hostname": target.host, "timeout": httpx.Timeout(get_config().http_timeout_seconds).as_dict()},
    )


async def _converse(request: httpx.Request, credentials: Credentials, described: str) -> DurableHttpResponse:
    """Send and read, on a connection of its own. httpx's transport is used bare: its client logs whole addresses."""
    async with httpx.AsyncHTTPTransport(verify=tls_context()) as transport:
        response = await transport.handle_async_request(request)
        try:
            body = await answers.read_body(response, described)
        finally:
            await response.aclose()
    headers = {n: credentials.redact(v) for n, v in answers.recorded_headers(response.headers).items()}
    return DurableHttpResponse(
        response.status_code, headers, credentials.redact(answers.text_of(body, response.headers))
    )


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """What connections are verified with; made once, since reading the certificates takes as long as a request."""
    return httpx.create_ssl_context(trust_env=False)
