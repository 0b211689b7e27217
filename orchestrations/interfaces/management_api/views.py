"""The routes of the management API and what each does: read the request, call the client, answer.

Paths match in any letter case and with or without a trailing slash; whatever matches no route and method is a 404.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from orchestrations import paging, queries
from orchestrations.client import OrchestrationClient
from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import DurableError, InstanceEnded, InstanceNotFound, WaitTimeout
from orchestrations.interfaces.management_api import problems
from orchestrations.interfaces.management_api.authentication import Caller, Verb, authenticate
from orchestrations.interfaces.management_api.links import (
    STATUS_RETRY_SECONDS,
    create_check_status_response,
    polling_location,
)
from orchestrations.interfaces.management_api.parameters import Query, read_json, require_json_media_type
from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.interfaces.management_api.rendering import (
    empty_response,
    json_response,
    problem_response,
    status_payload,
    stored_json,
)
from orchestrations.limits import PURGED_BY_REQUEST
from orchestrations.models import AuditEntry, Instance
from orchestrations.orchestration_status import OrchestrationStatus

logger = logging.getLogger(__name__)

TOP = 100
CONTINUATION_HEADER = "x-ms-continuation-token"


class Call:
    """One request whose caller is known, with the client that acts for it."""

    def __init__(self, request: HttpRequest, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.query = Query(request)
        self.client = OrchestrationClient(
            via=AuditEntry.Via.MANAGEMENT_API, actor=caller.name, address=request.META.get("REMOTE_ADDR")
        )

    def instance(self, instance_id: str, *, payloads: bool = False) -> Instance:
        """The instance that the path names; raises InstanceNotFound."""
        return queries.get_instance(self.client.hub, instance_id, payloads=payloads, using=self.client.using)


@csrf_exempt
@transaction.non_atomic_requests
def dispatch(request: HttpRequest, path: str) -> HttpResponse:
    """Authenticate, find the route, and answer; whatever goes wrong becomes JSON here.

    Exempt from CSRF because cookies don't authenticate: a browser adds no key to a forged request.
    """
    try:
        caller = authenticate(request)
        route, arguments = _resolve(request.method or "", path)
        call = Call(request, caller)
        caller.require(route.verb, call.client.hub, arguments.get("instance_id"))
        _require_hub(call)
        return route.handler(call, **arguments)
    except Problem as problem:
        return problem_response(problem)
    except DurableError as error:
        return problem_response(problems.problem_of(error))
    except (OperationalError, InterfaceError):
        logger.exception("The database failed while serving %s %s", request.method, request.path)
        return problem_response(Problem(503, problems.UNAVAILABLE, {"Retry-After": str(STATUS_RETRY_SECONDS)}))
    except SuspiciousOperation:
        raise
    except Exception:  # the edge of this interface: its callers are promised JSON
        logger.exception("%s %s failed", request.method, request.path)
        return problem_response(Problem(500, problems.FAILED))


# Starting ---------------------------------------------------------------------------------------------------------


def start(call: Call, name: str, instance_id: str | None = None) -> HttpResponse:
    """Start an orchestration with the body as its input; with ``timeout`` and ``pollingInterval`` wait for its end."""
    wait_seconds = call.query.wait_seconds()
    client_input = read_json(call.request, f"orchestrator {name!r}: input")
    started = call.client.start_new(name, instance_id, client_input)
    return _started(call, started, wait_seconds)


def restart(call: Call, instance_id: str) -> HttpResponse:
    """Start the instance's orchestration again, by default under a new id."""
    wait_seconds = call.query.wait_seconds()
    with_new_id = call.query.flag("restartWithNewInstanceId", True)
    try:
        started = call.client.restart(instance_id, with_new_id)
    except InstanceNotFound as error:
        raise Problem(400, "InstanceId does not match a valid orchestration instance.") from error
    return _started(call, started, wait_seconds)


def _started(call: Call, instance_id: str, wait_seconds: float | None) -> HttpResponse:
    error_on_failure = call.query.flag("returnInternalServerErrorOnFailure", False)
    if wait_seconds is not None:
        try:
            ended = call.client.wait_for_completion(instance_id, wait_seconds)
        except WaitTimeout:
            pass
        else:
            if ended.runtime_status is RuntimeStatus.COMPLETED:
                return json_response(stored_json(ended.serialized_output))
            return json_response(ended.to_json(stored_json), 500 if error_on_failure and _failed(ended) else 200)
    return create_check_status_response(
        call.request, instance_id, return_internal_server_error_on_failure=error_on_failure
    )


# Reading ----------------------------------------------------------------------------------------------------------


def status(call: Call, instance_id: str) -> HttpResponse:
    """Tell how the instance stands: 202 while it is live, 200 when it has ended."""
    try:
        row = call.instance(instance_id, payloads=True)
    except InstanceNotFound:
        return empty_response(404)
    body = status_payload(
        row,
        call.client.using,
        show_input=call.query.flag("showInput", True),
        show_history=call.query.flag("showHistory", False),
        show_history_output=call.query.flag("showHistoryOutput", False),
    )
    if not row.runtime_status.is_terminal:
        location = polling_location(call.request, instance_id, has_capability=call.caller.capability is not None)
        return json_response(body, 202, {"Location": location, "Retry-After": str(STATUS_RETRY_SECONDS)})
    error_on_failure = call.query.flag("returnInternalServerErrorOnFailure", False)
    return json_response(body, 500 if error_on_failure and _failed(row) else 200)


def list_instances(call: Call) -> HttpResponse:
    """A page of instances, newest first; the token of the next page is in a header, and absent on the last one."""
    where = queries.InstanceFilter(
        statuses=call.query.statuses(),
        id_prefix=call.query.text("instanceIdPrefix"),
        created_from=call.query.instant("createdTimeFrom"),
        created_to=call.query.instant("createdTimeTo"),
    )
    rows = queries.filter_instances(call.client.hub, where, using=call.client.using)
    show_input = call.query.flag("showInput", True)
    page = paging.keyset_page(
        rows if show_input else rows.defer("input"),
        "created_at",
        cursor=call.request.headers.get(CONTINUATION_HEADER),
        limit=call.query.count("top", TOP),
    )
    body = [status_payload(row, call.client.using, show_input=show_input) for row in page.items]
    return json_response(body, headers={CONTINUATION_HEADER: page.next_cursor} if page.next_cursor else None)


def _failed(instance: Instance | OrchestrationStatus) -> bool:
    return instance.runtime_status is RuntimeStatus.FAILED


# Acting -----------------------------------------------------------------------------------------------------------


def raise_event(call: Call, instance_id: str, event_name: str) -> HttpResponse:
    """Raise an external event with the body as its payload; ``Idempotency-Key`` makes a repeated request harmless."""
    target = call.instance(instance_id)
    if target.runtime_status.is_terminal:  # told before anything about the body
        raise InstanceEnded(instance_id, target.status, "raising an event", "Pending, Running or Suspended")
    require_json_media_type(call.request)
    event_data = read_json(call.request, f"event {event_name!r}")
    call.client.raise_event(
        instance_id, event_name, event_data, idempotency_key=call.request.headers.get("Idempotency-Key")
    )
    return empty_response(202)


def terminate(call: Call, instance_id: str) -> HttpResponse:
    """End the instance, and with ``recursive`` (the default) its sub-orchestrations."""
    call.client.terminate(instance_id, call.query.reason(), recursive=call.query.flag("recursive", True))
    return empty_response(202)


def suspend(call: Call, instance_id: str) -> HttpResponse:
    """Pause the instance."""
    call.client.suspend(instance_id, call.query.reason())
    return empty_response(202)


def resume(call: Call, instance_id: str) -> HttpResponse:
    """Let the suspended instance go on."""
    call.client.resume(instance_id, call.query.reason())
    return empty_response(202)


def rewind(call: Call, instance_id: str) -> HttpResponse:
    """Let the failed instance go on from before its failure."""
    call.client.rewind(instance_id, call.query.reason())
    return empty_response(202)


def purge(call: Call, instance_id: str) -> HttpResponse:
    """Delete the ended instance."""
    purged = call.client.purge_instance_history(instance_id, recursive=call.query.flag("recursive", False))
    return json_response({"instancesDeleted": purged.instances_deleted})


def purge_many(call: Call) -> HttpResponse:
    """Delete ended instances by creation time and status, PURGED_BY_REQUEST at most."""
    created_from = call.query.strict_instant("createdTimeFrom")
    if created_from is None:
        return json_response("Please provide value for 'createdTimeFrom' parameter.", 400)
    purged = call.client.purge_instance_history_by(
        created_from,
        call.query.strict_instant("createdTimeTo"),
        call.query.statuses(),
        limit=PURGED_BY_REQUEST,
    )
    if not purged.instances_deleted:
        raise Problem(404, "No ended instance matches. Nothing was deleted.")
    return json_response({"instancesDeleted": purged.instances_deleted})


# Routes -----------------------------------------------------------------------------------------------------------

ROUTE = r"(?s:%s)/?\Z"
INSTANCE = r"instances/(?P<instance_id>[^/]+)"


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table: which method and path, what it does, and who does it."""

    method: str
    pattern: re.Pattern[str]
    verb: Verb
    handler: Callable[..., HttpResponse]


def _route(method: str, path: str, verb: Verb, handler: Callable[..., HttpResponse]) -> Route:
    return Route(method, re.compile(ROUTE % path, re.IGNORECASE), verb, handler)


ROUTES = (
    _route("POST", r"orchestrators/(?P<name>[^/]+)(?:/(?P<instance_id>[^/]+))?", Verb.START, start),
    _route("GET", r"instances", Verb.LIST, list_instances),
    _route("DELETE", r"instances", Verb.PURGE_MANY, purge_many),
    _route("GET", INSTANCE, Verb.STATUS, status),
    _route("DELETE", INSTANCE, Verb.PURGE, purge),
    _route("POST", rf"{INSTANCE}/raiseEvent/(?P<event_name>[^/]+)", Verb.RAISE_EVENT, raise_event),
    _route("POST", rf"{INSTANCE}/terminate", Verb.TERMINATE, terminate),
    _route("POST", rf"{INSTANCE}/suspend", Verb.SUSPEND, suspend),
    _route("POST", rf"{INSTANCE}/resume", Verb.RESUME, resume),
    _route("POST", rf"{INSTANCE}/rewind", Verb.REWIND, rewind),
    _route("POST", rf"{INSTANCE}/restart", Verb.RESTART, restart),
)


def _resolve(method: str, path: str) -> tuple[Route, dict[str, str]]:
    for route in ROUTES:
        matched = route.pattern.match(path)
        if matched and route.method == method:
            return route, {name: value for name, value in matched.groupdict().items() if value is not None}
    raise Problem(404, problems.UNKNOWN_ROUTE)


def _require_hub(call: Call) -> None:
    asked = call.query.text("taskHub")
    served = get_config().task_hub
    if asked and asked.casefold() != served.casefold():
        raise Problem(
            404,
            f"This site serves the task hub {served!r}. Leave 'taskHub' out, or ask the site that serves {asked!r}.",
        )
