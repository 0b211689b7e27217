"""What waits for an entity and what it did last, in words: which operation, who sent it, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from orchestrations.core.entities import Caller
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.presentation.spans import attributes
from orchestrations.models import InboxMessage

KINDS: dict[str, str] = {
    EventType.ENTITY_SIGNALED: "Signal",
    EventType.ENTITY_CALLED: "Call",
    EventType.ENTITY_LOCK_REQUESTED: "Asks for the lock",
    EventType.ENTITY_UNLOCK_SENT: "Gives the lock back",
}


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that the entity has not taken yet."""

    kind: str
    operation: str
    sender: str
    """The orchestration or entity that sent it, or the person; empty where nobody is named."""
    sender_url: str
    sent_at: datetime
    due_at: datetime | None
    """When it may be taken, where that is still to come."""
    waits_for_lock: bool


@dataclass(frozen=True, slots=True)
class Done:
    """An operation that the entity has carried out."""

    kind: str
    operation: str
    sender: str
    sender_url: str
    at: datetime


def queued(message: InboxMessage, now: datetime, *, links: bool) -> Queued:
    """The message as the entity's page shows it; with ``links`` its sender leads to the instance."""
    told = attributes(message)
    owner = str(told.get("owner") or "")
    at = message.visible_at
    return Queued(
        kind=KINDS.get(message.type, message.type),
        operation=message.name or "",
        sender=owner or str(told.get("by") or ""),
        sender_url=_url(message.hub, owner) if links else "",
        sent_at=message.created_at,
        due_at=at if at is not None and at > now else None,
        waits_for_lock=at is None,
    )


def done(hub: str, caller: Caller, *, links: bool) -> Done:
    """The operation as the entity's page shows it; with ``links`` whose it was leads to the instance."""
    return Done(
        kind=KINDS[EventType.ENTITY_CALLED if caller.is_call else EventType.ENTITY_SIGNALED],
        operation=caller.operation,
        sender=caller.name,
        sender_url=_url(hub, caller.name) if links and caller.is_instance else "",
        at=datetime.fromisoformat(caller.at),
    )


def _url(hub: str, sender: str) -> str:
    """Where the instance is shown; empty for nobody, and for entities."""
    return reverse("dashboard:instance", args=[hub, sender]) if sender and not is_entity_id(sender) else ""
