"""Finding instances by what is known of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations import InstanceNotFound
from orchestrations.errors import InvalidCursor
from orchestrations.models import Instance
from orchestrations.reading.queries import InstanceFilter, list_instances
from tests import rows


@pytest.fixture
def ids(client):
    """The ids that a query gives, in its order."""

    def ids(**conditions):
        return [status.instance_id for status in client.get_status_by(**conditions)]

    return ids


@pytest.fixture
def five(db):
    """Five instances, a minute apart."""
    minute = timedelta(minutes=1)
    rows.instance("a", name="ship", version="1", status="Completed", tags={"team": "x", 'o"dd': "y"})
    rows.instance("b", name="ship", status="Failed", error="ValueError: No stock of 100% wool", tags={"team": "x"})
    rows.instance("c", name="bill", version="2", status="Running", tags={"team": "z", "1": "one"})
    rows.instance("d", name="bill", status="Running", parent=Instance.objects.get(instance_id="c"))
    rows.instance("e", name="bill", status="Terminated")
    for number, row in enumerate(Instance.objects.order_by("instance_id")):
        at = rows.NOON + number * minute
        ended = at + 10 * minute if row.runtime_status.is_terminal else None
        Instance.objects.filter(pk=row.pk).update(created_at=at, completed_at=ended)


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({}, "edcba"),
        ({"oldest_first": True}, "abcde"),
        ({"name": "ship"}, "ba"),
        ({"version": "2"}, "c"),
        ({"version": ""}, "edb"),
        ({"tags": {"team": "x"}}, "ba"),
        ({"tags": {"team": "x", 'o"dd': "y"}}, "a"),
        ({"tags": {"1": "one"}}, "c"),
        ({"tags": {"team": "nobody"}}, ""),
        ({"tags": {"te": "am"}}, ""),
        ({"parent_instance_id": "c"}, "d"),
        ({"error_text": "no STOCK"}, "b"),
        ({"error_text": "100%"}, "b"),
        ({"error_text": "1_0"}, ""),
        ({"error_text": "a\x00b"}, ""),
        ({"completed_time_from": rows.NOON + timedelta(minutes=11)}, "eb"),
        ({"completed_time_to": rows.NOON + timedelta(minutes=11)}, "a"),
        ({"runtime_status": ["Running"], "name": "bill", "limit": 1}, "d"),
    ],
    ids=str,
)
def test_every_condition_narrows(ids, five, conditions, found):
    assert ids(**conditions) == list(found)


def test_an_unknown_parent_is_told(client, five):
    with pytest.raises(InstanceNotFound):
        client.get_status_by(parent_instance_id="nobody")


def test_all_are_the_newest(client, five):
    assert [status.instance_id for status in client.get_status_all(limit=2)] == ["e", "d"]


def test_counts_stop_at_the_cap(client, five):
    assert client.count_instances().value == 5
    assert str(client.count_instances(InstanceFilter(tags={"team": "x"}), cap=1)) == "1+"


def test_ids_of_the_ended_come_in_pages(client, five):
    first, token = client.list_instance_ids(page_size=2)
    second, end = client.list_instance_ids(page_size=2, continuation_token=token)

    assert (first, second, end) == (["e", "b"], ["a"], None)
    assert client.list_instance_ids(["Failed"])[0] == ["b"]
    with pytest.raises(ValueError, match="Running"):
        client.list_instance_ids(["Running"])
    with pytest.raises(InvalidCursor):
        client.list_instance_ids(continuation_token="forged")


def test_pages_go_on_and_back_in_either_order(client, five):
    for oldest_first in (False, True):
        pages = [list_instances(client.hub, limit=2, oldest_first=oldest_first)]
        while pages[-1].next_cursor:
            pages.append(list_instances(client.hub, limit=2, oldest_first=oldest_first, cursor=pages[-1].next_cursor))
        order = "abcde" if oldest_first else "edcba"
        assert "".join(row.instance_id for page in pages for row in page.items) == order
        back = list_instances(client.hub, limit=2, oldest_first=oldest_first, cursor=pages[1].previous_cursor)
        assert [row.instance_id for row in back.items] == list(order[:2])
        assert pages[0].previous_cursor is None


def test_a_status_knows_its_parent_its_execution_and_its_times(client, five, django_assert_num_queries):
    with django_assert_num_queries(2):  # a join would cost those that have no parent, who are asked about most
        status = client.get_status("d")
        assert status.parent_instance_id == "c"

    assert client.get_status("e").completed_time == rows.NOON + timedelta(minutes=14)
    assert (status.execution, status.started_time, status.scheduled_start_time) == (1, None, None)
