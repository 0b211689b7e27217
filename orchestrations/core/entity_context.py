"""What an operation of an entity is given: the entity's state, its input, and the one way to act on others.

It answers to the names of azure-functions-durable 1.x and to those of the durabletask SDK.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrations.core.actions import Action, CreateSubOrchestration, DeliverEvent
from orchestrations.core.definitions import Functions
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.identifiers import check_instance_id, check_operation_name

STARTED_BY_ENTITIES = uuid.UUID("3a0f5a3e-1c37-5f0b-8d5c-6f2c54a7a1a4")


@dataclass(slots=True)
class Operation:
    """One operation as it is carried out: what it was asked for, and what it has done so far."""

    entity_id: EntityId
    name: str
    input: str | None
    state: str | None
    now: datetime
    seed: str
    """Text that no other operation has; ids of instances that it starts are made of it."""
    orchestration_id: str | None = None
    actions: list[Action] = field(default_factory=list)
    result: Any = None
    is_destructed: bool = False
    is_state_set: bool = False
    started: int = 0


class EntityContext:
    """An entity's side of one operation. Valid only inside the operation that it was made for."""

    def __init__(self, operation: Operation, functions: Functions) -> None:
        self._operation = operation
        self._functions = functions
        self.is_newly_constructed = operation.state is None

    # What is asked for -------------------------------------------------------------------------------------------

    @property
    def entity_id(self) -> EntityId:
        """The entity's name and key."""
        return self._operation.entity_id

    @property
    def entity_name(self) -> str:
        """The entity's name, in lower case."""
        return self._operation.entity_id.name

    @property
    def entity_key(self) -> str:
        """The entity's key."""
        return self._operation.entity_id.key

    @property
    def operation_name(self) -> str:
        """The operation that is asked for."""
        return self._operation.name

    @property
    def operation(self) -> str:
        """``operation_name`` under durabletask's name."""
        return self._operation.name

    @property
    def orchestration_id(self) -> str | None:
        """The id of the orchestration that calls or signals; None where it is a client or another entity."""
        return self._operation.orchestration_id

    @property
    def current_utc_datetime(self) -> datetime:
        """When the batch began that the operation belongs to, aware UTC, by the database's clock."""
        return self._operation.now

    def get_input(self, expected_type: object = None, *, data_type: object = None) -> Any:
        """The operation's input, converted to ``data_type`` where one is given."""
        return self._functions.decode(self._operation.input, data_type or expected_type, f"{self._subject}: input")

    # State -------------------------------------------------------------------------------------------------------

    def get_state(
        self,
        initializer: object = None,
        default: Any = None,
        *,
        expected_type: object = None,
        intended_type: object = None,
    ) -> Any:
        """A copy of the entity's state.

        As in azure-functions-durable 1.x: ``initializer``, a function, gives what stands for the state of an entity
        that has none, and ``expected_type``, also as the second argument behind a function, is what a state is
        converted to. As in durabletask: a type in place of the function (or as ``intended_type``) is what the state is
        converted to, and ``default`` what stands for none.
        """
        is_initializer = callable(initializer) and not isinstance(initializer, type)
        if is_initializer:
            expected_type, default = expected_type or default, None
        elif initializer is not None:
            expected_type = initializer
        if self._operation.state is None:
            return initializer() if is_initializer else default  # type: ignore[operator]
        return self._functions.decode(self._operation.state, expected_type or intended_type, f"{self._subject}: state")

    def set_state(self, state: object) -> None:
        """Replace the state by a JSON value. None deletes the entity; 0, "" and [] are states as good as any.

        Raises PayloadRejected for a value that JSON can't hold.
        """
        self._operation.state = self._functions.encode(state, f"{self._subject}: state")
        self._operation.is_state_set = True

    def set_result(self, result: object) -> None:
        """Give a result, as azure-functions-durable 1.x does. What the operation returns, unless None, overrides it."""
        self._operation.result = result

    def destruct_on_exit(self) -> None:
        """Delete the entity when the operation ends."""
        self._operation.is_destructed = True

    # Others ------------------------------------------------------------------------------------------------------

    def signal_entity(
        self, entity_id: object, operation_name: str, input: object = None, signal_time: datetime | None = None
    ) -> None:
        """Ask an operation of an entity and go on. It is not begun before ``signal_time`` (a naive one is UTC).

        It is sent if and only if the operation ends well.
        """
        self._operation.actions.append(
            signal(self._functions, EntityId.of(entity_id), operation_name, input, signal_time, self._operation.now)
        )

    def schedule_new_orchestration(
        self,
        orchestrator_name: object,
        input: object = None,
        instance_id: str | None = None,
        *,
        version: str | None = None,
    ) -> str:
        """Start an orchestration if the operation ends well, and return its instance id."""
        operation = self._operation
        operation.started += 1
        name = self._functions.orchestrator_name(orchestrator_name)
        text = self._functions.encode_orchestrator_input(name, input)
        chosen = (
            uuid.uuid5(STARTED_BY_ENTITIES, f"{operation.seed}/{operation.started}").hex
            if instance_id is None
            else check_instance_id(instance_id)
        )
        operation.actions.append(CreateSubOrchestration(0, name, text, chosen, version=version, fire_and_forget=True))
        return chosen

    start_new: Callable[..., str] = schedule_new_orchestration

    @property
    def _subject(self) -> str:
        return f"entity {self.entity_name!r}, operation {self._operation.name!r}"


DurableEntityContext = EntityContext
"""The name that azure-functions-durable 1.x has for it in annotations."""


def signal(
    functions: Functions,
    entity_id: EntityId,
    operation_name: str,
    value: object,
    signal_time: datetime | None,
    now: datetime,
) -> DeliverEvent:
    """The action that asks an operation of an entity without waiting for it."""
    name = check_operation_name(operation_name)
    payload = functions.encode(value, f"entity {entity_id.name!r}, operation {name!r}: input")
    if signal_time is not None:
        if not isinstance(signal_time, datetime):
            raise TypeError(f"signal_time is a {type(signal_time).__name__}. Pass a datetime.")
        signal_time = signal_time.replace(tzinfo=UTC) if signal_time.tzinfo is None else signal_time.astimezone(UTC)
    event = HistoryEvent(EventType.ENTITY_SIGNALED, now, name=name, payload=payload)
    return DeliverEvent(str(entity_id), event, visible_at=signal_time)
