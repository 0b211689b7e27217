"""What the live workers of the task hub have the code of: asked only where this worker lacks it.

In a rolling deployment old and new code run side by side; what one worker does not know may be what another is for.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from orchestrations.authoring.registry import registry
from orchestrations.authoring.versions import code_versions, serves
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.models import WorkerLease
from orchestrations.models.clock import Now
from orchestrations.store.contract import ClaimedInstance, Store

KNOWN_SECONDS = 1.0  # that an answer is used again: a fan-out of unknown activities asks once


def described_functions() -> str:
    """The functions of this process as JSON, for its lease."""
    described = {
        "orchestrators": sorted(registry.orchestrators()),
        "activities": registry.activity_names(),
        "entities": sorted(registry.entities()),
        "versions": code_versions(),
    }
    return msgspec.json.encode(described).decode()


class LiveWorkers:
    """The workers with a live lease, and the functions that they have told of."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known_at: float | None = None
        self._described: list[dict[str, Any]] = []

    def have_activity(self, name: str) -> bool:
        """Whether one of them has an activity of that name."""
        return any(name in described.get("activities", ()) for described in self._look())

    def have_orchestrator(self, name: str, version: str) -> bool:
        """Whether one of them has code that would take an instance of that version."""
        return any(serves(described.get("versions", {}).get(name, ()), version) for described in self._look())

    def have_code(self, claimed: ClaimedInstance) -> bool:
        """Whether one of them could advance the instance, be it an orchestration or an entity."""
        if is_entity_id(claimed.instance_id):
            return any(claimed.name in described.get("entities", ()) for described in self._look())
        return self.have_orchestrator(claimed.name, claimed.version)

    def _look(self) -> list[dict[str, Any]]:
        now = time.monotonic()
        if self._known_at is None or now - self._known_at >= KNOWN_SECONDS:
            leases = WorkerLease.objects.using(self._store.using).filter(hub=self._store.hub, expires_at__gt=Now())
            texts = set(leases.values_list("functions", flat=True))
            self._described = [msgspec.json.decode(text) for text in sorted(texts)]
            self._known_at = now
        return self._described
