"""A process is killed in the middle of a recursive purge of many: each family is whole or gone, and again goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import models
from django.db.models import Count

from orchestrations import payload_files
from orchestrations.client.purging import PURGE_BATCH
from orchestrations.core.events import EventType
from orchestrations.limits import LARGE_PAYLOAD_BYTES
from orchestrations.models import (
    AuditEntry,
    HistoryEvent,
    InboxMessage,
    Instance,
    LargePayload,
    OpenWait,
    RaisedEventKey,
    Timer,
)
from orchestrations.reading.integrity import CHECKS, TaskHub
from orchestrations.store import get_store
from orchestrations.store.tables import BATCH
from tests import rows
from tests.cluster.conftest import ROOT, database_url

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.django_db(transaction=True)]

CHILDREN = 2  # of each family
FAMILIES = PURGE_BATCH + BATCH // 2  # the second transaction purges half a batch of families: two statements each
FIRST = PURGE_BATCH * (1 + CHILDREN) // BATCH  # statements on each table before the second transaction
WITH_FILES = 10  # families in each transaction that have large payloads
BELONGINGS = (RaisedEventKey, InboxMessage, HistoryEvent, Timer)


@pytest.fixture
def files(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "files"
    return tmp_path / "files"


@pytest.fixture
def families(files: Path) -> None:
    """Ended parents with ended children, all with rows in the tables of an instance, and one that waits."""
    parents = [made(f"family-{number}", "parent", number) for number in range(FAMILIES)]
    with_files = [*range(WITH_FILES), *range(PURGE_BATCH, PURGE_BATCH + WITH_FILES)]
    for number in with_files:
        parents[number].input = payload_files.write(rows.HUB, json.dumps("x" * LARGE_PAYLOAD_BYTES))
    Instance.objects.bulk_create(parents)
    LargePayload.objects.bulk_create(
        LargePayload(hub=rows.HUB, instance=parents[n], name=payload_files.name_of(stored(parents[n], "input")))
        for n in with_files
    )
    children = [made(f"{p.instance_id}:{n}", "good", n, parent=p) for p in parents for n in range(CHILDREN)]
    Instance.objects.bulk_create(children)
    everybody = [*parents, *children]
    HistoryEvent.objects.bulk_create(event for one in everybody for event in history(one))
    RaisedEventKey.objects.bulk_create(RaisedEventKey(instance=one, key="event:1") for one in everybody)
    InboxMessage.objects.bulk_create(
        InboxMessage(hub=rows.HUB, instance=one, type=EventType.EVENT_RAISED.value, name="late") for one in everybody
    )
    Timer.objects.bulk_create(
        Timer(hub=rows.HUB, instance=one, execution=1, task_id=1, attempt=0, due_at=rows.NOON, state=Timer.State.FIRED)
        for one in everybody
    )
    rows.wait(rows.instance("waits"))


def made(instance_id: str, name: str, number: int, **columns: Any) -> Instance:
    at = rows.NOON + timedelta(seconds=number)
    times = {"created_at": at, "last_updated_at": at, "completed_at": at}
    ended = {"name": name, "status": "Completed", "last_sequence": 2, "output": "1"}
    return Instance(hub=rows.HUB, instance_id=instance_id, **times, **ended, **columns)


def history(instance: Instance) -> list[HistoryEvent]:
    end = '{"status":"Completed"}'
    kinds = (EventType.EXECUTION_STARTED, None), (EventType.EXECUTION_COMPLETED, end)
    return [
        HistoryEvent(
            instance=instance,
            execution=1,
            sequence=sequence,
            type=kind.value,
            timestamp=rows.NOON,
            attributes=attributes,
        )
        for sequence, (kind, attributes) in enumerate(kinds, start=1)
    ]


def stored(instance: Instance, column: str) -> str:
    """What the column has: a reference, not the text of the file."""
    text: str = instance.__dict__[column]
    return text


def purge(files: Path, table: str, times: int) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.cluster.settings",
        "DURABLE_APPS": "tests.cluster.app",
        "DATABASE_URL": database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "ALLOWED_HOSTS": "localhost",
        "TEST_FILES": str(files),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "tests.cluster.killed_purge", table, str(times)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def left() -> int:
    return Instance.objects.exclude(instance_id="waits").count()


def assert_families_are_whole_or_gone(remaining: int) -> None:
    assert left() == remaining * (1 + CHILDREN)
    parents = Instance.objects.filter(parent=None).exclude(instance_id="waits")
    kept = parents.annotate(count=Count("children")).values_list("count", flat=True)
    assert list(kept) == [CHILDREN] * remaining
    for model in BELONGINGS:
        assert_belongs(model, 2 if model is HistoryEvent else 1)
    hub = TaskHub()
    assert [finding for check in CHECKS.values() for finding in check(hub)] == []


def assert_belongs(model: type[models.Model], each: int) -> None:
    """Every instance has all its rows of the table, and no row is without an instance."""
    assert model._default_manager.count() == left() * each
    assert model._default_manager.filter(instance__in=Instance.objects.all()).count() == left() * each


def on_disk(files: Path) -> int:
    return sum(1 for _ in files.rglob("*.gz"))


@pytest.mark.usefixtures("families")
@pytest.mark.parametrize(
    ("table", "times"),
    [
        ("durable_large_payload", 2),  # the first of the second transaction
        *((model._meta.db_table, FIRST + 1) for model in BELONGINGS),
        ("durable_instance", FIRST + 1),  # parents are gone, and so are some of their children
        ("durable_instance", FIRST + 2),  # all is done but the commit
    ],
)
def test_what_a_killed_purge_had_not_committed_is_there_whole_and_goes_next_time(
    files: Path, table: str, times: int
) -> None:
    killed = purge(files, table, times)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert killed.stdout == f"{PURGE_BATCH * (1 + CHILDREN):,} instances deleted.\n"
    assert_families_are_whole_or_gone(FAMILIES - PURGE_BATCH)
    assert on_disk(files) == LargePayload.objects.count() == WITH_FILES
    assert AuditEntry.objects.count() == PURGE_BATCH

    assert purge(files, "none", 1).returncode == 0
    assert_families_are_whole_or_gone(0)
    assert (Instance.objects.get().instance_id, OpenWait.objects.count()) == ("waits", 1)
    assert on_disk(files) == LargePayload.objects.count() == 0
    assert AuditEntry.objects.count() == FAMILIES


@pytest.mark.usefixtures("families")
def test_files_that_a_killed_purge_had_forgotten_but_not_deleted_are_swept_by_their_age(files: Path) -> None:
    killed = purge(files, "files", 3)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert_families_are_whole_or_gone(FAMILIES - PURGE_BATCH)
    assert LargePayload.objects.count() == WITH_FILES
    assert on_disk(files) == 2 * WITH_FILES - 3

    assert purge(files, "none", 1).returncode == 0
    assert_families_are_whole_or_gone(0)
    assert on_disk(files) == WITH_FILES - 3
    assert get_store().sweep_strays(timedelta(hours=1)) == 0
    assert get_store().sweep_strays(timedelta(seconds=-60)) == WITH_FILES - 3
    assert on_disk(files) == 0
