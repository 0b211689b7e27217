"""Random orchestrations as JSON, and the orchestrator that runs them. What each must return, ``model`` says.

A program is the input of the orchestrator ``simulated``: parts, of which each is run by a generation of its own. A part
is a tree of these nodes, each a list whose first element says what it is:

    ["call", label, retries]     an activity, which fails while its label is broken
    ["child", [part, ...], retries]  a sub-orchestration with a program of its own
    ["ask", label]               an operation of an entity, which fails while its label is broken, and its result
    ["signal", label]            an operation that does not fail, without waiting for it
    ["hold", label]              a critical section with both entities, in which things are done that fail while broken
    ["pause"]                    a timer of an hour
    ["listen", name]             the next external event of that name; the machine numbers them
    ["expect", name]             the same, and a failure if it does not come within an hour
    ["remind", how, name]        the same, with a look at the clock every hour: see ``_remind``
    ["quiet"]                    an event that nobody raises, for an hour
    ["hear", label]              an event that a sub-orchestration sends, and the end of that
    ["tell", label]              what that one does: the event for its parent
    ["all", [node, ...]]         these at the same time
    ["race", [node, ...]]        the first of these to end, and then all of them
    ["steps", [node, ...]]       one after another
    ["undo", node, node]         the second node makes up for what failed in the first one, and the failure goes on
    ["judge", node, node]        the same, but the orchestrator raises an error of its own behind the block
    ["gather", [node, ...]]      each awaited by itself, and a group of what failed
    ["handle", kind, label, node]    a call or ask that always fails, and what is done instead
    ["crash", label]             the orchestrator's own code is at fault while the label is broken
    ["show", label]              the label as custom status, and what stood there before
    ["look", label]              what the orchestrator is told of itself
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from orchestrations import (
    ActivityContext,
    EntityContext,
    EntityId,
    OrchestrationContext,
    RetryPolicy,
    TaskFailedError,
    activity,
    entity,
    orchestrator,
)
from orchestrations.authoring.registry import registry
from orchestrations.core.tasks import Task
from tests.simulation.listening import Listening

HOUR = timedelta(hours=1)
RETRIES = RetryPolicy(first_retry_interval=HOUR, max_number_of_attempts=2)
NEWEST = "2.0"  # the code's version
TALLIES = [EntityId("simulated_tally", "1"), EntityId("simulated_tally", "0")]
WORD = "word "  # what the names of events between orchestrations begin with
NEVER = "never "  # what the labels of what always fails begin with
REMINDERS = ("dead", "cancelled", "kept", "timeout", "default")


class Ledger:
    """Which labels are broken now, how often each was done by which call, and what has been seen to happen."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.done: Counter[str] = Counter()
        self.calls: Counter[tuple[str, str]] = Counter()  # done, by label and idempotency key
        self.begun: Counter[str] = Counter()  # how often each instance began with its first part
        self.retried: set[str] = set()  # labels of activities that are tried twice
        self.looked: set[str] = set()  # labels that code came to while it was not replaying
        self.seen: set[str] = set()
        self.listening = Listening()

    def fails(self, label: str) -> bool:
        """Whether what has that label fails now."""
        return label in self.broken or label.startswith(NEVER)


ledger = Ledger()


class BrokenError(Exception):
    """What fails because its label is broken."""


FAILURES = (TaskFailedError, TimeoutError, BrokenError, ExceptionGroup)

with registry.preserved():

    @activity(name="simulated_work")
    def work(context: ActivityContext, label: str) -> str:
        if ledger.fails(label):
            raise BrokenError(f"{label} is broken")
        ledger.done[label] += 1
        ledger.calls[label, context.idempotency_key] += 1
        return label

    @entity(name="simulated_tally")
    def tally(context: EntityContext) -> None:
        """Notes what it is told: a label, and an id that no other operation has. Or counts its notes."""
        notes = context.get_state(lambda: [])
        if context.operation_name == "count":
            context.set_result(len(notes))
            return
        label = label_of(context.get_input())
        context.set_state([*notes, context.get_input()])
        if ledger.fails(label):
            raise BrokenError(f"{label} is broken")
        context.set_result(label)

    @orchestrator(name="simulated", version=NEWEST)
    def simulated(context: OrchestrationContext, given: dict[str, Any]):
        if not (context.is_replaying or given["results"]):
            ledger.begun[context.instance_id] += 1
        ledger.listening.begin(context.instance_id, len(given["results"]))
        result = yield from _run(context, given["parts"][0])
        results = [*given["results"], result]
        if len(given["parts"]) == 1:
            return results
        context.continue_as_new({"parts": given["parts"][1:], "results": results})
        return None


@contextmanager
def registered() -> Iterator[Ledger]:
    """Register all three for the length of one test, with nothing broken."""
    ledger.__init__()
    with registry.preserved():
        registry.add_activity(work.durable)
        registry.add_entity(tally.durable)
        registry.add_orchestrator(simulated.durable)
        yield ledger


def given(parts: list[Any]) -> dict[str, Any]:
    """The input that runs the program."""
    return {"parts": parts, "results": []}


def label_of(entry: str) -> str:
    """The label of what an entity has noted, or of what a sub-orchestration tells."""
    return entry.partition("|")[0]


def alone(label: str) -> str:
    """The label of what a critical section tells an entity between two counts.

    It is never broken: a rewind to there would lock the entities anew, and others might come in between.
    """
    return f"{label} alone"


def inside(label: str) -> str:
    """The label of what a critical section tells an entity in the end: it may be broken, too."""
    return f"{label} inside"


def _entry(context: OrchestrationContext, label: str) -> tuple[EntityId, str]:
    """One of two entities, and what it is told."""
    return TALLIES[len(label) % 2], f"{label}|{context.new_uuid()}"


def _run(context: OrchestrationContext, node: list[Any]) -> Iterator[Any]:
    ledger.seen.add(node[0])
    value = yield from _value(context, node)
    ledger.listening.hear(context.instance_id, node)
    return value


def _value(context: OrchestrationContext, node: list[Any]) -> Iterator[Any]:
    match node:
        case ["steps", children]:
            results = []
            for child in children:
                results.append((yield from _run(context, child)))
            return results
        case ["undo" | "judge" | "handle", *_]:
            return (yield from _catch(context, node))
        case ["gather", children]:
            return (yield from _gather([_task(context, child) for child in children]))
        case ["race", children]:
            return (yield from _race(context, [_task(context, child) for child in children]))
        case ["remind", how, name]:
            return (yield from _remind(context, how, name))
        case ["hold", label]:
            return (yield from _hold(context, label))
        case ["crash" | "signal" | "tell" | "show" | "look" as kind, label]:
            return AT_ONCE[kind](context, label)
        case _:
            return (yield _task(context, node))


def _catch(context: OrchestrationContext, node: list[Any]) -> Iterator[Any]:
    match node:
        case ["undo", body, handler]:
            try:
                return (yield from _run(context, body))
            except FAILURES:
                yield from _run(context, handler)
                raise
        case ["judge", body, handler]:
            return (yield from _judge(context, body, handler))
        case ["handle", kind, label, instead]:
            ledger.seen.add(f"handle {kind}")
            try:
                yield _task(context, [kind, label, *([False] if kind == "call" else [])])
            except TaskFailedError:
                return (yield from _run(context, instead))


def _judge(context: OrchestrationContext, body: list[Any], handler: list[Any]) -> Iterator[Any]:
    problem = ""
    try:
        result = yield from _run(context, body)
    except FAILURES:
        problem = "something is broken"
    if problem:
        yield from _run(context, handler)
        raise BrokenError(problem)
    return result


def _gather(tasks: list[Task]) -> Iterator[Any]:
    results, errors = [], []
    for task in tasks:
        try:
            results.append((yield task))
        except TaskFailedError as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("some failed", errors)
    return results


def _race(context: OrchestrationContext, tasks: list[Task]) -> Iterator[Any]:
    yield context.task_any(tasks)
    return (yield context.task_all(tasks))


def _remind(context: OrchestrationContext, how: str, name: str) -> Iterator[Any]:
    """The next event of the name, however often an hour passes without it.

    What has waited is then left to itself (dead), given up (cancelled) or awaited again (kept); or the wait itself ends
    with a TimeoutError or with its default.
    """
    wait = None
    while True:
        ledger.listening.wait(context.instance_id, name)
        since = context.current_utc_datetime
        match how:
            case "timeout":
                try:
                    return (yield context.wait_for_external_event(name, timeout=HOUR))
                except TimeoutError:
                    pass
            case "default":
                number = yield context.wait_for_external_event(name, timeout=HOUR, default=0)
                if number:
                    return number
            case _:
                wait = wait if wait is not None and how == "kept" else context.wait_for_external_event(name)
                timer = context.create_timer(HOUR)
                if (yield context.task_any([wait, timer])) is wait:
                    timer.cancel()
                    return wait.result
                assert how != "cancelled" or wait.cancel(), "a wait that had lost could not be cancelled"
        assert context.current_utc_datetime >= since + HOUR, f"{how}: reminded too early"
        ledger.seen.add(f"{how} wait")


def _hold(context: OrchestrationContext, label: str) -> Iterator[Any]:
    """Nobody else's operation comes between the two counts; then work is done and noted, still under the lock."""
    entity_id, told = _entry(context, alone(label))
    with (yield context.lock_entities(TALLIES if len(label) % 3 else TALLIES[::-1])):
        before = yield context.call_entity(entity_id, "count")
        yield context.call_entity(entity_id, "note", told)
        after = yield context.call_entity(entity_id, "count")
        assert after == before + 1, "another came into the critical section"
        yield context.call_activity(work, label)
        entity_id, told = _entry(context, inside(label))
        yield context.call_entity(entity_id, "note", told)
    return label


def _crash(context: OrchestrationContext, label: str) -> str:
    return label if label not in ledger.broken else {}[f"{label} is broken"]


def _signal(context: OrchestrationContext, label: str) -> str:
    entity_id, told = _entry(context, label)
    context.signal_entity(entity_id, "note", told)
    return label


def _tell(context: OrchestrationContext, label: str) -> str:
    if context.parent_instance_id is not None:  # it may be purged by now
        context.send_event(context.parent_instance_id, word(label), label_of(label))
    return label_of(label)


def word(label: str) -> str:
    """The name of the event that only a ``tell`` of that label sends."""
    return f"{WORD}{label}"


def _show(context: OrchestrationContext, label: str) -> list[Any]:
    before = context.custom_status
    context.set_custom_status(label)
    return [before, label]


def _look(context: OrchestrationContext, label: str) -> list[Any]:
    if not context.is_replaying:
        ledger.looked.add(label)
    parent = context.parent_instance_id
    return [context.name, context.version, parent is not None and context.instance_id.startswith(f"{parent}:")]


def _retries_of(label: str) -> RetryPolicy:
    ledger.retried.add(label)
    return RETRIES


AT_ONCE = {"crash": _crash, "signal": _signal, "tell": _tell, "show": _show, "look": _look}


def _task(context: OrchestrationContext, node: list[Any]) -> Task:
    ledger.seen.add(node[0])
    match node:
        case ["call", label, retries]:
            return context.call_activity(work, label, retry=_retries_of(label) if retries else None)
        case ["child", parts, retries]:
            return context.call_sub_orchestrator(simulated, given(parts), retry=RETRIES if retries else None)
        case ["ask", label]:
            entity_id, told = _entry(context, label)
            return context.call_entity(entity_id, "note", told)
        case ["pause"]:
            return context.create_timer(HOUR)
        case ["listen", name]:
            return context.wait_for_external_event(name)
        case ["expect", name]:
            return context.wait_for_external_event(name, timeout=HOUR)
        case ["quiet"]:
            return context.wait_for_external_event("nobody", timeout=HOUR, default="silence")
        case ["hear", label]:
            told = f"{label}|{context.new_uuid()}"
            teller = context.call_sub_orchestrator(simulated, given([["tell", told]]))
            return context.task_all([context.wait_for_external_event(word(told)), teller])
        case ["all", children]:
            return context.task_all([_task(context, child) for child in children])
    raise ValueError(node)
