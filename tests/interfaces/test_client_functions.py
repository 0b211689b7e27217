"""Views of a user's app that start orchestrations: what they answer, sync and async, with the real engine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import include, path, re_path

from orchestrations import OrchestrationClient, OrchestrationContext, orchestrator
from orchestrations.errors import InstanceNotFound
from orchestrations.http import (
    await_for_completion_or_create_check_status_response,
    create_check_status_response,
    create_http_management_payload,
    get_client_response_links,
    wait_for_completion_or_create_check_status_response,
)
from orchestrations.interfaces.management_api.urls import BASE
from orchestrations.testing import InProcessWorker
from tests.functions import registered

KEYS = ["id", "statusQueryGetUri", "sendEventPostUri", "terminatePostUri", "rewindPostUri", "purgeHistoryDeleteUri"]
KEYS += ["restartPostUri", "suspendPostUri", "resumePostUri"]
SHORT = {"timeout_in_milliseconds": 10, "retry_interval_in_milliseconds": 1}

# Client functions


def start(request: HttpRequest, name: str) -> HttpResponse:
    instance_id = OrchestrationClient().start_new(name, client_input=json.loads(request.body))
    return create_check_status_response(request, instance_id)


async def start_async(request: HttpRequest, name: str) -> HttpResponse:
    instance_id = await OrchestrationClient().astart_new(name, client_input=json.loads(request.body))
    return create_check_status_response(request, instance_id)


def start_and_wait(request: HttpRequest, name: str) -> HttpResponse:
    instance_id = OrchestrationClient().start_new(name, client_input=json.loads(request.body))
    return wait_for_completion_or_create_check_status_response(request, instance_id)


async def start_and_wait_async(request: HttpRequest, name: str) -> HttpResponse:
    instance_id = await OrchestrationClient().astart_new(name, client_input=json.loads(request.body))
    return await await_for_completion_or_create_check_status_response(request, instance_id)


urlpatterns = [
    path("start/<name>", start),
    path("start-async/<name>", start_async),
    path("start-and-wait/<name>", start_and_wait),
    path("start-and-wait-async/<name>", start_and_wait_async),
    re_path(BASE, include("orchestrations.interfaces.management_api.urls")),
]


@pytest.fixture(autouse=True)
def site(settings) -> Iterator[None]:
    settings.ROOT_URLCONF = __name__
    settings.DURABLE = {"SYSTEM_KEY": "open sesame"}
    with registered():

        @orchestrator
        def listen(context: OrchestrationContext):
            return (yield context.wait_for_external_event("go"))

        @orchestrator
        def fails(context: OrchestrationContext) -> None:
            raise ValueError("no stock")

        yield


@pytest.fixture
def request_() -> HttpRequest:
    return RequestFactory().post("/orders/", secure=True)


@pytest.fixture
def working(transactional_db) -> Iterator[None]:
    """A worker in another thread, as long as the test runs."""
    stop = threading.Event()

    def work() -> None:
        worker = InProcessWorker(drain_seconds=0.05)
        while not stop.is_set():
            worker.runtime.drain(0.05)
            stop.wait(0.005)
        worker.stop()
        connections.close_all()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(timeout=10)


def posted(url: str, body: object = None) -> HttpResponse:
    return Client().post(url, json.dumps(body), content_type="application/json")


def posted_async(url: str, body: object = None) -> HttpResponse:
    return async_to_sync(AsyncClient().post)(url, json.dumps(body), content_type="application/json")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("post", "url"), [(posted, "/start/echo"), (posted_async, "/start-async/echo")])
def test_a_client_function_answers_with_links_that_work(post, url):
    response = post(url, {"a": 1})

    body = json.loads(response.content)
    assert (response.status_code, list(body)) == (202, KEYS)
    assert response.headers["Location"] == body["statusQueryGetUri"]
    assert response.headers["Retry-After"] == "10"
    assert Client().get(body["statusQueryGetUri"]).json()["input"] == {"a": 1}
    assert Client().post(body["suspendPostUri"]).status_code == 202


@pytest.mark.parametrize(
    ("post", "url"), [(posted, "/start-and-wait/"), (posted_async, "/start-and-wait-async/")], ids=["sync", "async"]
)
@pytest.mark.parametrize(("name", "status"), [("echo", 200), ("fails", 500)])
def test_a_client_function_may_wait_for_the_end(working, post, url, name, status):
    response = post(url + name, [1, 2])

    assert response.status_code == status
    body = json.loads(response.content)
    if name == "echo":
        assert body == [1, 2]
    else:
        assert (body["runtimeStatus"], body["output"]) == ("Failed", "no stock")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_async", [False, True])
def test_when_the_time_is_over_the_links_are_the_answer(request_, is_async):
    OrchestrationClient().start_new("listen", "order")
    wait = wait_for_completion_or_create_check_status_response
    if is_async:
        wait = async_to_sync(await_for_completion_or_create_check_status_response)

    response = wait(request_, "order", **SHORT)

    assert response.status_code == 202
    assert list(json.loads(response.content)) == KEYS


@pytest.mark.parametrize(("flag", "expected"), [({}, 500), ({"return_internal_server_error_on_failure": False}, 200)])
def test_a_failure_may_be_told_as_a_status(working, request_, flag, expected):
    OrchestrationClient().start_new("fails", "order")

    response = wait_for_completion_or_create_check_status_response(request_, "order", **flag)

    assert response.status_code == expected


def test_a_terminated_instance_is_told_by_its_status(working, request_):
    client = OrchestrationClient()
    client.start_new("listen", "order")
    client.terminate("order", "obsolete")

    response = wait_for_completion_or_create_check_status_response(request_, "order")

    body = json.loads(response.content)
    assert (response.status_code, body["runtimeStatus"], body["output"]) == (200, "Terminated", "obsolete")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_async", [False, True])
def test_what_can_not_be_waited_for_is_an_error(request_, is_async):
    wait = wait_for_completion_or_create_check_status_response
    if is_async:
        wait = async_to_sync(await_for_completion_or_create_check_status_response)

    with pytest.raises(InstanceNotFound):
        wait(request_, "nobody", **SHORT)
    with pytest.raises(ValueError, match="longer"):
        wait(request_, "nobody", 10, 20)


@pytest.mark.django_db(transaction=True)
def test_waiting_inside_a_transaction_is_an_error(request_):
    with transaction.atomic(), pytest.raises(TransactionManagementError):
        OrchestrationClient().start_new("echo", "order")
        wait_for_completion_or_create_check_status_response(request_, "order", **SHORT)


def test_the_payload_has_the_origin_of_the_request(request_):
    payload = create_http_management_payload(request_, "a b")

    assert list(payload) == KEYS
    assert payload["id"] == "a b"
    base = "https://testserver/runtime/webhooks/durabletask/instances/a%20b"
    assert all(link.startswith(base) for name, link in payload.items() if name != "id")
    assert payload["sendEventPostUri"].startswith(f"{base}/raiseEvent/{{eventName}}?taskHub=default&connection=")


@pytest.mark.parametrize("links", [create_http_management_payload, get_client_response_links])
def test_without_a_request_links_are_paths(links):
    payload = links(None, "order")

    assert payload["statusQueryGetUri"].startswith("/runtime/webhooks/durabletask/instances/order?taskHub=default")
