"""Patches: which executions take the new path of a change, recorded so that each keeps to its own.

An execution that had passed the place before the change takes the old path for good; one that comes there anew takes
the new path and leaves a PatchApplied event. It takes no task id, so that what follows keeps its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrations.core.actions import ApplyPatch
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.identifiers import check_patch_id

if TYPE_CHECKING:
    from orchestrations.core.execution import Execution
    from orchestrations.core.matching import Decision


class Patches:
    """What is known of one execution's patches: those in its history, and what the code has been told."""

    def __init__(self) -> None:
        self._recorded: frozenset[str] = frozenset()
        self.answers: dict[str, bool] = {}
        self.exhausted_at: int | None = None
        """In a replay for a rewind: with how many decisions the code has used up what is stored."""

    def remember(self, history: Sequence[HistoryEvent]) -> None:
        """Note the patches that a history has."""
        self._recorded = frozenset(_key(e.name or "") for e in history if e.type is EventType.PATCH_APPLIED)

    def has_recorded(self, patch_id: str) -> bool:
        """Whether the history that was replayed has the patch."""
        return _key(patch_id) in self._recorded


def patched(execution: Execution, patch_id: str) -> bool:
    """Whether the new path is taken; the first time that it is, this is decided and recorded."""
    return _answer(execution, patch_id, {})


def deprecate_patch(execution: Execution, patch_id: str) -> None:
    """Record the patch where ``patched`` would, with a mark that code may leave out."""
    _answer(execution, patch_id, {"deprecated": True})


def _answer(execution: Execution, patch_id: str, attributes: dict[str, bool]) -> bool:
    execution.check_alive()
    key = _key(check_patch_id(patch_id))
    patches = execution.patches
    if key not in patches.answers:
        patches.answers[key] = patches.has_recorded(patch_id) or _is_beyond_history(execution)
        if patches.answers[key]:
            execution.decide(EventType.PATCH_APPLIED, ApplyPatch(patch_id), name=patch_id, attributes=attributes)
    return patches.answers[key]


def _is_beyond_history(execution: Execution) -> bool:
    """Whether the code stands where none of its decisions is recorded yet.

    In a replay that is so only for a rewind: at the end of what it keeps, the code goes on anew.
    """
    exhausted_at = execution.patches.exhausted_at
    return not execution.is_replaying or (exhausted_at is not None and execution.position().decisions >= exhausted_at)


def is_forgotten(stored: HistoryEvent, expected: Sequence[Decision]) -> bool:
    """Whether a stored mark of a deprecated patch is one that the code rightly no longer asks for."""
    if stored.type is not EventType.PATCH_APPLIED or not stored.attributes.get("deprecated"):
        return False
    following = expected[0].event if expected else None
    return following is None or (following.type, _key(following.name or "")) != (stored.type, _key(stored.name or ""))


def _key(patch_id: str) -> str:
    """Names in history are compared in any case."""
    return patch_id.casefold()
