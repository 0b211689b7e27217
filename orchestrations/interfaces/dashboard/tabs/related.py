"""What an instance has to do with others: family, earlier executions, restarts, events, entities and patches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest

from orchestrations.access.permissions import Action
from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.forks import forks_of
from orchestrations.interfaces.dashboard.links import target_url
from orchestrations.interfaces.dashboard.presentation.spans import attributes
from orchestrations.interfaces.dashboard.tabs.reading import events_of
from orchestrations.models import AuditEntry, HistoryEvent, Instance
from orchestrations.reading import queries

EVENTS_READ = 20_000  # of the newest, in which traces of others are looked for
FOUND = 200  # of each kind
SENT = (EventType.EVENT_SENT.value,)
ENTITIES = (EventType.ENTITY_CALLED.value, EventType.ENTITY_SIGNALED.value)
STARTS = (Action.START.value, Action.RESTART.value, Action.FORK.value)
TYPES = (*SENT, *ENTITIES, EventType.EVENT_RAISED.value, EventType.PATCH_APPLIED.value)


@dataclass(frozen=True, slots=True)
class Contact:
    """Another instance or entity, and how often it was spoken to by that name."""

    instance_id: str
    name: str
    count: int
    url: str
    """Its page."""


def gather(request: HttpRequest, instance: Instance, about: Circumstances) -> dict[str, object]:
    """Family and beginning from the tables, and what the newest events tell of others."""
    events = _events(instance)
    return {
        "begun": _begun(instance),
        "forks": forks_of(instance),
        "executions": queries.executions(instance) if instance.execution > 1 else [],
        "sent": _contacts(instance.hub, (event for event in events if event.type in SENT)),
        "entities": _contacts(instance.hub, (event for event in events if event.type in ENTITIES)),
        "received": Counter(_received(event) for event in events if event.type == EventType.EVENT_RAISED).most_common(),
        "patches": sorted({event.name or "" for event in events if event.type == EventType.PATCH_APPLIED}),
        "is_cut": instance.last_sequence > EVENTS_READ,
        "events_read": EVENTS_READ,
    }


def _events(instance: Instance) -> list[HistoryEvent]:
    recent = events_of(instance).filter(sequence__gt=instance.last_sequence - EVENTS_READ, type__in=TYPES)
    return list(recent.order_by("-sequence")[: FOUND * len(TYPES)])


def _begun(instance: Instance) -> AuditEntry | None:
    """The act that started it, where a person's or a program's was recorded."""
    rows = AuditEntry.objects.using(get_config().database).filter(hub=instance.hub, instance_id=instance.instance_id)
    return rows.filter(action__in=STARTS).order_by("-pk").first()


def _contacts(hub: str, events: Iterable[HistoryEvent]) -> list[Contact]:
    counted: Counter[tuple[str, str]] = Counter()
    for event in events:
        target = attributes(event).get("instance_id")
        if isinstance(target, str):
            counted[target, event.name or ""] += 1
    most = counted.most_common(FOUND)
    return [Contact(target, name, number, target_url(hub, target)) for (target, name), number in most]


def _received(event: HistoryEvent) -> tuple[str, str]:
    return event.name or "", str(attributes(event).get("by") or "")
