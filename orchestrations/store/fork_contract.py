"""What a store promises about forks: instances that begin with what another one's history has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrations.core.events import HistoryEvent

if TYPE_CHECKING:
    from orchestrations.store.contract import Created, NewInstance


@dataclass(slots=True)
class NewFork:
    """An instance to create, Pending, with a history. Payloads are texts, which become the new instance's own.

    ``messages`` are put into its inbox in their order; without any it begins as other instances do. ``execution`` is
    the generation that the history is of.
    """

    start: NewInstance
    forked_from: str
    forked_step: int
    execution: int
    history: Sequence[HistoryEvent]
    messages: Sequence[HistoryEvent] = field(default_factory=list)
    custom_status: str | None = None
    first_input: str | None = None
    first_version: str | None = None


class ForkStore(ABC):
    """Creating forks."""

    @abstractmethod
    def create_fork(self, fork: NewFork) -> Created:
        """Insert the instance with its history in the caller's transaction, unless there is one of that id."""
