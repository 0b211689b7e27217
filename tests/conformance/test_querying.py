"""Finding instances: each filter lets through what it says, windows that adjoin share nothing, and pages hold still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from orchestrations import EntityId, InstanceNotFound, orchestrator
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InvalidCursor
from orchestrations.models import Entity, Instance
from orchestrations.reading.queries import InstanceFilter, list_instances
from tests.conformance import entity_functions
from tests.runtime import functions

TICK = timedelta(microseconds=1)
FUTURE = datetime(2199, 1, 1, tzinfo=UTC)
IN_A_FILTER = {"runtime_status": "statuses", "instance_id_prefix": "id_prefix"}


@pytest.fixture
def several(client, worker, stage):
    """One instance of each status, a sub-orchestration among them, all left by the engine. The ids, oldest first."""

    @orchestrator(version="2")
    def ships(context):
        yield context.call_activity(functions.work, "ship")

    stage.failing.add("bad")
    client.start_new(ships, "shipped", tags={"team": "a", "region": "eu"}, version="1")
    client.start_new(functions.calls, "spoilt", ["work", "bad"], tags={"team": "a"})
    worker.run_until_idle()
    client.start_new(functions.parent, "parent", ["waits", 1, "child"], tags={"team": "b"})
    client.start_new(functions.waits, "gone", 1)
    client.start_new(functions.waits, "held", 1)
    worker.run_until_idle()
    client.terminate("gone", "no longer wanted")
    client.suspend("held")
    client.start_new(ships, "later", start_at=FUTURE)
    worker.run_until_idle()
    return list(Instance.objects.order_by("created_at", "pk").values_list("instance_id", flat=True))


@pytest.fixture
def ids(client):
    """The ids that ``get_status_by`` gives."""
    return lambda *given, **conditions: [row.instance_id for row in client.get_status_by(*given, **conditions)]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "shipped spoilt parent child gone held later"),
        ({"runtime_status": ["Completed"]}, "shipped"),
        ({"runtime_status": [RuntimeStatus.FAILED]}, "spoilt"),
        ({"runtime_status": ["Running"]}, "parent child"),
        ({"runtime_status": "Suspended"}, "held"),
        ({"runtime_status": RuntimeStatus.FAILED}, "spoilt"),
        ({"runtime_status": ["Pending", "Suspended", "Terminated"]}, "gone held later"),
        ({"runtime_status": ["Canceled"]}, ""),
        ({"instance_id_prefix": "s"}, "shipped spoilt"),
        ({"instance_id_prefix": "S"}, ""),
        ({"instance_id_prefix": "%"}, ""),
        ({"name": "waits"}, "child gone held"),
        ({"name": "wait"}, ""),
        ({"version": "1"}, "shipped"),
        ({"version": "2"}, "later"),
        ({"version": ""}, "spoilt parent child gone held"),
        ({"tags": {"team": "a"}}, "shipped spoilt"),
        ({"tags": {"team": "a", "region": "eu"}}, "shipped"),
        ({"error_text": "NO BAD"}, "spoilt"),
        ({"name": "waits", "runtime_status": ["Suspended"]}, "held"),
    ],
    ids=str,
)
def test_a_filter_lets_through_what_it_says_and_counts_as_many(client, several, ids, asked, found):
    expected = sorted(found.split(), key=several.index)
    where = {IN_A_FILTER.get(name, name): value for name, value in asked.items()}
    statuses = where.get("statuses", ())
    where["statuses"] = tuple(map(RuntimeStatus, [statuses] if isinstance(statuses, str) else statuses))

    assert ids(**asked, oldest_first=True) == expected
    assert ids(**asked) == expected[::-1]
    assert client.count_instances(InstanceFilter(**where)).value == len(expected)


def test_a_sub_orchestration_is_found_by_its_parent(client, several, ids):
    assert ids(parent_instance_id="parent") == ["child"]
    assert ids(parent_instance_id="shipped") == []
    with pytest.raises(InstanceNotFound):
        ids(parent_instance_id="nobody")


def test_what_is_no_filter_is_told_and_never_taken_for_none(client, several, ids):
    with pytest.raises(ValueError, match="Compleated"):
        ids(runtime_status="Compleated")
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - that it is naive is the point
    for name in ("created_time_from", "created_time_to", "completed_time_from", "completed_time_to"):
        with pytest.raises(ValueError, match=name):
            ids(**{name: naive})
    for refused in ({"runtime_status": ["Compleated"]}, {"created_time_from": naive}, {"created_time_to": naive}):
        with pytest.raises(ValueError):
            client.purge_instance_history_by(**refused)
    assert client.count_instances().value == len(several)


def test_all_are_the_newest_with_everything_known_of_them_but_their_history(client, several):
    found = client.get_status_all()

    assert [status.instance_id for status in found] == several[::-1]
    by_id = {status.instance_id: status for status in found}
    assert by_id["gone"].output == "no longer wanted"
    assert by_id["child"].parent_instance_id == "parent"
    assert by_id["shipped"].tags == {"team": "a", "region": "eu"}
    assert by_id["spoilt"].failure_details is not None
    assert all(status.history is None and status.input is None for status in found)
    assert [status.instance_id for status in client.get_status_all(limit=2)] == several[:-3:-1]


def test_a_count_stops_at_its_cap(client, several):
    assert str(client.count_instances(cap=3)) == "3+"
    assert str(client.count_instances(cap=len(several))) == str(len(several))


# Windows ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["by the engine", "microseconds", "milliseconds", "whole seconds"])
def moments(request, client, run):
    """When six ended instances were created and ended, two of them at the same time: as written, or moved."""
    for number in range(6):
        run(functions.chain, 1, f"order-{number}")
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    step = {"microseconds": 1, "milliseconds": 1_000, "whole seconds": 1_000_000}.get(request.param)
    if step:
        for row in Instance.objects.all():
            at = start + timedelta(microseconds=step * min(int(row.instance_id[-1]), 4))
            Instance.objects.filter(pk=row.pk).update(created_at=at, completed_at=at)
    statuses = client.get_status_by(oldest_first=True)
    return [(status.instance_id, status.created_time, status.completed_time) for status in statuses]


@pytest.mark.parametrize("kind", ["created", "completed"])
def test_a_window_holds_its_beginning_and_not_its_end(ids, moments, kind):
    known = {instance_id: created if kind == "created" else ended for instance_id, created, ended in moments}

    def within(start, end):
        return set(ids(**{f"{kind}_time_from": start, f"{kind}_time_to": end}))

    for at in known.values():
        assert within(at, None) == {one for one, moment in known.items() if moment >= at}
        assert within(None, at) == {one for one, moment in known.items() if moment < at}
        assert within(at, at + TICK) == {one for one, moment in known.items() if moment == at}
        assert within(at, at) == set()
        assert within(at + TICK, None) == {one for one, moment in known.items() if moment > at}
    bounds = [None, *sorted(set(known.values())), None]
    found = [one for start, end in pairwise(bounds) for one in within(start, end)]
    assert sorted(found) == sorted(known), "windows that adjoin share nothing and lose nothing"


def test_a_window_of_counts_ids_and_pages_is_the_same(client, moments):
    for _, created, ended in moments:
        where = InstanceFilter(created_from=created, created_to=created + TICK)
        same = [one for one, at, _ in moments if at == created]
        assert client.count_instances(where).value == len(same)
        assert sorted(row.instance_id for row in list_instances(client.hub, where).items) == same

        listed, _ = client.list_instance_ids(completed_time_from=ended, completed_time_to=ended + TICK)
        assert sorted(listed) == [one for one, _, at in moments if at == ended]
        assert client.list_instance_ids(completed_time_to=ended, completed_time_from=ended)[0] == []


def test_a_purge_takes_what_its_window_holds(client, moments):
    instants = sorted({created for _, created, _ in moments})
    start, end = instants[1], instants[-1]
    inside = [one for one, created, _ in moments if start <= created < end]

    purged = client.purge_instance_history_by(start, end)

    assert (purged.instances_deleted, purged.is_complete) == (len(inside), True)
    left = {status.instance_id for status in client.get_status_all()}
    assert left == {one for one, *_ in moments} - set(inside)
    assert client.purge_instance_history_by(start, end).instances_deleted == 0


@pytest.mark.parametrize("digits", [0, 345_000, 345_678])
def test_a_window_of_entities_last_operations_is_no_other(client, worker, digits):
    with entity_functions.registered():
        for key in ("a", "b", "c"):
            client.signal_entity(EntityId("counter", key), "add", 1)
        worker.run_until_idle()
    start = datetime(2026, 3, 1, 12, 0, 0, digits, tzinfo=UTC)
    for number, key in enumerate(("a", "b", "c")):
        Entity.objects.filter(key=key).update(last_operation_at=start + number * TICK)

    def within(**window):
        return [entity.entity_id.key for entity in client.list_entities("counter", **window).items]

    assert within(last_operation_from=start + TICK) == ["c", "b"]
    assert within(last_operation_to=start + TICK) == ["a"]
    assert within(last_operation_from=start + TICK, last_operation_to=start + 2 * TICK) == ["b"]


# Purging by filter --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "gone"),
    [
        (None, "shipped spoilt gone"),
        (["Failed"], "spoilt"),
        (["Completed", "Terminated"], "shipped gone"),
        (["Running", "Pending", "Suspended"], ""),
        (["Running", "Failed"], "spoilt"),
        (["Canceled"], ""),
    ],
    ids=str,
)
def test_a_purge_takes_the_ended_among_the_statuses_and_no_live_one(client, several, statuses, gone):
    assert client.purge_instance_history_by(runtime_status=statuses).instances_deleted == len(gone.split())

    assert {status.instance_id for status in client.get_status_all()} == set(several) - set(gone.split())


def test_a_purge_that_is_cut_short_says_so_and_goes_on_with_the_oldest(client, moments):
    oldest = [one for one, *_ in moments]

    cut = client.purge_instance_history_by(limit=2)

    assert (cut.instances_deleted, cut.is_complete) == (2, False)
    assert {status.instance_id for status in client.get_status_all()} == set(oldest[2:])
    assert client.purge_instance_history_by(timeout=0) == type(cut)(0, is_complete=False)
    assert client.purge_instance_history_by() == type(cut)(4, is_complete=True)


# Pages --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pages_of_ids_hold_still_while_instances_come_and_go(client, run, moments, size):
    found, token, rounds = [], None, 0
    while rounds == 0 or token:
        page, token = client.list_instance_ids(page_size=size, continuation_token=token)
        assert len(page) <= size
        found += page
        run(functions.chain, 0, f"new-{rounds}")
        if rounds:
            client.purge_instance_history(f"new-{rounds - 1}")
        rounds += 1

    assert found == [one for one, *_ in reversed(moments)]


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest first", "oldest first"])
def test_pages_of_instances_hold_still_while_instances_come(client, run, moments, oldest_first):
    found, cursor, rounds = [], None, 0
    while rounds == 0 or cursor:
        page = list_instances(client.hub, limit=2, cursor=cursor, oldest_first=oldest_first)
        found += [row.instance_id for row in page.items]
        cursor = page.next_cursor
        if rounds < 2:
            run(functions.chain, 0, f"new-{rounds}")
        rounds += 1

    known = [one for one, *_ in moments]
    assert found == ([*known, "new-0", "new-1"] if oldest_first else known[::-1])


def test_a_token_that_was_altered_and_a_status_that_is_no_end_are_refused(client, several):
    _, token = client.list_instance_ids(page_size=1)
    with pytest.raises(InvalidCursor):
        client.list_instance_ids(continuation_token=token[:-1] + ("a" if token[-1] != "a" else "b"))
    with pytest.raises(ValueError, match="Suspended"):
        client.list_instance_ids(["Suspended"])
    assert client.list_instance_ids(["Failed", "Terminated"])[0] == ["gone", "spoilt"]
