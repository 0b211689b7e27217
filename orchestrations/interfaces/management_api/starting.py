"""Routes that start instances, and may wait for their end."""

from __future__ import annotations

from django.http import HttpResponse

from orchestrations.errors import InstanceNotFound, WaitTimeout
from orchestrations.interfaces.forks import fork_once
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.links import check_status_response, management_links
from orchestrations.interfaces.management_api.problems import Problem, bad_argument
from orchestrations.interfaces.management_api.rendering import ended_response

UNKNOWN_INSTANCE = "InstanceId does not match a valid orchestration instance."


def start(call: Call, name: str, instance_id: str | None = None) -> HttpResponse:
    """Start an orchestration with the body as its input; with ``timeout`` and ``pollingInterval`` wait for its end."""
    wait_seconds = call.query.wait_seconds()
    client_input = call.json(f"orchestrator {name!r}: input")
    version = call.query.text("version") or None
    started = call.client.start_new(name, instance_id, client_input, version=version)
    return _started(call, started, wait_seconds)


def restart(call: Call, instance_id: str) -> HttpResponse:
    """Start the instance's orchestration again, by default under a new id."""
    wait_seconds = call.query.wait_seconds()
    with_new_id = call.query.flag("restartWithNewInstanceId", True)
    try:
        started = call.client.restart(instance_id, with_new_id)
    except InstanceNotFound as error:
        raise Problem(400, UNKNOWN_INSTANCE, ExceptionMessage=UNKNOWN_INSTANCE, ExceptionType=error.code) from error
    return _started(call, started, wait_seconds)


def fork(call: Call, instance_id: str) -> HttpResponse:
    """Run the instance again from ``step`` as a new one; ``Idempotency-Key`` makes a repeated request harmless."""
    wait_seconds = call.query.wait_seconds()
    step = call.query.number("step")
    if step is None:
        raise bad_argument("'step' is missing. Give the number of an event of the instance's present execution.")
    started = fork_once(
        call.client,
        instance_id,
        step,
        new_instance_id=call.query.text("newInstanceId") or None,
        version=call.query.optional("version"),
        reason=call.query.reason(),
        key=call.request.headers.get("Idempotency-Key"),
        caller_id=f"{call.caller.name}/{call.caller.key_id}",
    )
    return _started(call, started.instance_id, wait_seconds)


def _started(call: Call, instance_id: str, wait_seconds: float | None) -> HttpResponse:
    error_on_failure = call.query.flag("returnInternalServerErrorOnFailure", False)
    if wait_seconds is not None:
        try:
            ended = call.client.wait_for_completion(instance_id, wait_seconds)
        except WaitTimeout:
            pass
        else:
            shown = ended if call.caller.sees_payloads else ended.without_payloads()
            return ended_response(shown, error_on_failure=error_on_failure)
    links = management_links(
        call.request,
        instance_id,
        return_internal_server_error_on_failure=error_on_failure,
        key_id=call.caller.key_id,
    )
    return check_status_response(links)
