"""Retention: what has ended is kept as long as the site says, by status, and then deleted by one worker at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations.errors import ConfigurationError
from orchestrations.models import Chore, HistoryEvent, Instance
from orchestrations.runtime import retention
from orchestrations.runtime.retention import Retention
from orchestrations.store import get_store
from tests.runtime import functions


@pytest.fixture
def keep(settings):
    def keep(**periods: object) -> None:
        settings.DURABLE = {**settings.DURABLE, "RETENTION": periods}

    return keep


def ended_ago(days: float, **condition: object) -> None:
    Instance.objects.filter(**condition).update(completed_at=get_store().now() - timedelta(days=days))


def left() -> set[str]:
    return set(Instance.objects.values_list("instance_id", flat=True))


def make_due() -> None:
    Chore.objects.update(due_at=get_store().now() - timedelta(seconds=1))


def test_without_the_setting_everything_stays_and_nothing_is_asked(run, django_assert_num_queries):
    run(functions.chain, 1, "order")
    ended_ago(10_000)

    with django_assert_num_queries(0):
        assert Retention(get_store()).run() == 0
    assert left() == {"order"}


def test_a_worker_deletes_what_has_ended_longer_ago_than_its_status_is_kept(run, client, stage, keep, work_once):
    run(functions.chain, 1, "old")
    run(functions.chain, 1, "young")
    stage.failing.add("x")
    run(functions.calls, ["work", "x"], "failed")
    client.start_new(functions.waits, "running", 1)
    ended_ago(31, instance_id__in=["old", "failed"])
    ended_ago(29, instance_id="young")

    keep(Completed=30, Failed=timedelta(days=90))
    work_once()

    assert left() == {"young", "failed", "running"}
    assert set(HistoryEvent.objects.values_list("instance__instance_id", flat=True)) == left()


def test_a_child_stays_while_its_parent_is_live_and_goes_when_it_is_not(client, worker, keep):
    client.start_new(functions.parent, "parent", ["waits", 1, "child"])
    worker.run_until_idle()
    Instance.objects.filter(instance_id="child").update(status="Completed")
    ended_ago(31, instance_id="child")
    keep(Completed=30, Terminated=30)

    assert Retention(get_store()).run() == 0
    Instance.objects.filter(instance_id="parent").update(status="Terminated")
    ended_ago(31, instance_id="parent")
    make_due()

    assert Retention(get_store()).run() == 2
    assert left() == set()


def test_children_of_live_parents_do_not_keep_those_behind_them(client, worker, run, keep, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "NEXT", timedelta(0))
    monkeypatch.setattr(Retention, "look_every", timedelta(0))
    client.start_new(functions.parent, "parent", ["waits", 1, "child"])
    worker.run_until_idle()
    Instance.objects.filter(instance_id="child").update(status="Completed")
    run(functions.chain, 1, "order")
    ended_ago(60, instance_id="child")
    ended_ago(31, instance_id="order")
    keep(Completed=30)
    keeper = Retention(get_store())

    assert keeper.run() == 0
    make_due()
    assert keeper.run() == 1

    assert left() == {"parent", "child"}


def test_of_two_workers_one_has_the_chore(run, keep):
    run(functions.chain, 1, "order")
    ended_ago(31)
    keep(Completed=30)
    store = get_store()

    assert store.take_chore(retention.CHORE, timedelta(seconds=60))
    assert Retention(store).run() == 0
    assert left() == {"order"}

    store.finish_chore(retention.CHORE, timedelta(seconds=-1))
    assert Retention(store).run() == 1


def test_a_chore_whose_worker_died_is_taken_by_another(run, keep):
    run(functions.chain, 1, "order")
    ended_ago(31)
    keep(Completed=30)
    store = get_store()
    store.take_chore(retention.CHORE, timedelta(seconds=60))
    make_due()

    assert Retention(store).run() == 1


@pytest.mark.parametrize(
    ("periods", "said"),
    [
        ({"Completd": 30}, "no instance ends"),
        ({"Running": 30}, "no instance ends"),
        ({"Completed": 0}, "days above 0"),
        ({"Completed": "30"}, "days above 0"),
        ({"Completed": True}, "days above 0"),
        ({"Completed": timedelta(0)}, "days above 0"),
        (30, "dict"),
    ],
)
def test_a_setting_that_can_not_be_meant_is_refused(settings, periods, said):
    from orchestrations.conf import get_config

    settings.DURABLE = {**settings.DURABLE, "RETENTION": periods}
    with pytest.raises(ConfigurationError, match=said):
        get_config()
