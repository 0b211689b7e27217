"""Activities from outside: completed by token or by hand, and the waits before attempts and of timers cut short.

A completion is a message like any other, so that no row of the instance or of the activity is locked by the caller's
transaction. What is recorded first counts; the engine ignores the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import msgspec

from orchestrations.access.permissions import Action
from orchestrations.authoring import payloads
from orchestrations.authoring.activities import heartbeat_text
from orchestrations.authoring.registry import registry
from orchestrations.client.arguments import check_reason
from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient, SerializedJson, Target
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.failures import FailureDetails
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import ActivityEnded, TaskNotOpen
from orchestrations.models import ActivityWorkItem, InboxMessage, Instance, Timer
from orchestrations.models import HistoryEvent as HistoryRow
from orchestrations.runtime import completion_tokens
from orchestrations.store.contract import Message
from orchestrations.store.progress_contract import ActivityAttempt, Heartbeat
from orchestrations.store.rows import scheduled_with

ENDS = (EventType.TASK_COMPLETED, EventType.TASK_FAILED)


class ActivityFailed(Exception):
    """How an activity failed whose failure was reported from outside as text."""


@dataclass(frozen=True, slots=True)
class OpenActivity:
    """An attempt that waits for its end, and what the database has of it."""

    instance_id: str
    name: str
    attempt: int
    sequence: int = 0
    started_at: datetime | None = None
    heartbeat_details: str | None = None


class Activities(HubClient):
    """Completes, fails and keeps alive activities; retries now, skips timers."""

    def complete_activity(self, token: str, result: object = None) -> None:
        """Complete the attempt that the token stands for, which was deferred or still runs, with its result.

        A second call has no effect. Raises InvalidCompletionToken, PayloadRejected for a result that the activity's
        return annotation doesn't take, and ActivityEnded where nobody waits for that attempt any more: it has timed
        out or ended otherwise, or its execution was terminated, rewound or continued as new.
        """
        attempt = completion_tokens.read(self.hub, token)
        found = self._open_attempt(attempt, EventType.TASK_COMPLETED)
        if found is not None:
            event = self._end(EventType.TASK_COMPLETED, attempt, found)
            event.payload = self._result(found.name, result)
            self._send_end(event, attempt, found)

    def fail_activity(self, token: str, error: BaseException | str, *, is_non_retriable: bool = False) -> None:
        """Fail the attempt that the token stands for with an exception or a text; then its retry policy decides.

        With ``is_non_retriable`` no attempt follows. Raises InvalidCompletionToken and ActivityEnded, as above, and
        TypeError for what is neither.
        """
        attempt = completion_tokens.read(self.hub, token)
        if not isinstance(error, BaseException | str):
            raise TypeError(f"fail_activity takes an exception or a text, not {type(error).__qualname__}.")
        found = self._open_attempt(attempt, EventType.TASK_FAILED)
        if found is not None:
            raised = ActivityFailed(error) if isinstance(error, str) else error
            details = FailureDetails.from_exception(raised)
            if is_non_retriable:
                details = replace(details, is_non_retriable=True)
            event = self._end(EventType.TASK_FAILED, attempt, found)
            event.payload = msgspec.json.encode(details.to_json()).decode()
            if found.heartbeat_details is not None:
                event.attributes["heartbeat_details"] = found.heartbeat_details
            self._send_end(event, attempt, found)

    def heartbeat_activity(self, token: str, details: object = None) -> None:
        """Say that the attempt goes on, as ``ActivityContext.heartbeat`` does inside an activity.

        Raises InvalidCompletionToken, PayloadRejected, and ActivityEnded where nobody waits for it any more: the work
        may be given up.
        """
        attempt = completion_tokens.read(self.hub, token)
        text = heartbeat_text(details, "The heartbeat details")
        found = self._open_attempt(attempt, None)
        if found is None or not self._store.renew_deferred(Heartbeat(attempt, text), self._silence(attempt, found)):
            self._refuse(attempt)

    def complete_task(self, instance_id: str, task_id: int, result: object = None, reason: str = "") -> None:
        """Complete an open activity by hand, whether it is queued, runs, is deferred or waits for its next attempt.

        The orchestrator goes on with ``result``; a run of the activity is told that nobody wants its own. A second call
        before the first takes effect does nothing. Raises InstanceNotFound, InstanceEnded, PayloadRejected for a
        result that the activity's return annotation doesn't take, and TaskNotOpen.
        """
        target = self._live_target(instance_id, Action.COMPLETE_TASK.value)
        found = self._open_task(target, task_id)
        event = self._message_event(
            EventType.TASK_COMPLETED, {"by_hand": True, "from_outside": True, "reason": check_reason(reason)}
        )
        event.task_id, event.attempt = task_id, found.attempt
        event.payload = self._result(found.name, result)
        key = f"by-hand:{target.execution}:{task_id}"
        message = Message(event, instance_pk=target.pk, execution=target.execution, idempotency_key=key)
        with self._writing():
            self._store.send([message])
            details = {"task": task_id, "activity": found.name}
            self._audit(Action.COMPLETE_TASK, [target.instance_id], reason, details)

    def retry_now(self, instance_id: str, task_id: int, reason: str = "") -> None:
        """Make the next attempt of a call now that waits for it: an activity's or sub-orchestration's.

        That is one whose retry policy pauses, or one that rests because its worker died. Raises InstanceNotFound,
        InstanceEnded, and TaskNotOpen where that task waits for no attempt.
        """
        self._hasten(Action.RETRY_NOW, instance_id, task_id, reason)

    def skip_timer(self, instance_id: str, task_id: int, reason: str = "") -> None:
        """Fire a durable timer now. The deadline of a wait is one too: the wait then times out.

        Raises InstanceNotFound, InstanceEnded, and TaskNotOpen where that task is no pending timer.
        """
        self._hasten(Action.SKIP_TIMER, instance_id, task_id, reason)

    acomplete_activity = async_twin(complete_activity)
    afail_activity = async_twin(fail_activity)
    aheartbeat_activity = async_twin(heartbeat_activity)
    acomplete_task = async_twin(complete_task)
    aretry_now = async_twin(retry_now)
    askip_timer = async_twin(skip_timer)

    # By token ----------------------------------------------------------------------------------------------------

    def _open_attempt(self, of: ActivityAttempt, kind: EventType | None) -> OpenActivity | None:
        """The attempt; None where it has ended in this way from outside before. Raises ActivityEnded."""
        sent = InboxMessage.objects.using(self.using).filter(instance_id=of.instance_pk, idempotency_key=_key(of))
        waiting = sent.values_list("type", flat=True).first()
        items = ActivityWorkItem.objects.using(self.using).filter(
            hub=self.hub,
            instance_id=of.instance_pk,
            execution=of.execution,
            task_id=of.task_id,
            attempt=of.attempt,
        )
        item = items.select_related("instance").first() if waiting is None else None
        if item is not None and not RuntimeStatus(item.instance.status).is_terminal:
            return OpenActivity(
                item.instance.instance_id,
                item.name,
                item.attempt,
                item.sequence,
                item.started_at,
                item.heartbeat_details,
            )
        if kind is None or kind not in (waiting, self._recorded(of)):
            self._refuse(of)
        return None

    def _recorded(self, of: ActivityAttempt) -> EventType | None:
        """How the attempt has ended from outside; None for any other end."""
        ends = HistoryRow.objects.using(self.using).filter(
            instance_id=of.instance_pk, execution=of.execution, task_id=of.task_id, attempt=of.attempt, type__in=ENDS
        )
        row = ends.first()
        if row is None or not row.attributes or "by_token" not in msgspec.json.decode(row.attributes):
            return None
        return EventType(row.type)

    def _refuse(self, of: ActivityAttempt) -> NoReturn:
        known = (
            Instance.objects.using(self.using).filter(pk=of.instance_pk).values_list("instance_id", "status").first()
        )
        if known is None:
            where = "Its instance is gone"
        elif RuntimeStatus(known[1]).is_terminal:
            where = f"Instance {known[0]!r} is {known[1]}"
        else:
            where = f"Instance {known[0]!r} has gone on"
        raise ActivityEnded(
            f"Nobody waits for attempt {of.attempt} of task {of.task_id} any more. {where}: give the work up, and drop "
            "its token."
        )

    def _end(self, kind: EventType, of: ActivityAttempt, found: OpenActivity) -> HistoryEvent:
        attributes: dict[str, Any] = {"from_outside": True, "by_token": True}
        if found.started_at is not None:
            attributes["started_at"] = found.started_at.isoformat()
        event = self._message_event(kind, attributes)
        event.task_id, event.attempt = of.task_id, of.attempt
        return event

    def _send_end(self, event: HistoryEvent, of: ActivityAttempt, found: OpenActivity) -> None:
        message = Message(event, instance_pk=of.instance_pk, execution=of.execution, idempotency_key=_key(of))
        with self._writing(one_statement=self.actor is None):
            self._store.send([message])
            details = {"task": of.task_id, "activity": found.name, "ended": event.type.value, "by": "token"}
            self._audit(Action.COMPLETE_TASK, [found.instance_id], details=details)

    def _silence(self, of: ActivityAttempt, found: OpenActivity) -> timedelta | None:
        """How long the attempt may be silent, as the call was made."""
        scheduled = HistoryRow.objects.using(self.using).filter(
            instance_id=of.instance_pk, execution=of.execution, sequence=found.sequence
        )
        options = scheduled_with(scheduled.values_list("attributes", flat=True).first())
        seconds: float | None = options.get("heartbeat_timeout_seconds")
        return None if seconds is None else timedelta(seconds=seconds)

    # By task id --------------------------------------------------------------------------------------------------

    def _open_task(self, target: Target, task_id: int) -> OpenActivity:
        """The activity of that id, also between two attempts. Raises TaskNotOpen."""
        of_task = {"instance_id": target.pk, "execution": target.execution, "task_id": task_id}
        items = ActivityWorkItem.objects.using(self.using).filter(**of_task)
        if (item := items.values_list("name", "attempt").first()) is not None:
            return OpenActivity(target.instance_id, *item)
        retries = Timer.objects.using(self.using).filter(state=Timer.State.PENDING, attempt__gt=0, **of_task)
        attempt = retries.values_list("attempt", flat=True).first()
        scheduled = HistoryRow.objects.using(self.using).filter(type=EventType.TASK_SCHEDULED, **of_task)
        name = scheduled.values_list("name", flat=True).first()
        if attempt is None or name is None:
            remedy = "What it waits for, and under which ids, is in its status; only activities are completed by hand."
            raise TaskNotOpen(target.instance_id, task_id, "open activity", remedy)
        return OpenActivity(target.instance_id, name, attempt)

    def _hasten(self, action: Action, instance_id: str, task_id: int, reason: str) -> None:
        target = self._live_target(instance_id, action.value)
        check_reason(reason)
        is_retry = action is Action.RETRY_NOW
        with self._writing():
            if not self._store.hasten(target.pk, target.execution, task_id, retry=is_retry):
                wanted = "call that waits for its next attempt" if is_retry else "pending timer"
                remedy = "Look at what it waits for now; it may have gone on already."
                raise TaskNotOpen(target.instance_id, task_id, wanted, remedy)
            self._audit(action, [target.instance_id], reason, {"task": task_id})

    def _result(self, name: str, result: object) -> str | None:
        """The result of that activity as JSON text which its return annotation takes. Raises PayloadRejected."""
        if isinstance(result, SerializedJson):
            text: str | None = result.text
        elif registry.has_activity(name):
            text = registry.activity(name).encode_output(result)
        else:
            text = payloads.encode(result, f"activity {name!r}: return value")
        self._functions.decode_activity_result(name, text)
        return text


def _key(of: ActivityAttempt) -> str:
    """Under which only one end of an attempt is in the inbox."""
    return f"activity:{of.execution}:{of.task_id}:{of.attempt}"
