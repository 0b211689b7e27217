"""The workers of a task hub as an instance's page needs to know them: who lives, and whose code could take it on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q

from orchestrations.authoring.versions import serves
from orchestrations.conf import get_config
from orchestrations.interfaces.answers import json_object
from orchestrations.models import Instance, WorkerLease
from orchestrations.models.clock import Now

WORKERS_READ = 200  # of one task hub, those that were heard of last


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process, as it last told of itself."""

    token: int
    name: str
    is_alive: bool
    heartbeat_at: datetime
    expires_at: datetime
    in_flight: int
    capacity: int
    functions: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers that are registered, the living and those whose lease has expired."""

    workers: tuple[Worker, ...]

    @property
    def live(self) -> list[Worker]:
        """Those whose lease holds."""
        return [worker for worker in self.workers if worker.is_alive]

    def worker(self, token: int | None) -> Worker | None:
        """Who holds what carries that token; None where nothing is known of it."""
        return next((worker for worker in self.workers if worker.token == token), None)

    def versions_of(self, orchestrator: str) -> list[str]:
        """The versions of an orchestrator's code that live workers have, in order; the empty text for none declared."""
        return sorted(set(self._versions(orchestrator)))

    def has(self, kind: str, name: str) -> bool:
        """Whether a live worker has that function; ``kind`` is ``activities`` or ``entities``."""
        return any(name in _listed(worker.functions.get(kind)) for worker in self.live)

    @property
    def places(self) -> tuple[int, int]:
        """How many activities run, of how many that the live workers may run at once."""
        return sum(worker.in_flight for worker in self.live), sum(worker.capacity for worker in self.live)

    def problem(self, instance: Instance) -> str:
        """Why no live worker could advance the instance, in a sentence; empty where one could."""
        if not self.live:
            dead = len(self.workers)
            silent = f" ({dead} gave no sign of life for longer than the lease)" if dead else ""
            return f"No worker of the task hub is running{silent}. Start one with manage.py up or manage.py qcluster."
        versions = self.versions_of(instance.name)
        number = len(self.live)
        whose = "The one live worker does not have" if number == 1 else f"None of the {number} live workers has"
        if not versions:
            return f"{whose} the code of the orchestrator {instance.name}. Deploy its app to a worker."
        if not serves(versions, instance.version):
            wanted = f"for version {instance.version}" if instance.version else "that takes instances without a version"
            return f"{whose} code {wanted} of {instance.name}; deployed: {', '.join(spoken(versions))}."
        return ""

    def _versions(self, orchestrator: str) -> Iterator[str]:
        for worker in self.live:
            versions = worker.functions.get("versions")
            found = versions.get(orchestrator) if isinstance(versions, dict) else None
            yield from (str(version) for version in _listed(found))


def _listed(value: object) -> list[Any]:
    """What a worker told, where it is a list; it may run another release of the engine."""
    return value if isinstance(value, list) else []


def spoken(versions: list[str]) -> list[str]:
    """Versions as people read them."""
    return [version or "no version" for version in versions]


def look(hub: str) -> Fleet:
    """The workers of the task hub, by one query; who lives is judged by the database's clock."""
    is_alive = ExpressionWrapper(Q(expires_at__gt=Now()), output_field=BooleanField())
    rows = WorkerLease.objects.using(get_config().database).filter(hub=hub).annotate(is_alive=is_alive)
    return Fleet(
        tuple(
            Worker(
                token=row.token,
                name=row.worker,
                is_alive=row.is_alive,
                heartbeat_at=row.heartbeat_at,
                expires_at=row.expires_at,
                in_flight=row.in_flight,
                capacity=row.capacity,
                functions=json_object(row.functions),
            )
            for row in rows.order_by("-heartbeat_at", "-token")[:WORKERS_READ]
        )
    )
