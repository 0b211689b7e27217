"""Advancing one claimed instance: from its messages to a checkpoint, with whatever code and history there is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import QuerySet

from orchestrations.authoring.functions import RegisteredFunctions
from orchestrations.authoring.registry import registry
from orchestrations.conf import get_config
from orchestrations.core.actions import Action
from orchestrations.core.entities import EntityBatch
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.episode import Episode, advance, open_execution
from orchestrations.core.errors import NonDeterminismError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.execution import Execution
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.failures import FailureDetails
from orchestrations.core.interruptions import EpisodeTimeout
from orchestrations.core.status import RuntimeStatus
from orchestrations.core.waits import event_waits
from orchestrations.errors import FunctionNotRegistered, VersionMismatch
from orchestrations.models import Instance
from orchestrations.runtime.code import CodeUnavailable, code_of
from orchestrations.runtime.poison import Kind, dead_instance, poison
from orchestrations.store.contract import ClaimedInstance, EntityRecord, InboxEvent, LoadedHistory
from orchestrations.store.outbox_contract import NewDeadLetter
from orchestrations.store.upkeep_contract import UndoneEnd

logger = logging.getLogger("orchestrations.runtime")

FUNCTIONS = RegisteredFunctions(registry)
# Mended code and a rewind go on from what these have failed.
UNFIT = (NonDeterminismError, FunctionNotRegistered, VersionMismatch, EpisodeTimeout)
CHILD_EVENTS = frozenset({EventType.SUB_ORCHESTRATION_COMPLETED, EventType.SUB_ORCHESTRATION_FAILED})
PAUSING = frozenset({EventType.EXECUTION_SUSPENDED, EventType.EXECUTION_RESUMED})


SUSPICIOUS_ATTEMPTS = 2  # claimed this often without a commit: advanced alone, after the others


@dataclass(slots=True)
class HeldInstance:
    """An instance under this worker's lease, with its orchestrator in memory where it has been opened."""

    claimed: ClaimedInstance
    execution: Execution | None = None
    recorded_waits: set[int] = field(default_factory=set)  # ids of the open waits that the database has
    in_flight: set[int] = field(default_factory=set)  # task ids of its activities running in this process

    @property
    def pk(self) -> int:
        """The instance's primary key."""
        return self.claimed.pk

    @property
    def is_entity(self) -> bool:
        """Whether it is an entity, which has operations and neither code in memory nor history."""
        return is_entity_id(self.claimed.instance_id)


@dataclass(slots=True)
class Advance:
    """What became of one instance's messages, before it is written."""

    held: HeldInstance
    events: list[HistoryEvent] = field(default_factory=list)
    actions: Sequence[Action] = ()
    consumed: list[int] = field(default_factory=list)
    ended_tasks: list[int] = field(default_factory=list)  # activities that ended in this process or from outside
    outcome: Outcome | None = None
    new_execution: int | None = None  # where the events begin another execution (rewind)
    children_to_rewind: list[tuple[int, int]] = field(default_factory=list)  # (pk, the execution that failed)
    undone_end: UndoneEnd | None = None  # of an instance that had ended and lives again, or ends anew
    is_late: bool = False  # facts for an instance that has failed: only recorded
    passed_on: list[HistoryEvent] = field(default_factory=list)  # what its live children are told too
    entity: EntityBatch | None = None
    deferred: list[int] = field(default_factory=list)  # messages that wait for an entity to be unlocked
    dead_letters: list[NewDeadLetter] = field(default_factory=list)
    abandon_reason: str = ""  # why nothing can be done now
    is_idle: bool = False  # nothing but messages to drop


@dataclass(slots=True)
class Outcome:
    """The end of an execution that came about without running its code."""

    status: RuntimeStatus
    output: str | None = None
    failure: str | None = None


def open_held(held: HeldInstance, loaded: LoadedHistory | None) -> None:
    """Bring the orchestrator into memory by replaying its history. Raises CodeUnavailable or one of UNFIT."""
    claimed = held.claimed
    history = loaded.events if loaded is not None else []
    facts = facts_of(claimed, loaded.input if loaded is not None else None, claimed.execution)
    held.execution = open_execution(code_of(claimed), FUNCTIONS, facts, history)
    is_new_fork = held.execution.takeovers.awaits_fork  # whose waits are in no row yet
    held.recorded_waits = set() if is_new_fork else wait_ids(held.execution)


def wait_ids(execution: Execution) -> set[int]:
    """The open waits that the database has for an execution which stands at its last checkpoint."""
    return {int(wait.id or 0) for wait in event_waits(execution)}


def needs_history(held: HeldInstance, messages: Sequence[InboxEvent]) -> bool:
    """Whether advancing the instance takes a replay: its orchestrator is not in memory, and something wants it."""
    if held.execution is not None or held.is_entity:
        return False
    status = RuntimeStatus(held.claimed.status)
    return not status.is_terminal or (status is RuntimeStatus.FAILED and bool(messages))


def advance_instance(
    held: HeldInstance,
    messages: Sequence[InboxEvent],
    local: Sequence[HistoryEvent],
    loaded: LoadedHistory | None,
    now: datetime,
) -> Advance:
    """Feed an instance its messages and the ends of its local activities, and say what to write.

    Whatever the state of its code and payloads, an instance can be terminated; without either it waits; with code that
    doesn't fit its history it fails with the messages kept as facts, so that mended code and a rewind go on from there.
    """
    claimed = held.claimed
    result = Advance(held, consumed=[message.pk for message in messages], ended_tasks=[e.task_id or 0 for e in local])
    events = [message.event for message in messages] + list(local)
    result.passed_on = _for_children(events)
    terminated = first_of(events, EventType.EXECUTION_TERMINATED)
    if terminated is not None:
        return _end_without_code(result, terminated, now)
    result.abandon_reason = unreadable(messages, loaded)
    if result.abandon_reason:
        return result
    if claimed.attempts > get_config().dispatch_attempts:
        undelivered = [*meant_for(messages, claimed, generation_of(held, loaded)), *local]
        error = poison("the orchestrator", claimed.attempts - 1)
        result.dead_letters = [dead_instance(claimed, Kind.ORCHESTRATOR, error)]
        return _fail_undelivered(result, undelivered, error, now)
    try:
        if held.execution is None:
            open_held(held, loaded)
    except CodeUnavailable as unavailable:
        result.abandon_reason = unavailable.reason
        return result
    except UNFIT as error:
        undelivered = [*meant_for(messages, claimed, generation_of(held, loaded)), *local]
        return _fail_undelivered(result, undelivered, error, now)
    assert held.execution is not None
    current = [
        event
        for event in meant_for(messages, claimed, held.execution.generation)
        if event.type is not EventType.EXECUTION_REWOUND  # it came a second time
    ]
    if claimed.begins and not held.execution.has_started:
        current.insert(_start_position(current), _started(claimed, now))
    episode = feed(held.execution, [*current, *local], now)
    if held.execution.overrun is not None:
        return _fail_overrun(result, [*meant_for(messages, claimed, held.execution.generation), *local], now)
    result.events, result.actions = episode.events, episode.actions
    result.ended_tasks += [e.task_id or 0 for e in episode.events if e.attributes.get("from_outside")]
    return result


def feed(execution: Execution, events: Sequence[HistoryEvent], now: datetime) -> Episode:
    """Take events now: the orchestration's clock is the time at which an event is taken, as in Durable Task."""
    for event in events:
        event.timestamp = now
    episode = advance(execution, events)
    if execution.completion is None:
        _tell_of_dropped(execution, events, episode)
    return episode


def _tell_of_dropped(execution: Execution, events: Sequence[HistoryEvent], episode: Episode) -> None:
    """Log results of tasks that nobody waits for: delivered again, or of a task that there is not."""
    taken = {id(event) for event in episode.events}
    for event in events:
        if event.task_id is not None and id(event) not in taken:
            logger.warning(
                "Dropped a %s of task %s, which has ended or is unknown. instance=%s execution=%s",
                event.type,
                event.task_id,
                execution.facts.instance_id,
                execution.facts.execution,
            )


def generation_of(held: HeldInstance, loaded: LoadedHistory | None) -> int:
    """The generation, also of an instance whose code can't be opened: it stands in the event that began it."""
    if held.execution is not None:
        return held.execution.generation
    started = first_of(loaded.events if loaded is not None else (), EventType.EXECUTION_STARTED)
    generation: int = (started.attributes if started is not None else {}).get("generation", held.claimed.execution)
    return generation


def meant_for(messages: Sequence[InboxEvent], claimed: ClaimedInstance, generation: int) -> list[HistoryEvent]:
    """The events without what was meant for another execution. Children know the generation, which a rewind keeps."""
    meant: list[HistoryEvent] = []
    for message in messages:
        expected = generation if message.event.type in CHILD_EVENTS else claimed.execution
        if message.execution is None or message.execution == expected:
            meant.append(message.event)
        else:
            logger.warning(
                "Dropped a late %s of execution %s. instance=%s execution=%s",
                message.event.type,
                message.execution,
                claimed.instance_id,
                claimed.execution,
            )
    return meant


def unreadable(messages: Sequence[InboxEvent], loaded: LoadedHistory | EntityRecord | None) -> str:
    """Why a payload can't be read that the instance or entity needs now; empty where all are there."""
    if loaded is not None and loaded.unreadable:
        return loaded.unreadable
    return next((message.unreadable for message in messages if message.unreadable), "")


def _start_position(events: Sequence[HistoryEvent]) -> int:
    """First, unless it was suspended before it could start: then it decides nothing until it is resumed."""
    control = [number for number, event in enumerate(events, start=1) if event.type in PAUSING]
    return max(control, default=0)


def _started(claimed: ClaimedInstance, now: datetime) -> HistoryEvent:
    # All that changes in the row, or may be gone from it, while the execution lasts: its replays see what it saw first.
    attributes: dict[str, Any] = {"generation": claimed.execution, "tags": dict(claimed.tags)}
    if claimed.parent_instance_id is not None:
        attributes["parent"] = claimed.parent_instance_id
    inherited = claimed.custom_status if claimed.execution > 1 else None
    return HistoryEvent(EventType.EXECUTION_STARTED, now, name=claimed.name, payload=inherited, attributes=attributes)


def facts_of(claimed: ClaimedInstance, input_text: str | None, execution: int) -> InstanceFacts:
    """What the orchestrator may know of its instance; the history's beginning has the rest."""
    return InstanceFacts(
        instance_id=claimed.instance_id,
        name=claimed.name,
        version=claimed.version,
        execution=execution,
        parent_instance_id=claimed.parent_instance_id,
        tags=claimed.tags,
        input=input_text,
    )


# Ends without running code -----------------------------------------------------------------------------------------


def _end_without_code(result: Advance, terminated: HistoryEvent, now: datetime) -> Advance:
    """Terminate. It needs neither code nor history, so that nothing can stand in its way."""
    reason = terminated.attributes.get("reason") or None
    output = terminated.payload or FUNCTIONS.encode(reason, "the reason of the termination")
    result.outcome = Outcome(RuntimeStatus.TERMINATED, output=output)
    result.events = [terminated, _completed(result.outcome, now)]
    number_events(result, now)
    return result


def _fail_undelivered(result: Advance, events: Sequence[HistoryEvent], error: BaseException, now: datetime) -> Advance:
    """Fail, keeping the new events as facts that the code has not seen; a rewind delivers them."""
    logger.error("%s instance=%s", error, result.held.claimed.instance_id)
    failure = msgspec.json.encode(FailureDetails.from_exception(error).to_json()).decode()
    result.outcome = Outcome(RuntimeStatus.FAILED, failure=failure)
    completed = _completed(result.outcome, now)
    completed.attributes["undelivered_from"] = result.held.claimed.last_sequence + 1
    if result.held.claimed.begins:
        events = [_started(result.held.claimed, now), *events]
    result.events = [*events, completed]
    number_events(result, now)
    return result


def _fail_overrun(result: Advance, events: Sequence[HistoryEvent], now: datetime) -> Advance:
    """Fail without what the code decided in the turn: no mended code would decide it."""
    execution = result.held.execution
    assert execution is not None
    assert execution.overrun is not None
    execution.discard()
    result.held.execution = None
    return _fail_undelivered(result, events, execution.overrun, now)


def _completed(outcome: Outcome, now: datetime) -> HistoryEvent:
    payload = outcome.failure if outcome.failure is not None else outcome.output
    attributes = {"status": str(outcome.status)}
    return HistoryEvent(EventType.EXECUTION_COMPLETED, now, payload=payload, attributes=attributes)


def number_events(result: Advance, now: datetime) -> None:
    """Number the events behind the last one of the history."""
    for sequence, event in enumerate(result.events, start=result.held.claimed.last_sequence + 1):
        event.sequence = sequence
        event.timestamp = max(event.timestamp, now)


# Children ---------------------------------------------------------------------------------------------------------


def _for_children(events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """What children are told too, whatever becomes of their parent: to end, which beats all else, or to pause."""
    ends = (e for e in events if e.type is EventType.EXECUTION_TERMINATED and e.attributes.get("recursive", True))
    end = next(ends, None)
    return [end] if end else [e for e in events if e.type in PAUSING and e.attributes.get("recursive")]


def live_children(claimed: ClaimedInstance) -> list[int]:
    """Children that a recursive termination or suspension takes along."""
    live = [RuntimeStatus.PENDING, RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED, RuntimeStatus.CONTINUED_AS_NEW]
    return list(children_of(claimed).filter(status__in=live).order_by("pk").values_list("pk", flat=True))


def children_of(claimed: ClaimedInstance) -> QuerySet[Instance]:
    """The sub-orchestrations of all executions."""
    return Instance.objects.using(get_config().database).filter(parent_id=claimed.pk)


def first_of(events: Sequence[HistoryEvent], event_type: EventType) -> HistoryEvent | None:
    """The first event of that type."""
    return next((event for event in events if event.type is event_type), None)
