"""What ends the author's code from outside, and how to tell it from what the code itself raises."""

from __future__ import annotations


class EpisodeTimeout(BaseException):
    """The orchestrator ran too long without waiting. Not an Exception, so that no ``except Exception`` swallows it."""

    def __str__(self) -> str:
        return super().__str__() or (
            "The code ran for longer than EPISODE_TIMEOUT_SECONDS without waiting. Give what takes long to an "
            "activity, and let every loop wait for something."
        )


class ExecutionDiscarded(BaseException):
    """The context belongs to an execution that is no longer in memory; seen only by code that runs while it unwinds."""


def is_authors(error: BaseException) -> bool:
    """Whether the error is a failure of the orchestrator, as opposed to the process being told to stop."""
    if isinstance(error, SystemExit):
        return type(error) is SystemExit  # sys.exit(); a subclass is the worker's way to stop
    return not isinstance(error, (KeyboardInterrupt, ExecutionDiscarded))
