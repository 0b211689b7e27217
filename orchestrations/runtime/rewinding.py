"""What happens to an instance that has ended: a rewind, facts that come late, and messages that mean nothing any more.

A failed instance may be rewound, so what was accepted for it while it was live is kept: an external event, or a result
that was on its way when it failed, is recorded behind the end and delivered by the rewind.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec

from orchestrations.conf import get_config
from orchestrations.core.actions import Action, CreateSubOrchestration
from orchestrations.core.culprits import FAILURES
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.execution import Execution
from orchestrations.core.failures import FailureDetails
from orchestrations.core.rewind import Rewound, asked_for, is_answer_undone, rewind
from orchestrations.core.status import RuntimeStatus
from orchestrations.core.tasks import ActionTask
from orchestrations.models import Instance
from orchestrations.runtime.code import CodeUnavailable, code_of
from orchestrations.runtime.instances import (
    FUNCTIONS,
    PAUSING,
    UNFIT,
    Advance,
    HeldInstance,
    Outcome,
    children_of,
    facts_of,
    feed,
    first_of,
    generation_of,
    meant_for,
    number_events,
    unreadable,
)
from orchestrations.runtime.poison import Kind, dead_instance, poison
from orchestrations.store.contract import ClaimedInstance, InboxEvent, LoadedHistory
from orchestrations.store.upkeep_contract import UndoneEnd

logger = logging.getLogger("orchestrations.runtime")

CONTROL = PAUSING | {EventType.EXECUTION_TERMINATED, EventType.EXECUTION_REWOUND, EventType.EXECUTION_STARTED}
CREATED_AGAIN = frozenset({RuntimeStatus.TERMINATED, RuntimeStatus.CANCELED})


def advance_ended(
    held: HeldInstance, messages: Sequence[InboxEvent], loaded: LoadedHistory | None, now: datetime
) -> Advance:
    """Rewind a failed instance if a message asks for it; else keep its late facts, and drop everything else."""
    claimed = held.claimed
    result = Advance(held, consumed=[message.pk for message in messages])
    if claimed.status != RuntimeStatus.FAILED or loaded is None:
        result.is_idle = True
        return result
    result.abandon_reason = unreadable(messages, loaded)
    if result.abandon_reason:
        return result
    events = meant_for(messages, claimed, generation_of(held, loaded))
    rewound = first_of(events, EventType.EXECUTION_REWOUND)
    facts = [
        event
        for event in events
        if event.type not in CONTROL and not any(event.is_told_again_by(known) for known in loaded.events)
    ]
    if rewound is not None:
        return _advance_rewound(result, rewound, facts, loaded, now)
    result.is_late = bool(facts)
    result.is_idle = not facts
    result.events = facts
    number_events(result, now)
    return result


def _advance_rewound(
    result: Advance, rewound: HistoryEvent, facts: Sequence[HistoryEvent], loaded: LoadedHistory, now: datetime
) -> Advance:
    """Begin another execution with the history that a rewind keeps, and put what is open in motion again."""
    held, claimed = result.held, result.held.claimed
    result.undone_end = _end_of(claimed)
    if claimed.attempts > get_config().dispatch_attempts:
        died = poison("the rewind", claimed.attempts - 1)
        result.dead_letters = [dead_instance(claimed, Kind.REWIND, died)]
        return _refused(result, facts, died, now)
    known = facts_of(claimed, loaded.input, claimed.execution + 1)
    try:
        plan = rewind(code_of(claimed), FUNCTIONS, known, loaded.events)
    except CodeUnavailable as unavailable:
        result.abandon_reason = unavailable.reason
        return result
    except UNFIT as error:
        return _refused(result, facts, error, now)
    held.execution = plan.execution
    held.recorded_waits = set()
    result.new_execution = known.execution
    rewound.attributes = asked_for(rewound) | plan.attributes
    _go_on(result, plan, [rewound, *plan.redelivered], facts, now)
    overrun = plan.execution.overrun
    if overrun is not None:  # nothing of that turn is kept: it stays as it was before the rewind
        plan.execution.discard()
        held.execution = None
        return _refused(Advance(held, consumed=result.consumed, undone_end=result.undone_end), facts, overrun, now)
    return result


def _end_of(claimed: ClaimedInstance) -> UndoneEnd | None:
    row = Instance.objects.using(get_config().database).filter(pk=claimed.pk, completed_at__isnull=False)
    at = row.values_list("completed_at", flat=True).first()
    return None if at is None else UndoneEnd(claimed.status, at, claimed.name, claimed.created_at)


def _go_on(
    result: Advance, plan: Rewound, first: Sequence[HistoryEvent], facts: Sequence[HistoryEvent], now: datetime
) -> None:
    """Feed the rewind and what it delivers again, then what has become of the children, then what has just come."""
    claimed, execution = result.held.claimed, plan.execution
    begun = feed(execution, first, now)
    children = _children_by_task(claimed, execution)
    failed = {task_id for task_id, child in children.items() if child.status == RuntimeStatus.FAILED}
    results = [
        HistoryEvent(EventType.SUB_ORCHESTRATION_COMPLETED, now, task_id=task_id, payload=child.output)
        for task_id, child in children.items()
        if child.status == RuntimeStatus.COMPLETED
    ]
    news = [  # without failures that nobody has seen: they are done again
        event for event in facts if event.type not in FAILURES and not is_answer_undone(event, plan.waits)
    ]
    ended = feed(execution, [*results, *news], now)
    result.events = [*plan.kept, *begun.events, *ended.events]
    existing = {task_id for task_id, child in children.items() if child.status not in CREATED_AGAIN}
    result.actions = [*_without_children(begun.actions, existing), *ended.actions]
    result.children_to_rewind = sorted((children[task_id].pk, children[task_id].execution) for task_id in failed)


def _children_by_task(claimed: ClaimedInstance, execution: Execution) -> dict[int, Instance]:
    """The children that there are for the calls still open, which may have ended while their parent lay failed."""
    calls = {
        task_id: task.child_id
        for task_id, task in execution.tasks.items()
        if isinstance(task, ActionTask) and task.child_id is not None and not task.has_ended and task.retry_at is None
    }
    if not calls:
        return {}
    rows = children_of(claimed).filter(parent_execution=execution.generation, parent_task_id__in=calls)
    rows = rows.only("instance_id", "status", "execution", "output", "parent_task_id")
    found = {row.parent_task_id or 0: row for row in rows}
    return {task_id: row for task_id, row in found.items() if row.instance_id == calls[task_id]}


def _without_children(actions: Sequence[Action], existing: set[int]) -> list[Action]:
    """A child that exists is not created again: a failed one is rewound by a message, the others just go on."""
    return [
        action
        for action in actions
        if not isinstance(action, CreateSubOrchestration) or action.fire_and_forget or action.task_id not in existing
    ]


def _refused(result: Advance, facts: Sequence[HistoryEvent], error: BaseException, now: datetime) -> Advance:
    """Fail anew with the reason why it can't be rewound; it can be tried again, and its facts are kept for that."""
    logger.error("A rewind was not possible: %s instance=%s", error, result.held.claimed.instance_id)
    failure = msgspec.json.encode(FailureDetails.from_exception(error).to_json()).decode()
    result.outcome = Outcome(RuntimeStatus.FAILED, failure=failure)
    result.events = list(facts)
    number_events(result, now)
    return result
