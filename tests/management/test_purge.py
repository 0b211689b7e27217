"""``manage.py durable purge`` and ``sweep-files``."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.db import transaction

from orchestrations.models import AuditEntry, Instance
from tests.runtime import functions


@pytest.fixture(autouse=True)
def archive(run, client, worker, stage):
    stage.failing.add("x")
    run(functions.chain, 1, "done")
    run(functions.calls, ["work", "x"], "failed")
    run(functions.parent, ["chain", 1, "child"], "parent")
    client.start_new(functions.waits, "running", 1)
    worker.run_until_idle()


def left() -> set[str]:
    return set(Instance.objects.values_list("instance_id", flat=True))


def test_a_dry_run_counts_and_deletes_nothing(command):
    assert command("purge", "--status", "Failed", "--dry-run") == "1 instances would be chosen.\n"
    assert len(left()) == 5


def test_a_status_and_a_name_choose(command):
    assert command("purge", "--status", "Completed", "--name", "chain") == "2 instances deleted.\n"
    assert left() == {"failed", "parent", "running"}


def test_with_recursive_the_children_go_too(command):
    assert command("purge", "--name", "parent", "--recursive") == "2 instances deleted.\n"
    assert left() == {"done", "failed", "running"}


def test_ids_are_purged_and_live_ones_left(command):
    assert command("purge", "done", "running", "--reason", "asked") == "1 instances deleted.\n"
    assert left() == {"failed", "parent", "child", "running"}
    assert AuditEntry.objects.get().reason == "asked"


def test_age_counts_from_the_start(command):
    Instance.objects.filter(instance_id="done").update(created_at="2020-01-01T00:00:00Z")

    assert command("purge", "--older-than", "30d") == "1 instances deleted.\n"
    assert "done" not in left()


def test_a_limit_ends_it_early_with_exit_code_1_and_again_goes_on(command):
    with pytest.raises(CommandError, match="to go on"):
        command("purge", "--all", "--limit", "3")
    assert command.printed == "3 instances deleted.\n"

    assert command("purge", "--all", "--limit", "3") == "1 instances deleted.\n"
    assert left() == {"running"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--all"),
        (("done", "--all"), "not both"),
        (("--status", "Running"), "invalid choice"),
        (("--created-to", "yesterday"), "no instant"),
        (("--created-to", "2026-01-31T12:00:00"), "no instant"),
        (("--limit", "0"), "above 0"),
    ],
)
def test_what_can_not_be_meant_is_refused_and_nothing_deleted(command, arguments, said):
    with pytest.raises(CommandError, match=re.escape(said)):
        command("purge", *arguments)
    assert len(left()) == 5


def test_stray_files_are_swept_by_their_age(command, client, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    settings.DURABLE = {**settings.DURABLE, "LARGE_PAYLOAD_BYTES": 100}
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        client.start_new(functions.calls, None, ["work", "x" * 100])
        raise ZeroDivisionError
    [stray] = tmp_path.rglob("*.gz")
    assert command("sweep-files") == "0 files deleted.\n"

    import os

    long_ago = stray.stat().st_mtime - timedelta(days=2).total_seconds()
    os.utime(stray, (long_ago, long_ago))
    assert command("sweep-files") == "1 files deleted.\n"
    assert not stray.exists()

    with pytest.raises(CommandError, match="1h or more"):
        command("sweep-files", "--older-than", "5m")
