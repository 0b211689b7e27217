"""Retry with back-off."""

from __future__ import annotations

from datetime import timedelta

from durable_admin.samples.retries import Pickup, arrange_pickup
from tests.samples.conftest import Run


def test_it_succeeds_at_the_attempt_at_which_the_courier_has_capacity(run: Run) -> None:
    ended = run(arrange_pickup, Pickup(address="Quay 3", busy_attempts=2, first_pause=timedelta(0)))

    assert ended.output == {"booked": True, "attempts": 3, "message": "Courier to Quay 3"}


def test_after_the_last_attempt_it_has_another_answer(run: Run) -> None:
    ended = run(arrange_pickup, Pickup(address="Quay 3", busy_attempts=99, first_pause=timedelta(0)))

    assert ended.runtime_status == "Completed"
    assert ended.output["booked"] is False


def test_what_never_heals_is_not_tried_again(run: Run) -> None:
    # The pause of an hour is the proof: a second attempt would leave the instance waiting for it.
    ended = run(arrange_pickup, Pickup(address=" ", first_pause=timedelta(hours=1)))

    assert ended.runtime_status == "Failed"
    assert "The address is empty." in str(ended.output)


def test_the_pause_before_a_retry_is_a_durable_timer(run: Run) -> None:
    assert run(arrange_pickup, Pickup(address="Quay 3", first_pause=timedelta(hours=1))).runtime_status == "Running"
