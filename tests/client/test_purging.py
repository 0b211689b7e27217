"""Purging: only what has ended, whole, and counted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations import InstanceNotFound, InvalidTransition
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import HistoryEvent, Instance
from tests import rows


def test_an_ended_instance_goes_with_its_history(client):
    instance = rows.instance("order", status="Completed")
    rows.history(instance, (EventType.EXECUTION_STARTED, {}))

    assert client.purge_instance_history("order").instances_deleted == 1
    assert not Instance.objects.exists()
    assert not HistoryEvent.objects.exists()


@pytest.mark.parametrize("status", [status for status in RuntimeStatus if not status.is_terminal])
def test_a_live_instance_stays(client, status):
    rows.instance("order", status=status.value)

    with pytest.raises(InvalidTransition, match=status.value):
        client.purge_instance_history("order")


def test_an_unknown_instance_is_told(client):
    with pytest.raises(InstanceNotFound):
        client.purge_instance_history("nobody")


def family() -> None:
    parent = rows.instance("parent", status="Completed")
    child = rows.instance("child", status="Completed", parent=parent)
    rows.instance("grandchild", status="Failed", parent=child)
    rows.instance("running", parent=parent)
    rows.instance("stranger", status="Completed")


def test_children_stay_unless_asked_for(client):
    family()

    assert client.purge_instance_history("parent").instances_deleted == 1


def test_a_recursive_purge_takes_all_ended_descendants(client):
    family()

    assert client.purge_instance_history("parent", recursive=True).instances_deleted == 3
    assert set(Instance.objects.values_list("instance_id", flat=True)) == {"running", "stranger"}


@pytest.fixture
def archive(db):
    for number, status in enumerate(["Completed", "Failed", "Running", "Terminated", "Completed"]):
        rows.instance(f"order-{number}", minutes=number, status=status)


def left() -> set[str]:
    return {
        instance_id.removeprefix("order-") for instance_id in Instance.objects.values_list("instance_id", flat=True)
    }


def test_a_window_is_purged_of_what_has_ended(client, archive):
    until = rows.NOON + timedelta(minutes=4)

    assert client.purge_instance_history_by(rows.NOON, until).instances_deleted == 3
    assert left() == {"2", "4"}


def test_only_the_statuses_asked_for_are_purged(client, archive):
    assert client.purge_instance_history_by(rows.NOON, runtime_status=["Failed"]).instances_deleted == 1
    assert left() == {"0", "2", "3", "4"}


def test_asking_for_live_ones_purges_nothing(client, archive):
    assert client.purge_instance_history_by(rows.NOON, runtime_status=["Running"]).instances_deleted == 0
    assert len(left()) == 5


def test_an_unknown_status_is_refused(client, archive):
    with pytest.raises(ValueError, match="Complete"):
        client.purge_instance_history_by(rows.NOON, runtime_status=["Complete"])
    assert len(left()) == 5


def test_a_limited_purge_takes_the_oldest(client, archive, monkeypatch):
    monkeypatch.setattr("orchestrations.client.purging.PURGE_BATCH", 1)

    assert client.purge_instance_history_by(rows.NOON, limit=2).instances_deleted == 2
    assert left() == {"2", "3", "4"}
