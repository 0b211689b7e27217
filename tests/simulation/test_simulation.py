"""Two workers, everything that can happen to them, and a model which they must agree with.

The ordinary suite runs a short form that is the same each time. ``make simulate SIMULATE=2000`` runs as many examples,
which are new each time; a failure prints the steps that lead to it.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from orchestrations import OrchestrationClient
from orchestrations.models import Instance
from orchestrations.runtime import committer
from orchestrations.runtime.clock import DatabaseClock
from orchestrations.store import get_store
from orchestrations.store.contract import OnDuplicate
from tests.simulation import programs
from tests.simulation.clock import BEGINNING, MOMENT, simulated_clock
from tests.simulation.machine import Engine
from tests.simulation.redelivery import ENDS

EXAMPLES = int(os.environ.get("SIMULATE", "0"))
STEPS = int(os.environ.get("SIMULATE_STEPS", "50"))

NODES = (
    "call child ask signal hold pause listen expect remind quiet hear tell all race steps undo judge gather handle "
    "crash show look"
)
PROGRAMS = (*NODES.split(), "handle call", "handle ask", *(f"{how} wait" for how in programs.REMINDERS))
"""The kinds of nodes, and of waits that an hour passed without their event."""
ACTS = (
    *(f"redelivered {kind}" for kind in ENDS),
    "an end of an earlier generation",
    *(f"{policy} for {target} one" for policy in OnDuplicate for target in ("a live", "an ended")),
    "started at a later time",
    *("forked a live one", "forked an ended one", "forked a fork", "refused a fork", "rewound with work done"),
    *(f"{verb} of a family" for verb in ("suspend", "resume", "terminate")),
    "purged",
    "purged with a live child",
    "continued with buffered events",
)
EVERYTHING = (*PROGRAMS, *ACTS)
ENOUGH = 500  # examples in which all of it happens

SAMPLER = [
    ["steps", [["call", "1", True], ["ask", "2"], ["signal", "3"], ["hold", "4"], ["quiet"], ["hear", "5"]]],
    ["steps", [["remind", how, "go"] for how in 2 * programs.REMINDERS]],
    ["steps", [["listen", "stop"], ["expect", "Go"], ["handle", "call", "never 6", ["pause"]], ["crash", "7"]]],
    ["undo", ["judge", ["race", [["call", "8", False], ["pause"]]], ["call", "9", False]], ["call", "10", False]],
    ["gather", [["child", [["show", "11"], ["look", "12"]], True], ["all", [["listen", "go"], ["listen", "Go"]]]]],
    ["steps", [["handle", "ask", "never 16", ["quiet"]], ["show", "13"], ["look", "14"], ["show", "15"]]],
]
"""A program with a node of each kind."""

SHORT = settings(
    max_examples=20,
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
        yield type("Engine", (Engine,), {"clock": clock, "seen": Counter()})


def test_the_database_and_the_workers_read_the_clock_that_is_given(transactional_db, monkeypatch):
    with simulated_clock(monkeypatch) as clock:
        client = OrchestrationClient()
        with programs.registered():
            client.start_new(programs.simulated, "one", programs.given([["pause"]]))
        worker_clock = DatabaseClock(get_store().now())
        clock.advance(timedelta(days=3))

        assert Instance.objects.get().created_at == BEGINNING + MOMENT
        assert get_store().now() == worker_clock.now() == clock.now == BEGINNING + MOMENT + timedelta(days=3)


def test_a_program_with_a_node_of_each_kind_ends_as_the_model_says(engine):
    simulation = engine()
    simulation.begin((SAMPLER, [["pause"]]), set(range(12)))
    simulation.teardown()

    assert not [kind for kind in PROGRAMS if not engine.seen[kind]]


@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_whatever_happens_every_orchestration_ends_as_the_model_says(engine):
    run_state_machine_as_test(engine, settings=LONG if EXAMPLES else SHORT)
    if EXAMPLES >= ENOUGH:
        assert not [kind for kind in EVERYTHING if not engine.seen[kind]]
