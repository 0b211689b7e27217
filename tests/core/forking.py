"""Forking an execution in memory, as a client and a worker do it together."""

from __future__ import annotations

from orchestrations.core.episode import Episode, open_execution
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.fork import cut
from tests.core.cases import copied, started
from tests.core.plain import Driver, PlainFunctions, definition

FORK = "fork"


def fork_driver(origin: Driver, step: int, code=None, *, name: str = FORK, version: str = "") -> tuple[Driver, Episode]:
    """A driver of the fork from that step, and what came of its first event. The origin stays as it is."""
    before = [copied(event) for event in origin.history]
    plan = cut(origin.facts, origin.history, step)
    assert origin.history == before
    fork = Driver(origin.definition if code is None else definition(code))
    fork.now = origin.now
    fork.facts = InstanceFacts(name, origin.facts.name, version, input=origin.facts.input)
    fork.history = plan.kept
    fork.execution = open_execution(fork.definition, PlainFunctions(), fork.facts, fork.history)
    if plan.begins:
        return fork, fork.feed(fork.stamp(started()))
    told = {"instance_id": name, "version": version, "left_at": plan.left_at.isoformat()}
    forked = fork.event(EventType.EXECUTION_FORKED, attributes=told)
    return fork, fork.feed(forked, *(fork.stamp(event) for event in plan.redelivered))


def step_of(driver: Driver, kind: EventType, name: str | None = None, task_id: int | None = None) -> int:
    """The row of that type, and of that name or task where one is given; the latest of several."""
    return [event for event in driver.history if _is(event, kind, name, task_id)][-1].sequence


def _is(event: HistoryEvent, kind: EventType, name: str | None, task_id: int | None) -> bool:
    return event.type is kind and name in (None, event.name) and task_id in (None, event.task_id)
