"""Retry policies of activities and sub-orchestrations."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrations.core.errors import TaskFailedError

LONGEST_INTERVAL = timedelta(days=365)  # so that a back-off without a cap stays a date


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """When a failed call is tried again, with the names of the durabletask SDK.

    The delay before attempt n + 1 is ``first_retry_interval * backoff_coefficient ** (n - 1)``, at most
    ``max_retry_interval``, and never more than a year. No further attempt follows after ``max_number_of_attempts`` (the
    first one counts), once ``retry_timeout`` has passed on the orchestration's clock, when ``handle`` returns False, or
    when the failure is non-retriable or of a type named in ``non_retryable``.

    ``jitter`` (0 to 1) shortens each delay by up to that share, so that what failed together is not tried again
    together. The share follows from the instance, the call and the attempt; the delay that it gave is in the history.
    """

    first_retry_interval: timedelta
    max_number_of_attempts: int
    backoff_coefficient: float = 1.0
    max_retry_interval: timedelta | None = None
    retry_timeout: timedelta | None = None
    handle: Callable[[TaskFailedError], bool] | None = None
    non_retryable: Sequence[type[BaseException] | str] = ()
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.first_retry_interval < timedelta(0):
            raise ValueError("first_retry_interval must not be negative.")
        if not self.max_number_of_attempts >= 1:
            raise ValueError("max_number_of_attempts must be at least 1; the first attempt counts.")
        if not self.backoff_coefficient >= 1:
            raise ValueError("backoff_coefficient must be at least 1.")
        if self.max_retry_interval is not None and self.max_retry_interval < timedelta(0):
            raise ValueError("max_retry_interval must not be negative.")
        if self.retry_timeout is not None and self.retry_timeout < timedelta(0):
            raise ValueError("retry_timeout must not be negative.")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter must be between 0 and 1.")
        if self.handle is not None and not _answers_at_once(self.handle):
            raise TypeError("handle must be an ordinary function of the error: it decides at once, and awaits nothing.")
        object.__setattr__(self, "non_retryable", _kinds(self.non_retryable))

    def delay_before(self, attempt: int, share: float = 0.0) -> timedelta:
        """The pause before that attempt (2 or later); ``share`` (0 to 1) of the jitter is taken off."""
        seconds = self.first_retry_interval.total_seconds()
        longest = LONGEST_INTERVAL.total_seconds()
        if self.max_retry_interval is not None:
            longest = min(longest, self.max_retry_interval.total_seconds())
        if not seconds:
            return timedelta(0)
        try:
            delay = seconds * self.backoff_coefficient ** (attempt - 2)
        except OverflowError:  # a patient policy
            delay = longest
        return timedelta(seconds=min(delay, longest) * (1 - self.jitter * share))

    def allows(self, attempt: int, error: TaskFailedError, started_at: datetime, now: datetime) -> bool:
        """Whether that attempt (2 or later) may follow the error. ``now`` is the orchestration's clock."""
        if error.details.is_non_retriable or not self.has_left(attempt, started_at, now):
            return False
        if any(error.is_caused_by(kind) for kind in self.non_retryable):
            return False
        return self.handle is None or bool(self.handle(error))

    def has_left(self, attempt: int, started_at: datetime, now: datetime) -> bool:
        """Whether number and time of attempts leave room for that one (2 or later)."""
        if attempt > self.max_number_of_attempts:
            return False
        return self.retry_timeout is None or now - started_at < self.retry_timeout

    def rejects(self, result: object) -> bool:
        """Whether a result counts as a failed attempt. Never, except for policies of HTTP calls."""
        return False


def _answers_at_once(handle: object) -> bool:
    return callable(handle) and not (inspect.iscoroutinefunction(handle) or inspect.isgeneratorfunction(handle))


def _kinds(given: object) -> tuple[type[BaseException] | str, ...]:
    """Error types and their names: several, or one alone."""
    kinds = given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    checked = tuple(kinds)
    if not all(
        isinstance(kind, str) or (isinstance(kind, type) and issubclass(kind, BaseException)) for kind in checked
    ):
        raise TypeError("non_retryable must hold exception classes, or their names.")
    return checked


def spread(instance_id: str, task_id: int, attempt: int) -> float:
    """A number from 0 up to 1 that looks random and is always the same for one attempt of one call."""
    digest = hashlib.blake2b(f"{task_id}.{attempt}.{instance_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


class RetryOptions(RetryPolicy):
    """A RetryPolicy made from milliseconds, with the names and positions of azure-functions-durable 1.x."""

    def __init__(
        self,
        first_retry_interval_in_milliseconds: int,
        max_number_of_attempts: int,
        backoff_coefficient: float = 1.0,
        max_retry_interval_in_milliseconds: int | None = None,
        retry_timeout_in_milliseconds: int | None = None,
        *,
        jitter: float = 0.0,
    ) -> None:
        RetryPolicy.__init__(
            self,
            first_retry_interval=_milliseconds("first_retry_interval", first_retry_interval_in_milliseconds),
            max_number_of_attempts=max_number_of_attempts,
            backoff_coefficient=backoff_coefficient,
            max_retry_interval=_if_given("max_retry_interval", max_retry_interval_in_milliseconds),
            retry_timeout=_if_given("retry_timeout", retry_timeout_in_milliseconds),
            jitter=jitter,
        )

    @property
    def first_retry_interval_in_milliseconds(self) -> int:
        """``first_retry_interval`` under the name of azure-functions-durable 1.x."""
        return self.first_retry_interval // timedelta(milliseconds=1)


def _milliseconds(name: str, value: float) -> timedelta:
    try:
        return timedelta(milliseconds=value)
    except OverflowError:
        raise ValueError(f"{name} is longer than any timedelta. Choose fewer milliseconds.") from None


def _if_given(name: str, value: float | None) -> timedelta | None:
    return None if value is None else _milliseconds(name, value)
