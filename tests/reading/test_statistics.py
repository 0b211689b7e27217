"""How many instances were started when and what became of them, whether or not they are still there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrations.models import Instance, InstanceCount
from orchestrations.reading import tallies
from orchestrations.reading.statistics import WINDOWS, Histogram, by_window, durations, histogram, outcomes
from orchestrations.reading.tallies import Source
from orchestrations.store import get_store
from tests import rows

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, 59, 30, tzinfo=UTC)
HOUR, SIX_HOURS, DAY, WEEK, MONTH = WINDOWS


def told(found: Histogram) -> dict[str, dict[str, int]]:
    return {f"{bucket.begins_at:%d %H:%M}": dict(bucket.counts) for bucket in found.buckets if bucket.total}


def start(minutes: float, status: str = "Completed", **columns: object) -> Instance:
    at = rows.NOON + timedelta(minutes=minutes)
    ended = {} if status in ("Running", "Pending") else {"completed_at": at + timedelta(seconds=30)}
    return rows.instance(minutes=minutes, status=status, started_at=at, **(ended | columns))


def count(before: datetime = NOW) -> None:
    for status in ("Completed", "Failed", "Terminated", "Canceled"):
        get_store().count_ends(status, before, 1_000)


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.slug)
def test_a_window_ends_with_the_present_bucket_and_its_buckets_are_whole(window):
    begin, end = window.bounds(NOW)

    assert end - window.width <= NOW < end
    assert end - begin == window.span
    assert not begin.timestamp() % window.width.total_seconds()
    assert len(histogram("default", window, NOW).buckets) == window.span / window.width


def test_instances_are_counted_by_their_creation_and_their_status():
    start(0)
    start(1.9, "Failed")
    start(2, "Running")
    start(-1)
    start(60)

    assert told(histogram("default", HOUR, NOW)) == {
        "01 12:00": {"Completed": 1, "Failed": 1},
        "01 12:02": {"Running": 1},
    }


def test_entities_and_other_hubs_are_not_counted():
    rows.instance("@stock@a", is_entity=True)
    rows.instance(hub="other")

    assert told(histogram("default", HOUR, NOW)) == {}


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.slug)
@pytest.mark.parametrize("counted_to", [None, rows.NOON + timedelta(minutes=30), NOW])
def test_many_are_taken_from_the_counts_with_the_same_numbers(window, counted_to, monkeypatch):
    for number in range(40):
        start(number, ("Completed", "Failed", "Running", "Canceled")[number % 4], name=f"flow-{number % 3}")
    one_by_one = histogram("default", window, NOW)
    by_flow = outcomes("default", window, NOW)
    if counted_to is not None:
        count(counted_to)
    monkeypatch.setattr(tallies, "HISTOGRAM_ROWS", 5)

    found = histogram("default", window, NOW)

    assert told(found) == told(one_by_one)
    assert found.source == (Source.MINUTES if window in (HOUR, SIX_HOURS) else Source.HOURS)
    assert one_by_one.source == Source.ROWS
    assert outcomes("default", window, NOW) == by_flow
    for name in ("flow-0", "flow-1", "flow-2", "flow-3"):
        in_window = {one: counts for one, counts, _ in by_window("default", name, NOW)}
        assert in_window[window] == by_flow.get(name, {})


@pytest.mark.parametrize("is_counted", [False, True])
def test_what_was_purged_is_counted_all_the_same(is_counted):
    for number in range(10):
        start(number, "Failed" if number % 2 else "Completed")
    before = told(histogram("default", HOUR, NOW))
    count(NOW if is_counted else rows.NOON + timedelta(minutes=5))

    get_store().purge(list(Instance.objects.values_list("pk", flat=True)[:6]))

    found = histogram("default", HOUR, NOW)
    assert told(found) == before
    assert (found.source, found.purged) == (Source.MINUTES, 6)
    assert by_window("default", "echo", NOW)[0][1] == {"Completed": 5, "Failed": 5}


def test_one_orchestrator_can_be_looked_at_alone():
    start(0, name="order")
    start(0, name="refund")
    count()
    get_store().purge(list(Instance.objects.values_list("pk", flat=True)))

    assert told(histogram("default", HOUR, NOW, "order")) == {"01 12:00": {"Completed": 1}}
    assert outcomes("default", HOUR, NOW, "order") == {"order": {"Completed": 1}}


@pytest.mark.parametrize("instances", [1, 60])
def test_it_costs_the_same_queries_whatever_there_is(instances, django_assert_num_queries):
    for number in range(instances):
        start(number)
    count(rows.NOON + timedelta(minutes=30))

    with django_assert_num_queries(5):
        histogram("default", HOUR, NOW)


def test_what_is_too_much_to_count_is_found_out_by_one_more_query(monkeypatch, django_assert_num_queries):
    for number in range(10):
        start(number)
    count(rows.NOON + timedelta(minutes=30))
    monkeypatch.setattr(tallies, "HISTOGRAM_ROWS", 5)

    with django_assert_num_queries(6):
        assert histogram("default", HOUR, NOW).source == Source.MINUTES


def test_windows_look_at_their_own_instances_in_seven_statements(django_assert_num_queries):
    start(0, name="order", completed_at=rows.NOON + timedelta(seconds=10))
    start(-120, name="order", completed_at=rows.NOON)
    start(-60 * 24 * 3, "Running", name="order")

    with django_assert_num_queries(7):
        found = by_window("default", "order", NOW)

    counts = [(window.slug, sum(counts.values()), took and took.count) for window, counts, took in found]
    assert counts == [("1h", 1, 1), ("6h", 2, 2), ("24h", 2, 2), ("7d", 3, 2), ("30d", 3, 2)]
    assert found[0][2].p95 == timedelta(seconds=10)
    assert found[1][2].p95 == timedelta(minutes=120)


def test_a_count_of_an_end_that_was_taken_back_takes_nothing_away_from_others():
    start(0)
    InstanceCount.objects.create(hub="default", width=60, begins_at=rows.NOON, name="echo", status="Failed", count=-1)

    assert told(histogram("default", HOUR, NOW)) == {"01 12:00": {"Completed": 1}}


def test_durations_are_ranks_of_those_that_completed_last():
    for seconds in range(1, 101):
        at = rows.NOON + timedelta(seconds=seconds)
        rows.instance(name="order", status="Completed", started_at=rows.NOON, completed_at=at)
    start(0, "Failed", name="order")

    [order] = durations("default")

    assert (order.count, order.median, order.p95) == (100, timedelta(seconds=50), timedelta(seconds=95))
