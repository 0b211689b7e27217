"""The real engine in this process, once with orchestrators kept in memory and once with a replay for every episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from orchestrations import OrchestrationClient, OrchestrationStatus
from orchestrations.models import HistoryEvent
from orchestrations.runtime.drain import Runtime
from orchestrations.testing import InProcessWorker
from tests.runtime import functions
from tests.runtime.functions import Stage

Run = Callable[..., OrchestrationStatus]
Events = Callable[..., list[str]]


@pytest.fixture
def cache_size() -> int:
    """Overridden by tests that are about the cache."""
    return 1000


@pytest.fixture(autouse=True)
def durable(settings, cache_size: int) -> None:
    settings.DURABLE = {**settings.DURABLE, "CACHE_SIZE": cache_size, "STOP_SECONDS": 5.0, "ACTIVITY_THREADS": 4}


@pytest.fixture
def stage(durable: None) -> Iterator[Stage]:
    with functions.registered():
        yield functions.stage


@pytest.fixture
def client(transactional_db: None, stage: Stage) -> OrchestrationClient:
    return OrchestrationClient()


@pytest.fixture
def make_worker(client: OrchestrationClient, stage: Stage) -> Iterator[Callable[[], InProcessWorker]]:
    made: list[InProcessWorker] = []

    def make() -> InProcessWorker:
        made.append(InProcessWorker())
        return made[-1]

    yield make
    stage.gate.set()
    for worker in made:
        worker.stop()


@pytest.fixture
def worker(make_worker: Callable[[], InProcessWorker]) -> InProcessWorker:
    return make_worker()


@pytest.fixture
def work_once(client: OrchestrationClient) -> Callable[[], None]:
    """One drain of a worker as it is in a cluster, which does upkeep too."""

    def work_once() -> None:
        runtime = Runtime()
        runtime.drain(1.0)
        runtime.stop()

    return work_once


@pytest.fixture
def run(client: OrchestrationClient, worker: InProcessWorker) -> Run:
    """Starts an instance and works until nothing more can happen."""

    def run(orchestrator: object, client_input: object = None, instance_id: str | None = None) -> OrchestrationStatus:
        started = client.start_new(orchestrator, instance_id, client_input)
        worker.run_until_idle()
        status = client.get_status(started)
        assert status is not None
        return status

    return run


@pytest.fixture
def events(client: OrchestrationClient) -> Events:
    """The types of an instance's history events, with a payload where asked for."""

    def events(instance_id: str, *, execution: int | None = None, payloads: bool = False) -> list[str]:
        rows = HistoryEvent.objects.filter(instance__instance_id=instance_id).order_by("execution", "sequence")
        rows = rows if execution is None else rows.filter(execution=execution)
        return [f"{row.type} {row.payload}" if payloads else row.type for row in rows]

    return events


@pytest.fixture
def drain_until_inside(stage: Stage) -> Callable[..., None]:
    """Drains until so many gated activities run, and lets go then."""

    def drain_until_inside(worker: InProcessWorker, count: int = 1) -> None:
        worker.runtime.drain(0.0, gives_way=lambda: len(stage.inside) >= count)
        assert len(stage.inside) >= count

    return drain_until_inside
