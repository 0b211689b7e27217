"""Starts, events, control and answers: what they do, once, and what they refuse."""

from __future__ import annotations

import json

import pytest

from orchestrations.core.events import EventType
from orchestrations.models import AuditEntry, InboxMessage, Instance
from tests import rows
from tests.interfaces.api.conftest import OPERATOR

INSTANCES = "/api/instances/"


def start(api, headers=None, **body):
    return api.post(INSTANCES, {"orchestrator": "echo", **body}, format="json", headers=headers or {})


def test_a_start_answers_with_the_address_of_the_instance(api):
    response = start(api, input={"n": 1}, tags={"team": "a"}, start_at="2030-01-01T00:00:00Z")

    row = Instance.objects.get()
    assert response.status_code == 201
    assert response.headers["Location"] == response.json()["url"]
    assert api.get(response.json()["url"]).json()["instance_id"] == row.instance_id
    assert (row.input, row.tags, row.scheduled_start_at.year) == ('{"n":1}', {"team": "a"}, 2030)


def test_a_start_with_the_same_idempotency_key_finds_the_first_one(api, caller):
    first = start(api, {"Idempotency-Key": "k"}, input=1)
    again = start(api, {"Idempotency-Key": "k"}, input=1)
    another = start(api, {"Idempotency-Key": "l"}, input=1)
    of_somebody_else = start(caller(*OPERATOR, name="bob"), {"Idempotency-Key": "k"}, input=1)

    assert [r.status_code for r in (first, again, another, of_somebody_else)] == [201, 200, 201, 201]
    assert first.json() == again.json()
    assert Instance.objects.count() == 3


def test_a_live_id_is_a_conflict(api):
    start(api, instance_id="order")
    response = start(api, instance_id="order")

    assert (response.status_code, response.json()["code"]) == (409, "instance_already_exists")


@pytest.mark.parametrize("act", ["", "rewind/", "suspend/", "terminate/"])
def test_an_entity_is_no_instance_that_could_be_acted_on(api, act):
    rows.instance("@counter@a", is_entity=True)
    address = f"{INSTANCES}@counter@a/{act}"
    response = api.post(address, {"reason": "x"}, format="json") if act else api.delete(address)

    assert (response.status_code, response.json()["code"]) == (404, "instance_is_entity")


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ({"orchestrator": "nobody"}, "invalid", "$.orchestrator"),
        ({"orchestrator": "echo", "instanceId": "order"}, "invalid", "$.instanceId"),
        ({}, "invalid", "$.orchestrator"),
        ({"orchestrator": "echo", "instance_id": "a/b"}, "invalid_instance_id", None),
        ({"orchestrator": "echo", "instance_id": "@a@b"}, "invalid_instance_id", None),
        ({"orchestrator": "echo", "instance_id": ".."}, "invalid_instance_id", None),
        ({"orchestrator": "echo", "instance_id": "x" * 10_000}, "invalid", "$.instance_id"),
        ({"orchestrator": "echo", "tags": {"a": 1}}, "invalid", "$.tags.a"),
        ({"orchestrator": 1}, "invalid", "$.orchestrator"),
        ({"orchestrator": "echo", "tags": "none"}, "invalid", "$.tags"),
        ({"orchestrator": "echo", "start_at": "soon"}, "invalid", "$.start_at"),
        ({"orchestrator": "echo", "on_duplicate": "maybe"}, "invalid", "$.on_duplicate"),
        ({"orchestrator": "settle_expense", "input": {"employee": 3}}, "payload_rejected", "$.employee"),
        ({"orchestrator": "echo", "input": "\x00"}, "payload_rejected", "$.input"),
        ([], "invalid", "$"),
        ("echo", "invalid", "$"),
    ],
)
def test_a_start_that_makes_no_sense_starts_nothing_and_says_where(api, body, code, path):
    response = api.post(INSTANCES, body, format="json")

    assert response.status_code == 400, response.content
    assert response.json()["code"] == code
    if path is not None:
        assert response.json()["errors"][0]["path"] == path
    assert not Instance.objects.exists()


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"a": NaN}', b'{"a": 1e999}', b"[" * 5_000 + b"]" * 5_000, b'"\\ud800"']
)
def test_what_is_no_json_is_refused_with_its_place(api, body):
    response = api.generic("POST", INSTANCES, body, content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (400, "payload_rejected")


def test_another_media_type_is_refused(api):
    response = api.generic("POST", INSTANCES, b"a=1", content_type="application/x-www-form-urlencoded")

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("value", [None, 0, "text", [1, {"a": None}]])
def test_an_event_is_whatever_the_body_holds(api, value):
    rows.instance("order")
    body = b"" if value is None else json.dumps(value).encode()
    response = api.generic("POST", f"{INSTANCES}order/events/paid/", body, content_type="application/json")

    assert response.status_code == 202
    message = InboxMessage.objects.get()
    assert (message.name, message.type) == ("paid", "EventRaised")
    assert json.loads(message.payload or "null") == value


def test_an_event_with_the_same_key_counts_once(api):
    rows.instance("order")
    for _ in range(2):
        response = api.post(f"{INSTANCES}order/events/paid/", 1, format="json", headers={"Idempotency-Key": "k"})
        assert response.status_code == 202

    assert InboxMessage.objects.count() == 1


@pytest.mark.parametrize(
    ("verb", "status", "expected"),
    [
        ("terminate", "Running", "ExecutionTerminated"),
        ("suspend", "Running", "ExecutionSuspended"),
        ("resume", "Suspended", "ExecutionResumed"),
        ("rewind", "Failed", "ExecutionRewound"),
    ],
)
def test_each_verb_is_sent_with_its_reason_and_audited(api, verb, status, expected):
    rows.instance("order", status=status)
    response = api.post(f"{INSTANCES}order/{verb}/", {"reason": "because"}, format="json")

    assert response.status_code == 202
    assert InboxMessage.objects.get().type == expected
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason, entry.actor_name, entry.via) == (verb, "because", "ada", "API")


@pytest.mark.parametrize("body", [{"reason": 0}, {"reason": "x", "recursive": 1}, {"why": "x"}, [], "x", None])
def test_a_body_of_another_shape_does_nothing(api, body):
    rows.instance("order")
    text = json.dumps(body)
    response = api.generic("POST", f"{INSTANCES}order/terminate/", text, content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert not InboxMessage.objects.exists()


@pytest.mark.parametrize("verb", ["terminate", "suspend", "resume"])
def test_an_ended_instance_refuses(api, verb):
    rows.instance("order", status="Completed")
    response = api.post(f"{INSTANCES}order/{verb}/")

    assert (response.status_code, response.json()["code"]) == (409, "instance_ended")


def test_a_live_instance_can_be_neither_rewound_nor_purged(api):
    rows.instance("order")

    assert api.post(f"{INSTANCES}order/rewind/").json()["code"] == "invalid_transition"
    assert api.delete(f"{INSTANCES}order/").json()["code"] == "invalid_transition"
    assert Instance.objects.exists()


def test_an_ended_instance_is_purged_and_restarted(api):
    rows.instance("order", status="Completed", input="1")
    restarted = api.post(f"{INSTANCES}order/restart/")
    purged = api.delete(f"{INSTANCES}order/?reason=Ordered+twice.")

    assert restarted.status_code == 201
    assert purged.json() == {"instances_deleted": 1}
    assert AuditEntry.objects.get(action="purge").reason == "Ordered twice."
    assert Instance.objects.get().instance_id == restarted.json()["instance_id"]


def begun(**columns):
    """An instance that has called an activity and had its result."""
    order = rows.instance("order", input="1", **columns)
    called = (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "step"})
    done = (EventType.TASK_COMPLETED, {"task_id": 1, "payload": '"done"'})
    rows.history(order, (EventType.EXECUTION_STARTED, {}), called, done)
    return order


def test_an_instance_is_run_again_from_a_step(api):
    begun()
    forked = api.post(f"{INSTANCES}order/fork/", {"step": 3, "reason": "wrong price"}, format="json")

    assert forked.status_code == 201
    told = api.get(forked.headers["Location"]).json()
    assert told["instance_id"] == forked.json()["instance_id"]
    assert (told["forked_from"], told["forked_step"], told["status"]) == ("order", 3, "Pending")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.instance_id, entry.reason) == ("fork", told["instance_id"], "wrong price")


def test_a_repeated_fork_finds_the_first_one(api):
    begun()
    asked = [
        api.post(f"{INSTANCES}order/fork/", {"step": step}, format="json", headers={"Idempotency-Key": "k"})
        for step in (3, 3, 2)
    ]
    assert [answer.status_code for answer in asked] == [201, 200, 201]
    ids = [answer.json()["instance_id"] for answer in asked]
    assert ids[0] == ids[1] != ids[2]
    assert Instance.objects.count() == 3


@pytest.mark.parametrize(
    ("address", "body", "status", "code"),
    [
        ("order", {}, 400, "invalid"),
        ("order", {"step": 0}, 400, "invalid"),
        ("order", {"step": 4}, 409, "step_refused"),
        ("order", {"step": 1, "new_instance_id": "order"}, 409, "instance_already_exists"),
        ("order", {"step": 1, "new_instance_id": "a/b"}, 400, "invalid_instance_id"),
        ("nobody", {"step": 1}, 404, "instance_not_found"),
    ],
)
def test_what_is_no_fork_is_refused(api, address, body, status, code):
    begun()
    answer = api.post(f"{INSTANCES}{address}/fork/", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert Instance.objects.count() == 1


def test_a_fork_takes_the_right_to_start(caller):
    begun()
    assert caller("view_instance").post(f"{INSTANCES}order/fork/", {"step": 3}, format="json").status_code == 403
    assert Instance.objects.count() == 1


def test_a_raw_event_is_no_way_around_the_question(api):
    rows.wait(rows.instance("order"), "decision", title="Pay?", request={"groups": ["managers"]})
    response = api.post(f"{INSTANCES}order/events/Decision/", {"approved": True}, format="json")

    assert (response.status_code, response.json()["code"]) == (403, "permission_refused")


def test_an_entity_is_signalled_and_told(api):
    refused = api.post("/api/entities/nobody/a/", {"operation": "add"}, format="json")
    unknown = api.get("/api/entities/nobody/a/")

    assert refused.status_code == 404
    assert unknown.status_code == 404
    assert api.get("/api/entities/").json() == {"next": None, "results": []}


@pytest.mark.parametrize("text", ['{"b":1,"a":[1.10,12345678901234567890]}', '"é🚀"', "1e2", '{"a":1,"a":2}'])
def test_an_input_is_stored_as_it_was_written(api, text):
    body = f'{{"orchestrator": "echo", "input": {text}}}'.encode()
    assert api.generic("POST", INSTANCES, body, content_type="application/json").status_code == 201

    assert Instance.objects.get().input == text
