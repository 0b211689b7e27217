"""The registered functions, as the engine asks for them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from orchestrations.authoring import payloads
from orchestrations.authoring.forms import binding
from orchestrations.authoring.forms.django_forms import is_form_class
from orchestrations.authoring.registry import Registry, registry
from orchestrations.conf import get_config
from orchestrations.core.http_messages import HTTP_ACTIVITY

FORMS = 1_000  # descriptions kept: orchestrators ask for them on every replay


class RegisteredFunctions:
    """Implements ``orchestrations.core.definitions.Functions`` over a registry.

    A name that no function of this process has still encodes, and decodes to plain JSON values: the function may live
    on other workers.
    """

    def __init__(self, functions: Registry = registry) -> None:
        self._registry = functions

    def activity_name(self, reference: object) -> str:
        """Return the name of an activity given by function or name.

        Raises TypeError for anything else, and ValueError for an activity of the engine's own.
        """
        name = _name_of(reference, "activity")
        if name == HTTP_ACTIVITY:
            raise ValueError(f"The activity {name!r} is the engine's own. Use context.call_http(...).")
        return name

    def orchestrator_name(self, reference: object) -> str:
        """Return the name of an orchestrator given by function or name. Raises TypeError for anything else."""
        return _name_of(reference, "orchestrator")

    def orchestrator_version(self, reference: object) -> str | None:
        """Return the version that a function was declared with; None for a name, and for one declared without."""
        return getattr(getattr(reference, "durable", None), "version", None) or None

    def encode_activity_input(self, name: str, value: object) -> str | None:
        """Return the input as JSON text. Raises PayloadRejected, also for an input that the activity doesn't take."""
        if self._registry.has_activity(name):
            return self._registry.activity(name).encode_input(value)
        return payloads.encode(value, f"activity {name!r}: input")

    def decode_activity_result(self, name: str, text: str | None, return_type: object = None) -> Any:
        """Return the result as ``return_type``, else the activity's annotation, asks. Raises PayloadRejected."""
        if return_type is None and self._registry.has_activity(name):
            return self._registry.activity(name).decode_output(text)
        return payloads.decode(text, return_type, f"activity {name!r}: return value")

    def activity_timeout_seconds(self, name: str) -> float | None:
        """Return the timeout that the activity declares; None where it declares none or is not registered here."""
        return self._registry.activity(name).timeout_seconds if self._registry.has_activity(name) else None

    def activity_heartbeat_timeout_seconds(self, name: str) -> float | None:
        """Return the heartbeat timeout that the activity declares; None where it declares none or is not known here."""
        return self._registry.activity(name).heartbeat_timeout_seconds if self._registry.has_activity(name) else None

    def encode_orchestrator_input(self, name: str, value: object) -> str | None:
        """Return the input as JSON text. Raises PayloadRejected."""
        if self._registry.has_orchestrator(name):
            return self._registry.orchestrator(name).encode_input(value)
        return payloads.encode(value, f"orchestrator {name!r}: input")

    def decode_orchestrator_result(self, name: str, text: str | None, return_type: object = None) -> Any:
        """Return the result as ``return_type``, else the orchestrator's annotation, asks. Raises PayloadRejected."""
        if return_type is None and self._registry.has_orchestrator(name):
            return self._registry.orchestrator(name).decode_output(text)
        return payloads.decode(text, return_type, f"orchestrator {name!r}: return value")

    def custom_status_bytes(self) -> int:
        """Return what the setting CUSTOM_STATUS_BYTES says."""
        return get_config().custom_status_bytes

    def encode(self, value: object, subject: str) -> str | None:
        """Return any value as JSON text. Raises PayloadRejected naming the subject."""
        return payloads.encode(value, subject)

    def decode(self, text: str | None, data_type: object, subject: str) -> Any:
        """Return the value of JSON text as that type. Raises PayloadRejected naming the subject."""
        return payloads.decode(text, data_type, subject)

    def describe_form(self, declared: object) -> dict[str, Any]:
        """Return the form of a Django form or a type as JSON values. Raises ConfigurationError for an unfit type."""
        return _described(declared)

    def decode_answer(self, declared: object, text: str | None, subject: str) -> Any:
        """Return what the form let through, typed as it declares. Raises PayloadRejected naming the subject.

        Of a Django form it has every field: one that a default answer leaves out is None.
        """
        answer = binding.decode_answer(text, declared, subject)
        if is_form_class(declared) and isinstance(answer, dict):
            return {field["name"]: None for field in _described(declared)["schema"]["fields"]} | answer
        return answer


@lru_cache(maxsize=FORMS)
def _described(declared: object) -> dict[str, Any]:
    return binding.describe_form(declared).as_dict()


def _name_of(reference: object, kind: str) -> str:
    if isinstance(reference, str):
        return reference
    definition = getattr(reference, "durable", None)
    if definition is None:
        described = getattr(reference, "__qualname__", type(reference).__qualname__)
        raise TypeError(f"{described} is not declared as an {kind}. Decorate it with @{kind}, or pass a name.")
    if definition.kind != kind:
        right = "call_activity" if definition.kind == "activity" else "call_sub_orchestrator"
        raise TypeError(f"{definition.name!r} is an {definition.kind}, not an {kind}. Call it with {right}.")
    return str(definition.name)
