"""Two workers, everything that can happen to them, and a model which they must agree with.

The ordinary suite runs a short form that is the same each time. ``make simulate SIMULATE=2000`` runs as many examples,
which are new each time; a failure prints the steps that lead to it.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from orchestrations import OrchestrationClient
from orchestrations.models import Instance
from orchestrations.runtime import committer
from orchestrations.runtime.clock import DatabaseClock
from orchestrations.store import get_store
from tests.simulation import programs
from tests.simulation.clock import BEGINNING, MOMENT, simulated_clock
from tests.simulation.machine import Engine

EXAMPLES = int(os.environ.get("SIMULATE", "0"))
STEPS = int(os.environ.get("SIMULATE_STEPS", "50"))

SHORT = settings(
    max_examples=25,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
LONG = settings(SHORT, max_examples=max(EXAMPLES, 1), stateful_step_count=STEPS, derandomize=False, print_blob=True)


@pytest.fixture(params=[1000, 0], ids=["in memory", "replayed"])
def engine(request, settings, transactional_db, monkeypatch):
    durable = {"CACHE_SIZE": request.param, "DISPATCH_ATTEMPTS": 10_000, "BATCH_SIZE": 2}
    settings.DURABLE = {**settings.DURABLE, **durable}
    monkeypatch.setattr(committer, "RETRY_SECONDS", (0.0, 0.0, 0.0))
    with programs.registered(), simulated_clock(monkeypatch) as clock:
        yield type("Engine", (Engine,), {"clock": clock})


def test_the_database_and_the_workers_read_the_clock_that_is_given(transactional_db, monkeypatch):
    with simulated_clock(monkeypatch) as clock:
        client = OrchestrationClient()
        with programs.registered():
            client.start_new(programs.simulated, "one", programs.given([["pause"]]))
        worker_clock = DatabaseClock(get_store().now())
        clock.advance(timedelta(days=3))

        assert Instance.objects.get().created_at == BEGINNING + MOMENT
        assert get_store().now() == worker_clock.now() == clock.now == BEGINNING + MOMENT + timedelta(days=3)


@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_whatever_happens_every_orchestration_ends_as_the_model_says(engine):
    run_state_machine_as_test(engine, settings=LONG if EXAMPLES else SHORT)
