"""What must hold in the tables between any two steps, whatever the steps are."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime

from orchestrations.core.events import EventType
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.models import ActivityWorkItem, Entity, HistoryEvent, InboxMessage, Instance, Timer
from tests.simulation import programs

ENDS = {
    EventType.TASK_COMPLETED,
    EventType.TASK_FAILED,
    EventType.TIMER_FIRED,
    EventType.SUB_ORCHESTRATION_COMPLETED,
    EventType.ENTITY_COMPLETED,
    EventType.ENTITY_FAILED,
}


def check(accepted: dict[tuple[int, object], Counter[str]]) -> None:
    """Raise AssertionError where something does not hold.

    ``accepted`` has, for each instance by primary key and time of creation, how many external events of each name were
    accepted for it; they are numbered from 1.
    """
    instances = {row.pk: row for row in Instance.objects.filter(is_entity=False).defer("output", "waits")}
    histories: dict[tuple[int, int], list[HistoryEvent]] = defaultdict(list)
    for event in HistoryEvent.objects.order_by("instance_id", "execution", "sequence"):
        histories[event.instance_id, event.execution].append(event)
    for (pk, execution), events in histories.items():
        _check_history(pk, execution, events)
    inbox: dict[int, list[InboxMessage]] = defaultdict(list)
    for message in InboxMessage.objects.order_by("pk"):
        inbox[message.instance_id].append(message)
    for row in instances.values():
        events = histories.get((row.pk, row.execution), [])
        _check_row(row, events)
        counts = accepted.get((row.pk, row.created_at), Counter())
        if row.runtime_status not in TERMINAL or row.status == RuntimeStatus.FAILED:
            _check_external_events(row, [*events, *inbox[row.pk]], counts)
    _check_work(instances)
    twice = [entry for entry, times in Counter(entries()).items() if times > 1]
    assert not twice, f"an entity was told twice: {twice}"


def entries() -> list[str]:
    """All that the entities have noted."""
    return [entry for state in Entity.objects.values_list("state", flat=True) for entry in json.loads(state or "[]")]


def _check_history(pk: int, execution: int, events: list[HistoryEvent]) -> None:
    where = f"instance {pk}, execution {execution}"
    if execution > 1 and events[0].type == EventType.EVENT_RAISED:
        programs.ledger.seen.add("continued with buffered events")
    assert [event.sequence for event in events] == list(range(1, len(events) + 1)), f"a gap: {where}"
    times = [event.timestamp for event in events if event.type != EventType.EVENT_RAISED]
    assert times == sorted(times), f"time runs backwards: {where}"
    once = Counter((event.type, event.task_id, event.attempt) for event in events if event.type in ENDS)
    assert all(count == 1 for count in once.values()), f"a task ended twice: {where} {once}"
    ends = [event for event in events if event.type == EventType.EXECUTION_COMPLETED]
    assert len(ends) <= 1, f"ended twice: {where}"
    due = {
        (event.task_id, event.attempt): json.loads(event.attributes or "{}")["fire_at"]
        for event in events
        if event.type == EventType.TIMER_CREATED
    }
    for event in events:
        if event.type == EventType.TIMER_FIRED:
            fire_at = datetime.fromisoformat(due[event.task_id, event.attempt])
            assert event.timestamp >= fire_at, f"a timer fired too early: {where} {event.task_id}"


def check_idle() -> None:
    """Raise AssertionError where something is left in motion although everything has come to its end."""
    locked = list(Entity.objects.exclude(locked_by="").values_list("instance__instance_id", "locked_by"))
    assert not locked, f"locks that nobody releases: {locked}"
    waiting = InboxMessage.objects.filter(instance__is_entity=True)
    assert not waiting.exists(), f"operations that are never begun: {list(waiting)}"


def _check_row(row: Instance, events: list[HistoryEvent]) -> None:
    where = f"{row.instance_id}, {row.status}"
    assert row.last_sequence == len(events), f"the row and its history differ: {where}"
    end = next((event for event in events if event.type == EventType.EXECUTION_COMPLETED), None)
    if row.runtime_status in TERMINAL:
        assert end is not None and json.loads(end.attributes or "{}")["status"] == row.status, (
            f"not at its end: {where}"
        )
        assert row.completed_at is not None, where
    else:
        assert end is None and row.completed_at is None and row.failure is None, f"at its end: {where}"


def _check_external_events(row: Instance, kept: Iterable[HistoryEvent | InboxMessage], accepted: Counter[str]) -> None:
    """Each accepted event is there once and in order, but for those that an earlier generation has taken."""
    has_gone_on = bool(json.loads(row.input or "{}")["results"])  # as new
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in kept:
        if event.type == EventType.EVENT_RAISED:
            numbers[(event.name or "").casefold()].append(json.loads(event.payload or "0"))
    for name in [name for name in numbers if name.startswith(programs.WORD)]:
        assert len(numbers.pop(name)) == 1, f"{row.instance_id}: {name} was sent once"
    for name, count in accepted.items():
        found = numbers.pop(name, [])
        first = found[0] if found and has_gone_on else count + 1 if has_gone_on else 1
        assert found == list(range(first, count + 1)), f"{row.instance_id}: {name} {found}, accepted {count}"
    assert not numbers, f"{row.instance_id}: events that nobody raised: {dict(numbers)}"


def _check_work(instances: dict[int, Instance]) -> None:
    """Nothing is left in motion for an execution that is over, but what a normal completion leaves running."""
    for model in (ActivityWorkItem, Timer):
        rows = model.objects.exclude(state__in=["Fired", "Cancelled"]) if model is Timer else model.objects.all()
        for work in rows:
            row = instances[work.instance_id]
            is_current = work.execution == row.execution and row.runtime_status not in TERMINAL
            assert is_current or row.status == RuntimeStatus.COMPLETED, f"left over for {row.instance_id}: {work}"
