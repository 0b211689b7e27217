"""One batch of an entity's messages as a function: (state, lock, messages in order) -> (state, lock, what to send).

An operation that raises changes nothing and sends nothing, except to its caller; the next one runs all the same. While
an orchestration holds the lock, only its operations run; those of others, and further requests for the lock, are
deferred. A request goes through all entities that it names, in order, and the last one tells the orchestration; what
withdraws it goes the same way behind it, and so never arrives before it.

It reads no clock and does no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from orchestrations.core.actions import Action, DeliverEvent
from orchestrations.core.definitions import EntityCode, Functions
from orchestrations.core.entity_context import EntityContext, Operation
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.failures import FailureDetails
from orchestrations.core.interruptions import is_authors

CALLERS_KEPT = 10


@dataclass(frozen=True, slots=True)
class EntityLock:
    """Who holds an entity: an orchestration, and the id of its request."""

    owner: str
    request_id: str


class Caller(msgspec.Struct, frozen=True, array_like=True):
    """Who had an operation carried out: an instance or an entity by its id, or whoever used the client by name."""

    at: str  # ISO 8601
    name: str  # "" where nobody is named
    operation: str
    is_call: bool  # which waits for the result, unlike a signal
    is_instance: bool


@dataclass(frozen=True, slots=True)
class EntityStanding:
    """An entity between two batches. ``backlog`` says how many messages were deferred and are still.

    ``callers`` are those of the latest CALLERS_KEPT operations, oldest first.
    """

    entity_id: EntityId
    state: str | None = None
    lock: EntityLock | None = None
    backlog: int = 0
    callers: tuple[Caller, ...] = ()


@dataclass(slots=True)
class EntityBatch:
    """What a batch made of an entity. Messages are named by their position among those that were given.

    ``taken`` are done with; ``deferred`` wait for the lock to be released; those in neither stay where they are, for
    the next batch. ``withdrawn`` are the ids of lock requests deferred earlier that count no more. ``reveals`` says
    that what was deferred earlier comes first in the next batch.
    """

    standing: EntityStanding
    taken: list[int] = field(default_factory=list)
    deferred: list[int] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    reveals: bool = False
    actions: list[Action] = field(default_factory=list)
    failures: list[tuple[str, BaseException]] = field(default_factory=list)
    operations: int = 0


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How long the author's code may go on.

    ``bounded`` is entered for each operation and may raise inside it; the batch ends after the operation at which
    ``has_time()`` is False. ``poison`` fails the first operation unrun: workers have died of it.
    """

    bounded: Callable[[], AbstractContextManager[None]] = nullcontext
    has_time: Callable[[], bool] = lambda: True
    poison: Exception | None = None


def run_batch(
    code: EntityCode,
    functions: Functions,
    standing: EntityStanding,
    messages: Sequence[HistoryEvent],
    now: datetime,
    seed: str,
    limits: BatchLimits | None = None,
) -> EntityBatch:
    """Carry out the messages in order. The same arguments give the same batch, as far as the author's code does.

    ``seed`` is text that no other batch of any entity has.
    """
    return _Runner(code, functions, standing, messages, now, seed, limits or BatchLimits()).run()


def encode_callers(callers: Sequence[Caller]) -> str:
    """The text that ``decode_callers`` reads."""
    return msgspec.json.encode(callers).decode()


def decode_callers(text: str | None) -> tuple[Caller, ...]:
    """The callers that were kept as text; none where nothing was."""
    return msgspec.json.decode(text, type=tuple[Caller, ...]) if text else ()


def lock_key(request_id: str) -> str:
    """The idempotency key under which a lock request lies in an inbox."""
    return f"lock:{request_id}"


class _Runner:
    """The state of a batch while it runs."""

    def __init__(
        self,
        code: EntityCode,
        functions: Functions,
        standing: EntityStanding,
        messages: Sequence[HistoryEvent],
        now: datetime,
        seed: str,
        limits: BatchLimits,
    ) -> None:
        self.code = code
        self.functions = functions
        self.messages = messages
        self.now = now
        self.seed = seed
        self.limits = limits
        self.batch = EntityBatch(standing)
        self.state = standing.state
        self.lock = standing.lock
        self.backlog = standing.backlog
        self.callers = deque(standing.callers, CALLERS_KEPT)
        self.poison = limits.poison
        self.queue = deque(range(len(messages)))

    def run(self) -> EntityBatch:
        batch = self.batch
        while self.queue and not batch.reveals and not (batch.operations and not self.limits.has_time()):
            position = self.queue.popleft()
            HANDLERS.get(self.messages[position].type, _Runner._ignore)(self, position)
        backlog = 0 if batch.reveals else self.backlog + len(batch.deferred)
        batch.standing = replace(
            batch.standing, state=self.state, lock=self.lock, backlog=backlog, callers=tuple(self.callers)
        )
        return batch

    # Locks -------------------------------------------------------------------------------------------------------

    def _request_lock(self, position: int) -> None:
        attributes = self.messages[position].attributes
        request_id = attributes["request_id"]
        if self.lock is not None and self.lock.request_id != request_id:
            self.batch.deferred.append(position)
            return
        self.batch.taken.append(position)
        self.lock = EntityLock(attributes["owner"], request_id)
        self._pass_on(position)

    def _pass_on(self, position: int) -> None:
        """Ask the next entity, or tell the orchestration that it holds all of them."""
        request = self.messages[position]
        attributes = request.attributes
        following = attributes["entities"][1:]
        if following:
            self._send(following[0], lock_request(request, following, self.now))
            return
        told = {"request_id": attributes["request_id"]}
        granted = HistoryEvent(EventType.ENTITY_LOCK_GRANTED, self.now, request.task_id, attributes=told)
        self._send(attributes["owner"], granted)

    def _release(self, position: int) -> None:
        attributes = self.messages[position].attributes
        request_id = attributes["request_id"]
        self.batch.taken.append(position)
        if self.lock is not None and self.lock.request_id == request_id:
            self.lock = None
            self.queue.extendleft(reversed(self.batch.deferred))
            self.batch.deferred = []
            self.batch.reveals = self.backlog > 0
        else:
            self._withdraw(request_id)
        following = attributes.get("entities", ())[1:]
        if following:
            self._send(following[0], unlock(request_id, following, self.now))

    def _withdraw(self, request_id: str) -> None:
        for position in self.batch.deferred:
            message = self.messages[position]
            if message.type is EventType.ENTITY_LOCK_REQUESTED and message.attributes["request_id"] == request_id:
                self.batch.deferred.remove(position)
                self.batch.taken.append(position)
                return
        if self.backlog:
            self.batch.withdrawn.append(request_id)

    # Operations --------------------------------------------------------------------------------------------------

    def _caller(self, message: HistoryEvent) -> Caller:
        owner = message.attributes.get("owner")
        return Caller(
            self.now.isoformat(),
            owner or message.attributes.get("by") or "",
            message.name or "",
            is_call=message.type is EventType.ENTITY_CALLED,
            is_instance=owner is not None,
        )

    def _operate(self, position: int) -> None:
        message = self.messages[position]
        if self.lock is not None and message.attributes.get("lock") != self.lock.request_id:
            self.batch.deferred.append(position)
            return
        self.batch.taken.append(position)
        self.batch.operations += 1
        self.callers.append(self._caller(message))
        operation = Operation(
            entity_id=self.batch.standing.entity_id,
            name=message.name or "",
            input=message.payload,
            state=self.state,
            now=self.now,
            seed=f"{self.seed}/{self.batch.operations}",
            orchestration_id=message.attributes.get("owner"),
        )
        try:
            result = self._execute(operation)
        except BaseException as error:
            if not is_authors(error):
                raise
            self.batch.failures.append((operation.name, error))
            self._answer(message, EventType.ENTITY_FAILED, _failure(error))
            return
        self.state = None if operation.is_destructed else operation.state
        self._answer(message, EventType.ENTITY_COMPLETED, result)
        self.batch.actions += operation.actions

    def _execute(self, operation: Operation) -> str | None:
        if self.poison is not None:
            error, self.poison = self.poison, None
            raise error
        with self.limits.bounded():
            return self.code.execute(EntityContext(operation, self.functions), operation)

    def _answer(self, message: HistoryEvent, kind: EventType, payload: str | None) -> None:
        if message.type is EventType.ENTITY_CALLED:
            attributes = {"request_id": message.attributes["request_id"]}
            answer = HistoryEvent(kind, self.now, message.task_id, message.name, payload, attributes=attributes)
            self._send(message.attributes["owner"], answer)

    def _send(self, instance_id: str, event: HistoryEvent) -> None:
        self.batch.actions.append(DeliverEvent(instance_id, event))

    def _ignore(self, position: int) -> None:
        """Take what means nothing to an entity."""
        self.batch.taken.append(position)


HANDLERS: dict[EventType, Callable[[_Runner, int], None]] = {
    EventType.ENTITY_SIGNALED: _Runner._operate,
    EventType.ENTITY_CALLED: _Runner._operate,
    EventType.ENTITY_LOCK_REQUESTED: _Runner._request_lock,
    EventType.ENTITY_UNLOCK_SENT: _Runner._release,
}


def lock_request(request: HistoryEvent, entities: Sequence[str], now: datetime) -> HistoryEvent:
    """The request as the first of ``entities`` gets it: it locks that one, and goes on to the others."""
    attributes: dict[str, Any] = {**request.attributes, "entities": list(entities)}
    return HistoryEvent(EventType.ENTITY_LOCK_REQUESTED, now, request.task_id, attributes=attributes)


def unlock(request_id: str, entities: Sequence[str], now: datetime) -> HistoryEvent:
    """What releases the first of ``entities`` from that request, and goes on to the others."""
    attributes: dict[str, Any] = {"request_id": request_id, "entities": list(entities)}
    return HistoryEvent(EventType.ENTITY_UNLOCK_SENT, now, attributes=attributes)


def _failure(error: BaseException) -> str:
    return msgspec.json.encode(FailureDetails.from_exception(error).to_json()).decode()
