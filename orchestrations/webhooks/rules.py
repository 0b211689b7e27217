"""What makes sense of a webhook, field by field: the same in the admin's forms and through both HTTP APIs.

Each rule looks at the fields that it is given, and yields what is wrong with which. Lengths and choices are the
models'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrations.authoring.registry import registry
from orchestrations.core.lifecycle import LifecycleEvent
from orchestrations.durable_http.addresses import read_target
from orchestrations.errors import HttpRequestRefused, InvalidPattern
from orchestrations.models import IncomingWebhook
from orchestrations.patterns import check_pattern
from orchestrations.webhooks import mapping, signatures
from orchestrations.webhooks.mapping import MappingError

Act, Scheme = IncomingWebhook.Act, IncomingWebhook.Scheme
EVENTS = tuple(event.value for event in LifecycleEvent)
SHORTEST_SECRET = 16  # characters of one that somebody types
NAMES_TOLD = 20  # orchestrators that there are, where one is named that there is not

Problems = Iterator[tuple[str, str]]


def problems_of_outgoing(given: Mapping[str, Any]) -> Problems:
    """What is wrong with an outgoing webhook. Where its address leads is looked up, and checked, with each message."""
    yield from _problems_of_name(given)
    if "url" in given:
        try:
            read_target(given["url"])
        except HttpRequestRefused as refused:
            yield "url", str(refused)
    if "events" in given:
        unknown = [event for event in given["events"] if event not in EVENTS]
        if unknown:
            yield "events", f"{unknown[0]!r:.60} is no event. There are: {', '.join(EVENTS)}."
        elif len(set(given["events"])) < len(given["events"]):
            yield "events", "An event is named twice. Name each once."
        elif not given["events"]:
            yield "events", f"Choose what it hears of. There are: {', '.join(EVENTS)}."
    if "name_pattern" in given:
        try:
            check_pattern(given["name_pattern"])
        except InvalidPattern as error:
            yield "name_pattern", str(error)


def problems_of_incoming(given: Mapping[str, Any]) -> Problems:
    """What is wrong with an incoming webhook: what it does, how it is signed, and what it makes of a request."""
    yield from _problems_of_name(given)
    if given.get("act") == Act.START:
        if not registry.has_orchestrator(given.get("orchestrator") or ""):
            known = ", ".join(sorted(registry.orchestrators())[:NAMES_TOLD])
            yield "orchestrator", f"No orchestrator has that name. There are: {known}."
    else:
        for field in ("event_name", "instance_id"):
            if not given.get(field):
                yield field, "An event needs a name, and the id of the instance that it is for."
    if given.get("scheme") == Scheme.HEADER:
        yield from _problems_of_header(given)
    for field in ("event_name", "instance_id", "mapping"):
        try:
            mapping.check(given.get(field))
        except MappingError as error:
            yield field, str(error)


def problem_of_secret(secret: str) -> str:
    """Why the secret of a sender can't be the one that signs; empty where it can."""
    try:
        signatures.key_of(secret)
    except ValueError as error:
        return str(error)
    if len(secret) < SHORTEST_SECRET:
        return f"That is too short to be guessed by nobody: {SHORTEST_SECRET} at least."
    return ""


def _problems_of_name(given: Mapping[str, Any]) -> Problems:
    if "name" in given and not (given["name"].strip() and given["name"].isprintable()):
        yield "name", "Give it a name of printable characters, by which people know it."


def _problems_of_header(given: Mapping[str, Any]) -> Problems:
    signed = given.get("signed_content") or ""
    if not given.get("signature_header"):
        yield "signature_header", "Name the header that has the signature."
    if signed.count("{body}") != 1:
        yield "signed_content", "{body} must be in it, once."
    if ("{timestamp}" in signed) != bool(given.get("timestamp_header")):
        yield "timestamp_header", "A time protects only where it is signed: name the header, and sign {timestamp}."
    if "{id}" in signed and not given.get("id_header"):
        yield "id_header", "Name the header that has the id which is signed."
