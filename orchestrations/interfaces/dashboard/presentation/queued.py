"""What waits for an entity, in words: which operation, who sent it, and when its turn comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

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


def queued(message: InboxMessage, now: datetime, *, links: bool) -> Queued:
    """The message as the entity's page shows it; with ``links`` its sender leads to the instance."""
    told = attributes(message)
    owner = str(told.get("owner") or "")
    is_instance = bool(owner) and not is_entity_id(owner)
    at = message.visible_at
    return Queued(
        kind=KINDS.get(message.type, message.type),
        operation=message.name or "",
        sender=owner or str(told.get("by") or ""),
        sender_url=reverse("dashboard:instance", args=[message.hub, owner]) if links and is_instance else "",
        sent_at=message.created_at,
        due_at=at if at is not None and at > now else None,
        waits_for_lock=at is None,
    )
