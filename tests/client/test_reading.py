"""Statuses, history and waiting for the end."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError

from orchestrations import InstanceNotFound, OrchestrationClient, OrchestrationFailed, PayloadRejected, WaitTimeout
from orchestrations.client.polling import poll_delays
from orchestrations.core.events import EventType
from orchestrations.models import HistoryEvent, Instance
from tests import rows
from tests.functions import Order

FAILURE = {"errorType": "ValueError", "errorMessage": "no stock", "stackTrace": "…", "isNonRetriable": False}


def test_an_unknown_instance_has_no_status(client):
    assert client.get_status("nobody") is None
    assert client.get_status("a\x00b") is None


def test_a_status_has_the_names_of_both_python_sdks(client):
    rows.instance("order", status="Completed", input="[1]", output='{"a":1}', custom_status='"packed"', tags={"a": "b"})

    status = client.get_status("order")

    assert (status.name, status.instance_id, status.runtime_status) == ("echo", "order", "Completed")
    assert (status.input, status.output, status.custom_status) == ([1], {"a": 1}, "packed")
    assert status.created_time == status.last_updated_time == rows.NOON
    assert status.created_at == status.last_updated_at == rows.NOON
    assert status.input_ == status.get_input() == [1]
    assert (status.get_output(), status.get_custom_status()) == ({"a": 1}, "packed")
    assert status.history is None
    assert status.tags == {"a": "b"}


def test_an_input_is_left_out_on_demand(client):
    rows.instance("order", input="[1]")

    assert client.get_status("order", show_input=False).input is None


def test_values_are_converted_to_a_type_on_demand(client):
    rows.instance("order", input='{"number":1,"customer":"a"}', output='"1.10"')
    status = client.get_status("order")

    assert status.get_input(Order) == Order(1, "a")
    assert status.get_output(Decimal) == Decimal("1.10")
    assert status.get_output() == "1.10"
    with pytest.raises(PayloadRejected, match="order"):
        status.get_output(Order)


def test_output_that_is_no_json_is_text(client):
    rows.instance("order", status="Terminated", output="no stock")

    assert client.get_status("order").output == "no stock"


def test_a_failed_instance_tells_how(client):
    rows.instance("order", status="Failed", failure=json.dumps(FAILURE))
    status = client.get_status("order")

    assert status.output == "no stock"
    assert status.failure_details.is_caused_by(ValueError)
    with pytest.raises(OrchestrationFailed, match="no stock") as raised:
        status.raise_if_failed()
    assert raised.value.details == status.failure_details


def test_a_completed_or_live_instance_has_not_failed(client):
    for status in ("Completed", "Running"):
        client.get_status(rows.instance(status=status).instance_id).raise_if_failed()


def test_the_payload_of_the_http_api_has_its_keys_in_order(client):
    rows.instance("order", output="1")

    assert client.get_status("order").to_json() == {
        "name": "echo",
        "instanceId": "order",
        "runtimeStatus": "Running",
        "input": None,
        "customStatus": None,
        "output": 1,
        "createdTime": "2026-03-01T12:00:00Z",
        "lastUpdatedTime": "2026-03-01T12:00:00Z",
    }


@pytest.fixture
def with_history(db):
    instance = rows.instance("order")
    rows.history(
        instance,
        (EventType.EXECUTION_STARTED, {"name": "echo"}),
        (EventType.TASK_SCHEDULED, {"name": "charge", "task_id": 0, "payload": "1"}),
        (EventType.TASK_SCHEDULED, {"name": "ship", "task_id": 1, "payload": "2"}),
        (EventType.TIMER_CREATED, {"task_id": 2, "attributes": {"fire_at": "2026-03-01T13:00:00+00:00"}}),
        (EventType.TASK_COMPLETED, {"name": "charge", "task_id": 0, "payload": '"paid"'}),
        (EventType.TASK_FAILED, {"name": "ship", "task_id": 1, "payload": json.dumps(FAILURE)}),
        (EventType.TASK_SCHEDULED, {"name": "ship", "task_id": 1, "payload": "2", "attempt": 2}),
        (EventType.EVENT_RAISED, {"name": "go", "payload": "true"}),
    )
    return instance


def test_history_merges_what_is_done_with_what_was_scheduled(client, with_history):
    history = client.get_status("order", show_history=True).history

    assert [(event["EventType"], event.get("FunctionName", event.get("Name"))) for event in history] == [
        ("ExecutionStarted", "echo"),
        ("TimerCreated", None),
        ("TaskCompleted", "charge"),
        ("TaskFailed", "ship"),
        ("TaskScheduled", "ship"),
        ("EventRaised", "go"),
    ]
    completed = history[2]
    assert completed["ScheduledTime"] == "2026-03-01T12:00:02.0000000Z"
    assert completed["Timestamp"] == "2026-03-01T12:00:05.0000000Z"
    assert completed["Input"] == 1
    assert "Result" not in completed


def test_a_failure_is_told_without_asking_for_outputs(client, with_history):
    failed = client.get_status("order", show_history=True).history[3]

    assert (failed["Reason"], failed["Details"]) == ("no stock", "…")
    assert failed["FailureDetails"]["ErrorType"] == "ValueError"


def test_the_members_of_a_group_and_the_properties_of_a_failure_are_told(client, with_history):
    member = FAILURE | {"properties": {"article": 7}}
    group = {"errorType": "ExceptionGroup", "errorMessage": "two failed", "members": [member, FAILURE]}
    HistoryEvent.objects.filter(type=EventType.TASK_FAILED).update(payload=json.dumps(group))

    told = client.get_status("order", show_history=True).history[3]["FailureDetails"]

    assert [one["ErrorMessage"] for one in told["Members"]] == ["no stock", "no stock"]
    assert told["Members"][0]["Properties"] == {"article": 7}
    assert "Members" not in told["Members"][0]


def test_outputs_are_shown_and_inputs_hidden_on_demand(client, with_history):
    history = client.get_status("order", show_history=True, show_history_output=True, show_input=False).history

    assert history[2]["Result"] == "paid"
    assert not any("Input" in event for event in history)


def test_every_type_of_event_can_be_shown(client):
    instance = rows.instance("order", last_sequence=0)
    rows.history(instance, *[(kind, {"name": "x", "task_id": number}) for number, kind in enumerate(EventType)])

    assert len(client.get_status("order", show_history=True).history) == len(EventType)


def test_a_pending_instance_has_no_history(client):
    rows.instance("order", status="Pending")

    assert client.get_status("order", show_history=True).history is None


def test_statuses_are_listed_by_window_status_and_prefix(client):
    for number, status in enumerate(["Completed", "Failed", "Completed", "Running"]):
        rows.instance(f"order-{number}", minutes=number, status=status)
    rows.instance("invoice", minutes=2, status="Completed")

    def ids(**where: object) -> list[str]:
        return [status.instance_id for status in client.get_status_by(**where)]

    assert ids(instance_id_prefix="order-") == ["order-3", "order-2", "order-1", "order-0"]
    assert ids(runtime_status=["Completed"], instance_id_prefix="order") == ["order-2", "order-0"]
    window = {
        "created_time_from": rows.NOON + timedelta(minutes=1),
        "created_time_to": rows.NOON + timedelta(minutes=2),
    }
    assert ids(**window) == ["order-1"]
    assert ids(limit=1) == ["order-3"]


def test_waiting_for_an_ended_instance_returns_at_once(client, django_assert_num_queries):
    rows.instance("order", status="Completed", output="1")

    with django_assert_num_queries(2):
        assert client.wait_for_completion("order", timeout=0).output == 1


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_when_the_instance_does():
    rows.instance("order")

    def end() -> None:
        Instance.objects.update(status="Completed", output="1")
        connection.close()

    ending = threading.Timer(0.05, end)
    ending.start()
    try:
        assert OrchestrationClient().wait_for_completion("order", timeout=timedelta(seconds=10)).output == 1
    finally:
        ending.join()


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_with_the_timeout():
    rows.instance("order")

    with pytest.raises(WaitTimeout, match="order"):
        OrchestrationClient().wait_for_completion("order", timeout=0.01)


@pytest.mark.parametrize("timeout", [0, -1, timedelta(0), timedelta(days=-1)])
def test_without_time_to_wait_it_looks_once(timeout, transactional_db):
    client = OrchestrationClient()
    rows.instance("order", status="Completed")
    rows.instance("later", status="Pending")

    assert client.wait_for_start("order", timeout).is_terminal
    assert client.wait_for_completion("order", timeout).is_terminal
    with pytest.raises(WaitTimeout, match="has not started within 0 seconds"):
        client.wait_for_start("later", timeout)
    with pytest.raises(WaitTimeout, match="has not ended within 0 seconds"):
        client.wait_for_completion("later", timeout)


def test_a_timeout_that_is_no_number_would_never_come(client):
    rows.instance("order")

    with pytest.raises(ValueError, match="not a number"):
        client.wait_for_completion("order", float("nan"))


def test_waiting_for_nobody_is_told(client):
    with pytest.raises(InstanceNotFound):
        client.wait_for_completion("nobody")


@pytest.mark.django_db(transaction=True)
def test_waiting_inside_a_transaction_is_refused():
    rows.instance("order")

    with transaction.atomic(), pytest.raises(TransactionManagementError, match=r"atomic\(\)"):
        OrchestrationClient().wait_for_completion("order", timeout=60)


def test_the_delays_grow_with_the_time_waited(monkeypatch):
    now = 0.0
    monkeypatch.setattr("orchestrations.client.polling.time.monotonic", lambda: now)
    delays = []
    for delay in poll_delays("order", None):
        delays.append(delay)
        now += delay
        if now > 60:
            break

    assert delays[0] == 0.001
    assert delays == sorted(delays)
    assert max(delays) == 0.5
    assert len(delays) < 200


def test_the_last_look_is_at_the_deadline(monkeypatch):
    now = 0.0
    monkeypatch.setattr("orchestrations.client.polling.time.monotonic", lambda: now)
    waited = 0.0
    with pytest.raises(WaitTimeout):
        for delay in poll_delays("order", 1.0):
            waited += delay
            now += delay
    assert waited == pytest.approx(1.0)
