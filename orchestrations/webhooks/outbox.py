"""The outbox: which webhooks want to hear of a transition, and what is written for them with its commit.

Which webhooks there are is known for a few seconds; where there are none, a commit does nothing for them.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db.models import Q

from orchestrations.core.lifecycle import LifecycleEvent, Transition
from orchestrations.models import OutgoingWebhook
from orchestrations.patterns import matches
from orchestrations.store.outbox_contract import NewDelivery

KNOWN_SECONDS = 5.0  # that the configuration is used before it is read again


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one enabled webhook wants to hear of."""

    webhook_pk: int
    events: frozenset[str]
    name_pattern: str

    def wants(self, transition: Transition) -> bool:
        """Whether the transition is one of those."""
        return transition.event.value in self.events and matches(self.name_pattern, transition.name)


class Outbox:
    """The enabled webhooks of one task hub."""

    def __init__(self, hub: str, using: str) -> None:
        self._hub = hub
        self._using = using
        self._known: tuple[Subscription, ...] = ()
        self._read_at: float | None = None

    def subscriptions(self) -> tuple[Subscription, ...]:
        """What the enabled webhooks want to hear of, as it was at most KNOWN_SECONDS ago."""
        now = time.monotonic()
        if self._read_at is None or now - self._read_at >= KNOWN_SECONDS:
            rows = OutgoingWebhook.objects.using(self._using).filter(Q(hub="") | Q(hub=self._hub), enabled=True)
            found = rows.order_by("pk").values_list("pk", "events", "name_pattern")
            self._known = tuple(Subscription(pk, frozenset(events), pattern) for pk, events, pattern in found)
            self._read_at = now
        return self._known

    def deliveries(self, transitions: Iterable[Transition]) -> list[NewDelivery]:
        """What is to be written for these transitions: a message for each webhook that wants to hear of one."""
        return [
            _delivery(subscription.webhook_pk, transition)
            for transition in transitions
            for subscription in self.subscriptions()
            if subscription.wants(transition)
        ]


def body_of(transition: Transition) -> dict[str, Any]:
    """The message: type, time and facts, in the names of the REST API."""
    facts: dict[str, Any] = {
        "hub": transition.hub,
        "instance_id": transition.instance_id,
        "name": transition.name,
        "version": transition.version,
        "status": transition.status,
        "execution": transition.execution,
        "parent_instance_id": transition.parent_instance_id,
        "tags": dict(transition.tags),
        "created_at": transition.created_at,
    }
    if transition.event is LifecycleEvent.FAILED:
        facts["error"] = transition.error
    if transition.wait is not None:
        facts["wait"] = dict(transition.wait)
    return {"type": transition.type, "timestamp": transition.at, "data": facts}


def _delivery(webhook_pk: int, transition: Transition) -> NewDelivery:
    return NewDelivery(
        webhook_pk=webhook_pk,
        message_id=f"msg_{uuid.uuid4().hex}",
        event=transition.event.value,
        instance_pk=transition.instance_pk,
        instance_id=transition.instance_id,
        execution=transition.execution,
        body=msgspec.json.encode(body_of(transition)).decode(),
    )
