"""Cross-app, the sample's own side; tests/test_cross_app.py has two real sites."""

from __future__ import annotations

from datetime import timedelta

import pytest

from durable_admin.samples.cross_app import Shipment, ship_with_partner, ship_with_partner_in_one_call
from durable_admin.samples.monitor import Parcel
from orchestrations.models import Timer
from orchestrations.testing import InProcessWorker
from tests.durable_http.conftest import Answer, server

__all__ = ["server"]

KEY = "a-key-of-the-carrier"
API = "/runtime/webhooks/durabletask"
START = f"{API}/orchestrators/follow_parcel/s-1-parcel"
LOOK = f"{API}/instances/s-1-parcel"
PARCEL = Parcel(number="T-1", stops=["Depot", "Door"])
ENDED = Answer(
    200, {}, b'{"runtimeStatus": "Completed", "output": {"delivered": true, "last_seen": "Door", "looks": 2}}'
)
RUNNING = Answer(202, {"Location": f"{LOOK}?code=link"}, b'{"runtimeStatus": "Running"}')


@pytest.fixture(autouse=True)
def partner(settings, server):
    settings.PARTNER_URL, settings.PARTNER_KEY = f"{server.url}/", KEY
    allowed = [f"127.0.0.1:{server.port}"]
    settings.DURABLE = {**settings.DURABLE, "HTTP_ALLOWED": allowed, "HTTP_SECRETS": {"partner": KEY}}


@pytest.fixture
def ship(client):
    """Starts one, and lets its timers fire until it has ended."""

    def ship(orchestrator):
        shipment = Shipment(order="7", parcel=PARCEL, look_every=timedelta(milliseconds=1))
        client.start_new(orchestrator, "s-1", shipment)
        worker = InProcessWorker()
        try:
            worker.run_until_idle()
            while not (status := client.get_status("s-1")).is_terminal:
                store = worker.runtime.store
                before_a_look = Timer.objects.filter(due_at__lt=store.now() + timedelta(hours=1))
                before_a_look.update(due_at=store.now())
                worker.run_until_idle()
            return status
        finally:
            worker.stop()

    return ship


def test_activities_start_it_once_and_look_until_it_has_ended(ship, server):
    server.answers[LOOK] = [Answer(404), RUNNING, RUNNING, ENDED]
    server.answers[START] = RUNNING

    assert ship(ship_with_partner).output == "Order 7 was delivered, last seen: Door"
    asked = [path.partition("?")[0] for path in server.paths()]
    assert asked == [f"GET {LOOK}", f"POST {START}", *[f"GET {LOOK}"] * 3]
    assert all(received.headers["x-functions-key"] == KEY for received in server.received)


def test_what_an_earlier_run_has_started_is_not_started_again(ship, server):
    server.answers[LOOK] = [RUNNING, ENDED]

    assert ship(ship_with_partner).runtime_status == "Completed"
    assert f"POST {START}" not in server.paths()


def test_one_call_starts_it_and_polls_the_link_without_the_key(ship, server):
    server.answers[START] = RUNNING
    server.answers[LOOK] = [RUNNING, ENDED]
    shipped = ship(ship_with_partner_in_one_call)

    assert shipped.output == "Order 7 was delivered, last seen: Door"
    assert server.paths() == [f"POST {START}", f"GET {LOOK}?code=link", f"GET {LOOK}?code=link"]
    assert server.received[0].headers["x-functions-key"] == KEY
    assert all("x-functions-key" not in received.headers for received in server.received[1:])


@pytest.mark.parametrize("orchestrator", [ship_with_partner, ship_with_partner_in_one_call])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(401), "answered"),
        (Answer(200, {}, b'{"runtimeStatus": "Terminated", "output": null}'), "ended as Terminated"),
    ],
)
def test_a_partner_that_fails_fails_it(orchestrator, answer, message, ship, server):
    server.answers[START] = RUNNING
    server.answers[LOOK] = [RUNNING, answer]

    failed = ship(orchestrator)

    assert failed.runtime_status == "Failed"
    assert message in str(failed.failure_details)


@pytest.mark.parametrize("orchestrator", [ship_with_partner, ship_with_partner_in_one_call])
def test_without_a_partner_it_says_what_to_set(orchestrator, ship, settings):
    settings.PARTNER_URL = ""

    assert "Set PARTNER_URL" in str(ship(orchestrator).failure_details)
