"""The one view of the API: authenticate, find the route, answer; whatever goes wrong becomes JSON here."""

from __future__ import annotations

import logging

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from orchestrations import queries
from orchestrations.conf import get_config
from orchestrations.errors import DurableError
from orchestrations.interfaces.management_api import problems
from orchestrations.interfaces.management_api.authentication import authenticate
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.links import STATUS_RETRY_SECONDS
from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.interfaces.management_api.rendering import problem_response
from orchestrations.interfaces.management_api.routes import resolve
from orchestrations.interfaces.management_api.throttling import require_rate

logger = logging.getLogger(__name__)


@csrf_exempt
@transaction.non_atomic_requests
def dispatch(request: HttpRequest, path: str, holds_json: bool = False) -> HttpResponse:
    """Serve one request. ``holds_json`` marks the RPC base, where a body that is a JSON string holds JSON.

    Exempt from CSRF because cookies don't authenticate: a browser adds no key to a forged request.
    """
    try:
        return _serve(request, path, holds_json)
    except Problem as problem:
        return problem_response(problem)
    except DurableError as error:
        return problem_response(problems.problem_of(error))
    except (OperationalError, InterfaceError):
        logger.exception("The database failed while serving %s %s", request.method, request.path)
        return problem_response(Problem(503, problems.UNAVAILABLE, {"Retry-After": str(STATUS_RETRY_SECONDS)}))
    except SuspiciousOperation as error:  # such as too many parameters
        return problem_response(problems.bad_argument(str(error)))
    except Exception as error:  # the edge of this interface: its callers are promised JSON
        logger.exception("%s %s failed", request.method, request.path)
        return problem_response(problems.failure_of(error))


def _serve(request: HttpRequest, path: str, holds_json: bool) -> HttpResponse:
    caller = authenticate(request)
    if caller.key is not None:
        require_rate(caller.key)
    route, arguments = resolve(request.method or "", path)
    call = Call(request, caller, holds_json=holds_json)
    caller.require(route.verb, call.client.hub, arguments.get("instance_id"))
    _require_hub(call)
    _require_same_instance(call)
    return route.handler(call, **arguments)


def _require_hub(call: Call) -> None:
    asked = call.query.text("taskHub")
    served = get_config().task_hub
    if asked and asked.casefold() != served.casefold():
        raise Problem(
            404,
            f"This site serves the task hub {served!r}. Leave 'taskHub' out, or ask the site that serves {asked!r}.",
        )


def _require_same_instance(call: Call) -> None:
    """Raise a 403 for a link to an instance that was replaced: its id stands for another one now."""
    link = call.caller.capability
    if link is None:
        return
    created_at = queries.creation_time(call.client.hub, link.instance_id, using=call.client.using)
    if created_at is not None and not link.covers(created_at):
        raise Problem(403, "This link is of an earlier instance. Another was started under the same id.")
