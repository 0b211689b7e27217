"""Management links: the URLs by which the starter of an instance follows and controls it.

Each holds a capability for its one verb on this one instance, and never the system key.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from orchestrations.conf import get_config
from orchestrations.interfaces.management_api.authentication import Capability, Verb
from orchestrations.interfaces.management_api.rendering import json_response

START_RETRY_SECONDS = 10
STATUS_RETRY_SECONDS = 5


def management_links(
    request: HttpRequest, instance_id: str, *, return_internal_server_error_on_failure: bool = False
) -> dict[str, str]:
    """The instance's id and its eight links, in the order of the wire format; scheme and host are the request's.

    Whoever has the links can do what they say for a day, so give them only to somebody who may. ``{eventName}`` and
    ``{text}`` are for the caller to fill in.
    """
    instance = f"{_base(request)}/instances/{quote(instance_id, safe='')}"

    def link(verb: Verb, operation: str = "", parameters: str = "") -> str:
        return f"{instance}{operation}?{parameters}{_query(instance_id, verb)}"

    status = link(Verb.STATUS)
    if return_internal_server_error_on_failure:
        status += "&returnInternalServerErrorOnFailure=true"
    return {
        "id": instance_id,
        "statusQueryGetUri": status,
        "sendEventPostUri": link(Verb.RAISE_EVENT, "/raiseEvent/{eventName}"),
        "terminatePostUri": link(Verb.TERMINATE, "/terminate", "reason={text}&"),
        "rewindPostUri": link(Verb.REWIND, "/rewind", "reason={text}&"),
        "purgeHistoryDeleteUri": link(Verb.PURGE),
        "restartPostUri": link(Verb.RESTART, "/restart"),
        "suspendPostUri": link(Verb.SUSPEND, "/suspend", "reason={text}&"),
        "resumePostUri": link(Verb.RESUME, "/resume", "reason={text}&"),
    }


def create_check_status_response(
    request: HttpRequest, instance_id: str, *, return_internal_server_error_on_failure: bool = False
) -> HttpResponse:
    """The 202 answer of a client function: the management links, and where and when to look for the result."""
    links = management_links(
        request, instance_id, return_internal_server_error_on_failure=return_internal_server_error_on_failure
    )
    headers = {"Location": links["statusQueryGetUri"], "Retry-After": str(START_RETRY_SECONDS)}
    return json_response(links, 202, headers)


def polling_location(request: HttpRequest, instance_id: str, *, has_capability: bool) -> str:
    """Where to look again: the URL of this status request, without the system key.

    A caller who came by a capability keeps it, so that asking does not prolong it.
    """
    if has_capability:
        return request.build_absolute_uri()
    rest = [(name, value) for name, values in request.GET.lists() for value in values if name.casefold() != "code"]
    code = Capability(get_config().task_hub, instance_id, Verb.STATUS).sign()
    query = urlencode([*rest, *([("code", code)] if code else [])])
    return f"{_base(request)}/instances/{quote(instance_id, safe='')}?{query}"


def _base(request: HttpRequest) -> str:
    path = reverse("management_api:route", kwargs={"path": ""})
    return request.build_absolute_uri(path).rstrip("/")


def _query(instance_id: str, verb: Verb) -> str:
    config = get_config()
    parameters = {"taskHub": config.task_hub, "connection": config.database}
    code = Capability(config.task_hub, instance_id, verb).sign()
    return urlencode({**parameters, "code": code} if code else parameters)
