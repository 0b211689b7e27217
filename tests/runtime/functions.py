"""Orchestrators and activities whose behaviour the test decides and whose runs it counts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from orchestrations import ActivityContext, OrchestrationContext, RetryOptions, activity, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.models import AuditEntry

GATE_SECONDS = 10.0


class Stage:
    """What activities do in this test, and what they have done."""

    def __init__(self) -> None:
        self.runs: Counter[object] = Counter()
        self.failing: set[object] = set()
        self.gate = threading.Event()  # for all of them
        self.gates: defaultdict[object, threading.Event] = defaultdict(threading.Event)
        self.inside: list[object] = []
        self.left: list[object] = []
        self.contexts: list[ActivityContext] = []
        self.mended = False
        self.changed = False

    def enter(self, value: object) -> None:
        """Tell the test that an activity is inside, and keep it there until the test opens the gate."""
        self.inside.append(value)
        deadline = time.monotonic() + GATE_SECONDS
        while not (self.gate.is_set() or self.gates[value].wait(0.002)):
            assert time.monotonic() < deadline, "the test did not open the gate"
        self.left.append(value)

    def let_go(self, value: object) -> None:
        self.gates[value].set()


stage = Stage()

with registry.preserved():
    # Activities

    @activity
    def work(value: object) -> object:
        stage.runs[value] += 1
        if value in stage.failing:
            raise LookupError(f"no {value}")
        return value

    @activity
    async def work_async(value: object) -> object:
        stage.runs[value] += 1
        await asyncio.to_thread(int)
        return value

    @activity
    def gated(context: ActivityContext, value: object) -> object:
        stage.runs[value] += 1
        stage.contexts.append(context)
        stage.enter(value)
        return value

    @activity
    async def gated_async(context: ActivityContext, value: object) -> object:
        stage.runs[value] += 1
        stage.contexts.append(context)
        stage.inside.append(value)
        await asyncio.to_thread(stage.gate.wait, GATE_SECONDS)
        return value

    @activity(transactional=True)
    def book(value: str) -> str:
        stage.runs[value] += 1
        AuditEntry.objects.create(hub="default", instance_id=value, actor_name="activity", action="book", via="Engine")
        return value

    @activity(transactional=True)
    def book_gated(value: str) -> str:
        stage.runs[value] += 1
        AuditEntry.objects.create(hub="default", instance_id=value, actor_name="activity", action="book", via="Engine")
        stage.enter(value)
        return value

    # Orchestrators

    @orchestrator
    def chain(context: OrchestrationContext, length: int):
        results = []
        for number in range(length):
            results.append((yield context.call_activity("work_async" if number % 2 else "work", number)))
        return results

    @orchestrator
    def fan_out(context: OrchestrationContext, width: int):
        return sum((yield context.task_all([context.call_activity(work, number) for number in range(width)])))

    @orchestrator
    def fan_out_gated(context: OrchestrationContext, width: int):
        return sum((yield context.task_all([context.call_activity(gated, number) for number in range(width)])))

    @orchestrator
    def calls(context: OrchestrationContext, call: list[object]):
        """Calls the named activity with each of the values, one after the other."""
        name, *values = call
        result = None
        for value in values:
            result = yield context.call_activity(str(name), value)
        return result

    @orchestrator
    def calls_with_timeout(context: OrchestrationContext, name: str):
        return (yield context.call_activity(name, 1, timeout=timedelta(seconds=0.05)))

    @orchestrator
    def retries(context: OrchestrationContext, value: object):
        options = RetryOptions(20, 3, backoff_coefficient=2.0)
        return (yield context.call_activity_with_retry(work, options, value))

    @orchestrator
    def parent(context: OrchestrationContext, child: list[object]):
        """Calls a sub-orchestration: [name, input, instance id or null]."""
        name, value, instance_id = child
        return (yield context.call_sub_orchestrator(str(name), value, instance_id=instance_id))

    @orchestrator
    def forgiving_parent(context: OrchestrationContext, child: list[object]):
        name, value, instance_id = child
        try:
            return (yield context.call_sub_orchestrator(str(name), value, instance_id=instance_id))
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    @orchestrator
    def two_children(context: OrchestrationContext):
        tasks = [context.call_sub_orchestrator(chain, number) for number in (1, 2)]
        return (yield context.task_all(tasks))

    @orchestrator
    def waits(context: OrchestrationContext, count: int):
        received = []
        while len(received) < count:
            received.append((yield context.wait_for_external_event("go")))
        return received

    @orchestrator
    def waits_then_works(context: OrchestrationContext):
        first = yield context.wait_for_external_event("go")
        return (yield context.call_activity(work, first))

    @orchestrator
    def collects(context: OrchestrationContext, state: list[int]):
        """Continues as new after every event, until it has ten."""
        if len(state) < 10:
            event = yield context.wait_for_external_event("go")
            context.continue_as_new([*state, event])
            return None
        return state

    @orchestrator
    def generations(context: OrchestrationContext, number: int):
        value = yield context.call_activity(work, number)
        if value < 50:
            context.continue_as_new(value + 1)
            return None
        return value

    @orchestrator
    def leaves_one_running(context: OrchestrationContext, generation: int):
        """Its task 1 is a gated activity in the first generation, and another one in the second."""
        first = context.call_activity(gated, f"generation {generation}")
        if generation == 1:
            yield context.wait_for_external_event("go")
            context.continue_as_new(2)
            return None
        return (yield first)

    @orchestrator
    def ten_timers(context: OrchestrationContext):
        due_at = context.current_utc_datetime + timedelta(milliseconds=30)
        past = context.create_timer(context.current_utc_datetime - timedelta(hours=1))
        yield context.task_all([past, *(context.create_timer(due_at) for _ in range(10))])
        return "all fired"

    @orchestrator
    def sleeps(context: OrchestrationContext, days: int):
        yield context.create_timer(timedelta(days=days))
        return "woken"

    @orchestrator
    def fails_once(context: OrchestrationContext):
        value = yield context.call_activity(work, "before")
        if not stage.mended:
            raise ValueError("a bug")
        return value

    @orchestrator
    def changes(context: OrchestrationContext):
        """Waits for two events. Its code is changed under it, and back."""
        if stage.changed:
            yield context.create_timer(timedelta(days=1))
        yield context.call_activity(work, "before")
        received = []
        while len(received) < 2:
            received.append((yield context.wait_for_external_event("go")))
        return received


FUNCTIONS = [value for value in globals().values() if hasattr(value, "durable")]


@contextmanager
def registered() -> Iterator[None]:
    """Register them for the length of one test, on a fresh stage."""
    stage.__init__()
    with registry.preserved():
        for function in FUNCTIONS:
            is_activity = function.durable.kind == "activity"
            (registry.add_activity if is_activity else registry.add_orchestrator)(function.durable)
        yield
        stage.gate.set()
