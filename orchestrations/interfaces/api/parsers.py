"""Reading JSON bodies through the door that all payloads pass: bounded in size and depth, and storable everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser

from orchestrations.authoring import payloads
from orchestrations.limits import PAYLOAD_BYTES


class BodyTooLarge(APIException):
    """The body is larger than one payload may be."""

    status_code = 413
    default_detail = f"The body is larger than {PAYLOAD_BYTES:,} bytes. Store it elsewhere and send a reference."
    default_code = "too_large"


class PayloadParser(BaseParser):
    """``application/json``. An empty body is null. Raises PayloadRejected with the path of what can't be stored."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body's value."""
        body = stream.read(PAYLOAD_BYTES + 1)
        if len(body) > PAYLOAD_BYTES:
            raise BodyTooLarge
        text = payloads.check_text(body, "body") if body.strip() else None
        return None if text is None else json.loads(text)
