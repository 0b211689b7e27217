"""Purging: only what has ended, whole, and counted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations import InstanceNotFound, InvalidTransition, OrchestrationClient
from orchestrations.client.purging import PurgeHistoryResult
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import AuditEntry, HistoryEvent, Instance
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


def test_a_purge_that_is_cut_short_says_so_and_goes_on_when_it_is_asked_again(client, archive, monkeypatch):
    monkeypatch.setattr("orchestrations.client.purging.PURGE_BATCH", 1)

    assert client.purge_instance_history_by(rows.NOON, limit=3) == PurgeHistoryResult(3, is_complete=False)
    assert client.purge_instance_history_by(rows.NOON, limit=3) == PurgeHistoryResult(1, is_complete=True)
    assert left() == {"2"}


def test_a_purge_whose_time_is_over_deletes_nothing_more(client, archive):
    assert client.purge_instance_history_by(rows.NOON, timeout=0) == PurgeHistoryResult(0, is_complete=False)
    assert len(left()) == 5


def test_a_limit_that_is_just_reached_is_complete(client, archive):
    assert client.purge_instance_history_by(rows.NOON, limit=4) == PurgeHistoryResult(4, is_complete=True)


def test_a_recursive_purge_by_filter_takes_children_that_the_filter_does_not_let_through(client):
    parent = rows.instance("parent", status="Completed")
    child = rows.instance("child", status="Failed", parent=parent, minutes=60)
    rows.instance("grandchild", status="Completed", parent=child, minutes=60)
    rows.instance("running", parent=parent, minutes=60)
    until = rows.NOON + timedelta(minutes=1)

    assert client.purge_instance_history_by(rows.NOON, until, recursive=True).instances_deleted == 3
    assert set(Instance.objects.values_list("instance_id", flat=True)) == {"running"}


def test_several_are_purged_by_their_ids(client):
    family()

    result = client.purge_instances(["parent", "running", "nobody", "parent", "\x00"])

    assert result == PurgeHistoryResult(1)
    assert client.purge_instances(["child", "stranger"], recursive=True) == PurgeHistoryResult(3)
    assert set(Instance.objects.values_list("instance_id", flat=True)) == {"running"}


def test_the_reason_of_a_purge_by_filter_is_kept_with_each_instance(archive):
    acting = OrchestrationClient(actor="ann", via=AuditEntry.Via.API)

    acting.purge_instance_history_by(rows.NOON, runtime_status=["Completed"], reason="old")

    assert set(AuditEntry.objects.values_list("instance_id", "reason")) == {("order-0", "old"), ("order-4", "old")}
