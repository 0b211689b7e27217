"""HTTP calls as data: the request as it is recorded, what stands in it for a secret, and the answer.

Nothing secret is in these objects. A token is named by its source and resource, a secret header by its name among the
settings; both are put in where the request is sent, and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

HTTP_ACTIVITY = "durable.http"
"""The built-in activity that sends one request."""

SCHEMES = frozenset({"http", "https"})
DEFAULT_PORTS = {"http": 80, "https": 443}
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110: methods and names of headers
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
FUNCTIONS_KEY = "x-functions-key"


@dataclass(frozen=True, slots=True)
class HttpSecret:
    """A header's value that is kept in ``DURABLE["HTTP_SECRETS"]`` under this name, and never in the history."""

    name: str


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where the bearer token of a request comes from: a source of ``DURABLE["HTTP_TOKEN_SOURCES"]``, and for what.

    Only these two texts are in the history. The token is fetched anew for each request, and dropped after it.
    """

    kind: str
    resource: str


class ManagedIdentityTokenSource(TokenSource):
    """The token source ``AzureManagedIdentity``, with the name and argument of azure-functions-durable."""

    __slots__ = ()

    def __init__(self, resource: str) -> None:
        TokenSource.__init__(self, "AzureManagedIdentity", resource)


class HttpHeaders(Mapping[str, str]):
    """Headers by name in any letter case; their own spelling and order are kept."""

    __slots__ = ("_by_name",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._by_name = {name.casefold(): (name, value) for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._by_name[name.casefold()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return repr(dict(self))


class DurableHttpResponse:
    """The answer to an HTTP call, whatever its status.

    Its parts are attributes, and also entries under their names on the wire, as in azure-functions-durable:
    ``response["statusCode"]``.
    """

    __slots__ = ("content", "headers", "status_code")

    def __init__(self, status_code: int, headers: Mapping[str, str] | None = None, content: str = "") -> None:
        self.status_code = status_code
        self.headers = HttpHeaders(headers or {})
        self.content = content

    @property
    def is_success(self) -> bool:
        """Whether the status is one of 200 to 299."""
        return 200 <= self.status_code <= 299

    def json(self) -> Any:
        """The content read as JSON. Raises ValueError where it is none."""
        return json.loads(self.content)

    def __getitem__(self, key: str) -> Any:
        return self.to_json()["statusCode" if key == "status_code" else key]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DurableHttpResponse) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.status_code, self.content))

    def __repr__(self) -> str:
        return f"<DurableHttpResponse {self.status_code}, {len(self.content)} characters>"

    def to_json(self) -> dict[str, Any]:
        """The form in which it is recorded and passed on."""
        return {"statusCode": self.status_code, "headers": dict(self.headers), "content": self.content}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DurableHttpResponse:
        """Read that form."""
        return cls(int(value["statusCode"]), value.get("headers") or {}, str(value.get("content") or ""))


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to be sent, as it is recorded."""

    method: str
    uri: str
    headers: Mapping[str, str | HttpSecret] = field(default_factory=dict)
    content: str | None = None
    token_source: TokenSource | None = None
    asynchronous_pattern_enabled: bool = True

    def describe(self) -> str:
        """Method and address without what may be secret in it: the query, the fragment and a user's name."""
        return f"{self.method} {shown_uri(self.uri)}"

    def to_json(self) -> dict[str, Any]:
        """The form in which it is recorded."""
        source = self.token_source
        return {
            "method": self.method,
            "uri": self.uri,
            "headers": {n: {"secret": v.name} if isinstance(v, HttpSecret) else v for n, v in self.headers.items()},
            "content": self.content,
            "tokenSource": {"kind": source.kind, "resource": source.resource} if source is not None else None,
            "asynchronousPatternEnabled": self.asynchronous_pattern_enabled,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> HttpRequest:
        """Read that form."""
        source = value.get("tokenSource")
        return cls(
            method=value["method"],
            uri=value["uri"],
            headers={n: v if isinstance(v, str) else HttpSecret(v["secret"]) for n, v in value["headers"].items()},
            content=value.get("content"),
            token_source=TokenSource(source["kind"], source["resource"]) if source else None,
            asynchronous_pattern_enabled=bool(value.get("asynchronousPatternEnabled", True)),
        )

    def poll_of(self, location: str) -> HttpRequest:
        """The request that asks there how the work goes: a GET with the same headers, but for the functions key.

        At another origin also without credentials: those of HTTP, secrets, and the token source.
        """
        headers = {n: v for n, v in self.headers.items() if n.casefold() != FUNCTIONS_KEY}
        poll = replace(self, method="GET", uri=location, headers=headers, content=None)
        return poll if is_same_origin(self.uri, location) else poll.without_credentials()

    def without_credentials(self) -> HttpRequest:
        """The request as another origin may see it."""
        dropped = {*CREDENTIALS, FUNCTIONS_KEY}
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.casefold() not in dropped and not isinstance(value, HttpSecret)
        }
        return replace(self, headers=headers, token_source=None)


def make_request(
    method: object,
    uri: object,
    content: str | None,
    headers: Mapping[str, object] | None,
    token_source: TokenSource | None,
    asynchronous_pattern_enabled: bool,
) -> HttpRequest:
    """A request of what an author gave. Raises ValueError or TypeError naming what is wrong, without any value."""
    if not isinstance(method, str) or not TOKEN.fullmatch(method):
        raise ValueError("The method of an HTTP call is a word such as GET or POST.")
    if token_source is not None and not isinstance(token_source, TokenSource):
        raise TypeError(
            f"token_source is a {type(token_source).__name__}. Pass a TokenSource(kind, resource) whose kind is "
            'one of DURABLE["HTTP_TOKEN_SOURCES"].'
        )
    if token_source and not all(isinstance(part, str) for part in (token_source.kind, token_source.resource)):
        raise TypeError("A TokenSource holds two texts, its kind and its resource.")
    return HttpRequest(
        method.upper(), _uri(uri), _headers(headers or {}), content, token_source, bool(asynchronous_pattern_enabled)
    )


def shown_uri(uri: str) -> str:
    """The address for messages: scheme, host, port and path."""
    parts = _split(uri)
    if parts is None or not parts.hostname:
        return "an address that can't be read"
    query = "?…" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"[:300]


def is_same_origin(one: str, other: str) -> bool:
    """Whether scheme, host and port are the same; never so for what can't be read."""
    origin = _origin(one)
    return origin is not None and origin == _origin(other)


def _origin(uri: str) -> tuple[str, str, int | None] | None:
    parts = _split(uri)
    if parts is None or parts.hostname is None:
        return None
    try:
        return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:  # a port that is none
        return None


def _split(uri: str) -> SplitResult | None:
    try:
        return urlsplit(uri)
    except ValueError:
        return None


def _uri(uri: object) -> str:
    if not isinstance(uri, str):
        raise TypeError(f"The address of an HTTP call is a {type(uri).__name__}. Pass it as text.")
    parts = _split(uri)
    if parts is None or parts.scheme not in SCHEMES or not parts.hostname:
        raise ValueError(f"The address of an HTTP call is {shown_uri(uri)}. Pass a whole one, with http or https.")
    if "@" in parts.netloc:
        raise ValueError("The address of an HTTP call holds a user. Pass credentials as a header or by token_source.")
    if not uri.isprintable() or " " in uri:
        raise ValueError("The address of an HTTP call holds blanks or control characters. Quote them.")
    return uri


def _headers(headers: Mapping[str, object]) -> dict[str, str | HttpSecret]:
    checked: dict[str, str | HttpSecret] = {}
    for name, value in headers.items():
        if not isinstance(name, str):
            raise TypeError(f"A header of an HTTP call has a {type(name).__name__} as its name. Pass a text.")
        if not TOKEN.fullmatch(name):
            raise ValueError("A header of an HTTP call has a name that no header can have.")
        if name.casefold() in OF_THE_CONNECTION:
            raise ValueError(f"The header {name} of an HTTP call follows from its address and content. Leave it out.")
        if not isinstance(value, HttpSecret | str):
            raise TypeError(
                f"The header {name} of an HTTP call is a {type(value).__name__}. Pass a text or HttpSecret."
            )
        if isinstance(value, HttpSecret) and not isinstance(value.name, str):
            raise TypeError(f"The HttpSecret of the header {name} names no text.")
        if isinstance(value, str) and not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"The header {name} of an HTTP call holds line breaks, control or non-Latin characters.")
        checked[name] = value
    return checked
