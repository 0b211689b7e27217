"""Counts of what has ended: each end once, whoever counts, whatever becomes of the instance."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from orchestrations.models import CountMark, Instance, InstanceCount, MovedEnd
from orchestrations.store.contract import Checkpoint, NewInstance, OnDuplicate
from orchestrations.store.upkeep_contract import UndoneEnd
from tests.store.episodes import NOON, ended, to

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(hours=3)
HUB = "conformance"


def end(instance_id: str, *, minutes: float = 0, status: str = "Completed", **columns: object) -> Instance:
    """An instance that was created so long after noon, and ended two minutes later."""
    at = NOON + timedelta(minutes=minutes)
    defaults: dict[str, object] = {"name": "order", "created_at": at, "completed_at": at + timedelta(minutes=2)}
    return Instance.objects.create(hub=HUB, instance_id=instance_id, status=status, **(defaults | columns))


def counts(width: int = 60) -> dict[tuple[str, str, str], int]:
    rows = InstanceCount.objects.filter(hub=HUB, width=width).exclude(count=0)
    return {(f"{row.begins_at:%H:%M}", row.name, row.status): row.count for row in rows}


def count(store, status: str = "Completed", *, before: datetime = LATER, limit: int = 100) -> int:
    """Count until there is no more."""
    ends = 0
    while True:
        counted = store.count_ends(status, before, limit)
        ends += counted.ends
        if not counted.has_more:
            return ends


def test_ends_are_counted_by_the_minute_and_the_hour_of_the_creation(store):
    end("a", minutes=0.2)
    end("b", minutes=0.9)
    end("c", minutes=61)
    end("d", minutes=61, name="refund")
    end("e", minutes=61, status="Failed")

    assert count(store) == 4

    assert counts() == {
        ("12:00", "order", "Completed"): 2,
        ("13:01", "order", "Completed"): 1,
        ("13:01", "refund", "Completed"): 1,
    }
    assert counts(3600) == {
        ("12:00", "order", "Completed"): 2,
        ("13:00", "order", "Completed"): 1,
        ("13:00", "refund", "Completed"): 1,
    }


def test_by_the_minute_only_what_is_young_enough_to_be_asked_for_is_counted(store):
    end("old", minutes=-3 * 24 * 60 - 60, completed_at=NOON)
    end("young")

    assert count(store) == 2
    assert counts() == {("12:00", "order", "Completed"): 1}
    assert sum(counts(3600).values()) == 2


def test_nothing_is_counted_twice(store):
    end("a")

    assert [count(store), count(store), count(store, before=LATER + timedelta(hours=1))] == [1, 0, 0]
    assert counts() == {("12:00", "order", "Completed"): 1}


def test_counts_of_one_minute_add_up(store):
    end("a")
    count(store, before=NOON + timedelta(minutes=30))
    end("b", completed_at=NOON + timedelta(hours=1))

    assert count(store) == 1
    assert counts() == {("12:00", "order", "Completed"): 2}


def test_what_ended_after_the_moment_is_left_for_later(store):
    end("a", minutes=10)

    assert count(store, before=NOON + timedelta(minutes=12)) == 0
    assert count(store, before=NOON + timedelta(minutes=13)) == 1


def test_entities_live_instances_and_other_hubs_are_not_counted(store):
    end("@stock@a", is_entity=True)
    end("live", status="Running", completed_at=None)
    end("elsewhere", minutes=1)
    Instance.objects.filter(instance_id="elsewhere").update(hub="other")

    assert count(store) == 0


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_limit_cuts_it_into_pieces_also_where_many_ended_at_once(store, limit):
    for number in range(5):
        end(f"at-once-{number}", completed_at=NOON + timedelta(minutes=1))
    end("last", completed_at=NOON + timedelta(minutes=2))

    assert store.count_ends("Completed", LATER, limit).has_more
    assert count(store, limit=limit) + sum(counts().values()) >= 6
    assert counts() == {("12:00", "order", "Completed"): 6}


def test_what_was_purged_before_it_was_counted_is_counted_all_the_same(store):
    early, late = end("early"), end("late", minutes=30)
    count(store, before=NOON + timedelta(minutes=20))

    assert store.purge([early.pk, late.pk]) == 2

    assert MovedEnd.objects.count() == 1
    assert count(store) == 1
    assert counts() == {("12:00", "order", "Completed"): 1, ("12:30", "order", "Completed"): 1}
    assert not MovedEnd.objects.exists()


def test_an_instance_whose_id_is_started_anew_stays_counted(store):
    end("order-1")

    store.create_instances([NewInstance("order-1", "order")])

    assert count(store) == 1
    assert counts() == {("12:00", "order", "Completed"): 1}


def test_a_live_instance_whose_id_is_taken_is_counted_as_terminated(store):
    end("order-1", status="Running", completed_at=None)

    store.create_instances([NewInstance("order-1", "order")], OnDuplicate.TERMINATE)

    assert count(store, "Terminated", before=datetime.now(UTC) + timedelta(hours=1)) == 1


@pytest.mark.parametrize("is_counted", [False, True])
def test_an_end_that_is_taken_back_is_not_counted(store, token, running, is_counted):
    store.commit(token, [ended(running(), status="Failed", release=False)])
    row = Instance.objects.get()
    Instance.objects.update(lease_token=token, created_at=NOON)
    if is_counted:
        count(store, "Failed")
    undone = UndoneEnd("Failed", row.completed_at, row.name, NOON)

    store.commit(
        token,
        [Checkpoint(row.pk, row.execution, row.last_sequence, "Running", row.execution, 0, undone_end=undone)],
    )

    count(store, "Failed", before=datetime.now(UTC) + timedelta(hours=1))
    assert counts(3600) == {}
    assert not MovedEnd.objects.exists()


def test_an_end_of_an_instance_that_was_lost_meanwhile_is_not_taken_back(store, token, running):
    claimed = running()
    store.commit(token, [ended(claimed)])
    undone = UndoneEnd("Completed", NOON, "order", NOON)

    lost = store.commit(token, [Checkpoint(claimed.pk, 7, 7, "Running", 8, 0, undone_end=undone)]).lost

    assert lost == {claimed.pk}
    assert not MovedEnd.objects.exists()


def test_where_all_is_counted_a_purge_writes_nothing_down(store, django_assert_num_queries):
    one = end("a")
    count(store)

    store.purge([one.pk])

    assert not MovedEnd.objects.exists()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_in_whatever_order_the_sums_are_exact(store, seed):
    dice = random.Random(seed)
    expected: Counter[str] = Counter()
    clock = NOON
    live: list[int] = []
    for number in range(60):
        clock += timedelta(seconds=dice.randrange(1, 90))
        match dice.choice(["end", "end", "end", "purge", "restart", "count"]):
            case "end":
                status = dice.choice(["Completed", "Failed"])
                live.append(end(f"i-{number}", status=status, created_at=clock, completed_at=clock).pk)
                expected[status] += 1
            case "purge" if live:
                store.purge([live.pop(dice.randrange(len(live)))])
            case "restart" if live:
                row = Instance.objects.get(pk=live.pop(dice.randrange(len(live))))
                store.create_instances([NewInstance(row.instance_id, "order")])
            case _:
                status = dice.choice(["Completed", "Failed"])
                store.count_ends(status, clock - timedelta(seconds=60), dice.choice([1, 5, 100]))

    for status in ("Completed", "Failed"):
        count(store, status, before=clock + timedelta(minutes=1))

    for width in (60, 3600):
        found: Counter[str] = Counter()
        for (_, _, status), total in counts(width).items():
            found[status] += total
        assert found == expected


def test_counts_that_nobody_asks_for_any_more_are_dropped(store):
    now = store.now()
    ages = ((60, 1), (60, 3), (3600, 3), (3600, 399), (3600, 401))
    for width, days in ages:
        InstanceCount.objects.create(
            hub=HUB, width=width, begins_at=now - timedelta(days=days), name="order", status="Completed", count=1
        )

    assert store.drop_old_counts(10) == 2
    kept = InstanceCount.objects.order_by("width", "-begins_at").values_list("width", "begins_at")
    assert [(width, (now - at).days) for width, at in kept] == [(60, 1), (3600, 3), (3600, 399)]


@pytest.mark.django_db(transaction=True)
def test_while_one_counts_another_does_not(store, in_thread):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time anyway")
    end("a")
    store.count_ends("Completed", NOON, 10)

    with transaction.atomic():
        list(CountMark.objects.select_for_update())
        assert in_thread(store.count_ends, "Completed", LATER, 10).result().ends == 0

    assert count(store) == 1


@pytest.mark.django_db(transaction=True)
def test_many_who_count_at_once_count_each_end_once(store, in_thread):
    for number in range(200):
        end(f"i-{number}", minutes=number % 7)

    for future in [in_thread(count, store) for _ in range(4)]:
        future.result()
    count(store)

    assert sum(counts().values()) == 200


@pytest.mark.django_db(transaction=True)
def test_purges_beside_a_count_lose_no_end_and_double_none(store, in_thread):
    pks = [end(f"i-{number}", minutes=number).pk for number in range(120)]
    futures = [in_thread(store.purge, pks[start::3]) for start in range(3)]
    futures += [in_thread(count, store) for _ in range(2)]
    for future in futures:
        future.result()
    count(store)

    assert not Instance.objects.exists()
    assert sum(counts().values()) == 120


def test_messages_to_an_instance_change_no_count(store, start):
    start()
    store.send([to("order-1")])

    assert count(store, before=datetime.now(UTC) + timedelta(hours=1)) == 0
