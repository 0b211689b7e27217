"""What must hold in any history, between any two steps."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from orchestrations.core.events import DECIDED, EventType
from orchestrations.core.status import RuntimeStatus
from tests.simulation import model, programs
from tests.simulation.snapshot import Row, Snapshot, attributes_of

ENDS = {
    EventType.TASK_COMPLETED,
    EventType.TASK_FAILED,
    EventType.TIMER_FIRED,
    EventType.SUB_ORCHESTRATION_COMPLETED,
    EventType.ENTITY_COMPLETED,
    EventType.ENTITY_FAILED,
}
TRIES = (EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_CREATED)
FAILED_TRIES = (EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED)
GO_ON = (EventType.EXECUTION_REWOUND, EventType.EXECUTION_FORKED)
RUN_ON = (EventType.EXECUTION_RESUMED, EventType.EXECUTION_FORKED)


def check(where: str, events: Sequence[Row]) -> None:
    """Raise AssertionError where something does not hold in the history of one execution."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1)), f"a gap: {where}"
    times = [event.timestamp for event in events if event.type != EventType.EVENT_RAISED]
    assert times == sorted(times), f"time runs backwards: {where}"
    once = Counter((event.type, event.task_id, event.attempt) for event in events if event.type in ENDS)
    assert all(count == 1 for count in once.values()), f"a task ended twice: {where} {once}"
    ends = [event for event in events if event.type == EventType.EXECUTION_COMPLETED]
    assert len(ends) <= 1, f"ended twice: {where}"
    _check_timers(where, events)
    _check_retries(where, events)
    _check_suspensions(where, events)


def is_paused(events: Sequence[Row]) -> bool:
    """Whether the last that was heard of it is that it is suspended."""
    told = [event.type for event in events if event.type in {*RUN_ON, EventType.EXECUTION_SUSPENDED}]
    return bool(told) and told[-1] == EventType.EXECUTION_SUSPENDED


def _check_timers(where: str, events: Sequence[Row]) -> None:
    created = [event for event in events if event.type == EventType.TIMER_CREATED]
    due = {(event.task_id, event.attempt): attributes_of(event)["fire_at"] for event in created}
    for event in events:
        if event.type == EventType.TIMER_FIRED:
            fire_at = datetime.fromisoformat(due[event.task_id, event.attempt])
            assert event.timestamp >= fire_at, f"a timer fired too early: {where} {event.task_id}"


def _check_retries(where: str, events: Sequence[Row]) -> None:
    """Two attempts with an hour in between, where the call is one that is tried again."""
    failed: dict[int, Row] = {}
    labels: dict[int, str] = {}
    for position, event in enumerate(events):
        if event.type == EventType.EXECUTION_COMPLETED:
            return  # what comes behind it is for a rewind
        if event.type == EventType.TASK_SCHEDULED:
            labels[event.task_id] = json.loads(event.payload)
        if event.type in TRIES and event.attempt > 1:
            assert event.attempt == 2, f"tried too often: {where} {event.task_id}"
            earliest = failed[event.task_id].timestamp + programs.HOUR
            assert event.timestamp >= earliest, f"tried again too early: {where} {event.task_id}"
        if event.type in FAILED_TRIES:
            failed[event.task_id] = event
        is_retried = event.type == EventType.TASK_FAILED and labels[event.task_id] in programs.ledger.retried
        if is_retried and event.attempt == 1 and not is_paused(events[:position]):
            following = next((one for one in events[position + 1 :]), None)
            is_timed = following is not None and (following.type, following.task_id, following.attempt) == (
                EventType.TIMER_CREATED,
                event.task_id,
                2,
            )
            is_cut = following is None or following.type in GO_ON
            assert is_timed or is_cut, f"not tried again: {where} {event.task_id}"


def _check_suspensions(where: str, events: Sequence[Row]) -> None:
    """Nothing is decided from a suspension to a resumption, but for the end of one that is terminated."""
    is_suspended = False
    for event in events:
        if event.type == EventType.EXECUTION_SUSPENDED:
            is_suspended = True
        elif event.type in RUN_ON:
            is_suspended = False
        elif is_suspended and event.type in DECIDED:
            is_terminated = attributes_of(event).get("status") == RuntimeStatus.TERMINATED
            assert is_terminated, f"decided while suspended: {where} {event.type} {event.task_id}"


def check_rewinds(tables: Snapshot) -> None:
    """No rewind lets go of work that was done, unless it was only done because something failed."""
    for row in tables.instances.values():
        events = tables.history(row)
        rewound = next((event for event in reversed(events) if event.type == EventType.EXECUTION_REWOUND), None)
        if rewound is None:
            continue
        before = tables.histories.get((row.pk, attributes_of(rewound)["execution"]), [])
        compensated = set(model.compensations(json.loads(row.input)["parts"]))
        done = set(_done(before)) - compensated
        if done:
            programs.ledger.seen.add("rewound with work done")
        lost = done - set(_done(events))
        assert not lost, f"{row.instance_id}: a rewind has {lost} done again"


def _done(events: Sequence[Row]) -> Iterator[str]:
    """The labels of activities that have completed."""
    labels = {event.task_id: event.payload for event in events if event.type == EventType.TASK_SCHEDULED}
    for event in events:
        if event.type == EventType.TASK_COMPLETED:
            yield json.loads(labels[event.task_id])
