"""One execution of an orchestrator: its code, driven by events, and the decisions that come out.

This is the whole replay engine. ``replay`` feeds it stored history and checks that the code decides again what the
history says; ``apply`` feeds it a new event and returns what happened. Each received event is followed in history by
exactly the decisions that it caused, so that the same events give the same history however they are split into
episodes, and any change of kind, name or order in the code is noticed.

It holds no lock, reads no clock and does no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

import msgspec

from orchestrations.core import calls, coroutines, errors, event_waits, interruptions, matching, patches, takeover
from orchestrations.core.actions import Action, CompleteOrchestration, CreateTimer, ScheduleTask
from orchestrations.core.composition import WhenAllTask
from orchestrations.core.definitions import Functions, OrchestratorDefinition
from orchestrations.core.entity_calls import CriticalSection, call_again
from orchestrations.core.events import ANSWERED_WHILE_SUSPENDED, EventType, HistoryEvent
from orchestrations.core.external_events import ExternalEvents
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.failures import FailureDetails
from orchestrations.core.matching import Decision
from orchestrations.core.numbering import TaskNumbers
from orchestrations.core.patches import Patches
from orchestrations.core.status import RuntimeStatus
from orchestrations.core.takeover import Takeovers
from orchestrations.core.tasks import ActionTask, Position, Task, TimerTask
from orchestrations.limits import EPISODE_ACTIONS, HISTORY_EVENTS

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
REFUSALS = 100
UNWATCHED = nullcontext()


class Execution:
    """A live orchestrator. Feed it events in order; read ``status``, ``actions`` and ``awaited`` afterwards."""

    def __init__(
        self,
        definition: OrchestratorDefinition,
        functions: Functions,
        facts: InstanceFacts,
        make_context: Callable[[Execution], Any],
    ) -> None:
        self.definition = definition
        self.functions = functions
        self.facts = facts
        self.status = RuntimeStatus.PENDING
        self.custom_status: str | None = None
        self.completion: CompleteOrchestration | None = None
        self.error: BaseException | None = None  # what the orchestrator died of, for a rewind
        self.overrun: BaseException | None = None  # it decided too much, or for too long: nothing of the turn is kept
        self.clock = BEGINNING
        self.generation = facts.execution
        self.last_sequence = 0
        self.is_replaying = False
        self.is_discarded = False
        self.has_started: bool = False
        self.awaited: Task | None = None
        self.location: coroutines.Location | None = None
        self.actions: list[Action] = []  # decided since take_actions()
        self.tasks: dict[int, ActionTask | TimerTask] = {}
        self.external_events = ExternalEvents()
        self.patches = Patches()
        self.takeovers = Takeovers()
        self.numbers = TaskNumbers()
        self.continue_with: CompleteOrchestration | None = None
        self.save_events = True
        self.suspended_by: HistoryEvent | None = None
        self.section: CriticalSection | None = None  # the entities that it holds or has asked for
        self._context = make_context(self)
        self._code: Any = None  # the generator or coroutine
        self._last: CompleteOrchestration | None = None  # how it ends once its open tasks have ended
        self._is_in_code = False
        self._held: deque[HistoryEvent] = deque()  # received while suspended
        self._held_tasks: set[int] = set()  # that they belong to
        self._decided: list[Decision] = []
        self._decisions = 0  # in all
        self._refusals = 0  # to code that runs on although it was discarded
        self._waits = 0  # in all
        self._current = 0  # sequence of the event being processed

    # Events in ---------------------------------------------------------------------------------------------------

    def replay(self, history: Sequence[HistoryEvent], *, rewinding: bool = False, numbers_used: int = 0) -> None:
        """Bring a fresh execution to where its history ends.

        With ``rewinding``, and where the history was forked, the code may decide more at the end than is stored: the
        next event is the rewind or the fork, and what the code decides now follows it, with numbers behind those used.
        Raises NonDeterminismError naming the event, what the history has and what the code did, at which line.
        """
        self.is_replaying = True
        self.numbers.foresee(history, numbers_used)
        self.patches.remember(history)
        self.takeovers.foresee(history, self.facts)
        is_cut = rewinding or self.takeovers.awaits_fork
        try:
            expected = self._replay(history, is_cut)
            if expected and not is_cut:
                raise matching.decided_too_much(expected[0], None)
        except BaseException:
            self.discard()
            raise
        self.is_replaying = False
        self._decided = list(expected)
        self.actions = [decision.action for decision in expected]

    def _replay(self, history: Sequence[HistoryEvent], is_cut: bool) -> deque[Decision]:
        """Feed stored events, and return what the code decided beyond them."""
        expected: deque[Decision] = deque()
        for index, event in enumerate(history, start=1):
            self.patches.exhausted_at = self._decisions + len(history) - index if is_cut else None
            if event.is_decided:
                self._match(event, expected)
                continue
            if expected and not event.goes_on:
                raise matching.decided_too_much(expected[0], event)
            if not matching.accepts(self, event):
                matching.check_came_late(self, event)
                self.last_sequence = event.sequence
                continue
            self.actions = [decision.action for decision in expected]  # what stands before was performed
            self._process(event, event.sequence)
            expected.extend(self._take_decided())
        return expected

    def apply(self, event: HistoryEvent) -> list[HistoryEvent]:
        """Process a new event and return the events to append: it and the decisions it caused, numbered.

        Empty where the event is late or a duplicate (its task has ended, is unknown, or the execution has), which is
        how a completion is taken once however often it is delivered. An external event, and a suspension, that come
        after continue_as_new are carried over to the next generation.
        """
        if self.is_discarded:
            raise errors.OrchestrationStateError("The execution was discarded. Open it again from its history.")
        if not matching.accepts(self, event):
            self._carry_over([event])
            return []
        event.timestamp = max(event.timestamp, self.clock)
        event.sequence = self.last_sequence + 1
        self._process(event, event.sequence)
        appended = [event]
        for decision in self._take_decided():
            decided = decision.event
            decided.timestamp = event.timestamp
            self.last_sequence += 1
            decided.sequence = self.last_sequence
            if isinstance(decision.action, ScheduleTask):
                decision.action.sequence = decided.sequence
            elif isinstance(decision.action, CreateTimer):
                calls.record_due_time(self, decision.action, decided)
            appended.append(decided)
        return appended

    def take_actions(self) -> list[Action]:
        """The actions decided since the last call, in order."""
        taken, self.actions = self.actions, []
        return taken

    def discard(self) -> None:
        """Let go of the author's code without running its ``except`` and ``finally`` blocks to any effect."""
        self.is_discarded = True
        self.is_replaying = True  # so that they log nothing
        coroutines.close(self._code)
        self._code = None

    # Decisions out, for the context ------------------------------------------------------------------------------

    def next_id(self) -> int:
        """The next action's id."""
        self.check_alive()
        number = self.numbers.next(self._current)
        if self.numbers.given > EPISODE_ACTIONS:
            self.overrun = errors.TooManyActions(EPISODE_ACTIONS)
            raise self.overrun
        return number

    def next_wait_id(self) -> int:
        """The next wait's id. Waits are numbered apart from actions, since they leave no event."""
        self._waits += 1
        return self._waits

    def decide(self, event_type: EventType, action: Action, **fields: Any) -> None:
        """Record a decision: its action, and the history event that stands for it."""
        where = self._where() if self.is_replaying else None
        self._decided.append(Decision(HistoryEvent(event_type, self.clock, **fields), action, where))
        self._decisions += 1
        self.actions.append(action)
        self.numbers.count(event_type)
        self.takeovers.count(event_type)
        self.takeovers.carry_out(self, self._current)

    def perform(self, action: Action) -> None:
        """Ask for an action that leaves no event, such as cancelling a timer."""
        self.actions.append(action)

    def position(self) -> Position:
        """Where the code is now."""
        return Position(self._current, self._decisions, self._waits)

    def holds(self, event: HistoryEvent) -> bool:
        """Whether an event of the same task came while the instance was suspended, and is not processed yet."""
        return event.task_id in self._held_tasks

    def check_alive(self) -> None:
        """Raise where the author's code runs on although its execution is gone.

        Code that swallows even that is let on to its next wait, where it can be left, so that it never loops here.
        """
        if self.is_discarded and self._refusals < REFUSALS:
            self._refusals += 1
            raise interruptions.ExecutionDiscarded

    # Inside ------------------------------------------------------------------------------------------------------

    def _match(self, event: HistoryEvent, expected: deque[Decision]) -> None:
        if patches.is_forgotten(event, expected):
            self.last_sequence = event.sequence
            self._decisions += 1
            return
        if not expected:
            raise matching.decided_too_little(event, self.location)
        decision = expected.popleft()
        matching.match(decision, event)
        if isinstance(decision.action, ScheduleTask):
            decision.action.sequence = event.sequence
        elif isinstance(decision.action, CreateTimer):
            calls.keep_recorded_time(self, decision.action, event)
        self.last_sequence = event.sequence

    def _take_decided(self) -> list[Decision]:
        taken, self._decided = self._decided, []
        return taken

    def _process(self, event: HistoryEvent, sequence: int) -> None:
        self.clock = max(self.clock, event.timestamp)
        self.last_sequence = max(self.last_sequence, sequence)
        self._current = sequence
        if event.type is EventType.EXECUTION_STARTED:
            self._learn(event)
        self.takeovers.carry_out(self, sequence)
        if self.suspended_by is not None and event.type not in ANSWERED_WHILE_SUSPENDED:
            self._held.append(event)
            if event.task_id is not None:
                self._held_tasks.add(event.task_id)
            return
        HANDLERS[event.type](self, event)
        if sequence > HISTORY_EVENTS and self.completion is None:
            limit = f"The execution passed {HISTORY_EVENTS} events. Use continue_as_new in a loop that goes on."
            self._end_failed(errors.HistoryLimitExceeded(limit))

    def _learn(self, started: HistoryEvent) -> None:
        self.has_started = True
        self.facts = self.facts.as_of(started)
        self.generation = started.attributes.get("generation", self.facts.execution)
        self.custom_status = started.payload  # inherited from the generation before

    def _on_started(self, _event: HistoryEvent) -> None:
        self.status = RuntimeStatus.RUNNING
        self._begin()

    def _on_task_completed(self, event: HistoryEvent) -> None:
        task = self._action_task(event)
        calls.cancel_retry(self, task)  # a result given by hand between two attempts needs no next one
        try:
            result = task.decode(event.payload)
        except BaseException as error:  # the author's types; running the activity again would not change them
            if not interruptions.is_authors(error):
                raise
            task.fail(task.failure(FailureDetails.from_exception(error)))
        else:
            if calls.wants_another(self, task, result):
                calls.schedule_retry(self, task, task.attempt + 1)
            else:
                task.complete(result)
        self._resume()

    def _on_task_failed(self, event: HistoryEvent) -> None:
        """Try the call again if its policy says so, else let the orchestrator see the failure."""
        task = self._action_task(event)
        error = task.failure(FailureDetails.from_json(msgspec.json.decode(event.payload or "{}")))
        task.heartbeat_details = event.attributes.get("heartbeat_details")
        if calls.may_retry(self, task, error):
            calls.schedule_retry(self, task, task.attempt + 1)
        else:
            task.fail(error)
        self._resume()

    def _on_timer_fired(self, event: HistoryEvent) -> None:
        task = self.tasks.get(event.task_id or 0)
        if isinstance(task, ActionTask):
            calls.dispatch(self, task)
        elif task is not None:
            task.complete(None)
            self._resume()

    def _action_task(self, event: HistoryEvent) -> ActionTask:
        task = self.tasks.get(event.task_id or 0)
        if not isinstance(task, ActionTask):
            raise matching.not_awaited(event, self.location)
        return task

    def _on_lock_granted(self, event: HistoryEvent) -> None:
        assert self.section is not None
        self.section.grant()
        self._resume()

    # External events ---------------------------------------------------------------------------------------------

    def _on_event_raised(self, event: HistoryEvent) -> None:
        self.external_events.offer(event, self.awaited)
        self._resume()

    def _carry_over(self, events: Iterable[HistoryEvent]) -> None:
        """Keep external events, and whether it is suspended, for the next generation."""
        if self.completion is not None and self.completion.status is RuntimeStatus.CONTINUED_AS_NEW:
            self.completion.carry_over(events)

    # Control -----------------------------------------------------------------------------------------------------

    def _on_terminated(self, event: HistoryEvent) -> None:
        reason = event.attributes.get("reason") or None
        output = event.payload or self.functions.encode(reason, "the reason of the termination")
        self._end(CompleteOrchestration(RuntimeStatus.TERMINATED, output=output))

    def _on_suspended(self, event: HistoryEvent) -> None:
        self.status = RuntimeStatus.SUSPENDED
        self.suspended_by = event

    def _on_resumed(self, event: HistoryEvent) -> None:
        has_begun = self._code is not None or self._last is not None
        self.status = RuntimeStatus.RUNNING if has_begun else RuntimeStatus.PENDING
        self.suspended_by = None
        self._held_tasks.clear()
        while self._held:
            earlier = self._held.popleft()
            if earlier.type is EventType.EXECUTION_STARTED or matching.accepts(self, earlier):
                HANDLERS[earlier.type](self, earlier)

    def _on_rewound(self, event: HistoryEvent) -> None:
        """A rewind is a fact of the history; the code goes on by itself once its failed task is dispatched again."""
        calls.restart_clocks(self, event)
        if self.section is not None:
            self.section.request_again()
        call_again(self, event.attributes.get("calls_again", ()))

    def _on_forked(self, event: HistoryEvent) -> None:
        """The fork runs, also where the origin was suspended at that place."""
        takeover.set_in_motion(self, event)
        if self.suspended_by is not None:
            self._on_resumed(event)

    # The author's code -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        try:
            self._is_in_code = True
            try:
                with self._watched():
                    code = coroutines.begin(self.definition, self._context, self.facts.input)
            finally:
                self._is_in_code = False
        except BaseException as error:
            self._end_raised(error)
            return
        if coroutines.is_resumable(code):
            self._code = code
            self._run()
        else:
            self._end_returned(code)

    def _resume(self) -> None:
        if self.awaited is not None and not self.awaited.has_ended:
            return
        if self._last is not None:
            self._end_or_wait(self._last)
        elif self._code is not None:
            self._run()

    def _run(self) -> None:
        """Run the author's code until it waits for something that has not happened yet, or ends."""
        try:
            while self.completion is None and self._advance_code():
                pass
        except StopIteration as stop:
            self._end_returned(stop.value)
        except BaseException as error:
            self._end_raised(error)

    def _advance_code(self) -> bool:
        """One stretch of the code, from what it awaited to what it awaits next. Returns whether that has ended."""
        awaited, self.awaited = self.awaited, None
        if awaited is not None:
            awaited.look()
        self._is_in_code = True
        try:
            with self._watched():
                self.awaited = coroutines.step(self._code, awaited, self)
        finally:
            self._is_in_code = False
        self.location = coroutines.locate(self._code)
        if self.continue_with is not None:
            self._end(self.continue_with)
            return False
        self.external_events.give_to(self.awaited)
        event_waits.renew_deadlines(self, self.awaited)
        return self.awaited.has_ended

    @property
    def stack(self) -> list[coroutines.Location]:
        """The lines at which the code is suspended, the orchestrator's own first; none of one that has ended."""
        return coroutines.stack(self._code) if self.completion is None else []

    def _watched(self) -> AbstractContextManager[None]:
        watch = self.definition.watch
        return UNWATCHED if watch is None or self.is_replaying else watch(self.location)

    def _where(self) -> coroutines.Location | None:
        """The line of the author's code that decides now, or at which it was suspended."""
        inside = coroutines.calling_location() if self._is_in_code else self.location
        return inside or coroutines.defined_at(self.definition.function)

    def _end_returned(self, value: Any) -> None:
        if self.continue_with is not None:
            self._end(self.continue_with)
            return
        try:
            output = self.definition.encode_output(value)
        except BaseException as error:  # the author's value
            self._end_raised(error)
        else:
            self._end_or_wait(CompleteOrchestration(RuntimeStatus.COMPLETED, output=output))

    def _end_or_wait(self, completion: CompleteOrchestration) -> None:
        open_tasks = calls.open_tasks(self) if self.definition.wait_for_open_tasks else []
        if open_tasks:
            self._last, self.awaited = completion, WhenAllTask(open_tasks)
        else:
            self._end(completion)

    def _end_raised(self, error: BaseException) -> None:
        if not interruptions.is_authors(error):
            raise error
        if isinstance(error, interruptions.EpisodeTimeout):
            if self.is_replaying:
                raise error
            self.overrun = error  # what it had decided by then, it won't decide again
        if self.completion is None:
            self._end_failed(error)

    def _end_failed(self, error: BaseException) -> None:
        self.error = error
        if self.location is None:
            self.location = coroutines.raised_at(error)
        details = FailureDetails.from_exception(error)
        failure = msgspec.json.encode(details.to_json()).decode()
        self._end(CompleteOrchestration(RuntimeStatus.FAILED, failure=failure))

    def _end(self, completion: CompleteOrchestration) -> None:
        self.status = RuntimeStatus(completion.status)
        self.completion = completion
        self.awaited = None
        if self.save_events:
            held = [event for event in self._held if event.type is EventType.EVENT_RAISED]
            self._carry_over([*self.external_events.unseen(), *held])
        if self.section is not None:
            self.section.end(self.status)
        self.decide(
            EventType.EXECUTION_COMPLETED,
            completion,
            payload=completion.failure if completion.failure is not None else completion.output,
            attributes={"status": str(completion.status)},
        )


HANDLERS: dict[EventType, Callable[[Execution, HistoryEvent], None]] = {
    EventType.EXECUTION_STARTED: Execution._on_started,
    EventType.EXECUTION_TERMINATED: Execution._on_terminated,
    EventType.EXECUTION_SUSPENDED: Execution._on_suspended,
    EventType.EXECUTION_RESUMED: Execution._on_resumed,
    EventType.EXECUTION_REWOUND: Execution._on_rewound,
    EventType.EXECUTION_FORKED: Execution._on_forked,
    EventType.TASK_COMPLETED: Execution._on_task_completed,
    EventType.TASK_FAILED: Execution._on_task_failed,
    EventType.TIMER_FIRED: Execution._on_timer_fired,
    EventType.SUB_ORCHESTRATION_COMPLETED: Execution._on_task_completed,
    EventType.SUB_ORCHESTRATION_FAILED: Execution._on_task_failed,
    EventType.EVENT_RAISED: Execution._on_event_raised,
    EventType.ENTITY_COMPLETED: Execution._on_task_completed,
    EventType.ENTITY_FAILED: Execution._on_task_failed,
    EventType.ENTITY_LOCK_GRANTED: Execution._on_lock_granted,
}
