"""What an act will do to the very instances, in numbers: what runs on, what is dropped, what is deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet, Sum
from django.db.models.functions import Length

from orchestrations.access.permissions import Action
from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.presentation.payloads import size_words
from orchestrations.limits import COUNT_CAP
from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance, LargePayload
from orchestrations.reading import queries
from orchestrations.reading.paging import CappedCount

MEASURED_EVENTS = 10_000  # whose payloads are measured before a purge; beyond them the page says "more than"
MEASURED_INSTANCES = 500  # of those that a bulk job is to purge, the first


NONE = CappedCount(0)
UNLESS = ", unless you say otherwise."
DROPPED_RESULTS = "{} activities run or are queued: their results are dropped."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is around an instance that an act concerns."""

    live_children: CappedCount = NONE
    children: CappedCount = NONE
    """Those right below it, ended or not; counted for a purge only."""
    running: int = 0
    buffered: int = 0
    events: CappedCount = NONE
    payloads: int = 0
    files: int = 0

    @property
    def has_children(self) -> bool:
        """Whether something below it would be reached."""
        return bool(self.live_children.value or self.children.value)


def surroundings(instance: Instance, action: Action) -> Surroundings:
    """Look at what the act's effect depends on, and at nothing else."""
    look = LOOKS.get(action)
    return look(instance) if look else Surroundings()


def consequences(action: Action, around: Surroundings) -> list[str]:
    """The sentences that a person should read before they act."""
    say = SENTENCES.get(action)
    return [sentence for sentence in say(around) if sentence] if say else []


def purging_many(pks: Sequence[int]) -> list[str]:
    """What a purge of these instances removes; of more than MEASURED_INSTANCES what the first of them have."""
    measured = pks[:MEASURED_INSTANCES]
    around = _removed(measured)
    subject = "This removes" if len(measured) == len(pks) else f"The first {len(measured):,} of them have"
    one = "One sub-orchestration of theirs is not chosen. It stays unless you say otherwise."
    many = "{} sub-orchestrations of theirs are not chosen. They stay unless you say otherwise."
    said = [f"{subject} {_belongings(around)}.", _say(around.children, one, many)]
    return [sentence for sentence in said if sentence]


def _live(instance: Instance) -> Surroundings:
    running = _rows(ActivityWorkItem, instance).filter(execution=instance.execution).count()
    buffered = _rows(InboxMessage, instance).filter(type=EventType.EVENT_RAISED.value).count()
    return Surroundings(queries.live_children_count(instance), running=running, buffered=buffered)


def _ended(instance: Instance) -> Surroundings:
    return _removed([instance.pk])


def _removed(pks: Sequence[int]) -> Surroundings:
    """What a purge of these instances removes, and what is below them beside one another."""
    using = get_config().database
    history = HistoryEvent.objects.using(using).filter(instance_id__in=pks).order_by()
    measured = history.annotate(length=Length("payload"))[:MEASURED_EVENTS]
    children = Instance.objects.using(using).filter(parent_id__in=pks).exclude(pk__in=pks).order_by()
    return Surroundings(
        children=CappedCount.of(children[: COUNT_CAP + 1].count(), COUNT_CAP),
        events=CappedCount.of(history[: MEASURED_EVENTS + 1].count(), MEASURED_EVENTS),
        payloads=measured.aggregate(size=Sum("length"))["size"] or 0,
        files=LargePayload.objects.using(using).filter(instance_id__in=pks).count(),
    )


def _rows(model: type[Model], instance: Instance) -> QuerySet[Any]:
    return model._default_manager.using(get_config().database).filter(instance_id=instance.pk)


LOOKS: dict[Action, Callable[[Instance], Surroundings]] = {
    Action.TERMINATE: _live,
    Action.SUSPEND: _live,
    Action.RESUME: _live,
    Action.RAISE_EVENT: _live,
    Action.PURGE: _ended,
}


def _terminating(around: Surroundings) -> list[str]:
    children, running, buffered = around.live_children, around.running, around.buffered
    return [
        _say(children, f"One live sub-orchestration ends too{UNLESS}", f"{{}} live sub-orchestrations end too{UNLESS}"),
        _say(running, "One activity runs or is queued: its result is dropped.", DROPPED_RESULTS),
        _say(buffered, "One event that nothing has taken is dropped.", "{} events that nothing has taken are dropped."),
    ]


def _suspending(around: Surroundings) -> list[str]:
    children, running, buffered = around.live_children, around.running, around.buffered
    return [
        _say(children, f"One sub-orchestration keeps running{UNLESS}", f"{{}} sub-orchestrations keep running{UNLESS}"),
        _say(running, "One activity runs to its end.", "{} activities run to their end."),
        _say(buffered, "One buffered event stays.", "{} buffered events stay."),
    ]


def _resuming(around: Surroundings) -> list[str]:
    arrived = "One event that has arrived is delivered."
    children = around.live_children
    return [
        _say(
            children,
            f"One sub-orchestration stays as it is{UNLESS}",
            f"{{}} sub-orchestrations stay as they are{UNLESS}",
        ),
        _say(around.buffered, arrived, "{} events that have arrived are delivered."),
    ]


def _raising(around: Surroundings) -> list[str]:
    return [_say(around.buffered, "One event is on its way to it.", "{} events are on their way to it.")]


def _purging(around: Surroundings) -> list[str]:
    below = "It has one sub-orchestration, which stays unless you say otherwise."
    many = "It has {} sub-orchestrations, which stay unless you say otherwise."
    return [f"This removes {_belongings(around)}.", _say(around.children, below, many)]


def _belongings(around: Surroundings) -> str:
    events = _say(around.events, "one event", "{} events") or "no event"
    size = f"more than {size_words(around.payloads)}" if around.events.is_capped else size_words(around.payloads)
    return f"{events} with {size} of payloads{_say(around.files, ', and one file', ', and {} files')}"


SENTENCES: dict[Action, Callable[[Surroundings], list[str]]] = {
    Action.TERMINATE: _terminating,
    Action.SUSPEND: _suspending,
    Action.RESUME: _resuming,
    Action.RAISE_EVENT: _raising,
    Action.PURGE: _purging,
}


def _say(number: CappedCount | int, one: str, many: str) -> str:
    """``one`` or ``many`` with the number in it; nothing for none."""
    counted = CappedCount(number) if isinstance(number, int) else number
    if not counted.value:
        return ""
    return one if counted.value == 1 and not counted.is_capped else many.format(counted)
