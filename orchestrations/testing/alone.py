"""One function alone, without an engine or a database: an orchestrator's generator, or an operation of an entity."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from orchestrations.authoring.entities import EntityDefinition
from orchestrations.authoring.payloads import decode, encode
from orchestrations.authoring.registry import registry
from orchestrations.core.actions import CreateSubOrchestration, DeliverEvent
from orchestrations.core.entity_context import EntityContext, Operation
from orchestrations.core.entity_ids import EntityId
from orchestrations.runtime.instances import FUNCTIONS


def orchestrator_generator_wrapper(generator: Generator[Any, Any, Any]) -> Generator[Any, None, None]:
    """Drive an orchestrator's generator, as the function of that name of azure-functions-durable does.

    Yields each task that the orchestrator yields, gives it that task's ``result`` or raises in it what ``result``
    raises, and in the end yields the orchestrator's own result. The context and its tasks are the test's, mocks for
    instance.
    """
    go_on: Callable[[], Any] = partial(next, generator)
    while True:
        try:
            task = go_on()
        except StopIteration as end:
            yield end.value
            return
        yield task
        try:
            go_on = partial(generator.send, task.result)
        except Exception as error:
            go_on = partial(generator.throw, error)


@dataclass(frozen=True, slots=True)
class Signal:
    """An operation that an entity asked of another one."""

    entity_id: EntityId
    operation_name: str
    input: Any = None
    signal_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """An orchestration that an entity started."""

    name: str
    input: Any
    instance_id: str


@dataclass(frozen=True, slots=True)
class EntityOutcome:
    """What one operation led to. Values are as JSON holds them."""

    result: Any
    state: Any
    """The state after it; None where there is none any more."""
    signals: list[Signal]
    starts: list[Start]


def execute_entity(
    entity: Callable[..., Any] | str,
    operation_name: str,
    operation_input: object = None,
    state: object = None,
    *,
    key: str = "test",
    orchestration_id: str | None = None,
) -> EntityOutcome:
    """Carry out one operation of a declared entity, given by reference or by name, on that state; None is no state.

    Input, state and result go through JSON, as they do in the engine. Raises what the operation raises, as its caller
    would be told, and FunctionNotRegistered for an unknown entity.
    """
    definition: EntityDefinition = registry.entity(entity.lower()) if isinstance(entity, str) else entity.durable  # type: ignore[attr-defined]
    operation = Operation(
        entity_id=EntityId(definition.name, key),
        name=operation_name,
        input=encode(operation_input, f"entity {definition.name!r}: input"),
        state=encode(state, f"entity {definition.name!r}: state"),
        now=datetime.now(UTC),
        seed=f"{definition.name}/{key}",
        orchestration_id=orchestration_id,
    )
    result = definition.execute(EntityContext(operation, FUNCTIONS), operation)
    return EntityOutcome(
        result=_plain(result),
        state=None if operation.is_destructed else _plain(operation.state),
        signals=[_signal(action) for action in operation.actions if isinstance(action, DeliverEvent)],
        starts=[_start(action) for action in operation.actions if isinstance(action, CreateSubOrchestration)],
    )


def _signal(action: DeliverEvent) -> Signal:
    event = action.event
    return Signal(EntityId.of(action.instance_id), event.name or "", _plain(event.payload), action.visible_at)


def _start(action: CreateSubOrchestration) -> Start:
    return Start(action.name, _plain(action.input), action.instance_id)


def _plain(text: str | None) -> Any:
    return decode(text, None, "a value of the entity")
