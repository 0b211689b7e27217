"""Monitor with durable timers."""

from __future__ import annotations

from datetime import timedelta

from durable_admin.samples.monitor import Parcel, follow_parcel
from orchestrations import OrchestrationClient
from orchestrations.testing import InProcessWorker
from tests.samples.conftest import Run


def test_it_looks_until_the_parcel_has_arrived(client: OrchestrationClient, worker: InProcessWorker) -> None:
    instance_id = client.start_new(follow_parcel, client_input=Parcel(number="T-1", stops=["Depot", "Van", "Door"]))

    worker.advance(timedelta(hours=1))

    ended = client.get_status(instance_id)
    assert ended is not None
    assert ended.output == {"delivered": True, "last_seen": "Door", "looks": 3}
    assert ended.custom_status == {"last_seen": "Door", "looks": 3}


def test_it_gives_up_when_the_next_look_would_come_after_the_deadline(run: Run) -> None:
    parcel = Parcel(
        number="T-1", stops=["Depot", "Door"], look_every=timedelta(hours=2), give_up_after=timedelta(hours=1)
    )

    assert run(follow_parcel, parcel).output == {"delivered": False, "last_seen": "Depot", "looks": 1}


def test_between_two_looks_it_waits_for_a_timer(run: Run) -> None:
    waiting = run(follow_parcel, Parcel(number="T-1", stops=["Depot", "Door"], look_every=timedelta(hours=1)))

    assert waiting.runtime_status == "Running"
    assert waiting.custom_status == {"last_seen": "Depot", "looks": 1}
