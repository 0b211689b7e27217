"""Durable HTTP: a call as a small state machine over what there is already, an activity for each request and timers.

    request ──answer──▶ done
       ▲  └─202, Location──▶ timer (Retry-After) ─┐
       └──────────── poll of the Location ◀───────┘

The activity says in its result where and when to ask again, so that nothing here depends on a clock or a setting, and
history holds ordinary TaskScheduled and TimerCreated events. Replay, rewind and the check of determinism know nothing
of HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from orchestrations.core import calls
from orchestrations.core.composition import CompositeTask
from orchestrations.core.errors import TaskCancelledError
from orchestrations.core.http_messages import (
    HTTP_ACTIVITY,
    DurableHttpResponse,
    HttpRequest,
    TokenSource,
    make_request,
)
from orchestrations.core.retries import RetryPolicy
from orchestrations.core.tasks import ActionTask, Task, TimerTask

if TYPE_CHECKING:
    from orchestrations.core.execution import Execution


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the built-in activity returns: a response, or where to ask again after how many seconds."""

    response: DurableHttpResponse
    poll_at: str | None = None
    poll_after_seconds: float = 0.0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> HttpAnswer:
        """Read the activity's result."""
        poll = value.get("poll") or {}
        return cls(DurableHttpResponse.from_json(value), poll.get("uri"), float(poll.get("afterSeconds", 0.0)))

    def to_json(self) -> dict[str, Any]:
        """The activity's result."""
        poll = {"uri": self.poll_at, "afterSeconds": self.poll_after_seconds} if self.poll_at is not None else None
        return {**self.response.to_json(), **({"poll": poll} if poll else {})}


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRetryOptions(RetryPolicy):
    """A RetryPolicy for HTTP calls that also tries again after answers of certain statuses.

    ``status_codes_to_retry`` names them; with none named it is every status but 200 to 299. Once the attempts are used
    up, the last answer is the result. ``handle`` and ``non_retryable`` judge failures, not answers.
    """

    status_codes_to_retry: Sequence[int] = ()

    def __post_init__(self) -> None:
        RetryPolicy.__post_init__(self)
        object.__setattr__(self, "status_codes_to_retry", tuple(self.status_codes_to_retry))
        if not all(100 <= code <= 599 for code in self.status_codes_to_retry):
            raise ValueError("status_codes_to_retry holds whole numbers from 100 to 599.")

    def rejects(self, result: object) -> bool:
        """Whether the answer's status is one to try again after."""
        if not isinstance(result, HttpAnswer):
            return False
        if self.status_codes_to_retry:
            return result.response.status_code in self.status_codes_to_retry
        return not result.response.is_success


class HttpCallTask(CompositeTask):
    """One HTTP call with its polls; completes with a DurableHttpResponse.

    ``children`` holds the task that it waits for now: a request, or the timer before the next poll.
    """

    __slots__ = ("_deadline", "_execution", "_policy", "_request")

    def __init__(self, execution: Execution, request: HttpRequest, policy: RetryPolicy | None) -> None:
        super().__init__(())
        self._execution = execution
        self._request = request
        self._policy = policy
        self._deadline: TimerTask | None = None
        self.owner, self.note_failure = execution, execution.position
        self._send()
        self.id = self.children[0].id

    def expire_after(self, timeout: timedelta | float) -> None:
        """Fail with TimeoutError after that time on the orchestration's clock."""
        _, duration = calls.deadline_after(self._execution, timeout)
        described = self._request.describe()
        self._deadline = calls.create_timer(self._execution, duration)
        late = f"{described} had no final answer within {duration.total_seconds():g} seconds."
        self._deadline.limit(self, lambda: self._expire(late))

    def child_ended(self, child: Task) -> None:
        """Poll, wait for the next poll, or end."""
        if self.has_ended:
            return
        if child.error is not None:
            self._settle()
            self.fail(child.error)
        elif isinstance(child, TimerTask):
            self._send()
        else:
            self._take(child.result)

    def look(self) -> None:
        """Note that the orchestrator learns how it ended, and with it the last request."""
        if self.has_ended and not self.was_seen:
            super().look()
            for child in self.children:
                child.look()

    def _send(self) -> None:
        self._follow(_request_task(self._execution, self._request, self._policy))

    def _take(self, answer: HttpAnswer) -> None:
        if answer.poll_at is None:
            self._settle()
            self.complete(answer.response)
            return
        self._request = self._request.poll_of(answer.poll_at)
        timer = calls.create_timer(self._execution, timedelta(seconds=answer.poll_after_seconds))
        timer.title = f"before {self._request.describe()}"
        self._follow(timer)

    def _follow(self, child: Task) -> None:
        self.children = [child]
        child.attach_to(self)

    def _settle(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _expire(self, message: str) -> None:
        if not self.has_ended:
            self.fail(TimeoutError(message))
            for child in self.children:
                _abandon(self._execution, child)


def call_http(
    execution: Execution,
    method: object,
    uri: object,
    content: object,
    headers: Mapping[str, object] | None,
    token_source: TokenSource | None,
    *,
    policy: RetryPolicy | None,
    timeout: timedelta | float | None,
    asynchronous_pattern_enabled: bool,
    is_raw_str: bool,
) -> HttpCallTask:
    """Send a request, and follow it up where it is answered with 202 and a Location."""
    execution.check_alive()
    given = dict(headers or {})
    text = content if isinstance(content, str) and is_raw_str else execution.functions.encode(content, "HTTP content")
    if text is not None and not any(str(name).casefold() == "content-type" for name in given):
        given["Content-Type"] = "text/plain; charset=utf-8" if text is content else "application/json"
    request = make_request(method, uri, text, given, token_source, asynchronous_pattern_enabled)
    if timeout is not None:
        calls.deadline_after(execution, timeout)  # refused before anything is decided
    task = HttpCallTask(execution, request, policy)
    if timeout is not None:
        task.expire_after(timeout)
    return task


def _request_task(execution: Execution, request: HttpRequest, policy: RetryPolicy | None) -> ActionTask:
    subject = f"HTTP call {request.describe()}"
    text = execution.functions.encode(request.to_json(), subject)

    def decode(result: str | None) -> HttpAnswer:
        value: Any = execution.functions.decode(result, None, subject)
        return HttpAnswer.from_json(value)

    task = calls.schedule_task(execution, HTTP_ACTIVITY, text, decode, policy)
    task.title = request.describe()
    return task


def _abandon(execution: Execution, child: Task) -> None:
    """Expect nothing more of it: no answer, no further attempt."""
    if isinstance(child, TimerTask):
        child.cancel()
    elif isinstance(child, ActionTask) and not child.has_ended:
        calls.cancel_retry(execution, child)
        child.fail(TaskCancelledError("The HTTP call was given up."))
