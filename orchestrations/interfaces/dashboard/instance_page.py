"""What an instance's page shows, gathered with few queries: the head, the questions it asks, and one tab."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, QueryDict
from django.urls import reverse
from django.utils import timezone

from orchestrations.access.permissions import Action, available_actions
from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.access import person
from orchestrations.interfaces.dashboard.asks import ASKS_SHOWN, asks_of
from orchestrations.interfaces.dashboard.circumstances import Circumstances, circumstances
from orchestrations.interfaces.dashboard.facts import facts
from orchestrations.interfaces.dashboard.human.task_page import Ask
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.presentation.awaited import Telling, tell
from orchestrations.interfaces.dashboard.presentation.statuses import badge
from orchestrations.interfaces.dashboard.presentation.verbs import Verb, offered, task_verbs
from orchestrations.interfaces.dashboard.presentation.waits import Wait, read_waits
from orchestrations.interfaces.dashboard.presentation.why import explain
from orchestrations.interfaces.dashboard.versions import instance_version, waits_version, with_coming
from orchestrations.models import Instance
from orchestrations.reading import queries

INTERVAL_SECONDS = 2
EAGER_INTERVAL_SECONDS = 1  # while something that a person asked for is about to happen
KEPT = ("execution", "seq", "before", "until", "view", "type", "only", "q", "unfold", "rank", "after", "cursor")
"""What a tab's address says beside the instance, which its live updates repeat."""


@dataclass(frozen=True, slots=True)
class TaskAct:
    """A link to an act on one task."""

    verb: Verb
    url: str


@dataclass(frozen=True, slots=True)
class WaitLine:
    """One thing that the instance waits for, with where a person can go about it."""

    sentence: str
    name: str
    instance_id: str | None
    child_url: str
    raise_url: str
    acts: list[TaskAct]
    """What a person may do about this wait alone."""


def load(hub: str, instance_id: str) -> Instance:
    """The instance with its small columns and ``coming``, without input and output; raises Http404."""
    left_out = ["input", "first_input", "output", *(f"parent__{column}" for column in queries.LARGE_COLUMNS)]
    rows = Instance.objects.using(get_config().database).select_related("parent").defer(*left_out)
    known = queries.storable(instance_id)
    instance = with_coming(rows).filter(hub=hub, instance_id=instance_id).first() if known else None
    if instance is None:
        raise Http404(f"No instance has the id {instance_id}.")
    return instance


def head(request: HttpRequest, instance: Instance, tab: str) -> dict[str, object]:
    """The head: status, acts, the one sentence, facts and waits. ``about`` is for the tab, so that it asks nothing
    twice."""
    about = circumstances(instance, timezone.now())
    actions = available_actions(person(request), instance)
    asks_person = any(wait.kind == "Human" for wait in about.waits)
    where = [instance.hub, instance.instance_id]
    return {
        "hub": instance.hub,
        "section": "instances",
        "instance": instance,
        "about": about,
        "badge": badge(instance.status, asks_person),
        "why": explain(instance, about),
        "verbs": offered(instance.status, actions),
        "waits": _lines(instance, about, actions),
        "facts": facts(instance, about),
        "version": instance_version(instance),
        "is_live": not instance.runtime_status.is_terminal or bool(about.coming),
        "interval": EAGER_INTERVAL_SECONDS if about.coming else INTERVAL_SECONDS,
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
        return waits_version(ask.task.pk for ask in asks)
    return topics.version(topics.waits(instance.pk))


def _lines(instance: Instance, about: Circumstances, actions: frozenset[Action]) -> list[WaitLine]:
    """The waits one by one, where the sentence at the top does not say it all."""
    if len(about.waits) == 1 and not (
        about.waits[0].kind == "ExternalEvent" or task_verbs(about.waits[0].kind, actions)
    ):
        return []
    return [_line(instance, wait, tell(wait, about), actions) for wait in about.waits]


def _line(instance: Instance, wait: Wait, told: Telling, actions: frozenset[Action]) -> WaitLine:
    child_url = raise_url = ""
    if wait.instance_id:
        child_url = reverse("dashboard:instance", args=[instance.hub, wait.instance_id])
    if wait.kind == "ExternalEvent" and Action.RAISE_EVENT in actions:
        address = reverse("dashboard:act", args=[instance.hub, instance.instance_id, "raise"])
        raise_url = f"{address}?{urlencode({'name': wait.name})}"
    acts = _task_acts(instance, wait, actions)
    return WaitLine(told.text, wait.name, wait.instance_id, child_url, raise_url, acts)


def _task_acts(instance: Instance, wait: Wait, actions: frozenset[Action]) -> list[TaskAct]:
    if wait.task_id is None:
        return []
    where = [instance.hub, instance.instance_id]
    return [
        TaskAct(verb, f"{reverse('dashboard:act', args=[*where, verb.slug])}?task={wait.task_id}")
        for verb in task_verbs(wait.kind, actions)
    ]


def _live_url(query: QueryDict, where: list[str], tab: str) -> str:
    kept = {key: query[key] for key in KEPT if query.get(key)}
    return f"{reverse('dashboard:live', args=where)}?{urlencode({'tab': tab, **kept})}"
