"""Versions side by side, and a patch."""

from __future__ import annotations

from dataclasses import replace

from durable_admin.samples.versioned import Booking, book_room, book_room_as_before
from orchestrations.authoring.registry import registry
from orchestrations.core.events import EventType
from orchestrations.models import Instance
from orchestrations.testing import assert_replays, record_history
from tests.samples.conftest import Run

BOOKING = Booking(room="12", guest="Ada", nights=2)


def test_new_instances_get_the_newest_code(run: Run) -> None:
    ended = run("book_room", BOOKING)

    assert Instance.objects.get(instance_id=ended.instance_id).version == "2"
    assert ended.output == ["held 12 for 2", "charged 180", "Dear Ada, your room 12 is booked."]


def test_instances_of_version_1_finish_on_its_code(run: Run) -> None:
    ended = run(book_room_as_before, BOOKING)

    assert Instance.objects.get(instance_id=ended.instance_id).version == "1"
    assert ended.output == ["charged 180", "held 12 for 2"]
    assert registry.orchestrator("book_room").function is book_room


def test_a_history_from_before_the_confirmation_still_fits(run: Run) -> None:
    history = record_history(run(book_room, BOOKING).instance_id)
    patch = next(event.sequence for event in history.events if event.type is EventType.PATCH_APPLIED)

    before = [*history.events[: patch - 1], replace(history.events[-1], sequence=patch)]
    assert_replays(history)
    assert_replays(replace(history, events=before))
