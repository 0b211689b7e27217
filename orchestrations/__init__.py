"""Durable Functions for Django: what authors of orchestrations import.

Names are loaded on first use, so that importing this package needs neither Django's settings nor its app registry.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrations.authoring.activities import ActivityContext
    from orchestrations.authoring.decorators import activity, orchestrator
    from orchestrations.client import OrchestrationClient, PurgeHistoryResult
    from orchestrations.core.context import OrchestrationContext
    from orchestrations.core.errors import (
        NonDeterminismError,
        OrchestrationStateError,
        TaskCancelledError,
        TaskFailedError,
    )
    from orchestrations.core.failures import FailureDetails
    from orchestrations.core.retries import RetryOptions, RetryPolicy
    from orchestrations.core.status import RuntimeStatus
    from orchestrations.core.tasks import Task, when_all, when_any
    from orchestrations.errors import (
        ConfigurationError,
        DurableError,
        FunctionNotRegistered,
        InstanceAlreadyExists,
        InstanceEnded,
        InstanceNotFound,
        InvalidInstanceId,
        InvalidTransition,
        PayloadRejected,
        WaitTimeout,
    )
    from orchestrations.orchestration_status import OrchestrationFailed, OrchestrationStatus

__all__ = [
    "ActivityContext",
    "ConfigurationError",
    "DurableError",
    "FailureDetails",
    "FunctionNotRegistered",
    "InstanceAlreadyExists",
    "InstanceEnded",
    "InstanceNotFound",
    "InvalidInstanceId",
    "InvalidTransition",
    "NonDeterminismError",
    "OrchestrationClient",
    "OrchestrationContext",
    "OrchestrationFailed",
    "OrchestrationStateError",
    "OrchestrationStatus",
    "PayloadRejected",
    "PurgeHistoryResult",
    "RetryOptions",
    "RetryPolicy",
    "RuntimeStatus",
    "Task",
    "TaskCancelledError",
    "TaskFailedError",
    "WaitTimeout",
    "activity",
    "orchestrator",
    "when_all",
    "when_any",
]

_MODULES = {
    "orchestrations.authoring.activities": ["ActivityContext"],
    "orchestrations.authoring.decorators": ["activity", "orchestrator"],
    "orchestrations.client": ["OrchestrationClient", "PurgeHistoryResult"],
    "orchestrations.core.context": ["OrchestrationContext"],
    "orchestrations.core.errors": [
        "NonDeterminismError",
        "OrchestrationStateError",
        "TaskCancelledError",
        "TaskFailedError",
    ],
    "orchestrations.core.failures": ["FailureDetails"],
    "orchestrations.core.retries": ["RetryOptions", "RetryPolicy"],
    "orchestrations.core.status": ["RuntimeStatus"],
    "orchestrations.core.tasks": ["Task", "when_all", "when_any"],
    "orchestrations.errors": [
        "ConfigurationError",
        "DurableError",
        "FunctionNotRegistered",
        "InstanceAlreadyExists",
        "InstanceEnded",
        "InstanceNotFound",
        "InvalidInstanceId",
        "InvalidTransition",
        "PayloadRejected",
        "WaitTimeout",
    ],
    "orchestrations.orchestration_status": ["OrchestrationFailed", "OrchestrationStatus"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    try:
        module = _MODULE_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
