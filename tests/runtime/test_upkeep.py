"""The chores that workers do beside their work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from orchestrations.errors import ConfigurationError
from orchestrations.models import Chore, ChoreRun, CountMark, Instance, InstanceCount, LargePayload
from orchestrations.runtime import retention, upkeep
from orchestrations.runtime.retention import Retention
from orchestrations.runtime.upkeep import CountEnds, SweepFiles
from orchestrations.store import get_store
from tests.runtime import functions


def ended_ago(days: float, **condition: object) -> None:
    """Let instances have ended then, and every chore be due."""
    again()
    Instance.objects.filter(**condition).update(
        completed_at=get_store().now() - timedelta(days=days), created_at=get_store().now() - timedelta(days=days)
    )


def left() -> set[str]:
    return set(Instance.objects.values_list("instance_id", flat=True))


def again() -> None:
    """Let every chore be due, and what has been counted be forgotten: tests move ends into the past."""
    CountMark.objects.all().delete()
    Chore.objects.update(due_at=get_store().now() - timedelta(seconds=1))


@pytest.fixture
def keep(settings):
    def keep(general: dict[str, object] | None, **own: object) -> None:
        settings.DURABLE = {**settings.DURABLE, "RETENTION": general, "RETENTION_BY_ORCHESTRATOR": own or None}

    return keep


def test_workers_count_what_has_ended(run, work_once):
    run(functions.chain, 1, "order")
    ended_ago(1)

    work_once()

    counted = InstanceCount.objects.filter(width=60).values_list("name", "status", "count")
    assert list(counted) == [("chain", "Completed", 1)]


def test_what_has_just_ended_is_left_until_no_commit_can_be_older(run):
    run(functions.chain, 1, "order")
    again()

    assert CountEnds(get_store()).run() == 0
    again()
    Instance.objects.update(completed_at=get_store().now() - timedelta(seconds=61))
    assert CountEnds(get_store()).run() == 1


def test_an_instance_that_fails_is_rewound_and_completes_is_counted_once(run, client, worker, stage):
    stage.failing.add("x")
    run(functions.calls, ["work", "x"], "order")
    store = get_store()
    later = store.now() + timedelta(hours=1)
    assert store.count_ends("Failed", store.now() + timedelta(milliseconds=5), 10).ends in (0, 1)
    stage.failing.clear()
    client.rewind("order", "mended")
    worker.run_until_idle()

    for status in ("Failed", "Completed"):
        store.count_ends(status, later, 10)

    counted = InstanceCount.objects.filter(width=3600).exclude(count=0).values_list("status", "count")
    assert list(counted) == [("Completed", 1)]


def test_an_orchestrator_may_be_kept_shorter_and_another_for_ever(run, keep):
    for name in ("chain", "calls"):
        run(getattr(functions, name), 1 if name == "chain" else ["work", 1], name)
        run(getattr(functions, name), 1 if name == "chain" else ["work", 1], f"old-{name}")
    ended_ago(2, instance_id__in=["chain", "calls"])
    ended_ago(40, instance_id__startswith="old-")
    keep({"Completed": 30}, chain={"Completed": 1}, calls={"Completed": None})

    assert Retention(get_store()).run() == 2
    assert left() == {"calls", "old-calls"}


def test_an_orchestrator_may_be_kept_longer_than_the_others(run, keep):
    run(functions.chain, 1, "longer")
    run(functions.calls, ["work", 1], "usual")
    ended_ago(40)
    keep({"Completed": 30}, chain={"Completed": 60})

    assert Retention(get_store()).run() == 1
    assert left() == {"longer"}


def test_statuses_that_an_orchestrator_does_not_name_are_kept_as_the_others_are(run, keep, stage):
    stage.failing.add("x")
    run(functions.calls, ["work", "x"], "failed")
    run(functions.calls, ["work", 1], "completed")
    ended_ago(40)
    keep({"Failed": 30}, calls={"Completed": 60})

    assert Retention(get_store()).run() == 1
    assert left() == {"completed"}


def test_only_an_orchestrator_may_have_a_rule(run, keep, client, worker):
    run(functions.chain, 1, "gone")
    run(functions.calls, ["work", 1], "stays")
    client.start_new(functions.waits, "live", 1)
    worker.run_until_idle()
    ended_ago(2, completed_at__isnull=False)
    keep(None, chain={"Completed": 1})

    assert Retention(get_store()).run() == 1
    assert left() == {"stays", "live"}


def test_those_that_stay_do_not_keep_those_behind_them(run, keep, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(Retention, "look_every", timedelta(0))
    for number in range(5):
        run(functions.chain, 1, f"stays-{number}")
    run(functions.calls, ["work", 1], "goes")
    ended_ago(60, name="chain")
    ended_ago(50, name="calls")
    keep({"Completed": 30}, chain={"Completed": None})
    keeper = Retention(get_store())

    for _ in range(3):
        keeper.run()
        again()

    assert left() == {f"stays-{number}" for number in range(5)}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"order": {"Completd": 30}}, "no instance ends"),
        ({"order": {"Completed": 0}}, "days above 0"),
        ({"order": 30}, "dict from statuses"),
        ({"": {"Completed": 1}}, "names of orchestrators"),
        ([], "names of orchestrators"),
    ],
)
def test_rules_that_can_not_be_meant_are_refused(settings, rules, said):
    from orchestrations.conf import get_config

    settings.DURABLE = {**settings.DURABLE, "RETENTION_BY_ORCHESTRATOR": rules}
    with pytest.raises(ConfigurationError, match=said):
        get_config()


def test_what_a_chore_did_is_kept_by_the_hour(run, keep):
    run(functions.chain, 1, "order")
    ended_ago(40)
    keep({"Completed": 30})
    Retention(get_store()).run()
    again()
    Retention(get_store()).run()

    told = ChoreRun.objects.get(name="retention")
    assert (told.runs, told.done, told.trouble) == (2, 1, "")
    assert told.hour == told.last_at.replace(minute=0, second=0, microsecond=0)


def test_a_chore_that_fails_says_why_and_lets_the_others_be(run, keep, work_once, monkeypatch):
    def fails(*arguments: object) -> None:
        raise OSError("the disk is gone")

    run(functions.chain, 1, "order")
    ended_ago(40)
    keep({"Completed": 30})
    monkeypatch.setattr(SweepFiles, "work", fails)

    work_once()

    assert ChoreRun.objects.get(name="stray files").trouble == "OSError: the disk is gone"
    assert Chore.objects.get(name="stray files").due_at > get_store().now()
    assert left() == set()


def test_of_two_workers_one_counts(run):
    run(functions.chain, 1, "order")
    ended_ago(1)
    store = get_store()
    assert store.take_chore(CountEnds.name, timedelta(seconds=60))

    assert CountEnds(store).run() == 0
    assert not InstanceCount.objects.exists()


@pytest.fixture
def files(settings, tmp_path, transactional_db):
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
    }
    folder = tmp_path / "durable/payloads/default"

    def write(name: str) -> None:
        path = folder / name[:2] / f"{name}.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")

    write("00aa")
    write("00bb")
    write("01aa")
    name = "durable/payloads/default/00/00bb.json.gz"
    LargePayload.objects.create(hub="default", instance_id=1, name=name)
    return lambda: {path.name.partition(".")[0] for path in folder.rglob("*.gz")}


@pytest.mark.parametrize(
    ("time", "kept"),
    [("00:00:00", {"00bb", "01aa"}), ("00:05:40", {"00aa", "00bb"}), ("12:00:00", {"00aa", "00bb", "01aa"})],
)
def test_stray_files_are_swept_folder_by_folder_in_the_course_of_a_day(files, monkeypatch, time, kept):
    now = datetime.fromisoformat(f"2126-01-01T{time}").replace(tzinfo=UTC)
    store = get_store()
    monkeypatch.setattr(type(store), "now", lambda self: now)
    monkeypatch.setattr(type(store.tables), "now", lambda self: now)

    SweepFiles(store).run()

    assert files() == kept


def test_every_folder_has_its_turn_within_a_day(db, monkeypatch):
    store = get_store()
    seen: list[int] = []
    monkeypatch.setattr(type(store), "sweep_strays", lambda self, age, part: seen.append(part) or 0)
    with time_machine.travel("2026-03-01T00:00:00Z", tick=False) as clock:
        monkeypatch.setattr(type(store), "now", lambda self: datetime.now(UTC))
        for _ in range(256):
            clock.shift(SweepFiles(store).work()[1])

    assert seen == list(range(256))


def test_a_lag_longer_than_two_leases_protects_long_leases(settings, run, monkeypatch):
    run(functions.chain, 1, "order")
    Instance.objects.update(completed_at=get_store().now() - timedelta(seconds=90))
    settings.DURABLE = {**settings.DURABLE, "LEASE_SECONDS": 60.0}

    assert CountEnds(get_store()).run() == 0
    assert upkeep.COUNT_LAG_SECONDS == 60.0
