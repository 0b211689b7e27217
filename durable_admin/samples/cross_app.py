"""Cross-app: an orchestration of another site as one step of this one, over HTTP, each side durable on its own.

The shop (this site) asks the carrier (another site, at PARTNER_URL) to follow a parcel, waits until that is done, and
goes on. Once with activities and a timer loop, where every step can be seen and changed; once as a single call, which
polls by itself. Either survives a crash of both sites at any moment.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from django.conf import settings

from durable_admin.samples.monitor import Parcel
from orchestrations import DurableHttpResponse, HttpSecret, OrchestrationContext, activity, orchestrator

API = "runtime/webhooks/durabletask"
LONGEST = timedelta(hours=20)  # the link that is polled works for a day


@dataclass(frozen=True)
class Shipment:
    """A parcel that the carrier is to follow. ``look_every`` is how often this site asks whether it has arrived."""

    order: str
    parcel: Parcel
    look_every: timedelta = timedelta(minutes=1)


@dataclass(frozen=True)
class Errand:
    """An instance at the carrier's site. Its id is chosen here, so that starting it twice is one start."""

    instance_id: str
    parcel: Parcel


class PartnerFailed(Exception):
    """The other site refused, or its orchestration did not complete."""


# With activities and a timer loop ------------------------------------------------------------------------------------


@activity(timeout=60)
def start_at_partner(errand: Errand) -> None:
    """Start it there, unless an earlier run of this activity already did: an activity runs at least once."""
    if _status(errand.instance_id).status_code != httpx.codes.NOT_FOUND:
        return
    address = f"orchestrators/follow_parcel/{quote(errand.instance_id, safe='')}"
    answer = _ask("POST", address, json=msgspec.to_builtins(errand.parcel))
    if answer.status_code != httpx.codes.ACCEPTED:
        raise PartnerFailed(f"The carrier's site answered the start with {answer.status_code}.")


@activity(timeout=60)
def look_at_partner(instance_id: str) -> dict[str, Any] | None:
    """The status there once it has ended (200), or None while it runs (202)."""
    answer = _status(instance_id)
    if answer.status_code == httpx.codes.ACCEPTED:
        return None
    if answer.status_code != httpx.codes.OK:
        raise PartnerFailed(f"The carrier's site answered with {answer.status_code}.")
    status: dict[str, Any] = answer.json()
    return status


@orchestrator
def ship_with_partner(context: OrchestrationContext, shipment: Shipment) -> Generator[Any, Any, str]:
    """Start there, look until it has ended, go on here."""
    instance_id = f"{context.instance_id}-parcel"
    yield context.call_activity(start_at_partner, Errand(instance_id=instance_id, parcel=shipment.parcel))
    while (status := (yield context.call_activity(look_at_partner, instance_id))) is None:
        yield context.create_timer(shipment.look_every)
    closed: str = yield context.call_activity(close_order, [shipment.order, _output(status)])
    return closed


# As one call ---------------------------------------------------------------------------------------------------------


@activity
def partner_address() -> str:
    """The carrier's API, from the settings. An orchestrator must not read them: they may differ when it replays."""
    if not settings.PARTNER_URL:
        raise PartnerFailed("No carrier is known. Set PARTNER_URL to the other site's address, and PARTNER_KEY.")
    return f"{settings.PARTNER_URL.rstrip('/')}/{API}"


@orchestrator
def ship_with_partner_in_one_call(context: OrchestrationContext, shipment: Shipment) -> Generator[Any, Any, str]:
    """The same: the start is answered with 202 and a link, which is polled by durable timers until it answers 200."""
    address = yield context.call_activity(partner_address)
    instance_id = quote(f"{context.instance_id}-parcel", safe="")
    response: DurableHttpResponse = yield context.call_http(
        "POST",
        f"{address}/orchestrators/follow_parcel/{instance_id}",
        shipment.parcel,
        {"x-functions-key": HttpSecret("partner")},
        timeout=LONGEST,
    )
    if response.status_code != httpx.codes.OK:
        raise PartnerFailed(f"The carrier's site answered with {response.status_code}.")
    closed: str = yield context.call_activity(close_order, [shipment.order, _output(response.json())])
    return closed


# Here ----------------------------------------------------------------------------------------------------------------


@activity
def close_order(ending: list[Any]) -> str:
    """Note how the shipment of an order ended."""
    order, delivery = ending
    return f"Order {order} was {'delivered' if delivery['delivered'] else 'lost'}, last seen: {delivery['last_seen']}"


def _output(status: dict[str, Any]) -> Any:
    if status["runtimeStatus"] != "Completed":
        raise PartnerFailed(f"The carrier's orchestration ended as {status['runtimeStatus']}.")
    return status["output"]


def _status(instance_id: str) -> httpx.Response:
    return _ask("GET", f"instances/{quote(instance_id, safe='')}?showInput=false")


def _ask(method: str, path: str, **content: Any) -> httpx.Response:
    """An activity may do any I/O; this one speaks with the site that the settings name, and nobody else."""
    key = {"x-functions-key": settings.PARTNER_KEY}
    return httpx.request(method, f"{partner_address()}/{path}", headers=key, timeout=30, trust_env=False, **content)
