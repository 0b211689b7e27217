"""Forking: which of an instance's history a new instance begins with, when it is to run again from a step.

Everything before the step's row is kept as it is, so that what was done by then is not done again. What had begun and
not ended there, and what the code decided from there on, is done by the new instance. It needs no code to work that
out: the worker that takes the fork up replays what is kept, feeds it an ExecutionForked, and puts in motion what is
open then, as after a rewind. See ``takeover`` for who the code takes itself for meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrations.core.errors import CutRefused
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.rewind import until_completed

LOCKS = frozenset({EventType.ENTITY_LOCK_GRANTED, EventType.ENTITY_UNLOCK_SENT})


@dataclass(slots=True)
class Cut:
    """``kept`` is the history of the fork, numbered anew; ``redelivered`` are facts to feed after its ExecutionForked.

    Where nothing of the code's own is kept the fork ``begins`` as any new instance, with the external events that are
    kept and the ``custom_status`` that a generation before has left; then no ExecutionForked follows.
    """

    kept: list[HistoryEvent]
    redelivered: list[HistoryEvent]
    custom_status: str | None = None

    @property
    def begins(self) -> bool:
        """Whether the code has not begun."""
        return all(event.type is not EventType.EXECUTION_STARTED for event in self.kept)

    @property
    def left_at(self) -> datetime:
        """When the origin stood where the fork goes on. There is a kept event."""
        return self.kept[-1].timestamp


def cut(facts: InstanceFacts, history: Sequence[HistoryEvent], step: int) -> Cut:
    """Work out what a fork keeps of the history of the execution of ``facts``. ``history`` stays as it is.

    ``step`` is the sequence of the row to run again from. Raises CutRefused, saying why and which row to take instead,
    for one that the history does not have, that is behind the end, or that has the fork hold an entity or end at once.
    """
    until_end, _ = until_completed(history)
    _check_row(until_end, history, step)
    undelivered_from = until_end[-1].attributes.get("undelivered_from") if until_end else None
    seen = min(step, int(undelivered_from)) if undelivered_from else step
    before = [event for event in until_end if event.sequence < seen]
    facts_unseen = list(_facts(event for event in until_end if seen <= event.sequence < step))
    started = next((event for event in history if event.type is EventType.EXECUTION_STARTED), None)
    if started is None or started not in before:
        kept = [event for event in (*before, *facts_unseen) if event.type is EventType.EVENT_RAISED]
        return Cut(_numbered(kept), [], started.payload if started is not None else None)
    _check_locks(before, step)
    return Cut(_numbered(_told_of_origin(event, facts) for event in before), facts_unseen)


def _check_row(until_end: Sequence[HistoryEvent], history: Sequence[HistoryEvent], step: int) -> None:
    if not 1 <= step <= len(history):
        there = f"It has steps 1 to {len(history)}." if history else "It has no history yet."
        raise CutRefused(f"The present execution has no step {step}. {there}")
    end = len(until_end)
    if step > end:
        raise CutRefused(f"Step {step} came after the end at step {end}. Fork from step {end} or one before it.")
    if step > 1 and until_end[step - 2].type is EventType.EXECUTION_TERMINATED:
        raise CutRefused(f"A fork from step {step} would end at once too. Fork from step {step - 1} or one before it.")


def _check_locks(before: Sequence[HistoryEvent], step: int) -> None:
    """Refuse to go on inside a critical section: what the code has read there may have changed since."""
    last = next((event for event in reversed(before) if event.type in LOCKS), None)
    if last is not None and last.type is EventType.ENTITY_LOCK_GRANTED:
        raise CutRefused(
            f"At step {step} the orchestrator holds entities that it locked, and a fork can't have them as they were. "
            f"Fork from step {last.sequence}, where it got them, or from one before it."
        )


def _facts(events: Iterator[HistoryEvent]) -> Iterator[HistoryEvent]:
    """External events and results that the code has not seen; what concerned only the origin's running is left out."""
    for event in events:
        if not event.is_decided and (event.type is EventType.EVENT_RAISED or event.task_id is not None):
            yield replace(event, sequence=0)


def _told_of_origin(event: HistoryEvent, facts: InstanceFacts) -> HistoryEvent:
    """The beginning says whose history it was; that of a fork says it already."""
    if event.type is not EventType.EXECUTION_STARTED:
        return event
    origin = {"instance_id": facts.instance_id, "version": facts.version}
    return replace(event, attributes={**origin, **event.attributes})


def _numbered(events: Iterator[HistoryEvent] | Sequence[HistoryEvent]) -> list[HistoryEvent]:
    return [replace(event, sequence=sequence) for sequence, event in enumerate(events, start=1)]
