"""One episode as a function: (orchestrator, history, new events) -> (events, actions, state)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrations.core import calls, matching
from orchestrations.core.actions import Action
from orchestrations.core.context import OrchestrationContext
from orchestrations.core.definitions import Functions, OrchestratorDefinition
from orchestrations.core.events import HistoryEvent
from orchestrations.core.execution import Execution
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.status import RuntimeStatus


@dataclass(slots=True)
class Episode:
    """What came of the new events: what to append, what to do, and where the execution stands."""

    execution: Execution
    events: list[HistoryEvent] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    @property
    def status(self) -> RuntimeStatus:
        """The instance's status after the episode."""
        return self.execution.status


def open_execution(
    definition: OrchestratorDefinition, functions: Functions, facts: InstanceFacts, history: Sequence[HistoryEvent] = ()
) -> Execution:
    """An execution brought to where its history ends. Raises NonDeterminismError where the code doesn't fit it."""
    execution = Execution(definition, functions, facts, OrchestrationContext)
    execution.replay(history)
    return execution


def advance(execution: Execution, new_events: Sequence[HistoryEvent]) -> Episode:
    """Feed the new events in order to an execution that is in memory.

    After a rewind or a fork the actions are those of everything that is open when the last event has been taken, since
    nothing of the execution that failed is in motion any more, and all that is in motion of the origin's is its own.
    """
    episode = Episode(execution)
    goes_on = False
    for event in new_events:
        episode.events += execution.apply(event) or _kept_for_a_rewind(episode, event)
        goes_on = goes_on or event.goes_on
    episode.actions = execution.take_actions()
    if goes_on:
        one_way = [action for action in episode.actions if calls.is_one_way(action)]
        episode.actions = [*calls.open_actions(execution), *one_way]
    return episode


def _kept_for_a_rewind(episode: Episode, event: HistoryEvent) -> list[HistoryEvent]:
    """Record behind the end what comes after the failure that ended the execution, once; a rewind delivers it."""
    execution = episode.execution
    if execution.status is not RuntimeStatus.FAILED or not matching.is_fact_for(execution, event):
        return []
    if any(event.is_told_again_by(earlier) for earlier in episode.events):
        return []
    execution.last_sequence += 1
    event.sequence, event.timestamp = execution.last_sequence, max(event.timestamp, execution.clock)
    return [event]
