"""Orchestrators, as declared by an author: the engine's definition with what callers need besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from orchestrations.authoring.signatures import Conversion
from orchestrations.core.definitions import OrchestratorDefinition


@dataclass(frozen=True, slots=True)
class RegisteredOrchestrator(OrchestratorDefinition):
    """A registered orchestrator. ``encode_input`` and ``decode_output`` serve whoever starts or awaits it."""

    kind: ClassVar[str] = "orchestrator"

    conversion: Conversion = field(kw_only=True, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        name: str,
        function: Callable[..., Any],
        version: str,
        conversion: Conversion,
        *,
        wait_for_open_tasks: bool = False,
    ) -> RegisteredOrchestrator:
        """Make the definition of a function whose signature has been read."""
        return cls(
            name=name,
            function=function,
            takes_input=conversion.parameter is not None,
            version=version,
            decode_input=conversion.decode_input,
            encode_output=conversion.encode_output,
            wait_for_open_tasks=wait_for_open_tasks,
            conversion=conversion,
        )

    def encode_input(self, value: object) -> str | None:
        """Return an input as JSON text; a function of (context) alone reads it by get_input. Raises PayloadRejected."""
        return self.conversion.encode_input(value)

    def decode_output(self, text: str | None) -> Any:
        """Return a result as the function's return annotation says. Raises PayloadRejected."""
        return self.conversion.decode_output(text)
