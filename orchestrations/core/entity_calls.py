"""What an orchestrator can decide about entities: signals, calls and locks.

An orchestrator has at most one critical section: the entities that it holds, or has asked for. Its end, of whatever
kind, releases them. A rewind that goes on inside the section asks for them anew, and keeps calls back until it has
them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from orchestrations.core.actions import DeliverEvent
from orchestrations.core.entities import unlock
from orchestrations.core.entity_context import signal
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.errors import LockingRulesViolation
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.identifiers import check_operation_name
from orchestrations.core.status import RuntimeStatus
from orchestrations.core.tasks import ActionTask

if TYPE_CHECKING:
    from orchestrations.core.execution import Execution

REQUESTS = uuid.UUID("5b5d9c0e-0f6a-5c64-9d5b-2a1de0a7f6d3")


class EntityTask(ActionTask):
    """A called operation; completes with its result."""

    __slots__ = ("entity_id", "request_id")

    kind = "Entity operation"

    def __init__(self, execution: Execution, task_id: int, name: str, entity_id: str, **fields: Any) -> None:
        super().__init__(task_id, name, policy=None, since=execution.clock, note_failure=execution.position, **fields)
        self.owner = execution
        self.entity_id = entity_id
        self.request_id = request_id(execution, task_id)


class LockTask(EntityTask):
    """A request for entities; completes with the EntityLock that holds them."""

    __slots__ = ("entities",)

    def __init__(self, execution: Execution, task_id: int, entities: Sequence[str]) -> None:
        super().__init__(execution, task_id, "lock", entities[0], input=None, decode=lambda text: None)
        self.entities = entities


class EntityLock:
    """The entities that an orchestrator holds, until the ``with`` block that it is used in ends."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def release(self) -> None:
        """Let the entities go. Has no effect where that has happened already."""
        section = self._execution.section
        if section is not None and section.lock is self:
            section.leave()

    def __enter__(self) -> EntityLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    async def __aenter__(self) -> EntityLock:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class CriticalSection:
    """The entities that an execution has asked for, in order, and whether it has them."""

    def __init__(self, execution: Execution, task: LockTask) -> None:
        self.execution = execution
        self.task = task
        self.lock = EntityLock(execution)
        self.request_id = task.request_id
        self.requests = 1
        self.is_granted = False
        self.calls: dict[str, EntityTask] = {}  # the latest to each
        self.kept_back: list[DeliverEvent] = []  # calls that wait for the lock to be had again

    @property
    def entities(self) -> Sequence[str]:
        """Their ids, sorted."""
        return self.task.entities

    def request(self) -> None:
        """Ask the first entity, which asks the others."""
        execution, task = self.execution, self.task
        asked = {"request_id": self.request_id, "entities": list(self.entities)}
        message = HistoryEvent(
            EventType.ENTITY_LOCK_REQUESTED,
            execution.clock,
            task_id=int(task.id or 0),
            attributes={**asked, "owner": execution.facts.instance_id},
        )
        execution.decide(
            EventType.ENTITY_LOCK_REQUESTED,
            DeliverEvent(self.entities[0], message),
            task_id=int(task.id or 0),
            attempt=self.requests,
            attributes=asked,
        )

    def awaits(self, event: HistoryEvent) -> bool:
        """Whether the grant is the one that is waited for."""
        return not self.is_granted and event.attributes.get("request_id") == self.request_id

    def grant(self) -> None:
        """Have the entities: the code goes on, or after a rewind the calls that were kept back go out."""
        self.is_granted = True
        for action in self.kept_back:
            self.execution.perform(action)
        self.kept_back = []
        if not self.task.has_ended:
            self.task.complete(self.lock)

    def request_again(self) -> None:
        """After a rewind or fork: the end of the earlier execution has released the entities, or they are the origin's.

        A request that the code has decided since its history ends was not sent yet, and is the one that goes out.
        """
        earlier = self.request_id
        if any(_requests(action, earlier) for action in self.execution.actions):
            return
        self.requests += 1
        self.request_id = request_id(self.execution, int(self.task.id or 0))
        self.is_granted = False
        kept = [action for action in self.execution.take_actions() if not self._keep_back(action, earlier)]
        for action in kept:
            self.execution.perform(action)
        for call in self.kept_back:
            call.event.attributes["lock"] = self.request_id
        self.request()

    def _keep_back(self, action: object, earlier: str) -> bool:
        """Keep a call that the code has decided since its history ends; it was not sent yet."""
        if not isinstance(action, DeliverEvent) or action.event.attributes.get("lock") != earlier:
            return False
        if not any(action is known for known in self.kept_back):
            self.kept_back.append(action)
        return True

    def leave(self) -> None:
        """Release the entities by decision of the code."""
        execution = self.execution
        if execution.is_discarded:
            return
        execution.section = None
        first, *others = self._releases()
        attributes = {"request_id": self.request_id, "entities": list(self.entities)}
        execution.decide(EventType.ENTITY_UNLOCK_SENT, first, task_id=execution.next_id(), attributes=attributes)
        for action in others:
            execution.perform(action)

    def end(self, status: RuntimeStatus) -> None:
        """Release the entities because the execution ends. No event stands for it: the end does."""
        if status is RuntimeStatus.COMPLETED:
            for action in self.kept_back:
                self.execution.perform(action)
        for action in self._releases():
            self.execution.perform(action)

    def _releases(self) -> list[DeliverEvent]:
        """What lets them go: each at once where it has them all, else along the way that its request is taking."""
        clock = self.execution.clock
        if self.is_granted:
            return [DeliverEvent(name, unlock(self.request_id, [name], clock)) for name in self.entities]
        return [DeliverEvent(self.entities[0], unlock(self.request_id, self.entities, clock))]

    # Rules -------------------------------------------------------------------------------------------------------

    def check_call(self, entity_id: str) -> None:
        """Only an entity that is held may be called, and not while an earlier call of it is open."""
        if not self.is_granted and not self.task.has_ended:
            raise LockingRulesViolation("Wait for the lock, by yield or await, before you call an entity.")
        if entity_id not in self.entities:
            raise LockingRulesViolation(
                f"The entity {entity_id!r} is not among those that are locked: {', '.join(self.entities)}. Lock it "
                "together with them, or call it outside the block."
            )
        earlier = self.calls.get(entity_id)
        if earlier is not None and not earlier.has_ended:
            raise LockingRulesViolation(
                f"The operation {earlier.name!r} of {entity_id!r} has not ended yet. Wait for it: a locked entity is "
                "called by one call at a time."
            )

    def check_signal(self, entity_id: str) -> None:
        """An entity that is held is called, not signalled."""
        if entity_id in self.entities:
            raise LockingRulesViolation(f"The entity {entity_id!r} is locked. Call it, or signal it after the block.")


def _requests(action: object, request_id: str) -> bool:
    return (
        isinstance(action, DeliverEvent)
        and action.event.type is EventType.ENTITY_LOCK_REQUESTED
        and action.event.attributes["request_id"] == request_id
    )


def request_id(execution: Execution, task_id: int) -> str:
    """An id that no other request has, and that is the same on every replay and after a rewind."""
    name = f"{execution.facts.instance_id}/{execution.generation}/{task_id}/{execution.clock.isoformat()}"
    return uuid.uuid5(REQUESTS, name).hex


def call_entity(
    execution: Execution, reference: object, operation_name: object, value: object, return_type: object
) -> EntityTask:
    """Ask an operation and wait for its result."""
    entity_id = str(EntityId.of(reference))
    name = check_operation_name(operation_name)
    functions = execution.functions
    subject = f"entity {entity_id!r}, operation {name!r}"
    text = functions.encode(value, f"{subject}: input")
    section = execution.section
    if section is not None:
        section.check_call(entity_id)
    task_id = execution.next_id()
    task = EntityTask(
        execution,
        task_id,
        name,
        entity_id,
        input=text,
        decode=lambda result: functions.decode(result, return_type, f"{subject}: return value"),
    )
    execution.tasks[task_id] = task
    action = called(execution, task)
    if section is not None:
        section.calls[entity_id] = task
    execution.decide(
        EventType.ENTITY_CALLED,
        action,
        task_id=task_id,
        name=name,
        payload=text,
        attributes={"instance_id": entity_id, "request_id": task.request_id},
    )
    if section is not None and not section.is_granted:  # after a rewind; the event stands, the message waits
        execution.actions.pop()
        section.kept_back.append(action)
    return task


def called(execution: Execution, task: EntityTask) -> DeliverEvent:
    """The message that asks for the operation."""
    attributes = {"owner": execution.facts.instance_id, "request_id": task.request_id}
    if execution.section is not None and task.entity_id in execution.section.entities:
        attributes["lock"] = execution.section.request_id
    event = HistoryEvent(
        EventType.ENTITY_CALLED, execution.clock, int(task.id or 0), task.name, task.input, attributes=attributes
    )
    return DeliverEvent(task.entity_id, event)


def signal_entity(
    execution: Execution, reference: object, operation_name: str, value: object, signal_time: datetime | None
) -> None:
    """Ask an operation and go on."""
    entity_id = EntityId.of(reference)
    if execution.section is not None:
        execution.section.check_signal(str(entity_id))
    action = signal(execution.functions, entity_id, operation_name, value, signal_time, execution.clock)
    action.event.attributes["owner"] = execution.facts.instance_id
    attributes: dict[str, Any] = {"instance_id": str(entity_id)}
    if action.visible_at is not None:
        attributes["fire_at"] = action.visible_at.isoformat()
    execution.decide(
        EventType.ENTITY_SIGNALED,
        action,
        task_id=execution.next_id(),
        name=action.event.name,
        payload=action.event.payload,
        attributes=attributes,
    )


def lock_entities(execution: Execution, references: Iterable[object]) -> LockTask:
    """Ask for entities, one after another in the order of their ids, so that no two orchestrators wait in a circle."""
    execution.check_alive()
    if execution.section is not None:
        raise LockingRulesViolation("Locks can't be nested. Lock all entities at once, or end the first block before.")
    if isinstance(references, str | EntityId):
        raise TypeError(f"lock_entities takes a list. Pass [{references!r}] to lock that one.")
    entities = sorted({str(EntityId.of(reference)) for reference in references})
    if not entities:
        raise ValueError("lock_entities needs at least one entity.")
    task_id = execution.next_id()
    task = LockTask(execution, task_id, entities)
    execution.tasks[task_id] = task
    execution.section = CriticalSection(execution, task)
    execution.section.request()
    return task


def call_again(execution: Execution, task_ids: Iterable[int]) -> None:
    """Call the operations again whose failure a rewind has undone. Other open calls are under way, and stay so."""
    section = execution.section
    for task_id in task_ids:
        task = execution.tasks.get(task_id)
        if isinstance(task, EntityTask) and not task.has_ended:
            action = called(execution, task)
            if section is not None and not section.is_granted and task.entity_id in section.entities:
                section.kept_back.append(action)
            else:
                execution.perform(action)
