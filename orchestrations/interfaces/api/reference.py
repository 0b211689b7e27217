"""The schema as pages of documentation: each operation with its parameters, its answers and an example of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from orchestrations.interfaces.api.problems import MEDIA_TYPE, STATUS_OF_CODE, TITLES

JSON = "application/json"
METHODS = ("get", "post", "patch", "delete")
COMMON = {"401", "406", "429"}  # which every operation may answer
FRAMEWORK_CODES = {
    "bad_request": 400,
    "invalid": 400,
    "incomplete_body": 400,
    "not_authenticated": 401,
    "authentication_failed": 401,
    "invalid_key": 401,
    "permission_denied": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "question_closed": 409,
    "job_is_over": 409,
    "length_required": 411,
    "too_large": 413,
    "unsupported_encoding": 415,
    "unsupported_media_type": 415,
    "throttled": 429,
    "internal_error": 500,
    "no_streams": 501,
    "too_many_streams": 503,
    "unavailable": 503,
}
"""Codes that no error of the app has, with the status that they come with."""

Schema = dict[str, Any]


def reference(schema: Schema) -> str:
    """The part of the reference that the schema gives, as Markdown."""
    return "\n".join([*_operations(schema), *_codes()]) + "\n"


def _operations(schema: Schema) -> Iterator[str]:
    yield "## Operations\n"
    for path, operations in schema["paths"].items():
        for method in METHODS:
            if method in operations:
                yield from _operation(schema, method.upper(), path, operations[method])


def _operation(schema: Schema, method: str, path: str, operation: Schema) -> Iterator[str]:
    yield f"### `{method} {path}`\n"
    yield f"`{operation['operationId']}`. {operation['description']}\n"
    parameters = [_parameter(one) for one in operation.get("parameters", []) if one["in"] != "path"]
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {})
    members = list(_members(schema, body.get("schema", {})))
    if parameters or members:
        yield "| Where | Name | Type | Meaning |\n|---|---|---|---|"
        yield from (f"| {' | '.join(row)} |" for row in (*parameters, *members))
        yield ""
    yield from _answers(operation["responses"])
    yield from _example(method, path, operation, body)


def _parameter(parameter: Schema) -> tuple[str, str, str, str]:
    return parameter["in"], f"`{parameter['name']}`", _type(parameter["schema"]), _prose(parameter)


def _members(schema: Schema, body: Schema) -> Iterator[tuple[str, str, str, str]]:
    """The members of a body; of one that has several forms, those of each."""
    for form in body.get("oneOf", [body]) if "$ref" not in body else [body]:
        resolved = _resolve(schema, form)
        if "oneOf" in resolved:
            yield from _members(schema, resolved)
            continue
        for name, member in resolved.get("properties", {}).items():
            is_needed = name in resolved.get("required", [])
            meaning = f"{'Needed. ' if is_needed else ''}{_prose(member)}"
            where = f"body, {resolved['description'].rstrip('.')}" if form is not body else "body"
            yield where, f"`{name}`", _type(_resolve(schema, member)), meaning.strip()


def _resolve(schema: Schema, part: Schema) -> Schema:
    name = part.get("$ref", "").rpartition("/")[2]
    return schema["components"]["schemas"][name] if name else part


def _type(part: Schema) -> str:
    kind = part.get("type", "any")
    words = " or ".join(kind) if isinstance(kind, list) else kind
    if kind == "array":
        return f"list of {_type(part['items'])}"
    if "enum" in part:
        return "choice"
    return part["format"] if part.get("format") == "date-time" else words


def _prose(part: Schema) -> str:
    """The description without the list of choices that the schema's generator puts behind it, and the default."""
    text = part.get("description", "").split("* `")[0].strip().replace("|", "\\|").replace("\n", " ")
    default = part.get("schema", part).get("default")
    return text if default in (None, "") else f"{text} Default: `{json.dumps(default)}`.".strip()


def _answers(responses: Schema) -> Iterator[str]:
    good = [code for code in responses if code < "400"]
    bad = sorted(code for code in responses if code >= "400" and code not in COMMON)
    told = [f"{code}{_told(responses[code])}" for code in sorted(good)]
    yield f"Answers {', '.join(told)}{'; or ' + ', '.join(bad) if bad else ''}.\n"


def _told(response: Schema) -> str:
    text = response.get("description", "").rstrip(".")
    return f" ({text})" if text else ""


def _example(method: str, path: str, operation: Schema, body: Schema) -> Iterator[str]:
    yield "```http"
    yield f"{method} {path}"
    if "example" in body:
        yield f"Content-Type: {JSON}\n\n{_pretty(body['example'])}"
    yield "```\n"
    first = min(code for code in operation["responses"] if code < "300")
    for media_type, content in operation["responses"][first].get("content", {}).items():
        example = content["example"]
        yield "```json" if media_type == JSON else "```text"
        yield _pretty(example) if media_type == JSON else example.strip()
        yield "```\n"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _codes() -> Iterator[str]:
    yield "## Codes of errors\n"
    yield f"The `code` of a problem (`{MEDIA_TYPE}`) is stable; programs decide by it. Any operation may answer 401,"
    yield "406, 411, 413, 415, 429 and 500 besides what it says.\n"
    yield "| Code | Status | |\n|---|---|---|"
    for code, status in sorted({**STATUS_OF_CODE, **FRAMEWORK_CODES}.items()):
        yield f"| `{code}` | {status} | {TITLES[status]} |"
