"""Lists, one instance, its history and its waits."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrations import entity
from orchestrations.core.events import EventType
from tests import rows

INSTANCES = "/api/instances/"


def ids(response):
    return [row["instance_id"] for row in response.json()["results"]]


def test_a_list_has_the_newest_first_and_leads_from_page_to_page(api):
    for number in range(5):
        rows.instance(f"order-{number}", minutes=number)

    first = api.get(INSTANCES, {"limit": 2})
    second = api.get(first.json()["next"])
    back = api.get(second.json()["previous"])

    assert ids(first) == ["order-4", "order-3"]
    assert ids(second) == ["order-2", "order-1"]
    assert ids(back) == ids(first)
    assert first.json()["previous"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": ["Failed", "Completed"]}, ["b", "a"]),
        ({"name": "ship"}, ["c"]),
        ({"id_prefix": "a"}, ["a"]),
        ({"created_from": "2026-03-01T12:01:00Z"}, ["c", "b"]),
        ({"created_to": "2026-03-01T12:01:00Z"}, ["a"]),
        ({"parent": "a"}, ["b"]),
        ({"roots_only": "true"}, ["c", "a"]),
        ({"version": "2"}, ["c"]),
        ({"version": ""}, ["b", "a"]),
        ({"tag": ["team:x", "site:y:z"]}, ["c"]),
        ({"error": "TIMED"}, ["b"]),
        ({"completed_from": "2026-03-01T12:00:00Z"}, ["a"]),
        ({"oldest_first": "true"}, ["a", "b", "c"]),
    ],
)
def test_a_list_can_be_narrowed(api, query, expected):
    parent = rows.instance("a", status="Completed", completed_at=rows.NOON)
    rows.instance("b", minutes=1, status="Failed", parent=parent, error="TimeoutError: it timed out")
    rows.instance("c", minutes=2, name="ship", version="2", tags={"team": "x", "site": "y:z"})

    assert ids(api.get(INSTANCES, query)) == expected


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"status": "Lost"}, "$.status[0]"),
        ({"created_from": "yesterday"}, "$.created_from"),
        ({"limit": 0}, "$.limit"),
        ({"limit": 201}, "$.limit"),
        ({"name": ""}, "$.name"),
        ({"tag": "team"}, "$.tag[0]"),
        ({"statuses": "Failed"}, "$.statuses"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_and_never_dropped(api, query, path):
    response = api.get(INSTANCES, query)

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.json()["code"], [error["path"] for error in response.json()["errors"]]) == ("invalid", [path])


def test_an_altered_cursor_is_refused(api):
    response = api.get(INSTANCES, {"cursor": "forged"})

    assert (response.status_code, response.json()["code"]) == (404, "invalid_cursor")


def test_a_list_loads_no_payload_and_asks_as_much_for_many_rows_as_for_one(api):
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            api.get(INSTANCES)
        assert not any('"output"' in query["sql"] for query in captured)
        return len(captured)

    rows.instance()
    one = count()
    for _ in range(10):
        rows.instance(parent=rows.instance())

    assert count() == one


def test_counts_are_by_status(api):
    rows.instance(status="Failed")
    rows.instance(status="Failed", name="ship")

    counts = {row["status"]: row["count"] for row in api.get("/api/instance-counts/", {"name": "ship"}).json()}

    assert (counts["Failed"], counts["Running"]) == (1, 0)


def test_an_instance_is_told_whole(api):
    rows.instance("order", input='{"n":1}', output="[2]", status="Completed", tags={"team": "a"})

    body = api.get(f"{INSTANCES}order/").json()

    assert (body["input"], body["output"], body["tags"]) == ({"n": 1}, [2], {"team": "a"})
    assert body["actions"] == ["fork", "purge", "restart"]
    assert (body["forked_from"], body["forked_step"]) == (None, None)


def test_payloads_are_a_permission_of_their_own(caller):
    order = rows.instance(
        "order", input='"secret"', output='"secret"', custom_status='"secret"', failure='{"s":"secret"}'
    )
    rows.history(order, (EventType.EXECUTION_STARTED, {"payload": '"secret"'}))
    api = caller("view_instance")

    for address in (f"{INSTANCES}order/", f"{INSTANCES}order/history/"):
        assert "secret" not in api.get(address).content.decode()


def test_an_unknown_instance_is_a_problem(api):
    for address in ("nobody/", "nobody/history/", "nobody/waits/", "%00/"):
        response = api.get(f"{INSTANCES}{address}")
        assert (response.status_code, response.json()["code"]) == (404, "instance_not_found"), address


def test_an_unchanged_instance_is_not_sent_again(api):
    order = rows.instance("order")
    etag = api.get(f"{INSTANCES}order/").headers["ETag"]

    again = api.get(f"{INSTANCES}order/", headers={"If-None-Match": etag})
    rows.history(order, (EventType.EXECUTION_STARTED, {}))
    changed = api.get(f"{INSTANCES}order/", headers={"If-None-Match": etag})

    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200


def test_history_comes_in_pages_and_by_type(api):
    order = rows.instance("order")
    rows.history(order, (EventType.EXECUTION_STARTED, {}), *[(EventType.EVENT_RAISED, {"name": "go"})] * 3)

    first = api.get(f"{INSTANCES}order/history/", {"limit": 2}).json()
    rest = api.get(f"{INSTANCES}order/history/", {"after": first["next_after"]}).json()
    raised = api.get(f"{INSTANCES}order/history/", {"type": "EventRaised"}).json()

    assert [event["sequence"] for event in first["results"] + rest["results"]] == [1, 2, 3, 4]
    assert rest["next_after"] is None
    assert [event["sequence"] for event in raised["results"]] == [2, 3, 4]


def test_waits_are_told_for_one_instance_and_for_all(api):
    rows.wait(rows.instance("order"), "paid", title="Paid?", request={"summary": {"Amount": "5"}})

    [of_one] = api.get(f"{INSTANCES}order/waits/").json()
    [of_all] = api.get("/api/waits/").json()

    assert of_one == of_all
    assert (of_one["event"], of_one["title"], of_one["summary"]) == ("paid", "Paid?", {"Amount": "5"})


def test_functions_come_with_the_schema_of_their_input(api):
    entity(name="counter")(lambda context: None)
    functions = {row["name"]: row for row in api.get("/api/functions/").json()}

    assert functions["settle_expense"]["kind"] == "orchestrator"
    assert "$ref" in functions["settle_expense"]["input_schema"]
    assert functions["echo"]["input_schema"] == {}
    assert (functions["counter"]["kind"], functions["counter"]["input_schema"]) == ("entity", None)


def test_the_site_tells_of_its_workers_and_of_who_did_what(api):
    api.post(f"{INSTANCES}{rows.instance().instance_id}/terminate/", {"reason": "too late"}, format="json")

    [entry] = api.get("/api/audit/").json()["results"]

    assert (entry["actor"], entry["action"], entry["reason"], entry["via"]) == ("ada", "terminate", "too late", "API")
    assert api.get("/api/workers/").json() == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["suspend", "terminate"]),
        ({"action": "suspend"}, ["suspend"]),
        ({"instance_id": "order"}, ["terminate"]),
        ({"instance_prefix": "or"}, ["terminate"]),
        ({"actor": "ada"}, ["suspend", "terminate"]),
        ({"actor": "bob"}, []),
        ({"via": "Dashboard"}, []),
        ({"at_from": "2020-01-01T00:00:00Z", "at_to": "2020-01-02T00:00:00Z"}, []),
        ({"limit": 1}, ["suspend"]),
    ],
)
def test_the_audit_trail_can_be_narrowed(api, query, expected):
    for instance_id, verb in (("order", "terminate"), ("parcel", "suspend")):
        rows.instance(instance_id)
        assert api.post(f"{INSTANCES}{instance_id}/{verb}/").status_code == 202

    assert [entry["action"] for entry in api.get("/api/audit/", query).json()["results"]] == expected


def test_the_audit_trail_is_a_right_of_its_own(caller):
    assert caller("view_instance").get("/api/audit/").status_code == 403
