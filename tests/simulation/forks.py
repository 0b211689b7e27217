"""Running again from a step: which steps are refused, and which external events a fork has from its origin."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from orchestrations.core.events import EventType
from orchestrations.models import HistoryEvent, Instance
from tests.simulation import model

LOCKS = (EventType.ENTITY_LOCK_GRANTED, EventType.ENTITY_UNLOCK_SENT)


def history_of(row: Instance) -> list[HistoryEvent]:
    """The events of its present execution, in order."""
    return list(HistoryEvent.objects.filter(instance=row, execution=row.execution).order_by("sequence"))


def is_refused(history: Sequence[HistoryEvent], step: int) -> bool:
    """Whether there is no such step, or it is behind the end, or inside of a critical section."""
    types = [event.type for event in history]
    if not 1 <= step <= len(types):
        return True
    before = types[: step - 1]
    if EventType.EXECUTION_COMPLETED in before or before[-1:] == [EventType.EXECUTION_TERMINATED]:
        return True
    locks = [kind for kind in before if kind in LOCKS]
    return locks[-1:] == [EventType.ENTITY_LOCK_GRANTED]


def events_before(row: Instance, history: Sequence[HistoryEvent], step: int) -> Counter[str]:
    """The number of the last event of each name that the fork has, or that an earlier generation took."""
    given: dict[str, Any] = json.loads(row.input or "{}")
    parts = json.loads(row.start_input or "{}")["parts"]
    numbers = Counter(model.Instance(parts[: len(given["results"])]).taken)
    for event in history[: step - 1]:
        number = json.loads(event.payload or "0")
        if event.type == EventType.EVENT_RAISED and isinstance(number, int):
            name = (event.name or "").casefold()
            numbers[name] = max(numbers[name], number)
    return numbers
