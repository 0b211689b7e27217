"""What an orchestrator may know of its instance."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from orchestrations.core.events import HistoryEvent


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What the orchestrator's code is told. Until its execution starts, as the instance's row has it."""

    instance_id: str
    name: str
    version: str = ""
    execution: int = 1
    parent_instance_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    input: str | None = None

    def as_of(self, started: HistoryEvent) -> InstanceFacts:
        """As the beginning of the history has them: a replay sees what the code saw first.

        The row's tags may have been changed meanwhile, and the parent purged. A fork's history began as another
        instance's.
        """
        told = started.attributes
        return replace(
            self,
            instance_id=told.get("instance_id", self.instance_id),
            version=told.get("version", self.version),
            tags=told.get("tags", self.tags),
            parent_instance_id=told.get("parent", self.parent_instance_id),
        )
