"""Programs at random."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from hypothesis import strategies as st

from tests.simulation.programs import NEVER, REMINDERS

NAMES = ("go", "Go", "stop")  # of the external events that the machine raises

names = st.sampled_from(NAMES)
calls = st.builds(lambda retries: ["call", "", retries], st.booleans())


def _of(kind: str) -> Any:
    return lambda *fields: [kind, *fields]


def _labelled(*kinds: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(kinds).map(lambda kind: [kind, ""])


def parts_of(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Programs of one to three generations."""
    return st.lists(nodes, min_size=1, max_size=3)


leaves = calls | st.builds(_of("listen"), names) | st.just(["pause"]) | st.just(["quiet"]) | _labelled("ask", "hear")
tasks = st.recursive(
    leaves,
    lambda inner: (
        st.builds(_of("all"), st.lists(inner, min_size=1, max_size=3))
        | st.builds(_of("child"), parts_of(inner | _labelled("show", "look", "hold")), st.booleans())
    ),
    max_leaves=4,
)
nodes = st.recursive(
    tasks
    | _labelled("crash", "signal", "hold", "show", "look")
    | st.builds(_of("expect"), names)
    | st.builds(_of("remind"), st.sampled_from(REMINDERS), names)
    | st.builds(_of("race"), st.lists(tasks, min_size=1, max_size=3))
    | st.builds(_of("gather"), st.lists(tasks, min_size=1, max_size=3))
    | st.builds(_of("handle"), st.sampled_from(["call", "ask"]), st.just(""), leaves),
    lambda inner: (
        st.builds(_of("steps"), st.lists(inner, min_size=1, max_size=3))
        | st.builds(_of("undo"), inner, leaves)
        | st.builds(_of("judge"), inner, leaves)
    ),
    max_leaves=6,
)


def labelled(node: Any, prefix: str, numbers: Iterator[int] | None = None) -> Any:
    """The same with a label of its own for each node that has one."""
    numbers = numbers if numbers is not None else count(1)
    match node:
        case ["call", str(), retries]:
            return ["call", f"{prefix}{next(numbers)}", retries]
        case ["crash" | "ask" | "signal" | "hold" | "hear" | "show" | "look" as kind, str()]:
            return [kind, f"{prefix}{next(numbers)}"]
        case ["handle", kind, str(), instead]:
            return ["handle", kind, f"{NEVER}{prefix}{next(numbers)}", labelled(instead, prefix, numbers)]
        case list():
            return [labelled(inner, prefix, numbers) for inner in node]
    return node


programs = parts_of(nodes | st.builds(_of("steps"), st.lists(nodes, min_size=2, max_size=3)))
"""Programs whose labels are all empty: give each its own with ``labelled``."""
