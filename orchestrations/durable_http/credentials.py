"""What a request needs that history must not hold: secret headers and bearer tokens, fetched when it is sent.

Where they come from is a setting; a name or path that comes from the database is looked up there, and never imported.
"""

from __future__ import annotations

import asyncio
import html
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

from django.utils.module_loading import import_string

from orchestrations.conf import get_config
from orchestrations.core.http_messages import HEADER_VALUE, HttpRequest, HttpSecret, TokenSource
from orchestrations.core.interruptions import is_authors
from orchestrations.errors import HttpRequestFailed, HttpRequestRefused

REDACTED = "[redacted]"
SHORTEST_REDACTED = 8  # characters; anything shorter would be found by chance


@dataclass(slots=True)
class Credentials:
    """The headers of one request as they are sent, and what of them an answer must not repeat."""

    headers: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list, repr=False)

    def redact(self, text: str) -> str:
        """The text without the secrets; a server's error page may show the request that it got."""
        for secret in self.secrets:
            if len(secret) >= SHORTEST_REDACTED:
                for spelling in _spellings(secret):
                    text = text.replace(spelling, REDACTED)
        return text


def _spellings(secret: str) -> list[str]:
    """As it is, and as it stands in JSON, in addresses and in pages; the longest first, since they may overlap."""
    in_json = json.dumps(secret)[1:-1]
    found = {
        secret,
        in_json,
        in_json.replace("/", r"\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        html.escape(secret, quote=False),
    }
    return sorted(found, key=len, reverse=True)


async def credentials_of(request: HttpRequest) -> Credentials:
    """Put in what the request only names. Raises HttpRequestRefused for a name that no setting has."""
    credentials = Credentials()
    for name, value in request.headers.items():
        if isinstance(value, HttpSecret):
            value = _secret(value.name)
            credentials.secrets.append(value)
        credentials.headers[name] = value
    if request.token_source is not None:
        token = await _token(request.token_source)
        credentials.secrets.append(token)
        others = {name: value for name, value in credentials.headers.items() if name.casefold() != "authorization"}
        credentials.headers = {**others, "Authorization": f"Bearer {token}"}
    return credentials


def find_token_source(kind: str) -> Callable[[str], Any]:
    """The function that the setting names for the kind, or the method ``get_token`` of a class.

    Raises HttpRequestRefused for an unknown kind, and ImportError for a path that leads nowhere.
    """
    sources = get_config().http_token_sources or {}
    if kind not in sources:
        raise HttpRequestRefused(_unknown("token source", kind, "HTTP_TOKEN_SOURCES", sources))
    found: Callable[[str], Any] = import_string(sources[kind])
    if inspect.isclass(found):
        source: Any = found()
        return source.get_token  # type: ignore[no-any-return]
    return found


async def _token(source: TokenSource) -> str:
    """A token from the source. Its errors are not passed on, since their texts may hold what they are about."""
    try:
        fetch = find_token_source(source.kind)
        if inspect.iscoroutinefunction(fetch):
            token = await fetch(source.resource)
        else:
            token = await asyncio.to_thread(fetch, source.resource)
            if inspect.isawaitable(token):  # of a function that wraps an async one
                token = await token
    except (HttpRequestRefused, asyncio.CancelledError):
        raise
    except BaseException as error:
        if not is_authors(error):
            raise
        raise HttpRequestFailed(f"The token source {source.kind!r} raised {type(error).__name__}.") from None
    return _checked(token, f"The token source {source.kind!r} gave")


def _secret(name: str) -> str:
    secrets = get_config().http_secrets or {}
    if name not in secrets:
        raise HttpRequestRefused(_unknown("secret", name, "HTTP_SECRETS", secrets))
    return _checked(secrets[name], f"The secret {name!r} is")


def _checked(value: object, subject: str) -> str:
    if not isinstance(value, str) or not value or not HEADER_VALUE.fullmatch(value):
        raise HttpRequestRefused(f"{subject} something that no header can hold. It must be text of one line.")
    return value


def _unknown(what: str, name: str, setting: str, known: Mapping[str, str]) -> str:
    listed = f" It has {', '.join(sorted(known))}." if known else ""
    return f'No {what} is named {name!r:.100}. Add it to DURABLE["{setting}"].{listed}'
