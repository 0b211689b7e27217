"""What running an instance again from a step will do, in words: what is kept, and what is done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.http import HttpRequest
from django.urls import reverse

from orchestrations.access.permissions import Action, can
from orchestrations.conf import get_config
from orchestrations.core.errors import CutRefused
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.fork import Cut, cut
from orchestrations.interfaces.dashboard.access import person
from orchestrations.interfaces.dashboard.presentation.spans import ENDS
from orchestrations.interfaces.dashboard.tabs.reading import events_of, number
from orchestrations.models import Instance
from orchestrations.store.rows import event_from

COLUMNS = ("type", "timestamp", "task_id", "name", "attempt", "attributes", "sequence")
NAMED = 5  # of what was open, by name
FORKS = 20  # of one instance, on its page
SCHEDULED = {
    EventType.TASK_SCHEDULED: ("activity", "activities"),
    EventType.SUB_ORCHESTRATION_CREATED: ("sub-orchestration", "sub-orchestrations"),
    EventType.ENTITY_CALLED: ("operation of an entity", "operations of entities"),
    EventType.TIMER_CREATED: ("timer", "timers"),
}
"""What begins a task that ends some time, and how one and many of them are called."""


@dataclass(frozen=True, slots=True)
class StepAhead:
    """A step to run again from. ``problem`` says why that can't be; then there are no sentences."""

    title: str
    sentences: list[str] = field(default_factory=list)
    problem: str = ""


def step_of(request: HttpRequest) -> int:
    """The step that the address names; 0, which no history has, where it names none."""
    return number(request.GET.get("step")) or 0


def fork_url(request: HttpRequest, instance: Instance, execution: int) -> str:
    """Where the reader may run it again from a step of that execution, which is to be added; nothing where not."""
    if execution != instance.execution or not can(person(request), Action.FORK, instance):
        return ""
    return reverse("dashboard:act", args=[instance.hub, instance.instance_id, "fork"]) + "?step="


def forks_of(instance: Instance) -> list[str]:
    """The ids of its forks, the newest first. Those of an earlier instance of that id are none."""
    rows = Instance.objects.using(get_config().database).filter(hub=instance.hub, forked_from=instance.instance_id)
    newest = rows.filter(created_at__gte=instance.created_at).order_by("-pk")
    return list(newest.values_list("instance_id", flat=True)[:FORKS])


def look_ahead(instance: Instance, step: int) -> StepAhead:
    """What a fork from that step will keep and do."""
    history = [
        event_from(kind, timestamp, task_id, name, None, attempt, attributes, sequence)[0]
        for kind, timestamp, task_id, name, attempt, attributes, sequence in events_of(instance).values_list(*COLUMNS)
    ]
    try:
        part = cut(InstanceFacts(instance.instance_id, instance.name, instance.version), history, step)
    except CutRefused as refused:
        return StepAhead(f"Step {step}", problem=str(refused))
    event = history[step - 1]
    title = f"Step {step}, {event.type}{f' {event.name}' if event.name else ''}"
    return StepAhead(title, [sentence for sentence in _sentences(part, history, step) if sentence])


def _sentences(part: Cut, history: Sequence[HistoryEvent], step: int) -> list[str]:
    if part.begins:
        return ["Nothing but the input is kept: all of it runs again, from the beginning.", _later(history, step)]
    ended = {event.task_id for event in part.kept if event.type in ENDS and not _is_retry(event)}
    begun = {event.task_id: event for event in part.kept if event.type in SCHEDULED and not _is_retry(event)}
    counts = Counter(event.type for task_id, event in begun.items() if task_id in ended)
    results = [_count(counts[kind], *words) for kind, words in SCHEDULED.items() if counts[kind]]
    raised = sum(event.type is EventType.EVENT_RAISED for event in part.kept)
    kept = [*results, *([_count(raised, "external event", "external events")] if raised else [])]
    open_tasks = [event.name or "a timer" for task_id, event in begun.items() if task_id not in ended]
    return [
        f"Steps 1 to {step - 1} are kept{f', with the results of {_listed(kept)}' if kept else ''}. "
        "None of that runs again.",
        f"Step {step} and all that followed is done again, by the code as it is now.",
        f"What was open at that step begins anew: {_listed(_first(open_tasks))}." if open_tasks else "",
        _later(history, step),
    ]


def _later(history: Sequence[HistoryEvent], step: int) -> str:
    later = sum(event.type is EventType.EVENT_RAISED and event.sequence >= step for event in history)
    if not later:
        return ""
    came = "One external event came later and is" if later == 1 else f"{later} external events came later and are"
    return f"{came} not delivered to the new instance. Raise what it needs again."


def _is_retry(event: HistoryEvent) -> bool:
    """Whether it is the pause before another attempt, which is part of its task."""
    return event.type in (EventType.TIMER_CREATED, EventType.TIMER_FIRED) and event.attempt > 0


def _count(count: int, one: str, many: str) -> str:
    return f"one {one}" if count == 1 else f"{count} {many}"


def _first(names: list[str]) -> list[str]:
    return names if len(names) <= NAMED else [*names[:NAMED], f"{len(names) - NAMED} more"]


def _listed(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
