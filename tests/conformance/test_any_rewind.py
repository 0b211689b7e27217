"""Any orchestration, failing anywhere: mended and rewound, it returns what it would have, and nothing is done twice.

A sub-orchestration that is tried again does its work anew in each attempt, which is what a retry is; a rewind goes on
in the last one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import count

import pytest
from django.db.models import F
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestrations.models import HistoryEvent, Instance, OpenWait, Timer
from orchestrations.store import get_store
from tests.simulation import model, programs, strategies
from tests.simulation.programs import Ledger

ROUNDS = 300  # none of the programs needs as many

numbers = count(1)


@pytest.fixture
def ledger(stage):
    with programs.registered() as ledger:
        yield ledger


Raised = dict[tuple[int, int, str], int]
"""How many events of a name an attempt of an instance was given."""


def go_on(client, worker, attempts: Mapping[str, int], raised: Raised) -> None:
    """One round: work, let the timers fire, and give each wait its event: the number that it has in that attempt."""
    worker.run_until_idle()
    store = get_store()
    Timer.objects.filter(state="Pending").update(due_at=store.now())
    waits = OpenWait.objects.filter(name__in=strategies.NAMES, instance__status="Running")
    for wait in waits.select_related("instance").order_by("pk"):
        key = (wait.instance_id, attempts[wait.instance.instance_id], wait.name.casefold())
        raised[key] = raised.get(key, 0) + 1
        client.raise_event(wait.instance.instance_id, wait.name.upper(), raised[key])


def run_to_the_end(client, worker, instance_id: str, ledger: Ledger, choose) -> list[object]:
    """Heal what is broken one by one, or rewind although nothing is healed, until it completes."""
    raised: Raised = {}
    patience = 2
    for _ in range(ROUNDS):
        go_on(client, worker, ledger.begun, raised)
        status = client.get_status(instance_id)
        if status.runtime_status == "Completed":
            return status.output
        if status.runtime_status == "Failed":
            if patience and choose(2):
                patience -= 1
            elif ledger.broken:  # else compensation failed; it is done now, and what it was for goes on failing once
                ledger.broken.discard(sorted(ledger.broken)[choose(len(ledger.broken))])
            client.rewind(instance_id)
    raise AssertionError(f"not at its end after {ROUNDS} rounds: {client.get_status(instance_id)}")


def repeated_in_one_attempt(ledger: Ledger) -> set[str]:
    """The labels that were done twice by one attempt of one instance: by calls of their own, each of them once."""
    attempts = Counter((label, key.rpartition(":")[0]) for label, key in ledger.calls)
    return {label for (label, _), times in attempts.items() if times > 1}


def check_beginnings(instance_id: str, ledger: Ledger) -> None:
    """It began once, and below it each began once for each time that it was called or tried again, rewound or not.

    Of generations that are over there is no history any more.
    """
    mine = HistoryEvent.objects.filter(instance__instance_id__startswith=instance_id)
    calls = {
        (json.loads(event.attributes)["instance_id"], event.task_id, event.attempt, event.timestamp)
        for event in mine.filter(type="SubOrchestrationInstanceCreated")
    }
    called = Counter(child_id for child_id, *_ in calls)
    assert {child_id: ledger.begun[child_id] for child_id in called} == called
    assert ledger.begun[instance_id] == 1


def check_ends(instance_id: str) -> None:
    """All have completed, but those that an attempt had called which was given up: the next one has its own."""
    created = HistoryEvent.objects.filter(
        instance__instance_id__startswith=instance_id, execution=F("instance__execution")
    )
    called = {
        (event.instance_id, json.loads(event.attributes)["instance_id"])
        for event in created.filter(type="SubOrchestrationInstanceCreated")
    }
    for row in Instance.objects.filter(instance_id__startswith=instance_id).select_related("parent"):
        is_given_up = row.parent is not None and (
            row.parent.status == "Failed" or (row.parent_id, row.instance_id) not in called
        )
        assert row.status == "Completed" or (row.status == "Failed" and is_given_up), row.instance_id


@settings(
    deadline=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failing one smaller takes too long for a test
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(strategies.programs, st.data())
def test_mended_and_rewound_it_returns_what_it_would_have_and_nothing_is_done_twice(
    client, worker, ledger, program, data
):
    parts = strategies.labelled(program, "")
    breakable = sorted(model.labels(parts))
    ledger.broken = set(data.draw(st.lists(st.sampled_from(breakable), unique=True)) if breakable else [])
    for counted in (ledger.calls, ledger.begun):
        counted.clear()
    instance_id = f"any-{next(numbers)}-"
    client.start_new(programs.simulated, instance_id, programs.given(parts))
    output = run_to_the_end(client, worker, instance_id, ledger, lambda size: data.draw(st.integers(0, size - 1)))

    assert output == model.Instance(parts).output
    assert [call for call, times in ledger.calls.items() if times > 1] == []
    assert repeated_in_one_attempt(ledger) <= set(model.compensations(parts))
    check_beginnings(instance_id, ledger)
    check_ends(instance_id)
    client.purge_instance_history(instance_id, recursive=True)
