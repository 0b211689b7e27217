"""Checkpoints and events as short as the cases that use them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.models import InboxMessage, Instance, Timer
from orchestrations.store.contract import (
    ActivityCompletion,
    ActivityKey,
    Checkpoint,
    ClaimedActivity,
    ClaimedInstance,
    Message,
    NewWorkItem,
    RunsOn,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def event(type_: EventType = EventType.EVENT_RAISED, **columns: Any) -> HistoryEvent:
    return HistoryEvent(type_, NOON, **columns)


def raised(name: str = "approved", **columns: Any) -> HistoryEvent:
    return event(name=name, payload='{"by":"ann"}', **columns)


def to(instance_id: str, event_: HistoryEvent | None = None, **columns: Any) -> Message:
    """An external event for the instance with that id."""
    return Message(event_ or raised(), instance_id=instance_id, **columns)


def checkpoint(claimed: ClaimedInstance, **changes: Any) -> Checkpoint:
    """What an episode makes of a claimed instance: Running and released, with as many events as are given."""
    history: list[HistoryEvent] = changes.get("history", [])
    for sequence, appended in enumerate(history, claimed.last_sequence + 1):
        appended.sequence = appended.sequence or sequence
    values: dict[str, Any] = {
        "status": "Running",
        "new_execution": claimed.execution,
        "new_last_sequence": claimed.last_sequence + len(history),
    }
    return Checkpoint(claimed.pk, claimed.execution, claimed.last_sequence, **(values | changes))


def ended(claimed: ClaimedInstance, **changes: Any) -> Checkpoint:
    values: dict[str, Any] = {"status": "Completed", "completed_at": NOON, "ends_execution": True}
    return checkpoint(claimed, **(values | changes))


def scheduled(
    task_id: int = 0,
    *,
    sequence: int = 1,
    attempt: int = 1,
    held: bool = False,
    runs_on: str = RunsOn.THREAD,
) -> NewWorkItem:
    return NewWorkItem(task_id, attempt, sequence, "charge", None, held, runs_on=runs_on)


def key(claimed: ClaimedInstance, task_id: int = 0) -> ActivityKey:
    return ActivityKey(claimed.pk, claimed.execution, task_id)


def completion(of: ActivityKey | ClaimedActivity, attempt: int = 1) -> ActivityCompletion:
    its_key = ActivityKey(of.instance_pk, of.execution, of.task_id)
    done = event(EventType.TASK_COMPLETED, task_id=of.task_id, payload="1", attempt=attempt)
    return ActivityCompletion(its_key, attempt, done)


def row(pk: int) -> Instance:
    return Instance.objects.get(pk=pk)


def inbox(pk: int) -> list[str]:
    """The types of an instance's messages, in order."""
    return [str(message.type) for message in InboxMessage.objects.filter(instance_id=pk).order_by("pk")]


def timer_states(pk: int) -> dict[int, str]:
    """By task id."""
    return dict(Timer.objects.filter(instance_id=pk).values_list("task_id", "state"))
