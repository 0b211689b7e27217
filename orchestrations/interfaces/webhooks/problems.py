"""Errors as problem details (RFC 9457): what is wrong with the request, and nothing about secrets or the inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse

from orchestrations.errors import DurableError, PayloadRejected

MEDIA_TYPE = "application/problem+json"

STATUS_OF_CODE = {
    "payload_rejected": 422,
    "invalid_instance_id": 422,
    "instance_not_found": 409,  # 404 would say that there is no such webhook, and 410 that there never will be
    "instance_is_entity": 422,
    "instance_ended": 409,
    "instance_already_exists": 409,
}
"""An error of the app that is not listed is this site's fault, and may be over when the sender tries again: 503."""

UNAVAILABLE = "The request can't be taken at the moment. Send it again later."


class Problem(Exception):
    """A request that is refused."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.members = members


def response_of(problem: Problem) -> HttpResponse:
    """The refusal as a response."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": str(problem),
        "code": problem.code,
        **problem.members,
    }
    return HttpResponse(json.dumps(body), status=problem.status, headers=problem.headers, content_type=MEDIA_TYPE)


def problem_of(error: DurableError) -> Problem:
    """What a sender, who is known by now, is told of an error of the app."""
    status = STATUS_OF_CODE.get(error.code, 503)
    if status == 503:
        return Problem(503, "unavailable", UNAVAILABLE)
    if isinstance(error, PayloadRejected):
        return Problem(status, error.code, str(error), path=error.path)
    return Problem(status, error.code, str(error))
