"""``manage.py durable check``: a healthy task hub has no findings, and each kind of damage is found."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management.base import CommandError

from orchestrations.models import HistoryEvent, InboxMessage, Instance, LargePayload, OpenWait, Timer, WorkerLease
from orchestrations.store import get_store
from tests.runtime import functions

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def hub(run, client, worker, stage, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    settings.DURABLE = {**settings.DURABLE, "LARGE_PAYLOAD_BYTES": 100}
    run(functions.calls, ["work", "x" * 200], "done")
    stage.failing.add("x")
    run(functions.calls, ["work", "x"], "failed")
    stage.failing.clear()
    client.rewind("failed")
    run(functions.parent, ["chain", 2, "child"], "parent")
    client.start_new(functions.sleeps, "asleep", 1)
    client.start_new(functions.waits, "running", 1)
    client.start_new(functions.waits, "ended", 1)
    worker.run_until_idle()
    client.terminate("ended")
    worker.run_until_idle()
    return tmp_path


def test_a_healthy_hub_has_no_findings(command):
    assert command("check", "--replay") == "The task hub 'default' is as it should be.\n"


def lose_an_event():
    HistoryEvent.objects.filter(instance__instance_id="done", sequence=2).delete()


def lose_the_last_event():
    HistoryEvent.objects.filter(instance__instance_id="running").order_by("-sequence").first().delete()


def complete_twice():
    event = HistoryEvent.objects.get(instance__instance_id="done", type="TaskCompleted")
    event.pk, event.sequence = None, 99
    event.save()


def leave_a_timer():
    Timer.objects.create(hub="default", instance=of("done"), execution=1, task_id=9, due_at=LONG_AGO)


def leave_a_wait():
    OpenWait.objects.create(hub="default", instance=of("done"), execution=1, wait_id=9, name="go", since=LONG_AGO)


def leave_a_message():
    InboxMessage.objects.create(hub="default", instance=of("done"), type="TimerFired", visible_at=LONG_AGO)


def lie_about_the_status():
    Instance.objects.filter(instance_id="done").update(status="Failed")


def revive():
    Instance.objects.filter(instance_id="done").update(status="Running")


def hold_for_ever():
    Instance.objects.filter(instance_id="running").update(lease_token=987_654)


def leave_a_lease():
    WorkerLease.objects.update(expires_at=get_store().now() - timedelta(hours=1))


def lose_an_instance():
    of("done").delete()


def lose_a_record():
    LargePayload.objects.all().delete()


def of(instance_id: str) -> Instance:
    return Instance.objects.get(instance_id=instance_id)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lose_an_event, "sequences: done"),
        (lose_the_last_event, "sequences: running"),
        (complete_twice, "completions: done"),
        (leave_a_timer, "leftovers: done is Completed and has a pending timer"),
        (leave_a_wait, "leftovers: done is Completed and has an open wait"),
        (leave_a_message, "leftovers: done is Completed and has a message"),
        (lie_about_the_status, "ends: done is Failed"),
        (revive, "ends: done is Running"),
        (hold_for_ever, "leases: running is held"),
        (leave_a_lease, "leases: the lease of"),
        (lose_an_instance, "orphans: durable_history has"),
        (lose_a_record, "files: done: the file"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damage_is_found(command, damage, said):
    damage()

    with pytest.raises(CommandError):
        command("check")
    assert said in command.printed


def test_a_missing_file_is_found_unless_files_are_skipped(command, hub):
    for path in hub.rglob("*.gz"):
        path.unlink()

    with pytest.raises(CommandError):
        command("check")
    assert "is missing" in command.printed
    assert "as it should be" in command("check", "--skip-files")


def test_a_history_that_code_would_not_repeat_is_found_by_replay(command, stage, client, worker):
    client.start_new(functions.changes, "changed")
    worker.run_until_idle()
    stage.changed = True

    assert "as it should be" in command("check")
    with pytest.raises(CommandError):
        command("check", "--replay")
    assert "replay: changes changed" in command.printed


def test_one_check_can_be_chosen(command):
    lose_an_event()

    assert "as it should be" in command("check", "--only", "leases")
