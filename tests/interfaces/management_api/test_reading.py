"""Statuses and lists over HTTP."""

from __future__ import annotations

import json

import pytest

from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from tests import rows

FAILURE = json.dumps({"errorType": "ValueError", "errorMessage": "no stock", "stackTrace": "…"})


@pytest.mark.parametrize("status", list(RuntimeStatus))
def test_the_code_tells_whether_the_instance_has_ended(api, status):
    rows.instance("order", status=status.value)

    response = api.get("instances/order")

    assert response.status_code == (200 if status.is_terminal else 202)
    assert response.json()["runtimeStatus"] == status.value
    assert ("Location" in response.headers) is not status.is_terminal
    assert response.headers.get("Retry-After") == (None if status.is_terminal else "5")


def test_a_status_has_its_keys_in_order(api):
    rows.instance("order", input='{"a":1.10}', output="[1]", custom_status='"half"', status="Completed")

    assert api.get("instances/order").content == (
        b'{"name":"echo","instanceId":"order","runtimeStatus":"Completed","input":{"a":1.10},"customStatus":"half",'
        b'"output":[1],"createdTime":"2026-03-01T12:00:00Z","lastUpdatedTime":"2026-03-01T12:00:00Z"}'
    )


def test_output_that_is_no_json_is_a_string(api):
    rows.instance("order", status="Terminated", output='no "stock"')

    assert api.get("instances/order").json()["output"] == 'no "stock"'


def test_a_failure_is_told_by_its_message(api):
    rows.instance("order", status="Failed", failure=FAILURE)

    response = api.get("instances/order")

    assert (response.status_code, response.json()["output"]) == (200, "no stock")


@pytest.mark.parametrize(
    ("status", "flag", "expected"),
    [
        ("Failed", "true", 500),
        ("Failed", "TRUE", 500),
        ("Failed", "1", 200),
        ("Failed", "false", 200),
        ("Terminated", "true", 200),
        ("Completed", "true", 200),
    ],
)
def test_a_failure_may_be_asked_for_as_an_error(api, status, flag, expected):
    rows.instance("order", status=status)

    response = api.get(f"instances/order?returnInternalServerErrorOnFailure={flag}")

    assert response.status_code == expected
    assert response.json()["runtimeStatus"] == status


def test_the_input_is_hidden_on_demand(api):
    rows.instance("order", input="1")

    assert api.get("instances/order").json()["input"] == 1
    assert api.get("instances/order?showInput=false").json()["input"] is None
    assert api.get("instances/order?SHOWINPUT=False").json()["input"] is None


@pytest.mark.parametrize("instance_id", ["nobody", "a%00b", "%ED%A0%80", "@entity@key"])
def test_an_unknown_instance_is_not_found_without_a_word(api, instance_id):
    response = api.get(f"instances/{instance_id}")

    assert (response.status_code, response.content) == (404, b"")


def test_ids_keep_their_letter_case(api):
    rows.instance("Order", status="Completed")

    assert api.get("instances/Order").status_code == 200
    assert api.get("instances/order").status_code == 404


@pytest.fixture
def with_history(db):
    instance = rows.instance("order")
    rows.history(
        instance,
        (EventType.EXECUTION_STARTED, {"name": "echo"}),
        (EventType.TASK_SCHEDULED, {"name": "charge", "task_id": 0, "payload": '{"a":1.10}'}),
        (EventType.TASK_COMPLETED, {"name": "charge", "task_id": 0, "payload": "2"}),
        (EventType.TASK_SCHEDULED, {"name": "ship", "task_id": 1}),
    )
    return instance


def test_history_is_absent_unless_asked_for(api, with_history):
    assert "historyEvents" not in api.get("instances/order").json()
    assert "historyEvents" not in api.get("instances/order?showHistoryOutput=true").json()


def test_history_is_shown_on_demand(api, with_history):
    events = api.get("instances/order?showHistory=true").json()["historyEvents"]

    assert events == [
        {"EventType": "ExecutionStarted", "Timestamp": "2026-03-01T12:00:01.0000000Z", "FunctionName": "echo"},
        {
            "EventType": "TaskCompleted",
            "Timestamp": "2026-03-01T12:00:03.0000000Z",
            "ScheduledTime": "2026-03-01T12:00:02.0000000Z",
            "FunctionName": "charge",
            "Input": {"a": 1.10},
        },
        {"EventType": "TaskScheduled", "Timestamp": "2026-03-01T12:00:04.0000000Z", "Name": "ship", "Input": None},
    ]


def test_instants_of_history_are_alike(api):
    fire_at = {"fire_at": "2026-03-01T14:00:00.250000+02:00"}
    timers = [
        (kind, {"task_id": 0, "attributes": fire_at}) for kind in (EventType.TIMER_CREATED, EventType.TIMER_FIRED)
    ]
    rows.history(rows.instance("order"), *timers)

    events = api.get("instances/order?showHistory=true").json()["historyEvents"]

    assert [event["FireAt"] for event in events] == ["2026-03-01T12:00:00.2500000Z"] * 2


def test_history_may_show_outputs_and_hide_inputs(api, with_history):
    query = "showHistory=true&showHistoryOutput=true&showInput=false"
    completed = api.get(f"instances/order?{query}").json()["historyEvents"][1]

    assert completed["Result"] == 2
    assert "Input" not in completed


def test_a_pending_instance_has_no_history(api):
    rows.instance("order", status="Pending")

    assert "historyEvents" not in api.get("instances/order?showHistory=true").json()


# Lists


@pytest.fixture
def orders(db):
    for number, status in enumerate(["Completed", "Failed", "Running"]):
        rows.instance(f"order-{number}", minutes=number, status=status, input="1")
    rows.instance("invoice", minutes=3)


def listed(response) -> list[str]:
    assert response.status_code == 200
    return [status["instanceId"] for status in response.json()]


def test_a_list_is_a_bare_array(api, orders):
    response = api.get("instances")

    assert listed(response) == ["invoice", "order-2", "order-1", "order-0"]
    assert response.json()[1]["input"] == 1
    assert "x-ms-continuation-token" not in response.headers


def test_pages_follow_by_the_continuation_token(api, orders):
    first = api.get("instances?top=3")
    token = first.headers["x-ms-continuation-token"]
    second = api.get("instances?top=3", headers={"x-ms-continuation-token": token})

    assert listed(first) + listed(second) == ["invoice", "order-2", "order-1", "order-0"]
    assert "x-ms-continuation-token" not in second.headers


def test_a_forged_token_is_refused(api, orders):
    assert api.get("instances", headers={"x-ms-continuation-token": "x"}).status_code == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("instanceIdPrefix=order-", ["order-2", "order-1", "order-0"]),
        ("runtimeStatus=Failed", ["order-1"]),
        ("runtimeStatus=failed,COMPLETED", ["order-1", "order-0"]),
        ("runtimeStatus=Failed&runtimeStatus=Completed", ["order-1", "order-0"]),
        ("createdTimeFrom=2026-03-01T12:02:00Z", ["invoice", "order-2"]),
        ("createdTimeTo=2026-03-01T12:01:00", ["order-0"]),
        ("createdTimeFrom=&createdTimeTo=", ["invoice", "order-2", "order-1", "order-0"]),
        ("CREATEDTIMEFROM=2026-03-01T12:02:00.0000000Z", ["invoice", "order-2"]),
        ("top=0", ["invoice", "order-2", "order-1", "order-0"]),
        ("top=x", ["invoice", "order-2", "order-1", "order-0"]),
        ("instanceIdPrefix=%00", []),
    ],
)
def test_lists_are_narrowed_by_the_query(api, orders, query, expected):
    assert listed(api.get(f"instances?{query}")) == expected


@pytest.mark.parametrize("value", ["yesterday", "0001-01-01T00:00:00%2B14:00", "2026-13-01", "%00"])
@pytest.mark.parametrize("name", ["createdTimeFrom", "createdTimeTo"])
def test_a_filter_that_can_not_be_read_is_refused_and_not_dropped(api, orders, name, value):
    response = api.get(f"instances?{name}={value}")

    assert response.status_code == 400
    assert name in response.json()["ExceptionMessage"]


def test_an_unknown_status_is_refused(api, orders):
    response = api.get("instances?runtimeStatus=Complete")

    assert response.status_code == 400
    assert "Completed" in response.json()["ExceptionMessage"]


def test_inputs_are_hidden_on_demand(api, orders):
    assert api.get("instances?showInput=false").json()[1]["input"] is None
