"""Errors as this API tells them: a JSON object with ``Message``, and one table from error codes to HTTP statuses."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from orchestrations.errors import AnswerRejected, DurableError, PayloadRejected, WebhookRejected

STATUS_OF_CODE = {
    "function_not_registered": 400,
    "invalid_argument": 400,
    "invalid_cursor": 400,
    "invalid_instance_id": 400,
    "payload_rejected": 400,
    "instance_not_found": 404,
    "instance_already_exists": 409,
    "invalid_transition": 409,
    "step_refused": 409,
    "instance_ended": 410,
    "permission_refused": 403,
    "human_task_not_found": 404,
    "human_task_closed": 409,
    "answer_rejected": 422,
    "payload_not_kept": 503,
    "payload_unavailable": 503,
    "webhook_rejected": 400,
    "webhook_not_found": 404,
    "webhook_already_exists": 409,
}
"""An error is as its class, else as the next one above that is listed; what is not listed is this site's fault: 500."""

UNKNOWN_ROUTE = (
    "The operation is unknown, or asked for by the wrong method. See the list of routes in the documentation."
)
INCORRECT = "One or more of the arguments submitted is incorrect"
NO_JSON = "Invalid JSON content"
FAILED = "Something went wrong while processing your request"
LOOK_AT_THE_LOG = "The site's log tells what went wrong, under the time of this request."
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


def bad_argument(message: str, code: str = "invalid_argument", **members: Any) -> Problem:
    """A 400 for what the caller sent. Clients of the original read its details from ``ExceptionMessage``."""
    return Problem(400, INCORRECT, ExceptionMessage=message, ExceptionType=code, **members)


def bad_json(error: PayloadRejected) -> Problem:
    """A 400 for a body that is no JSON, or none that can be stored; ``Path`` names the place."""
    return Problem(400, NO_JSON, ExceptionMessage=str(error), ExceptionType=error.code, Path=error.path)


def problem_of(error: DurableError) -> Problem:
    """What the caller is told of an error of the app."""
    codes = (getattr(kind, "code", "") for kind in type(error).__mro__)
    status = next((STATUS_OF_CODE[code] for code in codes if code in STATUS_OF_CODE), 500)
    if status == 500:
        return failure_of(error)
    if status != 400:
        more: dict[str, Any] = {"Errors": error.errors} if isinstance(error, AnswerRejected) else {}
        return Problem(status, str(error), ExceptionMessage=str(error), ExceptionType=error.code, **more)
    return bad_argument(str(error), error.code, **_places_of(error))


def _places_of(error: DurableError) -> dict[str, Any]:
    """What is wrong where, of what was sent."""
    if isinstance(error, WebhookRejected):
        return {"Errors": {_in_camel_case(field): messages for field, messages in error.errors.items()}}
    return {"Path": error.path} if isinstance(error, PayloadRejected) else {}


def _in_camel_case(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(map(str.capitalize, rest))


def failure_of(error: Exception) -> Problem:
    """A 500, which is this site's fault. What it was is in the log, and only with DEBUG in the answer."""
    if not settings.DEBUG:
        return Problem(500, FAILED, ExceptionMessage=LOOK_AT_THE_LOG, ExceptionType="internal_error")
    trace = "".join(traceback.format_exception(error))
    return Problem(500, FAILED, ExceptionMessage=str(error), ExceptionType=type(error).__name__, StackTrace=trace)
