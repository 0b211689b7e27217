"""What an execution waits for, in data and in one sentence, for pages and lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrations.core.entity_calls import EntityTask, LockTask
from orchestrations.core.execution import Execution
from orchestrations.core.status import RuntimeStatus
from orchestrations.core.tasks import ActionTask, ExternalEventTask, Task, TimerTask

ENTITY_PHRASES = {"EntityLock": "the lock of", "EntityOperation": "entity operation"}
SHOWN = 20  # waits listed one by one; a fan-out of thousands is counted


def awaited_leaves(execution: Execution) -> Iterator[Task]:
    """The tasks still running among those that the orchestrator awaits now."""
    if execution.awaited is not None and execution.completion is None:
        seen: set[int] = set()
        for leaf in execution.awaited.leaves():
            if not leaf.has_ended and id(leaf) not in seen:
                seen.add(id(leaf))
                yield leaf


def event_waits(execution: Execution) -> list[ExternalEventTask]:
    """The external events that would be taken now, oldest wait first."""
    if execution.completion is not None:
        return []
    return execution.external_events.open_waits(execution.awaited)


def describe_waits(execution: Execution) -> list[dict[str, Any]]:
    """The first waits as JSON objects, then ``{"kind": "More", "count": n}`` where there are others."""
    described: list[dict[str, Any]] = []
    more = 0
    for leaf in awaited_leaves(execution):
        if len(described) < SHOWN:
            described.append(_describe(leaf))
        else:
            more += 1
    return [*described, {"kind": "More", "count": more}] if more else described


def sentence(execution: Execution, waits: list[dict[str, Any]]) -> str:
    """One line that says what the instance waits for; empty where it waits for nothing."""
    if execution.status is RuntimeStatus.SUSPENDED and execution.suspended_by is not None:
        attributes = execution.suspended_by.attributes
        by, reason = attributes.get("by"), attributes.get("reason")
        return "suspended" + (f" by {by}" if by else "") + (f": {reason}" if reason else "")
    if not waits:
        return ""
    count = len(waits) if waits[-1]["kind"] != "More" else len(waits) - 1 + waits[-1]["count"]
    others = f" and {count - 1} more" if count > 1 else ""
    return (_phrase(_most_telling(waits)) + others)[:300]


def _most_telling(waits: list[dict[str, Any]]) -> dict[str, Any]:
    """A person's answer says more than the timer beside it."""
    order = ("ExternalEvent", "Activity", "SubOrchestration", "EntityLock", "EntityOperation", "Timer", "More")
    return min(waits, key=lambda wait: order.index(wait["kind"]))


def _phrase(wait: dict[str, Any]) -> str:
    kind, name = wait["kind"], wait["name"]
    if kind == "Timer":
        return f"timer {name + ' ' if name else ''}due {wait['due_at']}"
    if kind == "ExternalEvent":
        due = f" (due {wait['due_at']})" if wait["due_at"] else ""
        return (wait["title"] or f"event {name}") + due
    if kind in ENTITY_PHRASES:
        return f"{ENTITY_PHRASES[kind]} {name}"
    is_retry = wait["max_attempts"] and wait["attempt"] > 1
    retry = f", attempt {wait['attempt']} of {wait['max_attempts']}" if is_retry else ""
    next_try = f", next try {wait['due_at']}" if wait["due_at"] else ""
    return f"{'activity' if kind == 'Activity' else 'sub-orchestration'} {name}{retry}{next_try}"


def _describe(leaf: Task) -> dict[str, Any]:
    wait: dict[str, Any] = {
        "kind": "Timer",
        "name": None,
        "task_id": leaf.id,
        "since": None,
        "due_at": None,
        "attempt": 1,
        "max_attempts": None,
        "instance_id": None,
        "title": None,
    }
    if isinstance(leaf, TimerTask):
        wait.update(name=leaf.title or None, since=leaf.since.isoformat(), due_at=leaf.due_at.isoformat())
    elif isinstance(leaf, ExternalEventTask):
        wait.update(
            kind="ExternalEvent",
            name=leaf.name,
            since=leaf.since.isoformat(),
            due_at=leaf.timer.due_at.isoformat() if leaf.timer is not None else None,
            title=leaf.title or None,
        )
    elif isinstance(leaf, LockTask):
        wait.update(kind="EntityLock", name=", ".join(leaf.entities)[:200], since=leaf.since.isoformat())
    elif isinstance(leaf, EntityTask):
        wait.update(
            kind="EntityOperation",
            name=f"{leaf.name} of {leaf.entity_id}",
            since=leaf.since.isoformat(),
            instance_id=leaf.entity_id,
        )
    elif isinstance(leaf, ActionTask):
        wait.update(
            kind="Activity" if leaf.child_id is None else "SubOrchestration",
            name=leaf.title or leaf.name,
            since=leaf.since.isoformat(),
            due_at=leaf.retry_at.isoformat() if leaf.retry_at else None,
            attempt=leaf.attempt,
            max_attempts=leaf.policy.max_number_of_attempts if leaf.policy else None,
            instance_id=leaf.child_id,
        )
    return wait
