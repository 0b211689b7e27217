"""Cases of (orchestrator, history, new events) -> (actions, outcome), written one to a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from orchestrations.core.actions import (
    Action,
    ApplyPatch,
    CancelTimer,
    CompleteOrchestration,
    CreateSubOrchestration,
    CreateTimer,
    ScheduleTask,
    SendEvent,
)
from orchestrations.core.definitions import OrchestratorDefinition
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.failures import FailureDetails
from orchestrations.core.rewind import Rewound
from tests.core.plain import START, Driver

# Events; the driver sets their times ------------------------------------------------------------------------------


def done(task_id: int, value: object = None, attempt: int = 1) -> HistoryEvent:
    """An activity's result."""
    return HistoryEvent(EventType.TASK_COMPLETED, START, task_id, payload=json.dumps(value), attempt=attempt)


def failed(task_id: int, error: BaseException | None = None, attempt: int = 1) -> HistoryEvent:
    """An activity's failure."""
    return HistoryEvent(EventType.TASK_FAILED, START, task_id, payload=failure(error), attempt=attempt)


def child_done(task_id: int, value: object = None) -> HistoryEvent:
    """A sub-orchestration's output."""
    return HistoryEvent(EventType.SUB_ORCHESTRATION_COMPLETED, START, task_id, payload=json.dumps(value))


def child_failed(task_id: int, error: BaseException | None = None) -> HistoryEvent:
    """A sub-orchestration's failure."""
    return HistoryEvent(EventType.SUB_ORCHESTRATION_FAILED, START, task_id, payload=failure(error))


def fired(task_id: int, attempt: int = 0) -> HistoryEvent:
    """A timer's end."""
    return HistoryEvent(EventType.TIMER_FIRED, START, task_id, attempt=attempt)


def raised(name: str, value: object = None) -> HistoryEvent:
    """An external event."""
    return HistoryEvent(EventType.EVENT_RAISED, START, name=name, payload=None if value is None else json.dumps(value))


def started() -> HistoryEvent:
    """The beginning."""
    return HistoryEvent(EventType.EXECUTION_STARTED, START)


def suspended(reason: str = "") -> HistoryEvent:
    """A person's request to pause."""
    return HistoryEvent(EventType.EXECUTION_SUSPENDED, START, attributes={"reason": reason, "by": "ann"})


def resumed() -> HistoryEvent:
    """A person's request to go on."""
    return HistoryEvent(EventType.EXECUTION_RESUMED, START)


def terminated(reason: str = "") -> HistoryEvent:
    """A person's request to end."""
    return HistoryEvent(EventType.EXECUTION_TERMINATED, START, attributes={"reason": reason})


def rewound(plan: Rewound | None = None) -> HistoryEvent:
    """A person's request to try again, with what is planned for it."""
    return HistoryEvent(EventType.EXECUTION_REWOUND, START, attributes=dict(plan.attributes) if plan else {})


def failure(error: BaseException | None = None) -> str:
    """FailureDetails of the error as JSON text."""
    return json.dumps(FailureDetails.from_exception(error or ValueError("no")).to_json())


# Actions in words -------------------------------------------------------------------------------------------------


def in_words(action: Action) -> str:
    """An action on one line; times are seconds since START."""
    return WORDS[type(action)](action)


def _schedule(action: ScheduleTask) -> str:
    tags = f" {action.tags}" if action.tags else ""
    return f"schedule {action.name}#{_number(action)}({action.input or ''}){tags}"


def _timer(action: CreateTimer) -> str:
    return f"timer #{_number(action)} {_since_start(action.due_at)}"


def _child(action: CreateSubOrchestration) -> str:
    verb = "start and forget" if action.fire_and_forget else "start"
    return f"{verb} {action.name}#{_number(action)}({action.input or ''}) as {action.instance_id}"


def _end(action: CompleteOrchestration) -> str:
    if action.failure is not None:
        return f"Failed {FailureDetails.from_json(json.loads(action.failure)).summary}"
    if action.status == "ContinuedAsNew":
        carried = "".join(f" {event.name}={event.payload or ''}" for event in action.carried_events)
        held = " suspended" if action.suspended_by is not None else ""
        return f"ContinuedAsNew {action.new_input}{carried}{held}"
    return f"{action.status} {action.output}"


def _number(action: Any) -> str:
    return f"{action.task_id}.{action.attempt}" if action.attempt > 1 else str(action.task_id)


def _since_start(moment: datetime) -> str:
    return f"{(moment - START).total_seconds():g}s"


WORDS: dict[type, Callable[[Any], str]] = {
    ScheduleTask: _schedule,
    CreateTimer: _timer,
    CancelTimer: lambda action: f"cancel timer #{_number(action)}",
    CreateSubOrchestration: _child,
    SendEvent: lambda action: f"send {action.name}={action.payload} to {action.instance_id}",
    ApplyPatch: lambda action: f"apply patch {action.name}",
    CompleteOrchestration: _end,
}


# Cases ------------------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """With ``past`` (one episode each, after the start), ``new`` events lead to ``actions``.

    Where ``past`` is None there is no history, and the start is the first new event unless it is among them.
    """

    sentence: str
    orchestrator: Callable[..., Any] | OrchestratorDefinition
    past: Sequence[HistoryEvent] | None
    new: Sequence[HistoryEvent]
    actions: Sequence[str]


def table(*cases: Case) -> Any:
    """Parametrize a test with the cases, each under its sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.sentence.replace(" ", "_")) for case in cases])


def check(case: Case) -> None:
    """Run the case from memory and from history; both must act as the case says, and what is recorded must replay."""
    for is_cold in (False, True):
        driver = Driver(case.orchestrator)
        for event in [started(), *case.past] if case.past is not None else []:
            driver.feed(driver.stamp(event))
        if is_cold:
            driver.reload()
        is_begun = case.past is not None or any(event.type is EventType.EXECUTION_STARTED for event in case.new)
        new = case.new if is_begun else [started(), *case.new]
        episode = driver.feed(*(driver.stamp(event) for event in new))
        assert [in_words(action) for action in episode.actions] == list(case.actions)
        status, location = driver.execution.status, driver.execution.location
        driver.reload()
        assert driver.execution.status == status
        assert driver.execution.location == location


def run(orchestrator: Callable[..., Any], *events: HistoryEvent, input: object = None) -> Driver:
    """Start the orchestrator and feed it the events, an episode each."""
    driver = Driver(orchestrator, takes_input=input is not None, input=input)
    for event in [started(), *events]:
        driver.feed(driver.stamp(event))
    return driver


def output(driver: Driver) -> Any:
    """What the orchestrator returned. Fails the test if it has not completed."""
    completion = driver.execution.completion
    assert completion is not None, "the orchestrator still waits"
    assert completion.status == "Completed", in_words(completion)
    return None if completion.output is None else json.loads(completion.output)


def unnamed(value: object) -> str:
    """The output without the ids of what was started: made of the instance's own, and of a task that another may be."""
    return re.sub(r'"(i1|fork|fork of the fork):[0-9a-f]+"', '"started"', json.dumps(value))


def error(driver: Driver) -> FailureDetails:
    """What the orchestrator failed with."""
    completion = driver.execution.completion
    assert completion is not None and completion.failure is not None, driver.execution.status
    return FailureDetails.from_json(json.loads(completion.failure))


def copied(event: HistoryEvent) -> HistoryEvent:
    """The event as it would be loaded again."""
    return replace(event, attributes=dict(event.attributes))
