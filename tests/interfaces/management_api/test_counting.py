"""Counts by status, name, version and tag; and what an instance called ``count`` is read by."""

from __future__ import annotations

import pytest

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.reading import counts
from tests import rows
from tests.interfaces.management_api.conftest import Caller


@pytest.fixture
def some(db):
    rows.instance("a1", name="bill", version="2", tags={"region": "eu", "a.b'c\"": "x"})
    rows.instance("a2", name="bill", version="2", status="Failed", minutes=5)
    rows.instance("b1", name="echo", status="Failed", tags={"region": "us"})
    rows.instance("hidden", hub="other")
    rows.entity("@account@lyon", "1")


def told(response) -> dict:
    assert response.status_code == 200, response.content
    assert not any(group["isCapped"] for group in response.json())
    return {group["value"]: group["count"] for group in response.json() if group["count"]}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("groupBy=status", {"Running": 1, "Failed": 2}),
        ("GROUPBY=Status&runtimeStatus=failed", {"Failed": 2}),
        ("groupBy=status&name=bill", {"Running": 1, "Failed": 1}),
        ("groupBy=status&createdTimeFrom=2026-03-01T12:01:00Z", {"Failed": 1}),
        ("groupBy=name", {"bill": 2, "echo": 1}),
        ("groupBy=name&runtimeStatus=Running", {"bill": 1}),
        ("groupBy=name&name=echo", {"echo": 1}),
        ("groupBy=version", {"2": 2, "": 1}),
        ("groupBy=version&version=", {"": 1}),
        ("groupBy=tag:region", {"eu": 1, "us": 1, None: 1}),
        ("groupBy=tag:region&tag=region:eu", {"eu": 1}),
        ("groupBy=tag:a.b'c%22&instanceIdPrefix=a1", {"x": 1}),
        ("groupBy=tag:nothing", {None: 3}),
    ],
)
def test_instances_are_counted_by(api, some, query, expected):
    assert told(api.get(f"instances/count?{query}")) == expected


def test_a_status_that_none_has_is_counted_too(api, some):
    assert {"value": "Pending", "count": 0, "isCapped": False} in api.get("instances/count?groupBy=status").json()


@pytest.mark.parametrize("query", ["groupBy=", "groupBy=tag:", "groupBy=input", "groupBy=status&tag=region"])
def test_what_can_not_be_counted_by_is_refused(api, some, query):
    response = api.get(f"instances/count?{query}")

    assert (response.status_code, response.json()["ExceptionType"]) == (400, "invalid_argument")


def test_an_instance_called_count_is_read_as_any_other(api):
    assert api.get("instances/count").status_code == 404
    started = api.post("orchestrators/echo/count").json()

    assert api.get("instances/count").json()["instanceId"] == "count"
    assert Caller(key=None).get(started["statusQueryGetUri"]).status_code == 202
    assert Caller(key=None).get(f"{started['statusQueryGetUri']}&groupBy=status").status_code == 403
    assert told(api.get("instances/count?groupBy=name")) == {"echo": 1}


def test_a_key_counts_what_it_may_see(some):
    bills = Caller(api_keys.issue("bills", [Verb.LIST], names="bi*")[1])
    blind = Caller(api_keys.issue("blind", [Verb.STATUS])[1])

    assert told(bills.get("instances/count?groupBy=name")) == {"bill": 2}
    assert told(bills.get("instances/count?groupBy=tag:region")) == {"eu": 1, None: 1}
    assert told(bills.get("instances/count?groupBy=status&name=echo")) == {}
    assert blind.get("instances/count?groupBy=name").status_code == 403


@pytest.mark.parametrize("count", [counts.name_counts, counts.version_counts])
def test_counting_ends_at_the_cap(db, count):
    where = counts.InstanceFilter()
    for _ in range(3):
        rows.instance()

    assert [str(number) for number in count(rows.HUB, where, cap=2).values()] == ["2+"]
    assert [str(number) for number in count(rows.HUB, where, cap=3).values()] == ["3"]


def test_lists_and_purges_keep_to_the_same_filter(api, some):
    assert [row["instanceId"] for row in api.get("instances?name=bill&version=2&tag=region:eu").json()] == ["a1"]

    purged = api.delete("instances?createdTimeFrom=2026-01-01&name=bill&tag=region:eu")

    assert purged.status_code == 404, "a1 is live, and the failed a2 has no such tag"
    assert api.delete("instances?createdTimeFrom=2026-01-01&instanceIdPrefix=b").json() == {"instancesDeleted": 1}
    assert api.get("instances/a2").status_code == 200


def test_the_orchestrators_of_other_names_take_no_place_from_a_keys_own(some, monkeypatch):
    monkeypatch.setattr(counts, "COUNTED_NAMES", 1)
    echoes = Caller(api_keys.issue("echoes", [Verb.LIST], names="echo")[1])

    assert told(echoes.get("instances/count?groupBy=name")) == {"echo": 1}
    assert told(Caller().get("instances/count?groupBy=name")) == {"bill": 2}


def test_more_orchestrators_than_one_statement_counts_are_all_counted(api):
    for number in range(counts.COUNTED_AT_ONCE + 5):
        rows.instance(name=f"flow-{number:03}")

    assert len(told(api.get("instances/count?groupBy=name"))) == counts.COUNTED_AT_ONCE + 5
