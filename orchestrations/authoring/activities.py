"""Activities: what is declared of one, and what it is told about the call that it carries out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from orchestrations.authoring import payloads
from orchestrations.authoring.signatures import Conversion, check_input_given
from orchestrations.errors import PayloadRejected
from orchestrations.limits import ACTIVITY_TIMEOUT_DAYS, HEARTBEAT_DETAILS_BYTES

LONGEST_DEFERRAL = timedelta(days=ACTIVITY_TIMEOUT_DAYS)


def _never() -> bool:
    return False


def _nowhere(details: str | None) -> None:
    """A heartbeat of an activity that no worker runs."""


def _no_token() -> str:
    return "no-token"


@dataclass(frozen=True, slots=True)
class Deferral:
    """What an activity returns that is completed from outside; ``ActivityContext.defer`` makes it."""

    timeout_seconds: float | None = None
    """How long the completion may take; None for what is left of the call's timeout."""


def heartbeat_text(details: object, subject: str) -> str | None:
    """The details of a heartbeat as JSON text. Raises PayloadRejected for what is no JSON or too large."""
    text = payloads.encode(details, subject)
    if text is not None and (size := len(text.encode())) > HEARTBEAT_DETAILS_BYTES:
        raise PayloadRejected(
            f"{subject} take {size} bytes; {HEARTBEAT_DETAILS_BYTES} are allowed. Say where to go on, and keep what is "
            "large in a table or file.",
            subject=subject,
        )
    return text


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
    """Number of the execution; it grows with continue-as-new and rewind."""
    generation: int = 1
    """Number of the execution that began with the present input: it grows with continue-as-new, and not with rewind."""
    start: int = 1
    """Number of the instance's row: what is started under the id of a purged instance has another one."""
    attempt: int = 1
    """Of the retry policy, from 1."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The tags given with the call."""
    is_cancelled: Callable[[], bool] = field(default=_never, repr=False, compare=False)
    """Whether the result is no longer wanted: the instance was terminated, or the call has timed out.

    Nothing is interrupted; a long activity calls this now and then, cleans up and returns.
    """
    heartbeat_details: Any = None
    """What the try before this one gave with its last heartbeat, as plain JSON values; None if it gave nothing."""
    record_heartbeat: Callable[[str | None], None] = field(default=_nowhere, repr=False, compare=False)
    """Takes the details of a heartbeat as JSON text; the worker provides it."""
    make_token: Callable[[], str] = field(default=_no_token, repr=False, compare=False)
    """Makes ``completion_token``; the worker provides it."""

    @property
    def orchestration_id(self) -> str:
        """The instance's id, under the name of the durabletask SDK."""
        return self.instance_id

    @property
    def idempotency_key(self) -> str:
        """A key for outside services: the same whenever this call is repeated, and different for every other call.

        An activity runs at least once. One that dies half-way is run again with this key, as is each attempt of a
        retry policy, and a call that is made again after a rewind. After continue-as-new every call is another one, and
        so it is after a new start under the same id, whether the earlier instance was replaced or purged.
        """
        return f"{self.instance_id}:{self.start}:{self.generation}:{self.task_id}"

    @property
    def completion_token(self) -> str:
        """What somebody outside needs to complete, fail or keep alive this attempt, once it is deferred or before.

        Short text that fits a URL, signed with the site's SECRET_KEY. Whoever has it may decide the result.
        """
        return self.make_token()

    def heartbeat(self, details: object = None) -> None:
        """Say that the activity is alive, and with ``details`` (JSON, a few KiB) how far it has come. Cheap.

        The worker writes the latest details with its own heartbeat; pages show them, and the next try of this call
        gets them as ``heartbeat_details``. Without details the former ones stay. Raises PayloadRejected for what is no
        JSON or too large.
        """
        self.record_heartbeat(heartbeat_text(details, f"activity {self.name!r}: heartbeat details"))

    def defer(self, timeout: float | timedelta | None = None) -> Any:
        """``return context.defer()`` leaves the call open until somebody outside completes it by ``completion_token``.

        Nothing runs meanwhile, and no worker is held. The attempt fails with a TimeoutError unless it is completed
        within ``timeout`` (seconds or timedelta, from now), by default within what is left of the call's timeout.
        Raises ValueError for a timeout that is not positive.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if seconds is not None and not 0 < seconds <= LONGEST_DEFERRAL.total_seconds():
            raise ValueError(f"The timeout {timeout!r:.100} of a deferral must be positive and at most 100 years.")
        return Deferral(None if seconds is None else float(seconds))


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
    heartbeat_timeout_seconds: float | None = None
    """How long it may go without a heartbeat; None for as long as it likes."""
    process: bool = False
    """Whether it runs in a process of its own beside the worker."""

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
