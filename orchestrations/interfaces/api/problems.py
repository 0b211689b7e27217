"""Errors as problem details (RFC 9457): one JSON object with a stable ``code``, whatever went wrong."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback

from orchestrations.errors import AnswerRejected, DurableError, PayloadRejected, WebhookRejected
from orchestrations.interfaces.bodies import BodyRefused
from orchestrations.interfaces.key_rates import RateExceeded
from orchestrations.interfaces.streams import StreamRefused

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

ERRORS = 20  # offending values that one answer names
CHARACTERS = 500  # of the path and the message of each

STATUS_OF_CODE = {
    "function_not_registered": status.HTTP_404_NOT_FOUND,
    "invalid_cursor": status.HTTP_404_NOT_FOUND,
    "invalid_instance_id": status.HTTP_400_BAD_REQUEST,
    "payload_rejected": status.HTTP_400_BAD_REQUEST,
    "permission_refused": status.HTTP_403_FORBIDDEN,
    "instance_not_found": status.HTTP_404_NOT_FOUND,
    "instance_already_exists": status.HTTP_409_CONFLICT,
    "invalid_transition": status.HTTP_409_CONFLICT,
    "step_refused": status.HTTP_409_CONFLICT,
    "task_not_open": status.HTTP_409_CONFLICT,
    "instance_ended": status.HTTP_409_CONFLICT,
    "human_task_not_found": status.HTTP_404_NOT_FOUND,
    "human_task_closed": status.HTTP_409_CONFLICT,
    "already_voted": status.HTTP_409_CONFLICT,
    "answer_rejected": status.HTTP_422_UNPROCESSABLE_ENTITY,
    "payload_unavailable": status.HTTP_503_SERVICE_UNAVAILABLE,
    "webhook_rejected": status.HTTP_400_BAD_REQUEST,
    "webhook_not_found": status.HTTP_404_NOT_FOUND,
    "webhook_already_exists": status.HTTP_409_CONFLICT,
}
"""An error has the status of the nearest class that is listed; one of which none is, is this site's fault: 500."""

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    411: "Length required",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not as the form wants it",
    429: "Too many requests",
    500: "Server error",
    501: "Not possible here",
    503: "Unavailable",
}


class ProblemRenderer(JSONRenderer):
    """JSON under the media type of problem details."""

    media_type = MEDIA_TYPE


class Conflict(exceptions.APIException):
    """What was asked for has been overtaken by something else."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: the response for any error. With DEBUG None for a defect, which Django then shows."""
    if isinstance(error, DurableError) and (code := _status_of(error)) != status.HTTP_500_INTERNAL_SERVER_ERROR:
        return _response(code, str(error), error.code, _places_of(error))
    if isinstance(error, BodyRefused | StreamRefused):
        return _response(error.status, str(error), error.code, headers=error.headers)
    if isinstance(error, Http404):
        error = exceptions.NotFound(*error.args)
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(*error.args)
    elif isinstance(error, SuspiciousOperation):  # such as too many parameters
        error = exceptions.ParseError(str(error), "bad_request")
    elif isinstance(error, RateExceeded):
        error = exceptions.Throttled(error.retry_after - 1, str(error))
    elif isinstance(error, OperationalError | InterfaceError):
        logger.error("The database failed while serving %s", context["request"].path, exc_info=error)
        detail = "The database does not answer at the moment. Try again in a few seconds."
        return _response(status.HTTP_503_SERVICE_UNAVAILABLE, detail, "unavailable", headers={"Retry-After": "5"})
    if isinstance(error, exceptions.APIException):
        return _api_exception(error)
    return None if settings.DEBUG else _defect(error, context)


def _defect(error: Exception, context: dict[str, Any]) -> Response:
    """What is this site's fault: told without details, which are in the log."""
    request = context["request"]
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    detail = "Something went wrong here. The site's log tells what, under the time of this request."
    return _response(status.HTTP_500_INTERNAL_SERVER_ERROR, detail, "internal_error")


def _status_of(error: DurableError) -> int:
    codes = (getattr(kind, "code", "") for kind in type(error).__mro__)
    return next((STATUS_OF_CODE[code] for code in codes if code in STATUS_OF_CODE), 500)


def _places_of(error: DurableError) -> list[dict[str, str]] | None:
    """What is wrong where, of values that were refused."""
    if isinstance(error, AnswerRejected):
        return [{"path": path, "message": message} for path, told in error.errors.items() for message in told]
    if isinstance(error, WebhookRejected):
        return [{"path": f"$.{field}", "message": message} for field, told in error.errors.items() for message in told]
    return [{"path": error.path, "message": str(error)}] if isinstance(error, PayloadRejected) else None


def _api_exception(error: exceptions.APIException) -> Response:
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flatten(error.detail, "$"))
        detail = errors[0]["message"] if len(errors) == 1 else f"{len(errors)} values are not as they must be."
        return _response(error.status_code, detail, "invalid", errors[:ERRORS], headers)
    return _response(error.status_code, str(error.detail), str(error.get_codes()), headers=headers)


def _flatten(detail: Any, path: str) -> list[dict[str, str]]:
    """One entry for each message, with the place of the offending value as a JSON path."""
    if isinstance(detail, dict):
        return [entry for key, value in detail.items() for entry in _flatten(value, _below(path, key))]
    if isinstance(detail, list):
        entries: list[dict[str, str]] = []
        for index, value in enumerate(detail):
            nested = isinstance(value, dict | list)
            entries += _flatten(value, f"{path}[{index}]" if nested else path)
        return entries
    return [{"path": _cut(path), "message": _cut(str(detail))}]


def _cut(text: str) -> str:
    """What was sent may be part of it, and is not sent back at any length."""
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"


def _below(path: str, key: str | int) -> str:
    if key == "non_field_errors":
        return path
    return f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"


def _response(
    status_code: int,
    detail: str,
    code: str,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    set_rollback()
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(status_code, "Error"),
        "status": status_code,
        "detail": detail,
        "code": code,
    }
    if errors:
        body["errors"] = errors
    return Response(body, status=status_code, headers=headers, content_type=MEDIA_TYPE)
