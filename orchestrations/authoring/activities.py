"""Activities: what is declared of one, and what it is told about the call that it carries out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from orchestrations.authoring.signatures import Conversion, check_input_given


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityContext:
    """Which call an activity carries out. Tests make one by hand."""

    instance_id: str
    """Id of the orchestration instance that called."""
    task_id: int
    """Id of the call, unique inside one execution and the same in all attempts."""
    name: str = ""
    """The activity's name."""
    execution: int = 1
    """Generation of the instance; it grows with continue-as-new and rewind."""
    attempt: int = 1
    """Of the retry policy, from 1."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The tags given with the call."""
    is_cancelled: Callable[[], bool] = field(default=_never, repr=False, compare=False)
    """Whether the result is no longer wanted: the instance was terminated, or the call has timed out.

    Nothing is interrupted; a long activity calls this now and then, cleans up and returns.
    """

    @property
    def orchestration_id(self) -> str:
        """The instance's id, under the name of the durabletask SDK."""
        return self.instance_id

    @property
    def idempotency_key(self) -> str:
        """A key for outside services: the same whenever this call is repeated, and different for every other call.

        An activity runs at least once. One that dies half-way is run again with this key, as is each attempt of a
        retry policy.
        """
        return f"{self.instance_id}:{self.execution}:{self.task_id}"


@dataclass(frozen=True, slots=True)
class ActivityDefinition:
    """A registered activity: an ordinary or ``async`` function of ``()``, ``(input)`` or ``(context, input)``."""

    kind: ClassVar[str] = "activity"

    name: str
    function: Callable[..., Any]
    is_async: bool
    takes_context: bool
    takes_input: bool
    timeout_seconds: float | None
    """None where the author set none; then the setting ACTIVITY_TIMEOUT_SECONDS holds."""
    transactional: bool
    """Whether it runs in the transaction that records its completion."""
    conversion: Conversion = field(repr=False, compare=False)

    def arguments(self, context: ActivityContext, text: str | None) -> tuple[Any, ...]:
        """Return the positional arguments for one call with that input. Raises PayloadRejected."""
        given: tuple[Any, ...] = (context,) if self.takes_context else ()
        return (*given, self.decode_input(text)) if self.takes_input else given

    def decode_input(self, text: str | None) -> Any:
        """Return the input as annotated, or the parameter's default where there is none. Raises PayloadRejected."""
        return self.conversion.decode_input(text)

    def encode_input(self, value: object) -> str | None:
        """Return an input as JSON text. Raises PayloadRejected, also for an input that the function doesn't take."""
        check_input_given(self.conversion, value)
        return self.conversion.encode_input(value)

    def decode_output(self, text: str | None) -> Any:
        """Return a result as the function's return annotation says. Raises PayloadRejected."""
        return self.conversion.decode_output(text)

    def encode_output(self, value: object) -> str | None:
        """Return a result as JSON text. Raises PayloadRejected."""
        return self.conversion.encode_output(value)
