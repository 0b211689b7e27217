"""What a client learns of an instance: a frozen snapshot, with payloads decoded when they are first asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from orchestrations.authoring import payloads
from orchestrations.core.failures import FailureDetails
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import Instance


class OrchestrationFailed(Exception):
    """The orchestration whose result is wanted has ended otherwise than Completed; ``details`` says how it failed."""

    def __init__(self, status: OrchestrationStatus) -> None:
        self.status = status
        self.details = status.failure_details
        cause = self.details.message if self.details else "no details were kept"
        super().__init__(f"Orchestration {status.instance_id!r} is {status.runtime_status}: {cause}")


@dataclass(frozen=True)
class OrchestrationStatus:
    """One instance as it stood when it was read. It answers to the names of azure-functions-durable 1.x and of the
    durabletask SDK's OrchestrationState."""

    name: str
    instance_id: str
    runtime_status: RuntimeStatus
    created_time: datetime
    last_updated_time: datetime
    serialized_input: str | None = None
    """JSON text exactly as stored; None also where it was not asked for."""
    serialized_output: str | None = None
    serialized_custom_status: str | None = None
    serialized_failure: str | None = None
    history: list[dict[str, Any]] | None = None
    """History events with the key names of the HTTP API; None unless asked for, and for an instance still Pending."""
    version: str = ""
    tags: dict[str, str] | None = None
    execution: int = 1
    """Grows with continue_as_new, a rewind, and a new start under the same id."""
    parent_instance_id: str | None = None
    forked_from: str | None = None
    """The id of the instance that it was forked from, which may be gone, and from which step of that one's history."""
    forked_step: int | None = None
    scheduled_start_time: datetime | None = None
    started_time: datetime | None = None
    completed_time: datetime | None = None

    @classmethod
    def of(
        cls, row: Instance, *, show_input: bool = True, history: list[dict[str, Any]] | None = None
    ) -> OrchestrationStatus:
        """Take a snapshot of a row whose payload columns are loaded (``input`` only with ``show_input``)."""
        return cls(
            name=row.name,
            instance_id=row.instance_id,
            runtime_status=row.runtime_status,
            created_time=row.created_at,
            last_updated_time=row.last_updated_at,
            serialized_input=row.input if show_input else None,
            serialized_output=row.output,
            serialized_custom_status=row.custom_status,
            serialized_failure=row.failure,
            history=history,
            version=row.version,
            tags=dict(row.tags),
            execution=row.execution,
            parent_instance_id=_parent_id(row),
            forked_from=row.forked_from,
            forked_step=row.forked_step,
            scheduled_start_time=row.scheduled_start_at,
            started_time=row.started_at,
            completed_time=row.completed_at,
        )

    def without_payloads(self) -> OrchestrationStatus:
        """The same for somebody who may not see inputs, outputs, custom statuses and failures."""
        return replace(
            self,
            serialized_input=None,
            serialized_output=None,
            serialized_custom_status=None,
            serialized_failure=None,
        )

    @property
    def created_at(self) -> datetime:
        """``created_time`` under the name of durabletask."""
        return self.created_time

    @property
    def last_updated_at(self) -> datetime:
        """``last_updated_time`` under the name of durabletask."""
        return self.last_updated_time

    @cached_property
    def input(self) -> Any:
        """The input as plain JSON values."""
        return decode_lenient(self.serialized_input)

    @property
    def input_(self) -> Any:
        """``input`` under the name of azure-functions-durable 1.x."""
        return self.input

    @cached_property
    def output(self) -> Any:
        """The result; the reason of a terminated instance; the error message of a failed one."""
        if self.serialized_output is None and self.failure_details is not None:
            return self.failure_details.message
        return decode_lenient(self.serialized_output)

    @cached_property
    def custom_status(self) -> Any:
        """What the orchestrator set last, as plain JSON values."""
        return decode_lenient(self.serialized_custom_status)

    @cached_property
    def failure_details(self) -> FailureDetails | None:
        """How it failed, with the chain of causes; None unless it did."""
        failure = decode_lenient(self.serialized_failure)
        return FailureDetails.from_json(failure) if isinstance(failure, dict) else None

    @property
    def is_terminal(self) -> bool:
        """Whether the instance has ended."""
        return self.runtime_status.is_terminal

    def get_input(self, expected_type: Any = None) -> Any:
        """The input, converted to a type if one is given; raises PayloadRejected where it doesn't fit."""
        return self._converted(self.serialized_input, expected_type, "input")

    def get_output(self, expected_type: Any = None) -> Any:
        """The output, converted to a type if one is given; raises PayloadRejected where it doesn't fit."""
        return self._converted(self.serialized_output, expected_type, "output") if expected_type else self.output

    def get_custom_status(self, expected_type: Any = None) -> Any:
        """The custom status, converted to a type if one is given; raises PayloadRejected where it doesn't fit."""
        return self._converted(self.serialized_custom_status, expected_type, "custom status")

    def raise_if_failed(self) -> None:
        """Raise OrchestrationFailed if the instance has ended Failed, Terminated or Canceled."""
        if self.is_terminal and self.runtime_status is not RuntimeStatus.COMPLETED:
            raise OrchestrationFailed(self)

    def to_json(self, value: Callable[[str | None], Any] | None = None) -> dict[str, Any]:
        """The status payload of the HTTP API, with its keys in their order; that of a fork says of what.

        ``value`` turns stored JSON text into what the payload holds; by default into plain JSON values.
        """
        value = value or decode_lenient
        payload = {
            "name": self.name,
            "instanceId": self.instance_id,
            "runtimeStatus": self.runtime_status.value,
            "input": value(self.serialized_input),
            "customStatus": value(self.serialized_custom_status),
            "output": self.output if self.serialized_output is None else value(self.serialized_output),
            "createdTime": format_time(self.created_time),
            "lastUpdatedTime": format_time(self.last_updated_time),
        }
        if self.forked_from is not None:
            payload |= {"forkedFrom": self.forked_from, "forkedStep": self.forked_step}
        return payload if self.history is None else payload | {"historyEvents": self.history}

    def _converted(self, text: str | None, expected_type: Any, which: str) -> Any:
        if expected_type is None:
            return decode_lenient(text)
        return payloads.decode(text, expected_type, f"the {which} of {self.instance_id}")


def _parent_id(row: Instance) -> str | None:
    """The id that was read with the row, or else a look at the parent's own row."""
    if row.parent_id is None:
        return None
    known = getattr(row, "parents_id", None)
    if known is not None:
        return str(known)
    return type(row).objects.using(row._state.db).filter(pk=row.parent_id).values_list("instance_id", flat=True).first()


def decode_lenient(text: str | None) -> Any:
    """The JSON value of the text, or the text itself where it is none (a reason, an error message)."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def format_time(instant: datetime) -> str:
    """Whole seconds of UTC, as the HTTP API writes instants."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
