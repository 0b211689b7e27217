"""What the code of each orchestration has heard so far, and what it waits for: a wait takes what was raised for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any


class Listening:
    """By instance id. Every replay tells it anew, from the beginning of its generation."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, int], Counter[str] | None] = {}  # None where it is not known
        self._generation: dict[str, int] = {}
        self._waits: dict[str, str] = {}

    def begin(self, instance_id: str, generation: int) -> None:
        """A generation's code begins, having heard what the one before had in the end."""
        before = self._heard.get((instance_id, generation - 1)) if generation else Counter()
        self._heard[instance_id, generation] = None if before is None else Counter(before)
        self._generation[instance_id] = generation
        self._waits.pop(instance_id, None)

    def wait(self, instance_id: str, name: str) -> None:
        """It does nothing now but wait for the next event of that name, and look at the clock."""
        self._waits[instance_id] = name.casefold()

    def hear(self, instance_id: str, node: list[Any]) -> None:
        """A node has come to its end, and is told of what it waited for."""
        self._waits.pop(instance_id, None)
        heard = self._heard.get((instance_id, self._generation.get(instance_id, 0)))
        if heard is not None:
            heard.update(_names(node))

    def check(self, instance_id: str, accepted: Counter[str]) -> None:
        """Raise AssertionError where it goes on waiting for an event of which so many were accepted."""
        name = self._waits.get(instance_id)
        heard = self._heard.get((instance_id, self._generation.get(instance_id, 0)))
        if name is not None and heard is not None:
            assert accepted[name] <= heard[name], f"{instance_id} waits for {name!r} {accepted[name]}, which is there"


def _names(node: list[Any]) -> Iterator[str]:
    match node:
        case ["listen" | "expect", name] | ["remind", _, name]:
            yield name.casefold()
        case ["all" | "race" | "gather", children]:
            for child in children:
                yield from _names(child)
