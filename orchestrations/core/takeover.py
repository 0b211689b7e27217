"""Where an execution that was copied from another instance becomes the fork's own.

What the code computed before the place at which the history was cut must come out as it did: ids, UUIDs, the version
and the parent that it saw were the origin's. From there on it is another instance, whose ids must never be the origin's
again. Both hold in every replay, since the place follows from the history alone: it is in the stretch of code that the
last event before the cut set off, behind the last decision that was kept.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrations.core import calls, entity_calls
from orchestrations.core.entity_calls import EntityTask, LockTask
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.tasks import ActionTask

if TYPE_CHECKING:
    from orchestrations.core.execution import Execution
    from orchestrations.core.facts import InstanceFacts

REQUESTS = uuid.UUID("c9b54a1e-5a1d-5c7c-8d0f-6c2a0e9d7b54")


@dataclass(frozen=True, slots=True)
class Takeover:
    """Which instance the execution belongs to behind that event and that many decisions."""

    after: int
    decisions: int  # without patches, which code may forget
    instance_id: str
    version: str

    def has_come(self, sequence: int, decisions: int) -> bool:
        """Whether the code is there while it processes that event, having made so many decisions."""
        return sequence > self.after or (sequence == self.after and decisions >= self.decisions)


class Takeovers:
    """The takeovers that are still to come in one execution: one for each time that its history was forked."""

    def __init__(self) -> None:
        self._coming: deque[Takeover] = deque()
        self._decisions = 0
        self.inherited: list[int] = []  # operations of entities that were open at the last takeover
        self.awaits_fork = False
        """Whether the history was copied and not gone on with: behind it comes the ExecutionForked of this instance."""
        self._owner = ""  # the id of the instance whose execution it is, whatever it was copied from

    def foresee(self, history: Sequence[HistoryEvent], facts: InstanceFacts) -> None:
        """Find them in a history that is about to be replayed; most have none, and are not looked through."""
        started = next((event for event in history if event.type is EventType.EXECUTION_STARTED), None)
        if started is None or "instance_id" not in started.attributes:
            return
        after = decisions = 0
        belongs_to = started.attributes["instance_id"]
        for event in history:
            if event.type is EventType.EXECUTION_FORKED:
                belongs_to = event.attributes["instance_id"]
                self._coming.append(Takeover(after, decisions, belongs_to, event.attributes["version"]))
            elif event.is_decided:
                decisions += event.type is not EventType.PATCH_APPLIED
            elif event.type is not EventType.EXECUTION_REWOUND:
                after = event.sequence
        self._owner = facts.instance_id
        self.awaits_fork = belongs_to != facts.instance_id
        if self.awaits_fork:
            self._coming.append(Takeover(after, decisions, facts.instance_id, facts.version))

    def begin(self, forked: HistoryEvent) -> None:
        """Note that a fork goes on: this one, or in what was copied one that it is a fork of."""
        if forked.attributes["instance_id"] == self._owner:
            self.awaits_fork = False

    def count(self, kind: EventType) -> None:
        """Note a decision of the code."""
        self._decisions += kind is not EventType.PATCH_APPLIED

    def carry_out(self, execution: Execution, sequence: int) -> None:
        """Make the execution the fork's where the code has come to that place."""
        while self._coming and self._coming[0].has_come(sequence, self._decisions):
            self.inherited = _take_over(execution, self._coming.popleft())


def _take_over(execution: Execution, takeover: Takeover) -> list[int]:
    """Give what is open ids of its own. Returns the operations of entities among it, which are to be called anew."""
    execution.facts = replace(
        execution.facts,
        instance_id=takeover.instance_id,
        version=takeover.version,
        parent_instance_id=None,
    )
    inherited = []
    for task_id, task in execution.tasks.items():
        if task.has_ended or not isinstance(task, ActionTask):
            continue
        if isinstance(task, EntityTask):
            task.request_id = _own_request_id(execution, task.request_id)
            if not isinstance(task, LockTask):
                inherited.append(task_id)
        elif task.child_id is not None:
            task.child_id = calls.default_child_id(execution, task_id)
            task.scheduled = replace(task.scheduled, instance_id=task.child_id)
    if execution.section is not None:
        execution.section.request_id = _own_request_id(execution, execution.section.request_id)
    return inherited


def _own_request_id(execution: Execution, earlier: str) -> str:
    """Not of the clock, so that it is the same if a rewind cuts off some of what was copied."""
    return uuid.uuid5(REQUESTS, f"{execution.facts.instance_id}/{earlier}").hex


def set_in_motion(execution: Execution, forked: HistoryEvent) -> None:
    """Let the fork go on: give what is open its time, and ask entities for what only the origin had asked.

    Activities, timers and sub-orchestrations that are open follow as the actions of the episode.
    """
    execution.takeovers.begin(forked)
    calls.restart_clocks(execution, forked)
    if execution.section is not None:
        execution.section.request_again()
    entity_calls.call_again(execution, execution.takeovers.inherited)
