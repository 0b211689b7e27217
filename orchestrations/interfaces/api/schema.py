"""Parts of the schema that many operations share."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.status import HTTP_400_BAD_REQUEST

from orchestrations.interfaces.api.examples import EXAMPLES, Example, problem
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
    """The problem details that an operation may answer with, beside those that every one may."""
    always = (401, 406, 429)
    return {(code, MEDIA_TYPE): OpenApiResponse(ProblemAnswer, TITLES[code]) for code in sorted({*always, *statuses})}


EMPTY = {"type": "string", "maxLength": 0}


def close_bodies(result: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Say of every body that it takes no other members, as ``serializers.Asked`` sees to it.

    A text that may be empty is one text: the generator makes it either of two, of which an empty one is both.
    """
    for name, component in result["components"]["schemas"].items():
        if name.endswith("Body"):
            component["additionalProperties"] = False
    _let_be_empty(result)
    return result


def _let_be_empty(part: Any) -> None:
    if isinstance(part, dict):
        if isinstance(either := part.get("oneOf"), list) and either[1:] == [EMPTY]:
            del part["oneOf"]
            part.update(either[0])
        for inner in part.values():
            _let_be_empty(inner)
    elif isinstance(part, list):
        for inner in part:
            _let_be_empty(inner)


def add_examples(result: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Give every operation its examples, and no answer but a problem the media type of problems."""
    for operations in result["paths"].values():
        for operation in operations.values():
            example = EXAMPLES.get(operation["operationId"])
            if example is not None:
                _add_example(operation, example)
            for status, response in operation["responses"].items():
                _add_problem(int(status), response.get("content", {}))
    _offer_registered(result["components"]["schemas"], result["paths"])
    return result


def _add_example(operation: dict[str, Any], example: Example) -> None:
    """Leaves out what the operation does not have; a test tells."""
    if example.body is not None and "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"]["example"] = example.body
    for status, answer in example.answers.items():
        for content in operation["responses"].get(str(status), {}).get("content", {}).values():
            content["example"] = answer


def _add_problem(status: int, content: dict[str, Any]) -> None:
    if status < HTTP_400_BAD_REQUEST:
        content.pop(MEDIA_TYPE, None)
    elif MEDIA_TYPE in content:
        content[MEDIA_TYPE]["example"] = problem(status, TITLES[status])


def _offer_registered(schemas: dict[str, Any], paths: dict[str, Any]) -> None:
    """The example of a start names an orchestrator that this site has."""
    known = schemas["StartBody"]["properties"]["orchestrator"].get("enum", [])
    content = next(path for path in paths if path.endswith("/instances/"))
    start = paths[content]["post"]["requestBody"]["content"]["application/json"]
    if known and start["example"]["orchestrator"] not in known:
        start["example"] = {**start["example"], "orchestrator": known[0], "input": None}
