"""From what an instance decided to the checkpoint that the store writes."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import msgspec

from orchestrations.authoring.registry import registry
from orchestrations.authoring.versions import new_version
from orchestrations.conf import get_config
from orchestrations.core.actions import (
    CancelTimer,
    CreateSubOrchestration,
    CreateTimer,
    DeliverEvent,
    ScheduleTask,
    SendEvent,
)
from orchestrations.core.coroutines import Location
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.execution import Execution
from orchestrations.core.failures import FailureDetails
from orchestrations.core.rewind import asked_for
from orchestrations.core.status import RuntimeStatus
from orchestrations.core.tasks import ActionTask, ExternalEventTask
from orchestrations.core.waits import describe_waits, event_waits, sentence
from orchestrations.models import Instance
from orchestrations.runtime import questions
from orchestrations.runtime.activities import ActivityPool
from orchestrations.runtime.entities import deliver
from orchestrations.runtime.instances import Advance, live_children
from orchestrations.runtime.live_workers import LiveWorkers
from orchestrations.store.contract import (
    Checkpoint,
    ClaimedActivity,
    ClaimedInstance,
    Message,
    NewInstance,
    NewTimer,
    NewWait,
    NewWorkItem,
    RunsOn,
)
from orchestrations.store.entities import release_of_locks

WORKING_DIRECTORY = Path.cwd()


Note = Callable[[Advance, Checkpoint, datetime], None]
"""What is told of a checkpoint is put into it by this."""

STACK_KEPT = 20  # calls between the orchestrator and the line where it waits, the innermost
CLOCK_SLACK = timedelta(milliseconds=20)  # by which this process's idea of the database's clock may be ahead


class CheckpointBuilder:
    """Builds the checkpoints of one batch, planning which activities run in this process."""

    def __init__(self, pool: ActivityPool, workers: LiveWorkers, now: datetime, note: Note) -> None:
        self._pool = pool
        self._workers = workers
        self._now = now
        self._note = note
        self._planned_async = self._planned = 0
        self._planned_seconds = 0.0

    def build(self, advance: Advance) -> tuple[Checkpoint, list[ClaimedActivity]]:
        """The checkpoint, and the activities to start in this process once it is committed."""
        checkpoint, local = self._build(advance)
        self._note(advance, checkpoint, self._now)
        return checkpoint, local

    def _build(self, advance: Advance) -> tuple[Checkpoint, list[ClaimedActivity]]:
        held, claimed = advance.held, advance.held.claimed
        checkpoint = Checkpoint(
            pk=claimed.pk,
            execution=claimed.execution,
            last_sequence=claimed.last_sequence,
            status=claimed.status,
            new_execution=claimed.execution,
            new_last_sequence=claimed.last_sequence,
            custom_status=claimed.custom_status,
            consumed=advance.consumed,
            ended_activities=advance.ended_tasks,
            dead_letters=advance.dead_letters,
            undone_end=advance.undone_end,
        )
        if advance.is_late:
            _add_late_facts(checkpoint, advance)
            return checkpoint, []
        if advance.outcome is not None:
            self._end_without_code(checkpoint, advance)
            return checkpoint, []
        execution = held.execution
        assert execution is not None
        self._describe(checkpoint, advance, execution)
        checkpoint.messages += _pass_on(advance)
        local = self._perform(checkpoint, advance, execution)
        if execution.completion is not None:
            self._end(checkpoint, advance, execution)
            local = local if execution.status is RuntimeStatus.COMPLETED else []
        checkpoint.release = not (held.in_flight or local) or checkpoint.ends_execution
        return checkpoint, local

    # Going on ----------------------------------------------------------------------------------------------------

    def _describe(self, checkpoint: Checkpoint, advance: Advance, execution: Execution) -> None:
        """Where the instance stands now: status, history, what it waits for and at which line."""
        claimed = advance.held.claimed
        checkpoint.status = execution.status
        checkpoint.custom_status = execution.custom_status
        checkpoint.history = advance.events
        checkpoint.new_last_sequence = execution.last_sequence
        if advance.new_execution is not None:
            checkpoint.new_execution = advance.new_execution
            checkpoint.ends_execution = True
            checkpoint.messages += _rewind_children(advance)
        elif execution.has_started and (claimed.begins or claimed.status == RuntimeStatus.PENDING):  # or was forked
            checkpoint.started_at = self._now
        if not execution.has_started:
            checkpoint.claimable_at = claimed.claimable_at
        waits = describe_waits(execution)
        checkpoint.waits = msgspec.json.encode(waits).decode() if waits else None
        checkpoint.waiting_for = sentence(execution, waits)
        checkpoint.blocked_at, checkpoint.blocked_code = _source(execution.location)
        checkpoint.blocked_stack = _stack(execution.stack)
        wanted = {int(wait.id or 0): wait for wait in event_waits(execution)}
        recorded = advance.held.recorded_waits
        checkpoint.closed_waits = sorted(recorded - wanted.keys())
        opened = {wait_id: wait for wait_id, wait in wanted.items() if wait_id not in recorded}
        checkpoint.opened_waits = [_new_wait(wait_id, wait, checkpoint.blocked_at) for wait_id, wait in opened.items()]
        if execution.external_events.questions:
            checkpoint.asked = questions.asked(execution, opened)
            checkpoint.settled = questions.settled(execution, checkpoint.closed_waits)

    def _perform(self, checkpoint: Checkpoint, advance: Advance, execution: Execution) -> list[ClaimedActivity]:
        """Turn actions into rows, leaving out what the same batch has overtaken."""
        claimed = advance.held.claimed
        local: list[ClaimedActivity] = []
        goes_on = execution.completion is None or execution.status is RuntimeStatus.COMPLETED
        for action in advance.actions:
            if isinstance(action, ScheduleTask):
                if goes_on and _is_open(execution, action.task_id, action.attempt):
                    self._schedule(checkpoint, claimed, execution, action, local)
            elif isinstance(action, CreateTimer):
                if execution.completion is None and _timer_is_open(execution, action):
                    checkpoint.timers.append(NewTimer(action.task_id, action.attempt, action.due_at))
            elif isinstance(action, CancelTimer):
                checkpoint.cancelled_timers.append((action.task_id, action.attempt))
            elif isinstance(action, CreateSubOrchestration):
                if action.fire_and_forget or (goes_on and _is_open(execution, action.task_id, action.attempt)):
                    child = _child(claimed, execution, action)
                    child.keep_history = child.keep_history or advance.new_execution is not None
                    checkpoint.children.append(child)
            elif isinstance(action, SendEvent | DeliverEvent):
                checkpoint.messages.append(_message(action, self._now))
        return local

    def _runs_here(self, name: str, runs_on: RunsOn) -> bool:
        """Whether this process runs the activity; if so, it is planned."""
        if runs_on is RunsOn.NOTHING:  # what no worker has is refused by the pool, and fails
            return not self._workers.have_activity(name)
        if runs_on is RunsOn.LOOP:
            has_room = self._pool.has_room(name, self._planned_async)
            self._planned_async += has_room
            return has_room
        has_room = self._pool.has_room(name, self._planned, self._planned_seconds)
        if has_room:
            self._planned += 1
            self._planned_seconds += self._pool.expected_seconds(name)
        return has_room

    def _schedule(
        self,
        checkpoint: Checkpoint,
        claimed: ClaimedInstance,
        execution: Execution,
        action: ScheduleTask,
        local: list[ClaimedActivity],
    ) -> None:
        runs_on = self._pool.runs_on(action.name) if registry.has_activity(action.name) else RunsOn.NOTHING
        runs_here = self._runs_here(action.name, runs_on)
        if runs_here:
            local.append(
                ClaimedActivity(
                    instance_pk=claimed.pk,
                    instance_id=claimed.instance_id,
                    execution=execution.facts.execution,
                    task_id=action.task_id,
                    attempt=action.attempt,
                    name=action.name,
                    input=action.input,
                    timeout_seconds=action.timeout_seconds,
                    dispatches=1,
                    tags=action.tags,
                    generation=execution.generation,
                    heartbeat_timeout_seconds=action.heartbeat_timeout_seconds,
                    heartbeat_details=action.heartbeat_details,
                )
            )
        checkpoint.work_items.append(
            NewWorkItem(
                action.task_id,
                action.attempt,
                action.sequence,
                action.name,
                action.timeout_seconds,
                runs_here,
                execution.generation,
                runs_on,
            )
        )

    # Ending ------------------------------------------------------------------------------------------------------

    def _end(self, checkpoint: Checkpoint, advance: Advance, execution: Execution) -> None:
        completion = execution.completion
        assert completion is not None
        checkpoint.ends_execution = True
        checkpoint.opened_waits, checkpoint.closed_waits = [], []
        if execution.status is RuntimeStatus.CONTINUED_AS_NEW:
            checkpoint.new_execution += 1
            checkpoint.forgets_history = True
            checkpoint.history = [
                replace(event, sequence=sequence) for sequence, event in enumerate(completion.carried_events, start=1)
            ]
            if completion.suspended_by is not None:
                suspended = replace(completion.suspended_by, sequence=len(checkpoint.history) + 1)
                checkpoint.history.append(suspended)
            checkpoint.new_last_sequence = len(checkpoint.history)
            checkpoint.claimable_at = self._now - CLOCK_SLACK  # at once
            checkpoint.new_input = (completion.new_input,)
            checkpoint.new_version = completion.new_version
            return
        checkpoint.keeps_activities = execution.status is RuntimeStatus.COMPLETED
        self._finish(checkpoint, advance.held.claimed, completion.output, completion.failure)
        if execution.status is not RuntimeStatus.FAILED:
            checkpoint.blocked_at = checkpoint.blocked_code = ""

    def _end_without_code(self, checkpoint: Checkpoint, advance: Advance) -> None:
        outcome = advance.outcome
        assert outcome is not None
        claimed = advance.held.claimed
        checkpoint.status = outcome.status
        checkpoint.history = advance.events
        checkpoint.new_last_sequence += len(advance.events)
        checkpoint.ends_execution = True
        if not RuntimeStatus(claimed.status).is_terminal:
            checkpoint.messages += release_of_locks(get_config().database, claimed.pk, claimed.execution)
            execution = advance.held.execution
            checkpoint.withdraws_tasks = execution is None or bool(execution.external_events.questions)
        self._finish(checkpoint, claimed, outcome.output, outcome.failure)
        checkpoint.messages += _pass_on(advance)

    def _finish(
        self,
        checkpoint: Checkpoint,
        claimed: ClaimedInstance,
        output: str | None,
        failure: str | None,
    ) -> None:
        checkpoint.completed_at = self._now
        checkpoint.output = output
        checkpoint.failure = failure
        checkpoint.waits, checkpoint.waiting_for = None, ""
        if failure is not None:
            details = FailureDetails.from_json(msgspec.json.decode(failure))
            checkpoint.error, checkpoint.error_fingerprint = details.summary, details.fingerprint
        if claimed.parent_pk is not None and claimed.parent_task_id is not None:
            event = _told_to_parent(claimed, checkpoint.status, output, failure, self._now)
            checkpoint.messages.append(
                Message(event, instance_pk=claimed.parent_pk, execution=claimed.parent_execution)
            )


def _new_wait(wait_id: int, wait: ExternalEventTask, location: str) -> NewWait:
    return NewWait(
        wait_id=wait_id,
        name=wait.name,
        since=wait.since,
        due_at=wait.timer.due_at if wait.timer is not None else None,
        title=wait.title,
        request=msgspec.json.encode(wait.request).decode() if wait.request else None,
        location=location,
    )


def _message(action: SendEvent | DeliverEvent, now: datetime) -> Message:
    if isinstance(action, DeliverEvent):
        return deliver(action)
    event = HistoryEvent(EventType.EVENT_RAISED, now, name=action.name, payload=action.payload)
    return Message(event, instance_id=action.instance_id)


def _told_to_parent(
    claimed: ClaimedInstance, status: str, output: str | None, failure: str | None, now: datetime
) -> HistoryEvent:
    """How the child ended, as the parent's history will have it. A terminated child is a failure with its reason."""
    if status == RuntimeStatus.COMPLETED:
        return HistoryEvent(EventType.SUB_ORCHESTRATION_COMPLETED, now, task_id=claimed.parent_task_id, payload=output)
    if failure is None:
        reason = f": {msgspec.json.decode(output)}" if output else "."
        details = FailureDetails("OrchestrationTerminated", f"{claimed.instance_id!r} was terminated{reason}")
        failure = msgspec.json.encode(details.to_json()).decode()
    return HistoryEvent(EventType.SUB_ORCHESTRATION_FAILED, now, task_id=claimed.parent_task_id, payload=failure)


def _pass_on(advance: Advance) -> list[Message]:
    """What a recursive operation tells the sub-orchestrations, also those that begin with it."""
    if not advance.passed_on:
        return []
    messages: list[Message] = []
    born = [a for a in advance.actions if isinstance(a, CreateSubOrchestration) and not a.fire_and_forget]
    live = live_children(advance.held.claimed)
    for event in advance.passed_on:
        messages += [Message(_copy(event), instance_pk=pk) for pk in live]
        parent = advance.held.pk
        messages += [Message(_copy(event), instance_id=action.instance_id, parent_pk=parent) for action in born]
    return messages


def _rewind_children(advance: Advance) -> list[Message]:
    """Each finds out for itself what of its own is taken back."""
    rewound = next(event for event in reversed(advance.events) if event.type is EventType.EXECUTION_REWOUND)
    asked = HistoryEvent(rewound.type, rewound.timestamp, attributes=asked_for(rewound))
    return [
        Message(_copy(asked), instance_pk=pk, execution=execution, idempotency_key=f"rewind:{execution}")
        for pk, execution in advance.children_to_rewind
    ]


def _add_late_facts(checkpoint: Checkpoint, advance: Advance) -> None:
    """Lengthen the history of an instance that has failed, and leave it as it is otherwise."""
    row = Instance.objects.using(get_config().database).get(pk=checkpoint.pk)
    checkpoint.history = advance.events
    checkpoint.new_last_sequence += len(advance.events)
    checkpoint.completed_at, checkpoint.output, checkpoint.failure = row.completed_at, row.output, row.failure
    checkpoint.error, checkpoint.error_fingerprint = row.error, row.error_fingerprint
    checkpoint.waiting_for, checkpoint.waits = row.waiting_for, row.waits
    checkpoint.blocked_at, checkpoint.blocked_code = row.blocked_at, row.blocked_code


def _copy(event: HistoryEvent) -> HistoryEvent:
    return HistoryEvent(event.type, event.timestamp, payload=event.payload, attributes=dict(event.attributes))


def _child(claimed: ClaimedInstance, execution: Execution, action: CreateSubOrchestration) -> NewInstance:
    version = new_version(action.name) if action.version is None else action.version
    child = NewInstance(action.instance_id, action.name, version, action.input, dict(action.tags))
    if not action.fire_and_forget:
        child.parent_pk = claimed.pk
        child.parent_execution = execution.generation
        child.parent_task_id = action.task_id
        is_rewound = execution.facts.execution != execution.generation  # and may have taken a child of that id back
        child.keep_history = action.attempt > 1 or is_rewound
    return child


def _is_open(execution: Execution, task_id: int, attempt: int) -> bool:
    task = execution.tasks.get(task_id)
    return isinstance(task, ActionTask) and not task.has_ended and task.retry_at is None and task.attempt == attempt


def _timer_is_open(execution: Execution, action: CreateTimer) -> bool:
    task = execution.tasks.get(action.task_id)
    if isinstance(task, ActionTask):
        return task.retry_at is not None and task.attempt == action.attempt
    return task is not None and not task.has_ended


def _stack(calls: Sequence[Location]) -> str | None:
    """Places and lines of the innermost calls, as JSON; None where the orchestrator waits at a line of its own."""
    if len(calls) < 2:
        return None
    return msgspec.json.encode([_source(location) for location in calls[-STACK_KEPT:]]).decode()


@lru_cache(maxsize=4_096)
def _source(location: Location | None) -> tuple[str, str]:
    """The place in words, relative to the project where it is inside, and its line of code."""
    if location is None:
        return "", ""
    path = Path(location.file)
    shown = path.relative_to(WORKING_DIRECTORY) if path.is_relative_to(WORKING_DIRECTORY) else Path(*path.parts[-3:])
    where = f"{shown.as_posix()}:{location.line} in {location.function}"
    return where[:400], linecache.getline(location.file, location.line).strip()[:300]
