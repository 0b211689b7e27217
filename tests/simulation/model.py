"""What each program must come to, whatever happens on the way, if in the end nothing of it fails for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.simulation.programs import NEWEST, alone, inside, label_of


class Instance:
    """An instance that has completed.

    The external events of a name are numbered from 1 as they are raised, and each is taken once, in that order.
    """

    def __init__(self, parts: list[Any], version: str = NEWEST, *, is_child: bool = False) -> None:
        self.version = version
        self.is_child = is_child
        self.custom_status: str | None = None
        self.output = []
        self.taken: Counter[str] = Counter()  # how many external events of each name
        for part in parts:
            self.output.append(self._value(part))

    def _value(self, node: list[Any]) -> Any:
        match node:
            case ["call", label, _] | ["crash" | "ask" | "signal" | "hold", label]:
                return label
            case ["pause"]:
                return None
            case ["quiet"]:
                return "silence"
            case ["listen" | "expect", name] | ["remind", _, name]:
                self.taken[name.casefold()] += 1
                return self.taken[name.casefold()]
            case ["show", label]:
                before, self.custom_status = self.custom_status, label
                return [before, label]
            case ["look", _]:
                return ["simulated", self.version, self.is_child]
            case _:
                return self._value_of_others(node)

    def _value_of_others(self, node: list[Any]) -> Any:
        match node:
            case ["all" | "steps" | "race" | "gather", children]:
                return [self._value(child) for child in children]
            case ["undo" | "judge", body, _] | ["handle", _, _, body]:
                return self._value(body)
            case ["child", parts, _]:
                return Instance(parts, is_child=True).output
            case ["hear", label]:
                return [label, [label]]
            case ["tell", told]:
                return label_of(told)
        raise ValueError(node)


def labels(node: Any) -> Iterator[str]:
    """Every label that may be broken, in a node, a part or a program."""
    match node:
        case ["hold", str(label)]:
            yield from (label, inside(label))
        case ["call", str(label), _] | ["crash" | "ask", str(label)]:
            yield label
        case list():
            for inner in node:
                yield from labels(inner)


def noted(node: Any) -> Iterator[str]:
    """The labels that an entity must have noted once the node has run to its end."""
    match node:
        case ["hold", str(label)]:
            yield from (alone(label), inside(label))
        case ["ask" | "signal", str(label)]:
            yield label
        case ["undo" | "judge", body, _]:
            yield from noted(body)
        case list():
            for inner in node:
                yield from noted(inner)


def looked(node: Any) -> Iterator[str]:
    """The labels of the lines that code came to while it was not replaying."""
    match node:
        case ["look", str(label)]:
            yield label
        case ["undo" | "judge", body, _]:
            yield from looked(body)
        case list():
            for inner in node:
                yield from looked(inner)


def compensations(node: Any) -> Iterator[str]:
    """The labels of what is done only because something failed, and may be done for each failure."""
    match node:
        case ["undo" | "judge", body, handler]:
            yield from compensations(body)
            yield from labels(handler)
        case list():
            for inner in node:
                yield from compensations(inner)
