"""Starting and restarting over HTTP, with and without waiting for the end."""

from __future__ import annotations

import json
import threading
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import RequestFactory

from orchestrations import orchestrator
from orchestrations.core.events import EventType
from orchestrations.http import create_check_status_response
from orchestrations.limits import PAYLOAD_BYTES
from orchestrations.models import AuditEntry, Instance
from tests import rows
from tests.interfaces.management_api.conftest import BASE, Caller

KEYS = [
    "id",
    "statusQueryGetUri",
    "sendEventPostUri",
    "terminatePostUri",
    "rewindPostUri",
    "purgeHistoryDeleteUri",
    "restartPostUri",
    "suspendPostUri",
    "resumePostUri",
]


def test_a_start_is_answered_with_all_links(api):
    response = api.post("orchestrators/echo/order", '{"a": 1}')
    body = response.json()

    assert response.status_code == 202
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Location"] == body["statusQueryGetUri"]
    assert response.headers["Retry-After"] == "10"
    assert list(body) == KEYS
    assert body["id"] == "order"
    assert Instance.objects.get().input == '{"a":1}'


def test_the_links_have_the_shapes_of_durable_functions(api):
    body = api.post("orchestrators/echo/a%20b:c").json()

    base = f"http://testserver{BASE}/instances/a%20b%3Ac"
    shapes = {
        "statusQueryGetUri": "?taskHub=",
        "sendEventPostUri": "/raiseEvent/{eventName}?taskHub=",
        "terminatePostUri": "/terminate?reason={text}&taskHub=",
        "rewindPostUri": "/rewind?reason={text}&taskHub=",
        "purgeHistoryDeleteUri": "?taskHub=",
        "restartPostUri": "/restart?taskHub=",
        "suspendPostUri": "/suspend?reason={text}&taskHub=",
        "resumePostUri": "/resume?reason={text}&taskHub=",
    }
    for name, shape in shapes.items():
        assert body[name].startswith(f"{base}{shape}default&connection=default&code="), name


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream", ""])
def test_any_media_type_will_do(api, content_type):
    assert api.post("orchestrators/echo", "1", content_type).status_code == 202


@pytest.mark.parametrize("body", [b"", b"  ", b"null"])
def test_no_body_is_no_input(api, body):
    assert api.post("orchestrators/echo", body).status_code == 202
    assert Instance.objects.get().input is None


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nope",
        b'{"a":1} x',
        b'{"a":1,}',
        b"NaN",
        b"[Infinity]",
        b"[1e400]",
        b'"a\\u0000b"',
        b'"\\ud800"',
        b'"\x00"',
        b"\xff",
        "\ufeff1".encode("utf-16"),
        b"[" * 65 + b"]" * 65,
        b"[" * 5_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_body_that_is_no_json_is_refused(api, body):
    response = api.post("orchestrators/echo", body)

    assert response.status_code == 400
    assert response.json()["Message"] == "Invalid JSON content"
    assert not Instance.objects.exists()


@pytest.mark.parametrize("text", ['{"b":1,"a":[1.10,12345678901234567890]}', '"é🚀"', "1e2", '{"a":1,"a":2}'])
def test_the_input_is_stored_as_it_was_written(api, text):
    api.post("orchestrators/echo/order", text)

    assert Instance.objects.get().input == text
    assert f'"input":{text},' in api.get("instances/order").content.decode()


def test_an_input_that_does_not_fit_the_annotation_is_refused(api):
    response = api.post("orchestrators/bill", '{"number": "one"}')

    assert response.status_code == 400
    assert response.json()["Path"] == "$.number"
    assert "$.number" in response.json()["ExceptionMessage"]


class Legacy:
    """Reads its own JSON, and trusts it."""

    def to_json(self) -> dict:
        return {}

    @classmethod
    def from_json(cls, value: dict) -> Legacy:
        return value["number"]


def test_an_input_that_its_own_class_chokes_on_is_refused_and_no_fault_of_the_site(api):
    @orchestrator
    def reads(context, given: Legacy):
        return None

    response = api.post("orchestrators/reads", "{}")

    assert response.status_code == 400
    assert "can't be read as Legacy: KeyError: 'number'" in response.json()["ExceptionMessage"]


def test_a_body_that_is_too_large_is_refused(api):
    assert api.post("orchestrators/echo", b" " * (PAYLOAD_BYTES + 1)).status_code == 413


def test_a_large_body_is_taken(api):
    text = json.dumps("x" * 5_000_000)

    assert api.post("orchestrators/echo", text).status_code == 202


def test_an_unknown_function_is_refused(api):
    response = api.post("orchestrators/nobody")

    assert response.status_code == 400
    assert response.json()["Message"] == "One or more of the arguments submitted is incorrect"
    assert "nobody" in response.json()["ExceptionMessage"]


@pytest.mark.parametrize("instance_id", ["@entity@1", "x" * 257, "a%00b", "a%0Ab", "a%23b", "a%5Cb", "a%3Fb"])
def test_a_bad_id_is_refused(api, instance_id):
    assert api.post(f"orchestrators/echo/{instance_id}").status_code == 400


@pytest.mark.parametrize("status", ["Pending", "Running", "Suspended"])
def test_the_id_of_a_live_instance_is_a_conflict(api, status):
    rows.instance("order", status=status)

    response = api.post("orchestrators/echo/order")

    assert response.status_code == 409
    assert status in response.json()["Message"]


def test_an_ended_instance_is_replaced(api):
    rows.instance("order", status="Completed")

    assert api.post("orchestrators/echo/order").status_code == 202
    assert Instance.objects.get().status == "Pending"


# Waiting for the end

WAIT = "timeout=10&pollingInterval=0.1"


@pytest.fixture
def ending(transactional_db):
    """Ends the instance that the test starts, as soon as it is there."""
    threads = []

    def ends(**columns: object) -> None:
        def end() -> None:
            updated = 0
            while not updated:
                updated = Instance.objects.filter(instance_id="order", status="Pending").update(**columns)
            connection.close()

        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        threads.append(thread)

    yield ends
    for thread in threads:
        thread.join(timeout=10)


def test_a_start_may_wait_for_the_output(ending):
    ending(status="Completed", output='{"b":1,"a":1.10}')

    response = Caller().post(f"orchestrators/echo/order?{WAIT}")

    assert (response.status_code, response.content) == (200, b'{"b":1,"a":1.10}')


def test_a_completed_instance_without_output_is_null(ending):
    ending(status="Completed")

    assert Caller().post(f"orchestrators/echo/order?{WAIT}").content == b"null"


@pytest.mark.parametrize(
    ("status", "query", "expected"),
    [
        ("Failed", "", 200),
        ("Failed", "&returnInternalServerErrorOnFailure=true", 500),
        ("Terminated", "", 200),
        ("Terminated", "&returnInternalServerErrorOnFailure=true", 200),
        ("Canceled", "", 200),
    ],
)
def test_any_other_end_is_told_by_the_status(ending, status, query, expected):
    ending(status=status)

    response = Caller().post(f"orchestrators/echo/order?{WAIT}{query}")

    assert response.status_code == expected
    assert response.json()["runtimeStatus"] == status


@pytest.mark.django_db(transaction=True)
def test_when_the_time_is_over_the_links_are_the_answer():
    response = Caller().post("orchestrators/echo?timeout=0.01&pollingInterval=0.001")

    assert response.status_code == 202
    assert list(response.json()) == KEYS


@pytest.mark.parametrize(
    "query",
    [
        "timeout=5",
        "pollingInterval=1",
        "timeout=x&pollingInterval=1",
        "timeout=nan&pollingInterval=1",
        "timeout=-1&pollingInterval=1",
    ],
)
def test_waiting_needs_both_numbers(api, query):
    assert api.post(f"orchestrators/echo?{query}").status_code == 202


def test_an_interval_above_the_timeout_is_refused(api):
    assert api.post("orchestrators/echo?timeout=1&pollingInterval=2").status_code == 400
    assert not Instance.objects.exists()


# Restarting


def test_a_restart_has_a_new_id_by_default(api):
    rows.instance("order", status="Failed", input="1")

    body = api.post("instances/order/restart").json()

    assert body["id"] != "order"
    assert Instance.objects.get(instance_id=body["id"]).input == "1"


def test_a_restart_may_keep_the_id(api):
    rows.instance("order", status="Failed")

    assert api.post("instances/order/restart?restartWithNewInstanceId=false").json()["id"] == "order"


def test_a_live_instance_keeps_its_id_for_itself(api):
    rows.instance("order")

    assert api.post("instances/order/restart?restartWithNewInstanceId=FALSE").status_code == 409


def test_an_unknown_instance_can_not_be_restarted(api):
    response = api.post("instances/nobody/restart")

    assert response.status_code == 400
    assert response.json()["Message"] == "InstanceId does not match a valid orchestration instance."


# Forking


def begun():
    order = rows.instance("order", input="1")
    rows.history(order, (EventType.EXECUTION_STARTED, {}), (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "step"}))


def test_a_fork_answers_with_the_links_of_the_new_instance(api):
    begun()
    answer = api.post("instances/order/fork?step=2&reason=why")
    forked = answer.json()["id"]

    assert answer.status_code == 202
    assert answer["Location"] == answer.json()["statusQueryGetUri"]
    status = api.get(f"instances/{forked}").json()
    assert (status["forkedFrom"], status["forkedStep"], status["input"]) == ("order", 2, 1)
    assert "forkedFrom" not in api.get("instances/order").json()
    assert AuditEntry.objects.get().reason == "why"


def test_a_fork_may_have_a_chosen_id_and_be_asked_for_twice(api):
    begun()
    assert api.post("instances/order/fork?step=2&newInstanceId=mine").json()["id"] == "mine"
    assert api.post("instances/order/fork?step=2&newInstanceId=mine").status_code == 409
    twice = [api.post("instances/order/fork?step=2", headers={"Idempotency-Key": "k"}).json()["id"] for _ in "ab"]
    assert twice[0] == twice[1]
    assert Instance.objects.count() == 3


@pytest.mark.parametrize(
    ("address", "status"),
    [("order/fork", 400), ("order/fork?step=x", 400), ("order/fork?step=0", 409), ("nobody/fork?step=1", 404)],
)
def test_what_is_no_fork_is_refused(api, address, status):
    begun()
    assert api.post(f"instances/{address}").status_code == status
    assert Instance.objects.count() == 1


# Client functions


@pytest.mark.django_db
def test_a_view_of_the_project_may_answer_with_the_links():
    request = RequestFactory().post("/orders/", headers={"host": "testserver"})

    response = create_check_status_response(request, "order", return_internal_server_error_on_failure=True)

    assert response.status_code == 202
    assert list(json.loads(response.content)) == KEYS
    assert response.headers["Location"].endswith("&returnInternalServerErrorOnFailure=true")
    assert urlsplit(response.headers["Location"]).path == f"{BASE}/instances/order"


@pytest.mark.django_db
def test_without_a_system_key_links_carry_no_capability(settings):
    settings.DURABLE = {}

    response = create_check_status_response(RequestFactory().get("/"), "order")

    assert "code=" not in response.content.decode()
