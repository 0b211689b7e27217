"""The table of routes. Paths match in any letter case and with or without a trailing slash."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from django.http.response import HttpResponseBase

from orchestrations.access.api_keys import Verb
from orchestrations.interfaces.management_api import (
    acting,
    approvals,
    batches,
    counting,
    documentation,
    entities,
    problems,
    reading,
    starting,
    streaming,
    webhooks,
)
from orchestrations.interfaces.management_api.problems import Problem

INSTANCE = "instances/{instance_id}"
ENTITY = "entities/{name}/{key}"
WEBHOOK = "webhooks/{number}"
MESSAGE = f"{WEBHOOK}/deliveries/{{message}}"
ANY_METHOD = ""
PART = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table: which method and path, what it does, and who does it.

    Where it has a ``parameter``, the query must name that one. Without a ``verb`` it is for whoever has a key.
    """

    method: str
    path: str
    verb: Verb | None
    handler: Callable[..., HttpResponseBase]
    parameter: str = ""
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        words = PART.split(self.path)
        words[::2] = map(re.escape, words[::2])
        words[1::2] = (rf"(?P<{name}>[^/]+)" for name in words[1::2])
        object.__setattr__(self, "pattern", re.compile(rf"(?s:{''.join(words)})/?\Z", re.IGNORECASE))

    def is_meant(self, method: str, parameters: Collection[str]) -> bool:
        """Whether a request of that method with those parameters, in lower case, can be for it."""
        is_named = not self.parameter or self.parameter.casefold() in parameters
        return is_named and self.method in (method, ANY_METHOD)


ROUTES = (
    Route("POST", "orchestrators/{name}", Verb.START, starting.start),
    Route("POST", "orchestrators/{name}/{instance_id}", Verb.START, starting.start),
    Route("GET", "instances", Verb.LIST, reading.list_instances),
    Route("DELETE", "instances", Verb.PURGE_MANY, acting.purge_many),
    Route("GET", "instances/count", Verb.LIST, counting.count, parameter="groupBy"),
    Route("GET", INSTANCE, Verb.STATUS, reading.status),
    Route("DELETE", INSTANCE, Verb.PURGE, acting.purge),
    Route("GET", f"{INSTANCE}/history", Verb.STATUS, reading.history),
    Route("GET", f"{INSTANCE}/stream", Verb.STATUS, streaming.stream),
    Route("GET", f"{INSTANCE}/approvals", Verb.STATUS, approvals.list_approvals),
    Route("POST", f"{INSTANCE}/approvals/{{number}}", Verb.RAISE_EVENT, approvals.answer),
    Route("PATCH", f"{INSTANCE}/tags", Verb.SET_TAGS, acting.set_tags),
    Route("POST", f"{INSTANCE}/raiseEvent/{{event_name}}", Verb.RAISE_EVENT, acting.raise_event),
    Route("POST", f"{INSTANCE}/terminate", Verb.TERMINATE, acting.terminate),
    Route("POST", f"{INSTANCE}/suspend", Verb.SUSPEND, acting.suspend),
    Route("POST", f"{INSTANCE}/resume", Verb.RESUME, acting.resume),
    Route("POST", f"{INSTANCE}/rewind", Verb.REWIND, acting.rewind),
    Route("POST", f"{INSTANCE}/restart", Verb.RESTART, starting.restart),
    Route("POST", f"{INSTANCE}/fork", Verb.FORK, starting.fork),
    Route("POST", "instances:batch", Verb.BATCH, batches.create),
    Route("GET", "batches", Verb.BATCH, batches.list_batches),
    Route("GET", "batches/{number}", Verb.BATCH, batches.read),
    Route("POST", "batches/{number}/stop", Verb.BATCH, batches.stop),
    Route("GET", "entities", Verb.LIST_ENTITIES, entities.list_entities),
    Route("GET", "entities/{name}", Verb.LIST_ENTITIES, entities.list_entities),
    Route("GET", ENTITY, Verb.READ_ENTITY, entities.read),
    Route("POST", ENTITY, Verb.SIGNAL_ENTITY, entities.signal),
    Route("DELETE", ENTITY, Verb.SIGNAL_ENTITY, entities.delete),
    Route("GET", "webhooks", Verb.READ_WEBHOOKS, webhooks.list_webhooks),
    Route("POST", "webhooks", Verb.MANAGE_WEBHOOKS, webhooks.create),
    Route("GET", WEBHOOK, Verb.READ_WEBHOOKS, webhooks.read),
    Route("PATCH", WEBHOOK, Verb.MANAGE_WEBHOOKS, webhooks.change),
    Route("DELETE", WEBHOOK, Verb.MANAGE_WEBHOOKS, webhooks.delete),
    Route("POST", f"{WEBHOOK}/rotateSecret", Verb.MANAGE_WEBHOOKS, webhooks.rotate_secret),
    Route("GET", f"{WEBHOOK}/deliveries", Verb.READ_WEBHOOKS, webhooks.list_deliveries),
    Route("GET", MESSAGE, Verb.READ_WEBHOOKS, webhooks.read_delivery),
    Route("POST", f"{MESSAGE}/resend", Verb.MANAGE_WEBHOOKS, webhooks.resend),
    Route("GET", "openapi.json", None, documentation.schema),
    Route(ANY_METHOD, "makeprimary", Verb.MAKE_PRIMARY, acting.make_primary),
)


def resolve(method: str, path: str, parameters: Collection[str] = ()) -> tuple[Route, dict[str, str]]:
    """The route of a request and the parts of its path. A wrong method is a 404, as an unknown path is.

    ``parameters`` are the names in its query, in lower case.
    """
    for route in ROUTES:
        matched = route.pattern.match(path)
        if matched and route.is_meant(method, parameters):
            return route, matched.groupdict()
    raise Problem(404, problems.UNKNOWN_ROUTE)
