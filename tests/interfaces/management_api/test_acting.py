"""External events, control operations and purging over HTTP; paths, methods and hubs."""

from __future__ import annotations

import json

import pytest
from django.db import OperationalError

from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import PayloadUnavailable
from orchestrations.models import AuditEntry, InboxMessage, Instance
from tests import rows

CONTROL = {
    "terminate": "ExecutionTerminated",
    "suspend": "ExecutionSuspended",
    "resume": "ExecutionResumed",
    "rewind": "ExecutionRewound",
}


def expected_code(verb: str, status: RuntimeStatus) -> int:
    if verb == "rewind":
        return 202 if status == "Failed" else 410 if status.is_terminal else 409
    return 410 if status.is_terminal else 202


@pytest.mark.parametrize("status", list(RuntimeStatus))
@pytest.mark.parametrize("verb", list(CONTROL))
def test_each_verb_has_its_code_in_each_status(api, verb, status):
    rows.instance("order", status=status.value)

    response = api.post(f"instances/order/{verb}?reason=no%20stock")

    assert response.status_code == expected_code(verb, status)
    if response.status_code == 202:
        message = InboxMessage.objects.get()
        assert response.content == b""
        assert message.type == CONTROL[verb]
        assert json.loads(message.attributes)["reason"] == "no stock"
    else:
        assert status.value in response.json()["Message"]


@pytest.mark.parametrize("verb", [*CONTROL, "raiseEvent/go"])
def test_an_unknown_instance_is_not_found(api, verb):
    response = api.post(f"instances/nobody/{verb}")

    assert response.status_code == 404
    assert "nobody" in response.json()["Message"]


def test_the_placeholder_of_the_links_is_no_reason(api):
    rows.instance("order")

    api.post("instances/order/suspend?reason={text}")

    assert json.loads(InboxMessage.objects.get().attributes)["reason"] == ""


def test_a_reason_that_is_too_long_is_refused(api):
    rows.instance("order")

    assert api.post(f"instances/order/suspend?reason={'x' * 2001}").status_code == 400
    assert api.post("instances/order/suspend?reason=%00").status_code == 400


@pytest.mark.parametrize(("query", "recursive"), [("", True), ("?recursive=false", False), ("?recursive=maybe", True)])
def test_children_end_too_unless_told_otherwise(api, query, recursive):
    rows.instance("order")

    api.post(f"instances/order/terminate{query}")

    assert json.loads(InboxMessage.objects.get().attributes)["recursive"] is recursive


# External events


@pytest.mark.parametrize(
    ("body", "stored"), [("true", "true"), ('{"a": 1.10}', '{"a":1.10}'), ("null", None), ("", None)]
)
def test_an_event_is_kept(api, body, stored):
    rows.instance("order")

    response = api.post("instances/order/raiseEvent/Approved%20now", body, "application/json; charset=utf-8")

    assert (response.status_code, response.content) == (202, b"")
    message = InboxMessage.objects.get()
    assert (message.type, message.name, message.payload) == ("EventRaised", "Approved now", stored)


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonx"])
def test_an_event_must_be_declared_as_json(api, content_type):
    rows.instance("order")

    response = api.post("instances/order/raiseEvent/go", "1", content_type)

    assert response.status_code == 400
    assert response.json()["Message"] == "Only application/json request content is supported"


@pytest.mark.parametrize("body", [b"{", b"[" * 5_000, b'"\\u0000"', b"\xff", b"NaN"])
def test_an_event_must_be_json(api, body):
    rows.instance("order")

    assert api.post("instances/order/raiseEvent/go", body).status_code == 400
    assert not InboxMessage.objects.exists()


@pytest.mark.parametrize("name", ["a%00b", "a%0Ab", "%20", "a%C2%A0b", "x" * 257])
def test_an_event_name_must_be_one_line_of_text(api, name):
    rows.instance("order")

    assert api.post(f"instances/order/raiseEvent/{name}", "1").status_code == 400


@pytest.mark.parametrize("status", ["Completed", "Failed", "Terminated", "Canceled"])
def test_that_the_instance_has_ended_is_told_before_a_fault_of_the_body(api, status):
    rows.instance("order", status=status)

    assert api.post("instances/order/raiseEvent/go", "{", "text/plain").status_code == 410


def test_a_repeated_request_with_its_key_counts_once(api):
    rows.instance("order")

    for _ in range(2):
        assert api.post("instances/order/raiseEvent/go", "1", headers={"Idempotency-Key": "k"}).status_code == 202

    assert InboxMessage.objects.count() == 1


# Purging


def test_an_ended_instance_is_purged(api):
    rows.instance("order", status="Completed")

    response = api.delete("instances/order?reason=Ordered+twice.")

    assert (response.status_code, response.content) == (200, b'{"instancesDeleted":1}')
    assert api.delete("instances/order").status_code == 404
    assert AuditEntry.objects.get().reason == "Ordered twice."


def test_a_live_instance_is_not_purged(api):
    rows.instance("order")

    assert api.delete("instances/order").status_code == 409


def test_children_are_purged_on_demand(api):
    parent = rows.instance("order", status="Completed")
    rows.instance("child", status="Completed", parent=parent)

    assert api.delete("instances/order?recursive=true").json() == {"instancesDeleted": 2}


def test_a_window_is_purged(api):
    rows.instance("old", status="Completed")
    rows.instance("live")
    rows.instance("new", minutes=10, status="Completed")

    query = "createdTimeFrom=2026-03-01T11:00:00Z&createdTimeTo=2026-03-01T12:05:00Z"
    assert api.delete(f"instances?{query}&reason=old").json() == {"instancesDeleted": 1}
    assert AuditEntry.objects.get().reason == "old"
    assert api.delete(f"instances?{query}").status_code == 404
    assert set(Instance.objects.values_list("instance_id", flat=True)) == {"live", "new"}


def test_a_window_needs_a_beginning(api):
    response = api.delete("instances")

    assert response.status_code == 400
    assert response.json() == "Please provide value for 'createdTimeFrom' parameter."


@pytest.mark.parametrize("query", ["createdTimeTo=tomorrow", "runtimeStatus=Complete", "createdTimeFrom=x"])
def test_a_purge_never_guesses(api, query):
    rows.instance("old", status="Completed")

    assert api.delete(f"instances?createdTimeFrom=2026-01-01&{query}").status_code in (400, 200)
    if not query.startswith("createdTimeFrom"):
        assert Instance.objects.exists()


def test_asking_for_live_ones_purges_nothing(api):
    rows.instance("live")

    assert api.delete("instances?createdTimeFrom=2026-01-01&runtimeStatus=Running").status_code == 404


# Paths, methods, hubs


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "orchestrators/echo"),
        ("PUT", "instances/order"),
        ("POST", "instances/order"),
        ("POST", "instances"),
        ("GET", "instances/order/terminate"),
        ("GET", "instances/order/raiseEvent/go"),
        ("POST", "instances/order/raiseEvent"),
        ("POST", "instances/order/explode"),
        ("POST", "orchestrators"),
        ("POST", "orchestrators/echo/a/b"),
        ("GET", ""),
        ("OPTIONS", "instances/order"),
        ("GET", "instances/order%2Fterminate"),
    ],
)
def test_whatever_is_no_route_is_not_found(api, method, path):
    rows.instance("order")

    response = api.call(method, path)

    assert response.status_code == 404
    assert "operation is unknown" in response.json()["Message"]
    assert not InboxMessage.objects.exists()


@pytest.mark.parametrize("path", ["INSTANCES/order", "Instances/order/", "instances/order//"])
def test_letter_case_and_a_trailing_slash_do_not_matter(api, path):
    rows.instance("order", status="Completed")

    assert api.get(path).status_code == (404 if path.endswith("//") else 200)


def test_operations_have_no_letter_case(api):
    rows.instance("order")

    assert api.post("/Runtime/WebHooks/DurableTask/instances/order/suspend").status_code == 202

    assert api.post("instances/order/RAISEEVENT/go", "1").status_code == 202
    assert api.post("Orchestrators/echo/").status_code == 202


def test_the_hub_may_be_named(api):
    rows.instance("order", status="Completed")

    assert api.get("instances/order?taskHub=Default&connection=Storage").status_code == 200
    response = api.get("instances/order?TASKHUB=other")
    assert response.status_code == 404
    assert "'default'" in response.json()["Message"]


def test_a_database_that_is_away_is_told_as_that(api, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("orchestrations.reading.queries.get_instance", fail)
    response = api.get("instances/order")

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert "gone" not in response.content.decode()


def test_a_payload_whose_file_is_away_is_told_as_that(api, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise PayloadUnavailable("The file of a payload is missing.")

    monkeypatch.setattr("orchestrations.reading.queries.get_instance", fail)
    response = api.get("instances/order")

    assert response.status_code == 503
    assert response.json()["ExceptionType"] == "payload_unavailable"


def test_a_fault_of_the_site_is_told_in_json_without_details(api, monkeypatch, caplog):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("orchestrations.reading.queries.get_instance", fail)
    response = api.get("instances/order")

    assert response.status_code == 500
    assert list(response.json()) == ["Message", "ExceptionMessage", "ExceptionType"]
    assert response.json()["Message"] == "Something went wrong while processing your request"
    assert "secret" not in response.content.decode()
    assert "secret" in caplog.text
