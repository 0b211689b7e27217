"""Tests of apps answer HTTP calls by a function."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations import DurableHttpResponse, HttpSecret, OrchestrationClient, RetryPolicy, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.testing import InProcessWorker, answering_http


@pytest.fixture
def worker(transactional_db):
    worker = InProcessWorker()
    yield worker
    worker.stop()


@pytest.fixture
def books():
    with registry.preserved():

        @orchestrator
        def books(context):
            response = yield context.call_http(
                "POST",
                "https://carrier.test/bookings",
                [1],
                {"X-Key": HttpSecret("not among the settings")},
                retry=RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=2),
            )
            return [response.status_code, response.content]

        yield books


def test_a_function_answers_requests_redirects_and_polls(worker, books, spy):
    answers = {
        "https://carrier.test/bookings": DurableHttpResponse(307, {"Location": "/v2/bookings"}),
        "https://carrier.test/v2/bookings": DurableHttpResponse(202, {"Location": "7"}),
        "https://carrier.test/v2/7": DurableHttpResponse(200, {}, "booked"),
    }
    instance_id = OrchestrationClient().start_new(books)

    with answering_http(lambda request: answers[request.uri]) as requests:
        worker.run_until_idle()
        assert worker.skip_timers(instance_id) == 1
        ended = worker.run_until_ended(instance_id)

    assert ended.output == [200, "booked"]
    assert [(request.method, request.content) for request in requests] == [
        ("POST", "[1]"),
        ("POST", "[1]"),
        ("GET", None),
    ]
    assert spy.connected == []


def test_an_error_of_the_function_is_the_requests_failure(worker, books):
    instance_id = OrchestrationClient().start_new(books)

    def refuse(request):
        raise ConnectionError("unplugged")

    with answering_http(refuse) as requests:
        failed = worker.run_until_ended(instance_id)

    assert "unplugged" in str(failed.failure_details)
    assert len(requests) == 2


def test_after_the_block_requests_go_out_again(books):
    from orchestrations.durable_http import sending

    with answering_http(lambda request: DurableHttpResponse(200)):
        replaced = sending.exchange

    assert sending.exchange is not replaced
