"""Orchestrators that are kept in memory between episodes, so that going on needs no replay."""

from __future__ import annotations

from collections import OrderedDict

from orchestrations.core.execution import Execution


class OrchestratorCache:
    """The least recently used executions go first. A stale entry can't match its key, and so is never used."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[int, Execution] = OrderedDict()

    def take(self, pk: int, execution: int, last_sequence: int) -> Execution | None:
        """Remove and return the execution of that instance if it stands exactly there; drop it otherwise."""
        entry = self._entries.pop(pk, None)
        if entry is None:
            return None
        if entry.facts.execution == execution and entry.last_sequence == last_sequence:
            return entry
        entry.discard()
        return None

    def put(self, pk: int, execution: Execution) -> None:
        """Keep an execution that waits."""
        if self._size <= 0:
            execution.discard()
            return
        self._entries[pk] = execution
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)[1].discard()

    def clear(self) -> None:
        """Forget all of them."""
        while self._entries:
            self._entries.popitem()[1].discard()

    def __len__(self) -> int:
        return len(self._entries)
