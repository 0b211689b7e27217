"""Random orchestrations as JSON, an orchestrator that runs them, and what each must return if nothing fails for good.

A program is the input of the orchestrator ``simulated``: parts, of which each is run by a generation of its own. A part
is a tree of these nodes, each a list whose first element says what it is:

    ["call", label, retries]     an activity, which fails while its label is broken
    ["child", [part, ...], retries]  a sub-orchestration with a program of its own
    ["ask", label]               an operation of an entity, and its result
    ["signal", label]            the same without waiting for it
    ["pause"]                    a timer of an hour
    ["listen", name]             the next external event of that name; the machine numbers them
    ["all", [node, ...]]         these at the same time
    ["race", [node, ...]]        the first of these to end, and then all of them
    ["steps", [node, ...]]       one after another
    ["undo", node, node]         the second node makes up for what failed in the first one, and the failure goes on
    ["judge", node, node]        the same, but the orchestrator raises an error of its own behind the block
    ["gather", [node, ...]]      each awaited by itself, and a group of what failed
    ["handle", label, node]      an activity that always fails, and what is done instead
    ["crash", label]             the orchestrator's own code is at fault while the label is broken
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import strategies as st

from orchestrations import (
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

HOUR = timedelta(hours=1)
RETRIES = RetryPolicy(first_retry_interval=HOUR, max_number_of_attempts=2)


class Ledger:
    """Which labels are broken now, and how often each was done."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.done: Counter[str] = Counter()


ledger = Ledger()


class BrokenError(Exception):
    """What fails because its label is broken."""


FAILURES = (TaskFailedError, BrokenError, ExceptionGroup)

with registry.preserved():

    @activity(name="simulated_work")
    def work(label: str) -> str:
        if label in ledger.broken or label.startswith("never"):
            raise BrokenError(f"{label} is broken")
        ledger.done[label] += 1
        return label

    @entity(name="simulated_tally")
    def tally(context: EntityContext) -> None:
        """Notes what it is told: a label, and an id that no other operation has."""
        context.set_state([*context.get_state(lambda: []), context.get_input()])
        context.set_result(label_of(context.get_input()))

    @orchestrator(name="simulated")
    def simulated(context: OrchestrationContext, given: dict[str, Any]):
        result = yield from _run(context, given["parts"][0])
        results = [*given["results"], result]
        if len(given["parts"]) == 1:
            return results
        context.continue_as_new({"parts": given["parts"][1:], "results": results})
        return None


@contextmanager
def registered() -> Iterator[Ledger]:
    """Register both for the length of one test, with nothing broken."""
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
    """The label of what the entity has noted."""
    return entry.partition("|")[0]


def _entry(context: OrchestrationContext, label: str) -> tuple[EntityId, str]:
    """One of two entities, and what it is told."""
    return EntityId("simulated_tally", str(len(label) % 2)), f"{label}|{context.new_uuid()}"


def _run(context: OrchestrationContext, node: list[Any]) -> Iterator[Any]:
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
        case ["crash", label]:
            return _crash(label)
        case ["signal", label]:
            entity_id, told = _entry(context, label)
            context.signal_entity(entity_id, "note", told)
            return label
        case ["race", children]:
            return (yield from _race(context, [_task(context, child) for child in children]))
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
        case ["handle", label, instead]:
            try:
                yield context.call_activity(work, label)
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


def _crash(label: str) -> str:
    return label if label not in ledger.broken else {}[f"{label} is broken"]


def _race(context: OrchestrationContext, tasks: list[Task]) -> Iterator[Any]:
    yield context.task_any(tasks)
    return (yield context.task_all(tasks))


def _task(context: OrchestrationContext, node: list[Any]) -> Task:
    match node:
        case ["call", label, retries]:
            return context.call_activity(work, label, retry=RETRIES if retries else None)
        case ["child", parts, retries]:
            return context.call_sub_orchestrator(simulated, given(parts), retry=RETRIES if retries else None)
        case ["ask", label]:
            entity_id, told = _entry(context, label)
            return context.call_entity(entity_id, "note", told)
        case ["pause"]:
            return context.create_timer(HOUR)
        case ["listen", name]:
            return context.wait_for_external_event(name)
        case ["all", children]:
            return context.task_all([_task(context, child) for child in children])
    raise ValueError(node)


# The model -----------------------------------------------------------------------------------------------------------


def expected(parts: list[Any]) -> list[Any]:
    """What an instance with this program returns: each event of a name is taken once, in the order of raising."""
    taken: Counter[str] = Counter()
    return [_value(part, taken) for part in parts]


def _value(node: list[Any], taken: Counter[str]) -> Any:
    match node:
        case ["call", label, _] | ["crash", label] | ["ask", label] | ["signal", label]:
            return label
        case ["child", parts, _]:
            return expected(parts)
        case ["pause"]:
            return None
        case ["listen", name]:
            taken[name.casefold()] += 1
            return taken[name.casefold()]
        case ["all" | "steps" | "race" | "gather", children]:
            return [_value(child, taken) for child in children]
        case ["undo" | "judge", body, _]:
            return _value(body, taken)
        case ["handle", _, instead]:
            return _value(instead, taken)
    raise ValueError(node)


def labels(node: Any) -> Iterator[str]:
    """Every label that may be broken, in a node, a part or a program."""
    match node:
        case ["call", str(label), _] | ["crash", str(label)] if not label.startswith("never"):
            yield label
        case list():
            for inner in node:
                yield from labels(inner)


def noted(node: Any) -> Iterator[str]:
    """The labels that an entity must have noted once the node has run to its end."""
    match node:
        case ["ask" | "signal", str(label)]:
            yield label
        case ["undo" | "judge", body, _]:
            yield from noted(body)
        case list():
            for inner in node:
                yield from noted(inner)


def compensations(node: Any) -> Iterator[str]:
    """The labels of what is done only because something failed, and may be done for each failure."""
    match node:
        case ["undo" | "judge", body, handler]:
            yield from compensations(body)
            yield from labels(handler)
        case list():
            for inner in node:
                yield from compensations(inner)


# Strategies ----------------------------------------------------------------------------------------------------------

calls = st.builds(lambda retries: ["call", "", retries], st.booleans())
listens = st.builds(lambda name: ["listen", name], st.sampled_from(["go", "Go", "stop"]))
pauses = st.just(["pause"])
asks = st.just(["ask", ""])
signals = st.just(["signal", ""])
crashes = st.just(["crash", ""])


def _node(kind: str) -> Any:
    return lambda *parts: [kind, *parts]


def parts_of(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Programs of one or two generations."""
    return st.lists(nodes, min_size=1, max_size=2)


leaves = calls | listens | pauses | asks
tasks = st.recursive(
    leaves,
    lambda inner: (
        st.builds(_node("all"), st.lists(inner, min_size=1, max_size=3))
        | st.builds(_node("child"), parts_of(inner), st.booleans())
    ),
    max_leaves=4,
)
nodes = st.recursive(
    tasks
    | crashes
    | signals
    | st.builds(_node("race"), st.lists(tasks, min_size=1, max_size=3))
    | st.builds(_node("gather"), st.lists(tasks, min_size=1, max_size=3))
    | st.builds(_node("handle"), st.just("never"), leaves),
    lambda inner: (
        st.builds(_node("steps"), st.lists(inner, min_size=1, max_size=3))
        | st.builds(_node("undo"), inner, leaves)
        | st.builds(_node("judge"), inner, leaves)
    ),
    max_leaves=6,
)


def without_child_retries(node: Any) -> Any:
    """The same with each child tried once: one that is tried again does its work anew, in an instance of its own."""
    match node:
        case ["child", parts, bool()]:
            return ["child", without_child_retries(parts), False]
        case list():
            return [without_child_retries(inner) for inner in node]
    return node


def labelled(node: Any, prefix: str, numbers: Iterator[int] | None = None) -> Any:
    """The same with a label of its own for each call and each crash."""
    numbers = numbers if numbers is not None else count(1)
    match node:
        case ["call", str(), retries]:
            return ["call", f"{prefix}{next(numbers)}", retries]
        case ["crash" | "ask" | "signal" as kind, str()]:
            return [kind, f"{prefix}{next(numbers)}"]
        case ["handle", str(), instead]:
            return ["handle", f"never {prefix}{next(numbers)}", labelled(instead, prefix, numbers)]
        case list():
            return [labelled(inner, prefix, numbers) for inner in node]
    return node


programs = parts_of(nodes)
"""Programs whose labels are all empty: give each its own with ``labelled``."""
