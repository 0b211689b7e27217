"""Reading JSON bodies through the door that all payloads pass: bounded in size and depth, and storable everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, BinaryIO, cast

from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from orchestrations.authoring import payloads
from orchestrations.client import SerializedJson
from orchestrations.interfaces import bodies
from orchestrations.limits import PAYLOAD_BYTES


class BodyRequest(Request):
    """DRF's request, which takes a body without a declared length for none at all."""

    def _load_stream(self) -> None:
        super()._load_stream()  # type: ignore[misc]  # which the stubs don't know
        if bodies.is_chunked(self._request):
            self._stream = cast("BinaryIO", self._request)


class PayloadParser(BaseParser):
    """``application/json``. Raises PayloadRejected with the path of what can't be stored."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body as JSON text, of which nothing is built yet; None where it is empty. Raises BodyRefused."""
        request: Request = (parser_context or {})["request"]
        body = bodies.read(request._request, PAYLOAD_BYTES, stream)
        return SerializedJson(payloads.check_text(body, "body") or "null") if body.strip() else None
