"""What an orchestrator can decide: each function makes a task and records the action and event that stand for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrations.core.actions import (
    Action,
    CancelTimer,
    CompleteOrchestration,
    CreateSubOrchestration,
    CreateTimer,
    DeliverEvent,
    ScheduleTask,
    SendEvent,
)
from orchestrations.core.coroutines import raised_at
from orchestrations.core.entity_calls import EntityTask
from orchestrations.core.errors import LockingRulesViolation, OrchestrationStateError, TaskFailedError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.failures import message_of
from orchestrations.core.identifiers import check_event_name, check_instance_id, check_tags, check_version
from orchestrations.core.interruptions import is_authors
from orchestrations.core.retries import RetryPolicy, spread
from orchestrations.core.status import RuntimeStatus
from orchestrations.core.tasks import ActionTask, ExternalEventTask, Task, TimerTask
from orchestrations.limits import ACTIVITY_TIMEOUT_DAYS, INSTANCE_ID_LENGTH

if TYPE_CHECKING:
    from orchestrations.core.execution import Execution

TOO_LONG = "A timeout must end before the year 10000. Leave it out to wait without an end."
CHILD_ID_NAMESPACE = uuid.UUID("0c9d6a6e-4d9f-5f4b-9a44-3a1f8f4de1a5")


def call_activity(
    execution: Execution,
    reference: object,
    value: object,
    policy: RetryPolicy | None,
    timeout: timedelta | float | None,
    heartbeat_timeout: timedelta | float | None,
    tags: dict[str, str] | None,
    return_type: object,
) -> ActionTask:
    """Schedule an activity."""
    functions = execution.functions
    name = functions.activity_name(reference)
    text = functions.encode_activity_input(name, value)
    seconds = seconds_of(timeout) if timeout is not None else functions.activity_timeout_seconds(name)
    declared = functions.activity_heartbeat_timeout_seconds
    silence = seconds_of(heartbeat_timeout) if heartbeat_timeout is not None else declared(name)
    return schedule_task(
        execution,
        name,
        text,
        lambda result: functions.decode_activity_result(name, result, return_type),
        policy,
        timeout_seconds=seconds,
        heartbeat_timeout_seconds=silence,
        tags=tags,
    )


def schedule_task(
    execution: Execution,
    name: str,
    text: str | None,
    decode: Callable[[str | None], Any],
    policy: RetryPolicy | None,
    *,
    timeout_seconds: float | None = None,
    heartbeat_timeout_seconds: float | None = None,
    tags: dict[str, str] | None = None,
) -> ActionTask:
    """Schedule the activity of that name with that input, as JSON text."""
    check_policy(policy)
    task_id = execution.next_id()
    task = ActionTask(task_id, name, text, decode, policy, execution.clock, execution.position)
    task.owner = execution
    task.scheduled = ScheduleTask(
        task_id,
        name,
        text,
        timeout_seconds=_bounded(timeout_seconds),
        tags=check_tags(tags),
        heartbeat_timeout_seconds=_bounded(heartbeat_timeout_seconds),
    )
    execution.tasks[task_id] = task
    _record_dispatch(execution, task)
    return task


def call_sub_orchestrator(
    execution: Execution,
    reference: object,
    value: object,
    instance_id: str | None,
    version: str | None,
    policy: RetryPolicy | None,
    tags: dict[str, str] | None,
    return_type: object,
) -> ActionTask:
    """Start a child and wait for its result. Raises LockingRulesViolation while entities are locked."""
    if execution.section is not None:
        raise LockingRulesViolation("No sub-orchestration runs while entities are locked. Call it outside the block.")
    check_policy(policy)
    functions = execution.functions
    name = functions.orchestrator_name(reference)
    text = functions.encode_orchestrator_input(name, value)
    version = check_version(version) or functions.orchestrator_version(reference)
    task_id = execution.next_id()
    child_id = _child_id(execution, task_id, instance_id)
    task = ActionTask(
        task_id,
        name,
        text,
        lambda result: functions.decode_orchestrator_result(name, result, return_type),
        policy,
        execution.clock,
        execution.position,
        child_id=child_id,
    )
    task.owner = execution
    task.scheduled = CreateSubOrchestration(task_id, name, text, child_id, version=version, tags=check_tags(tags))
    execution.tasks[task_id] = task
    _record_dispatch(execution, task)
    return task


def start_new(
    execution: Execution, reference: object, value: object, instance_id: str | None, version: str | None
) -> str:
    """Start another instance and go on: no result comes back. Returns its id."""
    functions = execution.functions
    name = functions.orchestrator_name(reference)
    text = functions.encode_orchestrator_input(name, value)
    version = check_version(version) or functions.orchestrator_version(reference)
    task_id = execution.next_id()
    child_id = _child_id(execution, task_id, instance_id)
    action = CreateSubOrchestration(task_id, name, text, child_id, version=version, fire_and_forget=True)
    attributes = {"instance_id": child_id, "fire_and_forget": True}
    execution.decide(
        EventType.SUB_ORCHESTRATION_CREATED, action, task_id=task_id, name=name, payload=text, attributes=attributes
    )
    return child_id


def create_timer(execution: Execution, due: datetime | timedelta) -> TimerTask:
    """Fire at or after the moment; one that has passed fires at once. A naive datetime is taken as UTC."""
    if not isinstance(due, datetime | timedelta):
        raise TypeError(f"create_timer takes a datetime or a timedelta, not {type(due).__name__}.")
    due_at = moment_of(execution, due)
    task_id = execution.next_id()
    task = TimerTask(
        task_id,
        due_at,
        execution.clock,
        lambda timer: execution.perform(CancelTimer(task_id)),
        due if isinstance(due, timedelta) else None,
    )
    task.owner = execution
    execution.tasks[task_id] = task
    execution.decide(
        EventType.TIMER_CREATED,
        CreateTimer(task_id, due_at),
        task_id=task_id,
        attempt=0,
        attributes={"fire_at": due_at.isoformat()},
    )
    return task


def send_event(execution: Execution, instance_id: str, name: str, value: object) -> None:
    """Raise an external event for another instance, once; an unknown or ended target drops it silently."""
    check_instance_id(instance_id)
    check_event_name(name)
    payload = execution.functions.encode(value, f"the external event {name!r}")
    task_id = execution.next_id()
    execution.decide(
        EventType.EVENT_SENT,
        SendEvent(task_id, instance_id, name, payload),
        task_id=task_id,
        name=name,
        payload=payload,
        attributes={"instance_id": instance_id},
    )


def continue_as_new(execution: Execution, value: object, save_events: bool, version: str | None) -> None:
    """End this execution at its next wait or return, and begin another with that input and an empty history."""
    execution.check_alive()
    check_version(version)
    text = execution.functions.encode_orchestrator_input(execution.definition.name, value)
    execution.save_events = save_events
    execution.continue_with = CompleteOrchestration(RuntimeStatus.CONTINUED_AS_NEW, new_input=text, new_version=version)


def set_custom_status(execution: Execution, value: object) -> None:
    """Show a JSON value with the instance from the next checkpoint on. Raises ValueError for one that is too long."""
    execution.check_alive()
    text = execution.functions.encode(value, "the custom status")
    size = len(text.encode("utf-16-le")) if text else 0
    limit = execution.functions.custom_status_bytes()
    if size > limit:
        raise ValueError(
            f"The custom status takes {size} bytes, and {limit} are allowed. Keep a short summary there and put the "
            "rest into an activity's result."
        )
    execution.custom_status = text


# Retries ---------------------------------------------------------------------------------------------------------


def check_policy(policy: object) -> None:
    """Raise TypeError for what is no policy, such as one of another library."""
    if policy is not None and not isinstance(policy, RetryPolicy):
        raise TypeError(
            f"retry takes a RetryPolicy or RetryOptions of orchestrations, not {type(policy).__module__}."
            f"{type(policy).__qualname__}."
        )


def may_retry(execution: Execution, task: ActionTask, error: TaskFailedError) -> bool:
    """Whether the call's policy has it tried again. A predicate of the author's that fails says no, and why."""
    if task.policy is None:
        return False
    try:
        return task.policy.allows(task.attempt + 1, error, task.started_at, execution.clock)
    except BaseException as broken:
        if not is_authors(broken):
            raise
        error.__cause__ = broken
        name, place = type(broken).__name__, raised_at(broken)
        error.add_note(f"No other attempt: the retry policy's handle raised {name}: {message_of(broken)} at {place}")
        return False


def wants_another(execution: Execution, task: ActionTask, result: object) -> bool:
    """Whether the policy takes a result for a failed attempt, and has one left."""
    policy = task.policy
    return (
        policy is not None
        and policy.rejects(result)
        and policy.has_left(task.attempt + 1, task.started_at, execution.clock)
    )


def schedule_retry(execution: Execution, task: ActionTask, attempt: int) -> None:
    """Set the timer before that attempt, or dispatch at once where there is no delay."""
    task.attempt = attempt
    task_id = int(task.id or 0)
    share = spread(execution.facts.instance_id, task_id, attempt)
    delay = task.policy.delay_before(attempt, share) if task.policy is not None else None
    if not delay:
        dispatch(execution, task)
        return
    task.retry_at = execution.clock + delay
    execution.decide(
        EventType.TIMER_CREATED,
        CreateTimer(task_id, task.retry_at, attempt=attempt),
        task_id=task_id,
        attempt=attempt,
        name=task.name,
        attributes={"fire_at": task.retry_at.isoformat()},
    )


def cancel_retry(execution: Execution, task: ActionTask) -> None:
    """Let the next attempt, if the task waits for one, never be made."""
    if task.retry_at is not None:
        task.retry_at = None
        execution.perform(CancelTimer(int(task.id or 0), task.attempt))


def keep_recorded_time(execution: Execution, timer: CreateTimer, stored: HistoryEvent) -> None:
    """A timer is due when its event says, whatever delay today's code or policy asks for."""
    recorded = stored.attributes.get("fire_at")
    if recorded is None:
        return
    timer.due_at = datetime.fromisoformat(recorded)
    task = execution.tasks.get(timer.task_id)
    if isinstance(task, TimerTask):
        task.due_at = timer.due_at
    elif task is not None and task.retry_at is not None and task.attempt == timer.attempt:
        task.retry_at = timer.due_at


def dispatch(execution: Execution, task: ActionTask) -> None:
    """Schedule the task's present attempt."""
    task.retry_at = None
    task.since = execution.clock
    scheduled = task.scheduled
    if isinstance(scheduled, ScheduleTask):
        task.scheduled = replace(scheduled, attempt=task.attempt, heartbeat_details=task.heartbeat_details)
    else:
        task.scheduled = CreateSubOrchestration(
            scheduled.task_id,
            scheduled.name,
            scheduled.input,
            scheduled.instance_id,
            version=scheduled.version,
            tags=scheduled.tags,
            attempt=task.attempt,
        )
    _record_dispatch(execution, task)


def record_due_time(execution: Execution, timer: CreateTimer, created: HistoryEvent) -> None:
    """Have the event of a timer say when it is due now: a rewind or fork may have moved it since it was decided."""
    task = execution.tasks[timer.task_id]
    due_at = task.due_at if isinstance(task, TimerTask) else task.retry_at
    if due_at is not None:
        created.attributes["fire_at"] = due_at.isoformat()


def restart_clocks(execution: Execution, going_on: HistoryEvent) -> None:
    """Let what is open after a rewind or fork have the time again during which the instance lay failed, or was left.

    A timer for a certain moment keeps it. A call that is done again has its whole retry timeout, and what failed for
    want of time all of that time.
    """
    since = going_on.attributes.get("failed_at") or going_on.attributes.get("left_at")
    stood_still = going_on.timestamp - datetime.fromisoformat(since) if since else timedelta()
    again: dict[str, float] = going_on.attributes.get("timeouts_again", {})
    for task_id, task in execution.tasks.items():
        if task.has_ended:
            continue
        if isinstance(task, TimerTask):
            _restart_timer(task, execution.clock, stood_still, again.get(str(task_id)))
        elif task.retry_at is not None:
            task.retry_at += stood_still
            task.started_at += stood_still
        else:
            task.started_at = execution.clock if task.attempt == 1 else task.started_at + stood_still


def _restart_timer(timer: TimerTask, now: datetime, stood_still: timedelta, again: float | None) -> None:
    wait = timer.limits if isinstance(timer.limits, ExternalEventTask) else None
    if again is not None:
        timer.since, timer.due_at = now, _later(now, timedelta(seconds=again))
        if wait is not None:
            wait.since = now
    elif timer.duration is not None:
        timer.due_at = _later(timer.due_at, stood_still)
    if wait is not None and wait.deadline is not None:
        wait.deadline = replace(wait.deadline, due_at=timer.due_at)


def _later(moment: datetime, by: timedelta) -> datetime:
    """That much later, but no later than there are dates."""
    try:
        return moment + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def open_actions(execution: Execution) -> Sequence[Action]:
    """The actions of everything that is still open: what a rewound execution must put in motion again."""
    actions: list[Action] = []
    for task_id, task in execution.tasks.items():
        if task.has_ended or isinstance(task, EntityTask):  # what an entity was asked for is under way
            continue
        if isinstance(task, TimerTask):
            actions.append(CreateTimer(task_id, task.due_at))
        elif task.retry_at is not None:
            actions.append(CreateTimer(task_id, task.retry_at, attempt=task.attempt))
        else:
            actions.append(task.scheduled)
    return actions


def scheduled_so_far(execution: Execution) -> list[HistoryEvent]:
    """The tasks that the code has begun, in order, each as the event that began it."""
    events: list[HistoryEvent] = []
    for task_id, task in sorted(execution.tasks.items()):
        if isinstance(task, ActionTask):
            is_child = task.child_id is not None
            kind = EventType.SUB_ORCHESTRATION_CREATED if is_child else EventType.TASK_SCHEDULED
            events.append(HistoryEvent(kind, task.since, task_id, task.name, task.input, task.attempt))
        else:
            events.append(HistoryEvent(EventType.TIMER_CREATED, task.since, task_id))
    return events


def open_tasks(execution: Execution) -> list[Task]:
    """What the code began and did not see end. A wait's deadline is not among them: nobody waits any more."""
    return [
        task
        for task in execution.tasks.values()
        if not (task.has_ended or (isinstance(task, TimerTask) and task.is_deadline))
    ]


def is_one_way(action: Action) -> bool:
    """Whether nothing comes back from the action, so that no open task stands for it."""
    return isinstance(action, (SendEvent, DeliverEvent, CompleteOrchestration)) or (
        isinstance(action, CreateSubOrchestration) and action.fire_and_forget
    )


def _record_dispatch(execution: Execution, task: ActionTask) -> None:
    scheduled = task.scheduled
    attributes: dict[str, Any] = {}
    if isinstance(scheduled, ScheduleTask):
        event_type = EventType.TASK_SCHEDULED
        if scheduled.timeout_seconds is not None:
            attributes["timeout_seconds"] = scheduled.timeout_seconds
        if scheduled.heartbeat_timeout_seconds is not None:
            attributes["heartbeat_timeout_seconds"] = scheduled.heartbeat_timeout_seconds
        if scheduled.heartbeat_details is not None:
            attributes["heartbeat_details"] = scheduled.heartbeat_details
    else:
        event_type = EventType.SUB_ORCHESTRATION_CREATED
        attributes["instance_id"] = scheduled.instance_id
    if scheduled.tags:
        attributes["tags"] = scheduled.tags
    execution.decide(
        event_type,
        scheduled,
        task_id=scheduled.task_id,
        name=scheduled.name,
        payload=scheduled.input,
        attempt=scheduled.attempt,
        attributes=attributes,
    )


# Inside ----------------------------------------------------------------------------------------------------------


def _bounded(seconds: float | None) -> float | None:
    """The timeout of an activity, or the longest that has a date for its end."""
    return None if seconds is None else min(seconds, timedelta(days=ACTIVITY_TIMEOUT_DAYS).total_seconds())


def default_child_id(execution: Execution, task_id: int) -> str:
    """``{parent}:{task id as four hex digits}``, with the generation before it from the second one on.

    A call that a rewind keeps has it again; one of an earlier generation, or that was taken back, never had it.
    """
    generation = f"{execution.generation:x}." if execution.generation > 1 else ""
    child_id = f"{execution.facts.instance_id}:{generation}{task_id:04x}"
    if len(child_id) <= INSTANCE_ID_LENGTH:
        return child_id
    return uuid.uuid5(CHILD_ID_NAMESPACE, child_id).hex


def _child_id(execution: Execution, task_id: int, given: str | None) -> str:
    """The id that was given, or the default; never that of its parent or grandparent, for which it would wait."""
    if given is None:
        return default_child_id(execution, task_id)
    child_id = check_instance_id(given)
    taken = {execution.facts.instance_id.casefold(), (execution.facts.parent_instance_id or "").casefold()}
    if child_id.casefold() in taken:
        raise OrchestrationStateError(
            f"The sub-orchestration's id {child_id!r} is that of its own parent. Give it another id, or none."
        )
    return child_id


def seconds_of(duration: timedelta | float) -> float:
    """A timeout in seconds. Raises ValueError for one that leaves no time."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if not seconds > 0:
        raise ValueError("A timeout must be longer than nothing.")
    if seconds > timedelta.max.total_seconds():
        raise ValueError(TOO_LONG)
    return seconds


def deadline_after(execution: Execution, timeout: timedelta | float) -> tuple[datetime, timedelta]:
    """When a timeout that begins now ends, and how long it is. Raises ValueError for one that ends after all dates."""
    seconds = seconds_of(timeout)
    try:
        duration = timeout if isinstance(timeout, timedelta) else timedelta(seconds=seconds)
        return execution.clock + duration, duration
    except OverflowError:
        raise ValueError(TOO_LONG) from None


def moment_of(execution: Execution, due: datetime | timedelta) -> datetime:
    """The moment in UTC; a naive datetime is UTC already."""
    try:
        moment = execution.clock + due if isinstance(due, timedelta) else due
        return moment.replace(tzinfo=UTC) if moment.utcoffset() is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{due!r} is outside of the years 1 to 9999 in UTC. Choose a moment inside.") from None
