"""Versions: short texts that change when what a page shows has changed. A tick compares them instead of rendering.

They are read from the rows themselves, a handful of primary keys at a time, so that a busy task hub does not wake the
readers of its quiet instances.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.db.models import Count, Max, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django_htmx.http import trigger_client_event

from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.models import InboxMessage, Instance, OpenWait

CONTROL_TYPES = (
    EventType.EXECUTION_TERMINATED.value,
    EventType.EXECUTION_SUSPENDED.value,
    EventType.EXECUTION_RESUMED.value,
    EventType.EXECUTION_REWOUND.value,
)


def digest(parts: Iterable[object]) -> str:
    """A short text for those parts, the same for the same parts."""
    joined = "|".join(str(part) for part in parts)
    return hashlib.blake2s(joined.encode("utf-8", "replace"), digest_size=6).hexdigest()


def row_version(instance: Instance) -> str:
    """What changes when a list's row does."""
    return digest((instance.execution, instance.status, instance.last_updated_at.isoformat()))


def instance_version(instance: Instance, coming: int | None) -> str:
    """What changes when an instance's page does; ``coming`` is the newest control message that is on its way to it."""
    return digest((row_version(instance), coming))


def waits_version(instance: Instance) -> str:
    """What changes when the set of questions that an instance asks does."""
    waits = OpenWait.objects.using(get_config().database).filter(instance_id=instance.pk)
    return digest(waits.order_by("pk").values_list("pk", flat=True)[:200])


def with_coming(rows: QuerySet[Instance]) -> QuerySet[Instance]:
    """The rows with ``coming``: the newest control message on its way to each, None where there is none."""
    newest = InboxMessage.objects.filter(instance_id=OuterRef("pk"), type__in=CONTROL_TYPES).order_by("-pk")
    return rows.annotate(coming=Subquery(newest.values("pk")[:1]))


def coming_of(instance: Instance) -> int | None:
    """What ``with_coming`` has found for the instance."""
    return instance.coming  # type: ignore[attr-defined, no-any-return]


def approvals_version(hub: str) -> str:
    """What changes when a question to a person is asked or closed anywhere in the hub."""
    asked = OpenWait.objects.using(get_config().database).filter(hub=hub).exclude(title="")
    return digest(asked.aggregate(count=Count("pk"), newest=Max("pk")).values())


def tick(request: HttpRequest, topics: dict[str, str]) -> HttpResponse:
    """Answer a tick: 204 where the page's version ``v`` is current, else 200 naming the topics that changed.

    ``topics`` maps the event that regions listen for to its version now; ``v`` has them in that order, joined by dots.
    """
    known = request.GET.get("v", "").split(".")
    known += [""] * (len(topics) - len(known))
    changed = [topic for (topic, version), seen in zip(topics.items(), known, strict=False) if version != seen]
    response = HttpResponse(status=200 if changed else 204)
    for topic in changed:
        trigger_client_event(response, topic, {})
    return response
