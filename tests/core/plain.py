"""The smallest functions that the core can run: plain JSON, names as given."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrations.core.definitions import OrchestratorDefinition
from orchestrations.core.episode import Episode, advance, open_execution
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.execution import Execution
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.failures import FailureDetails
from orchestrations.limits import CUSTOM_STATUS_BYTES

START = datetime(2026, 1, 1, tzinfo=UTC)


class PlainFunctions:
    """core.definitions.Functions over ``json``, with every name allowed."""

    def activity_name(self, reference: object) -> str:
        return reference if isinstance(reference, str) else getattr(reference, "__name__", str(reference))

    orchestrator_name = activity_name

    def orchestrator_version(self, reference: object) -> str | None:
        return None

    def custom_status_bytes(self) -> int:
        return CUSTOM_STATUS_BYTES

    def encode(self, value: object, subject: str) -> str | None:
        return None if value is None else json.dumps(value)

    def decode(self, text: str | None, data_type: object, subject: str) -> Any:
        return None if text is None else json.loads(text)

    def encode_activity_input(self, name: str, value: object) -> str | None:
        return self.encode(value, name)

    encode_orchestrator_input = encode_activity_input

    def decode_activity_result(self, name: str, text: str | None, return_type: object = None) -> Any:
        return self.decode(text, return_type, name)

    decode_orchestrator_result = decode_activity_result

    def activity_timeout_seconds(self, name: str) -> float | None:
        return None

    activity_heartbeat_timeout_seconds = activity_timeout_seconds

    def describe_form(self, declared: object) -> dict[str, Any]:
        return {"path": "", "version": 1, "outcome": "decision", "bulk": False, "schema": {"fields": []}}

    def decode_answer(self, declared: object, text: str | None, subject: str) -> Any:
        return self.decode(text, declared, subject)


def definition(function: Callable[..., Any], *, takes_input: bool = False) -> OrchestratorDefinition:
    """A definition of the function under its own name."""
    return OrchestratorDefinition(
        function.__name__,
        function,
        takes_input,
        decode_input=lambda text: None if text is None else json.loads(text),
        encode_output=lambda value: None if value is None else json.dumps(value),
    )


class Driver:
    """Feeds events to one execution, second by second, and keeps its history."""

    def __init__(
        self,
        function: Callable[..., Any] | OrchestratorDefinition,
        *,
        takes_input: bool = False,
        input: object = None,
    ) -> None:
        is_defined = isinstance(function, OrchestratorDefinition)
        self.definition = function if is_defined else definition(function, takes_input=takes_input)
        text = None if input is None else json.dumps(input)
        self.facts = InstanceFacts("i1", self.definition.name, input=text)
        self.history: list[HistoryEvent] = []
        self.episodes: list[Episode] = []
        self.now = START
        self.execution: Execution = open_execution(self.definition, PlainFunctions(), self.facts)

    def event(self, type: EventType, task_id: int | None = None, **fields: Any) -> HistoryEvent:
        """An event one second after the last one."""
        self.now += timedelta(seconds=1)
        return HistoryEvent(type, self.now, task_id=task_id, **fields)

    def stamp(self, event: HistoryEvent) -> HistoryEvent:
        """A copy of the event, one second after the last one."""
        self.now += timedelta(seconds=1)
        return replace(event, timestamp=self.now, attributes=dict(event.attributes))

    def feed(self, *events: HistoryEvent) -> Episode:
        """Feed events as one episode."""
        episode = advance(self.execution, events)
        self.history += episode.events
        self.episodes.append(episode)
        return episode

    def start(self) -> Episode:
        return self.feed(self.event(EventType.EXECUTION_STARTED))

    def completed(self, task_id: int, result: object = None, attempt: int = 1) -> HistoryEvent:
        return self.event(EventType.TASK_COMPLETED, task_id, payload=json.dumps(result), attempt=attempt)

    def failed(self, task_id: int, error: BaseException | None = None, attempt: int = 1) -> HistoryEvent:
        details = FailureDetails.from_exception(error or ValueError("no"))
        return self.event(EventType.TASK_FAILED, task_id, payload=json.dumps(details.to_json()), attempt=attempt)

    def raised(self, name: str, value: object = None) -> HistoryEvent:
        return self.event(EventType.EVENT_RAISED, name=name, payload=json.dumps(value))

    def reload(self) -> None:
        """Drop the execution from memory and replay it from its history."""
        self.execution.discard()
        self.execution = open_execution(self.definition, PlainFunctions(), self.facts, self.history)
