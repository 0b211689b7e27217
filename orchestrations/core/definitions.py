"""What the engine needs to know of the author's functions; ``orchestrations.authoring`` provides it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from orchestrations.core.coroutines import Location
    from orchestrations.core.entity_context import EntityContext, Operation


@dataclass(frozen=True, slots=True)
class OrchestratorDefinition:
    """A registered orchestrator: a generator function, ``async def`` or plain function of (context[, input])."""

    name: str
    function: Callable[..., Any]
    takes_input: bool
    version: str = ""
    decode_input: Callable[[str | None], Any] = lambda text: text
    """JSON text to the value that the annotation asks for; raises PayloadRejected naming the function and type."""
    encode_output: Callable[[Any], str | None] = lambda value: value
    """Return value to JSON text; raises PayloadRejected naming the function and type."""
    wait_for_open_tasks: bool = False
    """Complete only once every activity, sub-orchestration and timer that was begun has ended."""
    watch: Callable[[Location | None], AbstractContextManager[None]] | None = None
    """Entered around each stretch of the code that runs for the first time, with the line at which it begins."""


class EntityCode(Protocol):
    """A registered entity, as the engine runs it."""

    def execute(self, context: EntityContext, operation: Operation) -> str | None:
        """Carry out the operation and return its result as JSON text. Whatever it raises is the operation's failure."""
        ...


class Functions(Protocol):
    """Names, encoders and decoders of the functions that an orchestrator calls.

    ``reference`` is a function that was decorated, or a name. JSON text is ``None`` for an absent value. Encoders and
    decoders raise PayloadRejected with a message that names the function, the parameter and the type.
    """

    def activity_name(self, reference: object) -> str:
        """The name of the activity that was given by reference or by name."""
        ...

    def orchestrator_name(self, reference: object) -> str:
        """The name of the orchestrator that was given by reference or by name."""
        ...

    def orchestrator_version(self, reference: object) -> str | None:
        """The version that a function was declared with; None for a name, which stands for the newest code."""
        ...

    def encode_activity_input(self, name: str, value: object) -> str | None:
        """The activity's input as JSON text."""
        ...

    def decode_activity_result(self, name: str, text: str | None, return_type: object = None) -> object:
        """The activity's result as ``return_type``, else its annotation, asks."""
        ...

    def activity_timeout_seconds(self, name: str) -> float | None:
        """The timeout that the activity declares, or None."""
        ...

    def activity_heartbeat_timeout_seconds(self, name: str) -> float | None:
        """How long the activity may go without a heartbeat by its declaration, or None."""
        ...

    def encode_orchestrator_input(self, name: str, value: object) -> str | None:
        """The orchestrator's input as JSON text."""
        ...

    def decode_orchestrator_result(self, name: str, text: str | None, return_type: object = None) -> object:
        """The orchestrator's result as ``return_type``, else its annotation, asks."""
        ...

    def custom_status_bytes(self) -> int:
        """How long the JSON text of a custom status may be, in UTF-16."""
        ...

    def encode(self, value: object, subject: str) -> str | None:
        """Any value as JSON text; ``subject`` says in errors what it is."""
        ...

    def decode(self, text: str | None, data_type: object, subject: str) -> object:
        """JSON text as a value of that type; ``subject`` says in errors what it is."""
        ...

    def describe_form(self, declared: object) -> dict[str, Any]:
        """The form of a Django form or a type as JSON values; ``outcome`` names the field with the verdict."""
        ...

    def decode_answer(self, declared: object, text: str | None, subject: str) -> object:
        """What such a form let through, from JSON text to the types that it declares."""
        ...
