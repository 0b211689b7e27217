"""Programs that present an API key to this API; people come with a session or a token of DRF's."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from orchestrations.access import api_keys
from orchestrations.access.api_keys import KeyHolder
from orchestrations.interfaces.key_rates import require_rate
from orchestrations.models import ApiKey

HEADER = "x-functions-key"
SCHEMES = ("api-key", "bearer")


class KeyAuthentication(BaseAuthentication):
    """The header ``x-functions-key``, or ``Authorization: Api-Key`` (or ``Bearer``). Counts towards the key's rate."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, ApiKey] | None:
        """The program and its key; None where no key is presented. Raises AuthenticationFailed and RateExceeded."""
        text = _presented(request)
        if text is None:
            return None
        key = api_keys.find(text)
        if key is None:
            raise AuthenticationFailed("The API key is unknown, has expired or was revoked.", "invalid_key")
        require_rate(key)
        return KeyHolder(key), key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Api-Key"


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The key in the schema."""

    target_class = KeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A header."""
        return {"type": "apiKey", "in": "header", "name": HEADER, "description": "An API key, made in the admin."}


def _presented(request: Request) -> str | None:
    text = request.headers.get(HEADER)
    if text:
        return text
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() if scheme.casefold() in SCHEMES else None
