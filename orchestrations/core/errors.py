"""Errors that orchestrator code meets, and the ones that end an episode."""

from __future__ import annotations

from orchestrations.core.failures import FailureDetails


class TaskFailedError(Exception):
    """An activity or sub-orchestration failed; ``details`` says how, with the cause chain.

    Raised at the ``yield`` or ``await``. ``failures`` holds every failure of the same ``task_all``, in argument order.
    """

    def __init__(self, message: str, details: FailureDetails, *, task_id: int | None = None) -> None:
        super().__init__(message)
        self.details = details
        self.task_id = task_id
        self.failures: tuple[BaseException, ...] = ()

    def is_caused_by(self, error_type: type[BaseException] | str) -> bool:
        """Whether the failure or one of its causes is of that type (see FailureDetails.is_caused_by)."""
        return self.details.is_caused_by(error_type)


FOREIGN = (
    "The task belongs to another execution, in which it ends. Tasks live as long as the context that made them: make "
    "it with this one, and keep none in globals."
)


class TaskCancelledError(Exception):
    """A timer or wait was cancelled, and then awaited all the same."""


class OrchestrationStateError(Exception):
    """The context was used in a way that its state does not allow."""


class LockingRulesViolation(OrchestrationStateError, RuntimeError):
    """Entities were used in a way that their lock does not allow."""


class NonDeterminismError(Exception):
    """The orchestrator's code no longer does what its history says that it did."""

    is_non_retriable = True


class OrchestratorCodeError(Exception):
    """The orchestrator did what could come out differently on replay; the message has the line and what to use."""

    is_non_retriable = True


class HistoryLimitExceeded(Exception):
    """The execution has more events than can be replayed in good time; ``continue_as_new`` is the remedy."""

    is_non_retriable = True


class TooManyActions(RuntimeError):
    """The orchestrator decided on more than one execution may; nothing of the turn in which it did is kept."""

    is_non_retriable = True

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The orchestrator decided on more than {limit} actions in one execution. "
            "Use continue_as_new in a loop that goes on, and fan out in batches."
        )


class CutRefused(ValueError):
    """A history can't be forked at that row. The message says why, and which row to take instead."""
