"""What an instance's page shows, gathered with few queries: the head, the questions it asks, and one tab."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, QueryDict
from django.urls import reverse
from django.utils import timezone

from orchestrations import queries
from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.access import person
from orchestrations.interfaces.dashboard.asks import ASKS_SHOWN, Ask, asks_of
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.presentation.failures import failure_of
from orchestrations.interfaces.dashboard.presentation.payloads import show_payload
from orchestrations.interfaces.dashboard.presentation.spans import attributes
from orchestrations.interfaces.dashboard.presentation.statuses import badge
from orchestrations.interfaces.dashboard.presentation.verbs import offered
from orchestrations.interfaces.dashboard.presentation.waits import Wait, read_waits
from orchestrations.interfaces.dashboard.presentation.why import Requested, explain
from orchestrations.interfaces.dashboard.versions import (
    CONTROL_TYPES,
    coming_of,
    instance_version,
    waits_version,
    with_coming,
)
from orchestrations.models import HistoryEvent, InboxMessage, Instance
from orchestrations.permissions import Action, available_actions

BROUGHT_BY = {RuntimeStatus.SUSPENDED: "ExecutionSuspended", RuntimeStatus.TERMINATED: "ExecutionTerminated"}
COMING_SHOWN = 5
INTERVAL_SECONDS = 2
EAGER_INTERVAL_SECONDS = 1  # while something that a person asked for is about to happen


@dataclass(frozen=True, slots=True)
class WaitLine:
    """One thing that the instance waits for, with where a person can go about it."""

    sentence: str
    name: str
    instance_id: str | None
    child_url: str
    raise_url: str


def load(hub: str, instance_id: str) -> Instance:
    """The instance with its small columns and ``coming``, without input and output; raises Http404."""
    left_out = ["input", "output", *(f"parent__{column}" for column in queries.PAYLOAD_COLUMNS)]
    rows = Instance.objects.using(get_config().database).select_related("parent").defer(*left_out)
    known = queries.storable(instance_id)
    instance = with_coming(rows).filter(hub=hub, instance_id=instance_id).first() if known else None
    if instance is None:
        raise Http404(f"No instance has the id {instance_id}.")
    return instance


def head(request: HttpRequest, instance: Instance, tab: str) -> dict[str, object]:
    """The head: status, acts, the one sentence, facts and waits."""
    now = timezone.now()
    waits = read_waits(instance.waits) if not instance.runtime_status.is_terminal else []
    actions = available_actions(person(request), instance)
    coming = _coming(instance)
    asks_person = any(wait.kind == "Human" for wait in waits)
    where = [instance.hub, instance.instance_id]
    return {
        "hub": instance.hub,
        "section": "instances",
        "instance": instance,
        "badge": badge(instance.status, asks_person),
        "why": explain(instance, _brought_by(instance), coming, now),
        "verbs": offered(instance.status, actions),
        "waits": _lines(instance, waits, actions, now),
        "causes": failure_of(lambda: instance.failure) if instance.status == RuntimeStatus.FAILED else [],
        "custom_status": show_payload(instance.custom_status),
        "version": instance_version(instance),
        "is_live": not instance.runtime_status.is_terminal or bool(coming),
        "interval": EAGER_INTERVAL_SECONDS if coming else INTERVAL_SECONDS,
        "tick_url": reverse("dashboard:tick", args=where),
        "live_url": _live_url(request.GET, where, tab),
        "answers_url": reverse("dashboard:answers", args=where),
        "tab": tab,
    }


def questions(request: HttpRequest, instance: Instance) -> dict[str, object]:
    """The questions that the instance asks people, each with its form where this person may answer it."""
    is_asking = any(wait.kind == "Human" for wait in read_waits(instance.waits))
    asks: list[Ask] = []
    if is_asking and not instance.runtime_status.is_terminal:
        asks = asks_of(instance, person(request))
    return {
        "instance": instance,
        "asks": asks,
        "asks_version": _asks_version(instance, asks),
        "answers_url": reverse("dashboard:answers", args=[instance.hub, instance.instance_id]),
    }


def _asks_version(instance: Instance, asks: list[Ask]) -> str:
    """The version of what ``asks`` is the beginning of; asked for only where there may be more."""
    if len(asks) < ASKS_SHOWN:
        return waits_version(ask.wait.pk for ask in asks)
    return topics.version(topics.waits(instance.pk))


def _coming(instance: Instance) -> list[Requested]:
    """Acts that are on their way to the instance, oldest first."""
    if coming_of(instance) is None:
        return []
    rows = InboxMessage.objects.using(get_config().database).filter(instance_id=instance.pk, type__in=CONTROL_TYPES)
    return [_requested(row, row.created_at) for row in rows.order_by("pk")[:COMING_SHOWN]]


def _brought_by(instance: Instance) -> Requested | None:
    """The act that suspended or terminated the instance."""
    event_type = BROUGHT_BY.get(instance.runtime_status)
    if event_type is None:
        return None
    rows = HistoryEvent.objects.using(get_config().database).filter(
        instance_id=instance.pk, execution=instance.execution, type=event_type
    )
    event = rows.order_by("-sequence").first()
    return _requested(event, event.timestamp) if event else None


def _requested(row: HistoryEvent | InboxMessage, at: datetime) -> Requested:
    told = attributes(row)
    return Requested(row.type, str(told.get("by") or ""), str(told.get("reason") or ""), at)


def _lines(instance: Instance, waits: list[Wait], actions: frozenset[Action], now: datetime) -> list[WaitLine]:
    """The waits one by one, where the sentence at the top does not say it all."""
    if len(waits) == 1 and waits[0].kind != "ExternalEvent":
        return []
    return [_line(instance, wait, actions, now) for wait in waits]


def _line(instance: Instance, wait: Wait, actions: frozenset[Action], now: datetime) -> WaitLine:
    child_url = raise_url = ""
    if wait.instance_id:
        child_url = reverse("dashboard:instance", args=[instance.hub, wait.instance_id])
    if wait.kind == "ExternalEvent" and Action.RAISE_EVENT in actions:
        address = reverse("dashboard:act", args=[instance.hub, instance.instance_id, "raise"])
        raise_url = f"{address}?{urlencode({'name': wait.name})}"
    return WaitLine(wait.sentence(now), wait.name, wait.instance_id, child_url, raise_url)


def _live_url(query: QueryDict, where: list[str], tab: str) -> str:
    kept = {key: query[key] for key in ("execution", "after") if query.get(key)}
    return f"{reverse('dashboard:live', args=where)}?{urlencode({'tab': tab, **kept})}"
