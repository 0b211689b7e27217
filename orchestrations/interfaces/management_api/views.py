"""The one view of the API: authenticate, find the route, answer; whatever goes wrong becomes JSON here."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from orchestrations.access.api_keys import Verb
from orchestrations.conf import get_config
from orchestrations.errors import DurableError
from orchestrations.interfaces.bodies import BodyRefused
from orchestrations.interfaces.key_rates import RateExceeded, require_rate
from orchestrations.interfaces.management_api import problems
from orchestrations.interfaces.management_api.authentication import authenticate
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.links import STATUS_RETRY_SECONDS
from orchestrations.interfaces.management_api.parameters import query_parameters
from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.interfaces.management_api.rendering import problem_response, withhold
from orchestrations.interfaces.management_api.routes import resolve
from orchestrations.interfaces.streams import StreamRefused
from orchestrations.reading import queries

logger = logging.getLogger(__name__)


@csrf_exempt
@transaction.non_atomic_requests
def dispatch(request: HttpRequest, path: str, holds_json: bool = False) -> HttpResponseBase:
    """Serve one request. ``holds_json`` marks the RPC base, where a body that is a JSON string holds JSON.

    Exempt from CSRF because cookies don't authenticate: a browser adds no key to a forged request.
    """
    try:
        return _serve(request, path, holds_json)
    except Problem as problem:
        return problem_response(problem)
    except DurableError as error:
        return problem_response(problems.problem_of(error))
    except (BodyRefused, StreamRefused) as error:
        return problem_response(Problem(error.status, str(error), error.headers, ExceptionType=error.code))
    except RateExceeded as error:
        return problem_response(Problem(429, str(error), {"Retry-After": str(error.retry_after)}))
    except (OperationalError, InterfaceError):
        logger.exception("The database failed while serving %s %s", request.method, request.path)
        return problem_response(Problem(503, problems.UNAVAILABLE, {"Retry-After": str(STATUS_RETRY_SECONDS)}))
    except SuspiciousOperation as error:  # such as too many parameters
        return problem_response(problems.bad_argument(str(error)))
    except Exception as error:  # the edge of this interface: its callers are promised JSON
        logger.exception("%s %s failed", request.method, request.path)
        return problem_response(problems.failure_of(error))


def _serve(request: HttpRequest, path: str, holds_json: bool) -> HttpResponseBase:
    caller = authenticate(request)
    if caller.key is not None:
        require_rate(caller.key)
    route, arguments = resolve(request.method or "", path, query_parameters(request))
    call = Call(request, caller, holds_json=holds_json)
    caller.require(route.verb, call.client.hub, arguments.get("instance_id"))
    _require_name(call, route.verb, arguments)
    _require_hub(call)
    _require_same_instance(call)
    response = route.handler(call, **arguments)
    return response if caller.sees_payloads else withhold(response)


def _require_hub(call: Call) -> None:
    asked = call.query.text("taskHub")
    served = get_config().task_hub
    if asked and asked.casefold() != served.casefold():
        raise Problem(
            404,
            f"This site serves the task hub {served!r}. Leave 'taskHub' out, or ask the site that serves {asked!r}.",
        )


def _require_name(call: Call, verb: Verb | None, arguments: Mapping[str, str]) -> None:
    """Raise a 403 where the caller's key is for other names than the route's. Lists narrow themselves."""
    if call.caller.visible is None:
        return
    if "instance_id" in arguments and verb is not Verb.START:
        call.caller.require_name(queries.name_of(call.client.hub, arguments["instance_id"], using=call.client.using))
    elif "name" in arguments:
        name = arguments["name"]
        call.caller.require_name(name if verb is Verb.START else name.lower())


def _require_same_instance(call: Call) -> None:
    """Raise a 403 for a link to an instance that was replaced: its id stands for another one now."""
    link = call.caller.capability
    if link is None:
        return
    call.caller.require_created(queries.creation_time(call.client.hub, link.instance_id, using=call.client.using))
