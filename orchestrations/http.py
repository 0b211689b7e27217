"""For views that start orchestrations: the answers of Durable Functions' HTTP client functions.

    def start(request, name):
        instance_id = OrchestrationClient().start_new(name, client_input=json.loads(request.body))
        return create_check_status_response(request, instance_id)

Links carry leave to steer the instance; answer with them only somebody who may. Making them asks nothing of the
database, so that async views call these functions as they are; only the one that waits has an async twin.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from orchestrations.client import OrchestrationClient
from orchestrations.errors import WaitTimeout
from orchestrations.interfaces.management_api.links import check_status_response, management_links
from orchestrations.interfaces.management_api.rendering import ended_response

__all__ = [
    "await_for_completion_or_create_check_status_response",
    "create_check_status_response",
    "create_http_management_payload",
    "get_client_response_links",
    "wait_for_completion_or_create_check_status_response",
]

TIMEOUT_MILLISECONDS = 10_000
RETRY_INTERVAL_MILLISECONDS = 1_000


def create_http_management_payload(request: HttpRequest | None, instance_id: str) -> dict[str, str]:
    """The instance's id and the eight links to follow and steer it, for a body of the view's own.

    Scheme and host are those of the request; without one the links are paths.
    """
    return management_links(request, instance_id)


def get_client_response_links(request: HttpRequest | None, instance_id: str) -> dict[str, str]:
    """``create_http_management_payload`` under the other name that azure-functions-durable has for it."""
    return management_links(request, instance_id)


def create_check_status_response(
    request: HttpRequest, instance_id: str, *, return_internal_server_error_on_failure: bool = False
) -> HttpResponse:
    """A 202 with the links, and the headers ``Location`` (the status) and ``Retry-After``.

    With ``return_internal_server_error_on_failure`` the status link answers 500 for an instance that Failed.
    """
    return check_status_response(
        management_links(
            request, instance_id, return_internal_server_error_on_failure=return_internal_server_error_on_failure
        )
    )


def wait_for_completion_or_create_check_status_response(
    request: HttpRequest,
    instance_id: str,
    timeout_in_milliseconds: float = TIMEOUT_MILLISECONDS,
    retry_interval_in_milliseconds: float = RETRY_INTERVAL_MILLISECONDS,
    *,
    return_internal_server_error_on_failure: bool = True,
) -> HttpResponse:
    """Wait for the instance's end and answer with it, or with ``create_check_status_response`` when the time is over.

    200 with the output if it Completed, 500 with the status if it Failed (200 where
    ``return_internal_server_error_on_failure`` is off), 200 with the status if it ended otherwise. The interval is only
    checked: the site looks more often.

    Raises ValueError where the interval is longer than the timeout, InstanceNotFound, and TransactionManagementError
    inside ``atomic()`` (or with ATOMIC_REQUESTS), where what the view has started can't begin.
    """
    _check_times(timeout_in_milliseconds, retry_interval_in_milliseconds)
    try:
        ended = OrchestrationClient().wait_for_completion(instance_id, timeout_in_milliseconds / 1000)
    except WaitTimeout:
        return create_check_status_response(request, instance_id)
    return ended_response(ended, error_on_failure=return_internal_server_error_on_failure)


async def await_for_completion_or_create_check_status_response(
    request: HttpRequest,
    instance_id: str,
    timeout_in_milliseconds: float = TIMEOUT_MILLISECONDS,
    retry_interval_in_milliseconds: float = RETRY_INTERVAL_MILLISECONDS,
    *,
    return_internal_server_error_on_failure: bool = True,
) -> HttpResponse:
    """``wait_for_completion_or_create_check_status_response`` for async views; holds no thread while it waits."""
    _check_times(timeout_in_milliseconds, retry_interval_in_milliseconds)
    try:
        ended = await OrchestrationClient().await_for_completion(instance_id, timeout_in_milliseconds / 1000)
    except WaitTimeout:
        return create_check_status_response(request, instance_id)
    return ended_response(ended, error_on_failure=return_internal_server_error_on_failure)


def _check_times(timeout: float, interval: float) -> None:
    if interval > timeout:
        raise ValueError(
            f"retry_interval_in_milliseconds is {interval:g}, which is longer than timeout_in_milliseconds, "
            f"{timeout:g}. Make it shorter."
        )
