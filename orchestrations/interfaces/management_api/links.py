"""Management links: the URLs by which the starter of an instance follows and controls it.

Each holds a capability for its one verb on this one instance, and never the system key.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from orchestrations.access.api_keys import Verb
from orchestrations.conf import get_config
from orchestrations.interfaces.management_api.authentication import Caller, Capability
from orchestrations.interfaces.management_api.rendering import json_response

START_RETRY_SECONDS = 10  # both as the original has them
STATUS_RETRY_SECONDS = 5


def management_links(
    request: HttpRequest | None,
    instance_id: str,
    *,
    return_internal_server_error_on_failure: bool = False,
    key_id: int | None = None,
) -> dict[str, str]:
    """The instance's id and its eight links, in the order of the wire format; scheme and host are the request's.

    Without a request they are paths. Whoever has the links can do what they say for a day, so give them only to
    somebody who may. ``{eventName}`` and ``{text}`` are for the caller to fill in. ``key_id`` is the API key that
    vouches for the links, and ends them with itself; by default it is the system key.
    """
    instance = f"{base_url(request)}/instances/{quote(instance_id, safe='')}"

    def link(verb: Verb, operation: str = "", parameters: str = "") -> str:
        return f"{instance}{operation}?{parameters}{_query(instance_id, verb, key_id)}"

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


def check_status_response(links: dict[str, str]) -> HttpResponse:
    """The 202 with the management links: where and when to look for the result."""
    return json_response(links, 202, {"Location": links["statusQueryGetUri"], "Retry-After": str(START_RETRY_SECONDS)})


def polling_location(request: HttpRequest, instance_id: str, caller: Caller) -> str:
    """Where to look again: the URL of this status request, without the key.

    A caller who came by a link keeps it, so that asking does not prolong it.
    """
    if caller.capability is not None:
        return request.build_absolute_uri()
    rest = [(name, value) for name, values in request.GET.lists() for value in values if name.casefold() != "code"]
    code = Capability(get_config().task_hub, instance_id, Verb.STATUS, caller.key_id).sign()
    query = urlencode([*rest, *([("code", code)] if code else [])])
    return f"{base_url(request)}/instances/{quote(instance_id, safe='')}?{query}"


def base_url(request: HttpRequest | None) -> str:
    """Where the API proper begins, without a slash at its end; without a request the path alone."""
    path = reverse("management_api:route", kwargs={"path": ""}).rstrip("/")
    return path if request is None else request.build_absolute_uri(path)


def _query(instance_id: str, verb: Verb, key_id: int | None) -> str:
    config = get_config()
    parameters = {"taskHub": config.task_hub, "connection": config.database}
    code = Capability(config.task_hub, instance_id, verb, key_id).sign()
    return urlencode({**parameters, "code": code} if code else parameters)
