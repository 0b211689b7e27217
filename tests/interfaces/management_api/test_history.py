"""The history of an instance in pages, from a number or an instant on, and by type."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.core.events import EventType
from orchestrations.reading import queries
from tests import rows
from tests.interfaces.management_api.conftest import Caller

TOKEN = "x-ms-continuation-token"
FAILURE = json.dumps({"errorType": "ValueError", "errorMessage": "no stock", "stackTrace": "…"})


@pytest.fixture
def order(db):
    order = rows.instance("order")
    rows.history(
        order,
        (EventType.EXECUTION_STARTED, {"name": "echo"}),
        (EventType.TASK_SCHEDULED, {"name": "charge", "task_id": 0, "payload": '{"a":1.10}'}),
        (EventType.TASK_COMPLETED, {"name": "charge", "task_id": 0, "payload": "2"}),
        (EventType.TIMER_CREATED, {"task_id": 1, "attributes": {"fire_at": "2026-03-02T12:00:00+00:00"}}),
        (EventType.TASK_FAILED, {"name": "ship", "task_id": 2, "attempt": 3, "payload": FAILURE}),
    )
    return order


def numbers(response) -> list[int]:
    assert response.status_code == 200, response.content
    return [item["Sequence"] for item in response.json()]


def test_each_event_stands_by_itself_with_its_number_and_its_task(api, order):
    started, scheduled, completed, timer, failed = api.get("instances/order/history?showHistoryOutput=true").json()

    assert started == {
        "Sequence": 1,
        "EventType": "ExecutionStarted",
        "Timestamp": "2026-03-01T12:00:01.0000000Z",
        "FunctionName": "echo",
    }
    assert scheduled == {
        "Sequence": 2,
        "EventType": "TaskScheduled",
        "Timestamp": "2026-03-01T12:00:02.0000000Z",
        "TaskId": 0,
        "Attempt": 1,
        "Name": "charge",
        "Input": {"a": 1.1},
    }
    assert (completed["TaskId"], completed["Result"]) == (0, 2)
    assert timer["FireAt"] == "2026-03-02T12:00:00.0000000Z"
    assert (failed["Attempt"], failed["Reason"], failed["FailureDetails"]["ErrorType"]) == (3, "no stock", "ValueError")


def test_inputs_are_hidden_and_results_shown_on_demand(api, order):
    _, scheduled, completed, *_ = api.get("instances/order/history?showinput=false").json()

    assert "Input" not in scheduled
    assert "Result" not in completed


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("from=3", [3, 4, 5]),
        ("FROM=0", [1, 2, 3, 4, 5]),
        ("from=9", []),
        ("from=2026-03-01T12:00:04Z", [4, 5]),
        ("from=2026-03-01T12:00:03.000001", [4, 5]),
        ("type=TaskScheduled", [2]),
        ("type=taskscheduled,TIMERCREATED&type=TaskFailed&from=3", [4, 5]),
        ("top=2", [1, 2]),
        ("execution=2", []),
        ("execution=one", [1, 2, 3, 4, 5]),
    ],
)
def test_a_part_is_asked_for(api, order, query, expected):
    assert numbers(api.get(f"instances/order/history?{query}")) == expected


@pytest.mark.parametrize("query", ["type=Nothing", "from=yesterday", "from=-1", "from=1.5"])
def test_what_can_not_be_read_is_refused(api, order, query):
    response = api.get(f"instances/order/history?{query}")

    assert (response.status_code, response.json()["ExceptionType"]) == (400, "invalid_argument")


def test_pages_lead_on_by_their_token_in_the_execution_in_which_they_began(api, order):
    first = api.get("instances/order/history?top=2")
    order.execution = 2
    order.save()
    second = api.get("instances/order/history?top=2", headers={TOKEN: first.headers[TOKEN]})
    third = api.get("instances/order/history?top=2", headers={TOKEN: second.headers[TOKEN]})

    assert [numbers(page) for page in (first, second, third)] == [[1, 2], [3, 4], [5]]
    assert TOKEN not in third.headers


def test_a_token_of_another_instance_or_list_is_refused(api, order):
    rows.instance("other")
    rows.history(rows.instance("third"), *[(EventType.EVENT_RAISED, {"name": "paid"})] * 2)
    of_a_list = api.get("instances?top=1").headers[TOKEN]
    of_another = api.get("instances/third/history?top=1").headers[TOKEN]

    for token in (of_a_list, of_another, "1.2"):
        response = api.get("instances/order/history", headers={TOKEN: token})
        assert (response.status_code, response.json()["ExceptionType"]) == (400, "invalid_cursor")


def test_a_page_ends_where_its_payloads_would_be_too_much_and_no_event_is_lost(api, order, monkeypatch):
    monkeypatch.setattr(queries, "HISTORY_PAGE_BYTES", 3)
    page = api.get("instances/order/history")
    seen = numbers(page)
    while token := page.headers.get(TOKEN):
        page = api.get("instances/order/history", headers={TOKEN: token})
        assert page.json(), "every page has an event, however large"
        seen += numbers(page)

    assert seen == [1, 2, 3, 4, 5]


def test_a_key_without_payloads_is_told_neither_values_nor_how_something_failed(order):
    key = Caller(api_keys.issue("blind", [Verb.STATUS])[1])
    response = key.get("instances/order/history?showHistoryOutput=true")

    _, scheduled, completed, _, failed = response.json()
    assert response.headers["X-Durable-Payloads"] == "withheld"
    assert "Input" not in scheduled
    assert "Result" not in completed
    assert (failed["Reason"], failed["Details"], failed["FailureDetails"]) == ("", "", None)


def test_a_status_link_opens_the_history_and_no_other_link_does(api, stranger, order):
    links = api.post("orchestrators/echo/linked").json()
    status, raising = (links[name].partition("?") for name in ("statusQueryGetUri", "sendEventPostUri"))

    assert stranger.get(f"{status[0]}/history?{status[2]}").status_code == 200
    assert stranger.get(f"{status[0]}/history?{raising[2]}").status_code == 403
    assert stranger.get(f"instances/order/history?{status[2]}").status_code == 403
    assert stranger.get("instances/order/history").status_code == 401


def test_a_key_for_other_names_is_refused(order):
    key = Caller(api_keys.issue("bills", [Verb.STATUS], names="bill*")[1])

    assert key.get("instances/order/history").status_code == 403


def test_an_unknown_instance_is_told_so(api):
    response = api.get("instances/nobody/history")

    assert (response.status_code, response.json()["ExceptionType"]) == (404, "instance_not_found")


def test_an_instant_finds_events_of_that_very_instant(api):
    order = rows.instance("order")
    at = rows.NOON + timedelta(microseconds=500_000)
    rows.history(order, (EventType.EXECUTION_STARTED, {"name": "echo", "timestamp": at}))

    assert numbers(api.get("instances/order/history?from=2026-03-01T12:00:00.5Z")) == [1]
    assert numbers(api.get("instances/order/history?from=2026-03-01T12:00:00.500001Z")) == []
