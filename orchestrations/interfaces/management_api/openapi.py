"""The schema of this API as OpenAPI 3.1, made of the table of routes and of what each operation takes and answers."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from orchestrations.access.api_keys import Verb
from orchestrations.authoring.registry import registry
from orchestrations.interfaces.management_api.operations import JSON, OPERATIONS, PAGE, Operation, Parameter, Schema
from orchestrations.interfaces.management_api.reading import CONTINUATION_HEADER
from orchestrations.interfaces.management_api.routes import ANY_METHOD, PART, ROUTES, Route
from orchestrations.interfaces.management_api.wire_shapes import Error
from orchestrations.limits import INSTANCE_ID_LENGTH

REFERENCE = "#/components/schemas/{name}"
NUMBERS = ("number", "message")  # parts of paths that are numbers of rows
REFUSALS = {
    400: "What can't be read, or can't be meant.",
    401: "No valid key or link.",
    403: "The key or link does not open that.",
    404: "There is no such thing, or another task hub is asked for.",
    409: "What stands in the way.",
    410: "It has ended.",
    411: "The length is not declared.",
    413: "The body is too large.",
    415: "The body has a content coding.",
    422: "The form refuses the answer.",
    429: "The key has asked too often in this minute.",
    501: "The server can't keep streams open.",
    503: "The database or a file can't be reached; try again later.",
}
ALWAYS = (400, 401, 403, 404, 429, 503)
OF_BODIES = (411, 413, 415)
ANSWERS = {
    200: "Done.",
    201: "Made.",
    202: "Accepted, or still going on.",
    204: "Done; there is nothing to tell.",
    500: "It failed, and that was to be told as an error.",
}
SECURITY = {
    "header": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
    "query": {"type": "apiKey", "in": "query", "name": "code"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key as user or as password."},
}
DESCRIPTION = (
    "The Durable Functions HTTP management API with extensions. Paths and names of parameters match in any letter "
    "case, a trailing slash and parameters that mean nothing are ignored, and a wrong method is 404."
)


class Schemas:
    """Describes types, and keeps those that have a name."""

    def __init__(self) -> None:
        self.named: Schema = {}

    def of(self, kind: Any) -> Schema:
        """The schema of a type."""
        (schema,), named = msgspec.json.schema_components([kind], ref_template=REFERENCE)
        self.named |= named
        return dict(schema)


def openapi(base: str, hub: str) -> Schema:
    """The schema of the API of that task hub at that address."""
    schemas = Schemas()
    paths: dict[str, Schema] = {}
    names: set[str] = set()
    for route in ROUTES:
        operation = OPERATIONS[route.handler]
        name = operation.name if operation.name not in names else f"{operation.name}By{_ending(route)}"
        names.add(name)
        method = "post" if route.method == ANY_METHOD else route.method.lower()
        path = "/" + PART.sub(lambda part: f"{{{_camel(part[1])}}}", route.path)
        paths.setdefault(path, {})[method] = _operation(route, operation, hub, schemas) | {"operationId": name}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Durable Functions management API", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": base}],
        "security": [{name: []} for name in SECURITY],
        "paths": paths,
        "components": {"schemas": schemas.named, "securitySchemes": SECURITY},
    }


def _operation(route: Route, operation: Operation, hub: str, schemas: Schemas) -> Schema:
    summary, _, rest = (inspect.getdoc(route.handler) or "").partition("\n\n")
    named = [*operation.parameters, *(PAGE if operation.is_paged else ()), _task_hub(hub)]
    described: Schema = {
        "summary": _prose(summary),
        "description": _prose(rest),
        "parameters": [*(_part(name, route) for name in PART.findall(route.path)), *map(_parameter, named)],
        "responses": _responses(operation, schemas),
    }
    if route.verb is not None:
        described["x-verb"] = route.verb.value
    if operation.body is not None:
        content = {JSON: {"schema": schemas.of(operation.body.kind)}}
        described["requestBody"] = {"required": operation.body.is_needed, "content": content}
    return described


def _responses(operation: Operation, schemas: Schemas) -> Schema:
    statuses = {*ALWAYS, *operation.refusals, *(OF_BODIES if operation.body else ())}
    error = {JSON: {"schema": schemas.of(Error)}}
    responses: Schema = {str(status): {"description": REFUSALS[status], "content": error} for status in statuses}
    for status, kind in operation.answers.items():
        response: Schema = {"description": ANSWERS.get(status) or REFUSALS[status]}
        if kind is not None:
            response["content"] = {operation.media_type: {"schema": schemas.of(kind)}}
        if operation.is_paged:
            meaning = "Which page is the next; the last one lacks it."
            response["headers"] = {CONTINUATION_HEADER: {"schema": {"type": "string"}, "description": meaning}}
        responses[str(status)] = response
    return dict(sorted(responses.items()))


def _parameter(parameter: Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_needed,
        "description": parameter.meaning,
        "schema": parameter.schema,
    }


def _part(name: str, route: Route) -> Schema:
    """A part of the path. What none of the rows has is a 404, whatever it is."""
    schema: Schema = {"type": "string", "minLength": 1}
    if name in NUMBERS:
        schema = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
    elif route.verb is Verb.START and name == "name":
        schema["enum"] = sorted(registry.orchestrators())
    elif route.verb is Verb.START:
        schema |= {"maxLength": INSTANCE_ID_LENGTH, "pattern": "^[^\\x00-\\x1f\\x7f@/\\\\#?]+$"}
    return {"name": _camel(name), "in": "path", "required": True, "schema": schema}


def _task_hub(hub: str) -> Parameter:
    return Parameter("taskHub", {"type": "string", "enum": [hub]}, "The task hub that is meant; there is this one.")


def _ending(route: Route) -> str:
    """What tells the second route of a handler from the first."""
    last = _camel(PART.findall(route.path)[-1])
    return last[0].upper() + last[1:]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _prose(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")
