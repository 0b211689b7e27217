"""Runs the samples on the real engine, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from orchestrations import OrchestrationClient, OrchestrationStatus
from orchestrations.testing import InProcessWorker

DRAIN_SECONDS = 5.0


class Drive(Protocol):
    """Lets the engine work until nothing more can happen now, or until the instance has ended."""

    def __call__(
        self,
        client: OrchestrationClient,
        instance_id: str,
        *,
        until_ended: bool = False,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> OrchestrationStatus: ...


class Run(Protocol):
    """Starts an instance and drives it."""

    def __call__(self, orchestrator: Callable[..., object], client_input: object) -> OrchestrationStatus: ...


@pytest.fixture
def client(transactional_db: None) -> OrchestrationClient:
    return OrchestrationClient()


@pytest.fixture
def worker(transactional_db: None) -> Iterator[InProcessWorker]:
    worker = InProcessWorker()
    yield worker
    worker.stop()


@pytest.fixture
def drive(worker: InProcessWorker) -> Drive:
    def drive(
        client: OrchestrationClient,
        instance_id: str,
        *,
        until_ended: bool = False,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> OrchestrationStatus:
        worker.drain_seconds = drain_seconds
        if until_ended:
            return worker.run_until_ended(instance_id)
        worker.run_until_idle()
        status = client.get_status(instance_id)
        assert status is not None
        return status

    return drive


@pytest.fixture
def run(client: OrchestrationClient, drive: Drive) -> Run:
    def run(orchestrator: Callable[..., object], client_input: object) -> OrchestrationStatus:
        return drive(client, client.start_new(orchestrator, client_input=client_input))

    return run
