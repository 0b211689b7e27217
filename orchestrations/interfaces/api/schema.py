"""Parts of the schema that many operations share."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from orchestrations.interfaces.api.problems import MEDIA_TYPE, TITLES
from orchestrations.interfaces.api.serializers import ProblemAnswer
from orchestrations.limits import IDEMPOTENCY_KEY_LENGTH

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_LENGTH, "pattern": "^[^\\x00-\\x1f\\x7f]+$"},
    OpenApiParameter.HEADER,
    description="Makes a repeated request harmless.",
)


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """The problem details that an operation may answer with, beside 401 and what concerns media types."""
    always = (401, 406)
    return {(code, MEDIA_TYPE): OpenApiResponse(ProblemAnswer, TITLES[code]) for code in sorted({*always, *statuses})}


def close_bodies(result: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Say of every body that it takes no other members, as ``serializers.Asked`` sees to it."""
    for name, component in result["components"]["schemas"].items():
        if name.endswith("Body"):
            component["additionalProperties"] = False
    return result
