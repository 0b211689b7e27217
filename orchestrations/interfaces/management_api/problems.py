"""Errors as this API tells them: a JSON object with ``Message``, and one table from error codes to HTTP statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrations.errors import DurableError

STATUS_OF_CODE = {
    "function_not_registered": 400,
    "invalid_cursor": 400,
    "invalid_instance_id": 400,
    "payload_rejected": 400,
    "instance_not_found": 404,
    "instance_already_exists": 409,
    "invalid_transition": 409,
    "instance_ended": 410,
}
"""An error that is not listed is this site's fault: 500."""

UNKNOWN_ROUTE = (
    "The operation is unknown, or asked for by the wrong method. See the list of routes in the documentation."
)
FAILED = "Something went wrong while processing your request"
UNAVAILABLE = "The database does not answer at the moment. Try again in a few seconds."


class Problem(Exception):
    """A request that this API refuses, with the answer's status, headers and further members."""

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {"Message": message, **members}


def problem_of(error: DurableError) -> Problem:
    """What the caller is told of an error of the app."""
    return Problem(STATUS_OF_CODE.get(error.code, 500), str(error), ExceptionType=error.code)
