"""The table of routes. Paths match in any letter case and with or without a trailing slash."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpResponse

from orchestrations.access.api_keys import Verb
from orchestrations.interfaces.management_api import acting, entities, problems, reading, starting
from orchestrations.interfaces.management_api.problems import Problem

ROUTE = r"(?s:%s)/?\Z"
INSTANCE = r"instances/(?P<instance_id>[^/]+)"
ENTITY = r"entities/(?P<name>[^/]+)/(?P<key>[^/]+)"
ANY_METHOD = ""


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
    _route("POST", r"orchestrators/(?P<name>[^/]+)(?:/(?P<instance_id>[^/]+))?", Verb.START, starting.start),
    _route("GET", r"instances", Verb.LIST, reading.list_instances),
    _route("DELETE", r"instances", Verb.PURGE_MANY, acting.purge_many),
    _route("GET", INSTANCE, Verb.STATUS, reading.status),
    _route("DELETE", INSTANCE, Verb.PURGE, acting.purge),
    _route("POST", rf"{INSTANCE}/raiseEvent/(?P<event_name>[^/]+)", Verb.RAISE_EVENT, acting.raise_event),
    _route("POST", rf"{INSTANCE}/terminate", Verb.TERMINATE, acting.terminate),
    _route("POST", rf"{INSTANCE}/suspend", Verb.SUSPEND, acting.suspend),
    _route("POST", rf"{INSTANCE}/resume", Verb.RESUME, acting.resume),
    _route("POST", rf"{INSTANCE}/rewind", Verb.REWIND, acting.rewind),
    _route("POST", rf"{INSTANCE}/restart", Verb.RESTART, starting.restart),
    _route("GET", r"entities(?:/(?P<name>[^/]+))?", Verb.LIST_ENTITIES, entities.list_entities),
    _route("GET", ENTITY, Verb.READ_ENTITY, entities.read),
    _route("POST", ENTITY, Verb.SIGNAL_ENTITY, entities.signal),
    _route("DELETE", ENTITY, Verb.SIGNAL_ENTITY, entities.delete),
    _route(ANY_METHOD, r"makeprimary", Verb.MAKE_PRIMARY, acting.make_primary),
)


def resolve(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request and the parts of its path. A wrong method is a 404, as an unknown path is."""
    for route in ROUTES:
        matched = route.pattern.match(path)
        if matched and route.method in (method, ANY_METHOD):
            return route, {name: value for name, value in matched.groupdict().items() if value is not None}
    raise Problem(404, problems.UNKNOWN_ROUTE)
