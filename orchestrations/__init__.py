"""Durable Functions for Django: what authors of orchestrations import.

Names are loaded on first use, so that importing this package needs neither Django's settings nor its app registry.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrations.authoring.activities import ActivityContext
    from orchestrations.authoring.decorators import activity, entity, orchestrator
    from orchestrations.authoring.entities import DurableEntity
    from orchestrations.authoring.forms.files import AnswerFile
    from orchestrations.authoring.forms.human_form import HumanForm
    from orchestrations.client import (
        ActivityFailed,
        CleanEntityStorageResult,
        EntityQuery,
        EntityState,
        OrchestrationClient,
        PurgeHistoryResult,
    )
    from orchestrations.client.orchestration_status import OrchestrationFailed, OrchestrationStatus
    from orchestrations.core.composition import when_all, when_any
    from orchestrations.core.context import DurableOrchestrationContext, OrchestrationContext
    from orchestrations.core.entity_calls import EntityLock
    from orchestrations.core.entity_context import DurableEntityContext, EntityContext
    from orchestrations.core.entity_ids import EntityId, EntityInstanceId
    from orchestrations.core.errors import (
        LockingRulesViolation,
        NonDeterminismError,
        OrchestrationStateError,
        TaskCancelledError,
        TaskFailedError,
    )
    from orchestrations.core.failures import FailureDetails
    from orchestrations.core.http_calls import HttpRetryOptions
    from orchestrations.core.http_messages import (
        DurableHttpResponse,
        HttpSecret,
        ManagedIdentityTokenSource,
        TokenSource,
    )
    from orchestrations.core.human import HumanAnswer, HumanTimeout, Quorum, Reviewers
    from orchestrations.core.retries import RetryOptions, RetryPolicy
    from orchestrations.core.status import OrchestrationRuntimeStatus, RuntimeStatus
    from orchestrations.core.tasks import Task, TaskState
    from orchestrations.errors import (
        ActivityEnded,
        ConfigurationError,
        DurableError,
        FunctionNotRegistered,
        InstanceAlreadyExists,
        InstanceEnded,
        InstanceIsEntity,
        InstanceNotFound,
        InvalidCompletionToken,
        InvalidInstanceId,
        InvalidTransition,
        PayloadRejected,
        TaskNotOpen,
        WaitTimeout,
    )

__all__ = [
    "ActivityContext",
    "ActivityEnded",
    "ActivityFailed",
    "AnswerFile",
    "CleanEntityStorageResult",
    "ConfigurationError",
    "DurableEntity",
    "DurableEntityContext",
    "DurableError",
    "DurableHttpResponse",
    "DurableOrchestrationContext",
    "EntityContext",
    "EntityId",
    "EntityInstanceId",
    "EntityLock",
    "EntityQuery",
    "EntityState",
    "FailureDetails",
    "FunctionNotRegistered",
    "HttpRetryOptions",
    "HttpSecret",
    "HumanAnswer",
    "HumanForm",
    "HumanTimeout",
    "InstanceAlreadyExists",
    "InstanceEnded",
    "InstanceIsEntity",
    "InstanceNotFound",
    "InvalidCompletionToken",
    "InvalidInstanceId",
    "InvalidTransition",
    "LockingRulesViolation",
    "ManagedIdentityTokenSource",
    "NonDeterminismError",
    "OrchestrationClient",
    "OrchestrationContext",
    "OrchestrationFailed",
    "OrchestrationRuntimeStatus",
    "OrchestrationStateError",
    "OrchestrationStatus",
    "PayloadRejected",
    "PurgeHistoryResult",
    "Quorum",
    "RetryOptions",
    "RetryPolicy",
    "Reviewers",
    "RuntimeStatus",
    "Task",
    "TaskCancelledError",
    "TaskFailedError",
    "TaskNotOpen",
    "TaskState",
    "TokenSource",
    "WaitTimeout",
    "activity",
    "entity",
    "orchestrator",
    "when_all",
    "when_any",
]

_MODULES = {
    "orchestrations.authoring.activities": ["ActivityContext"],
    "orchestrations.authoring.decorators": ["activity", "entity", "orchestrator"],
    "orchestrations.authoring.entities": ["DurableEntity"],
    "orchestrations.authoring.forms.files": ["AnswerFile"],
    "orchestrations.authoring.forms.human_form": ["HumanForm"],
    "orchestrations.client": [
        "ActivityFailed",
        "CleanEntityStorageResult",
        "EntityQuery",
        "EntityState",
        "OrchestrationClient",
        "PurgeHistoryResult",
    ],
    "orchestrations.core.composition": ["when_all", "when_any"],
    "orchestrations.core.context": ["DurableOrchestrationContext", "OrchestrationContext"],
    "orchestrations.core.entity_calls": ["EntityLock"],
    "orchestrations.core.entity_context": ["DurableEntityContext", "EntityContext"],
    "orchestrations.core.entity_ids": ["EntityId", "EntityInstanceId"],
    "orchestrations.core.errors": [
        "LockingRulesViolation",
        "NonDeterminismError",
        "OrchestrationStateError",
        "TaskCancelledError",
        "TaskFailedError",
    ],
    "orchestrations.core.failures": ["FailureDetails"],
    "orchestrations.core.http_calls": ["HttpRetryOptions"],
    "orchestrations.core.http_messages": [
        "DurableHttpResponse",
        "HttpSecret",
        "ManagedIdentityTokenSource",
        "TokenSource",
    ],
    "orchestrations.core.human": ["HumanAnswer", "HumanTimeout", "Quorum", "Reviewers"],
    "orchestrations.core.retries": ["RetryOptions", "RetryPolicy"],
    "orchestrations.core.status": ["OrchestrationRuntimeStatus", "RuntimeStatus"],
    "orchestrations.core.tasks": ["Task", "TaskState"],
    "orchestrations.errors": [
        "ActivityEnded",
        "ConfigurationError",
        "DurableError",
        "FunctionNotRegistered",
        "InstanceAlreadyExists",
        "InstanceEnded",
        "InstanceIsEntity",
        "InstanceNotFound",
        "InvalidCompletionToken",
        "InvalidInstanceId",
        "InvalidTransition",
        "PayloadRejected",
        "TaskNotOpen",
        "WaitTimeout",
    ],
    "orchestrations.client.orchestration_status": ["OrchestrationFailed", "OrchestrationStatus"],
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
