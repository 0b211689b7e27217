"""Durable HTTP: one call from the orchestrator to a real socket and back, with polls, retries, timeouts and rewind."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from orchestrations import (
    HttpRetryOptions,
    HttpSecret,
    ManagedIdentityTokenSource,
    OrchestrationContext,
    TaskFailedError,
    activity,
    orchestrator,
)
from orchestrations.authoring.registry import registry
from orchestrations.errors import ConfigurationError, FunctionNotRegistered
from orchestrations.models import ActivityWorkItem, HistoryEvent, Instance, Timer
from orchestrations.runtime.live_workers import described_functions
from orchestrations.testing import assert_replays, record_history
from tests.durable_http.conftest import Answer, allow, server, spy

__all__ = ["allow", "server", "spy"]

TOKEN = "a-token-that-nobody-may-see"
SECRET = "a-key-that-nobody-may-see"
ONE_MS = timedelta(milliseconds=1)


def give_token(resource: str) -> str:
    return TOKEN


@pytest.fixture(autouse=True)
def reachable(server, allow):
    allow(
        f"127.0.0.1:{server.port}",
        HTTP_SECRETS={"shop": SECRET},
        HTTP_TOKEN_SOURCES={"AzureManagedIdentity": f"{__name__}.give_token"},
    )


@pytest.fixture
def fetch(stage):
    """An orchestrator of one call: input is [method, address, content], options are the test's."""

    def declare(**options):
        @orchestrator
        def fetch(context: OrchestrationContext, call: list):
            response = yield context.call_http(*call, **options)
            return [response.status_code, response.content]

        return fetch

    return declare


def types(instance_id):
    rows = HistoryEvent.objects.filter(instance__instance_id=instance_id).order_by("execution", "sequence")
    return [row.type for row in rows]


def skip_and_go_on(client, worker, instance_id):
    assert worker.skip_timers(instance_id) == 1
    worker.run_until_idle()
    return client.get_status(instance_id)


# Calls -----------------------------------------------------------------------------------------------------------


def test_a_call_is_one_activity_whose_answer_is_the_result(run, fetch, server, events):
    server.answers["/"] = Answer(404, {}, "grün\x00".encode())

    ended = run(fetch(), ["post", f"{server.url}/", {"a": 1}], "one")

    assert ended.output == [404, "grün\N{REPLACEMENT CHARACTER}"]
    assert server.received[0].body == b'{"a":1}'
    assert server.received[0].headers["content-type"] == "application/json"
    assert events("one") == ["ExecutionStarted", "TaskScheduled", "TaskCompleted", "ExecutionCompleted"]


def test_the_response_itself_can_be_returned_and_passed_on(run, server, stage):
    @activity
    def count(response: dict) -> int:
        return len(response["content"])

    @orchestrator
    def passes_on(context):
        response = yield context.call_http("GET", f"{server.url}/")
        return [(yield context.call_activity(count, response)), response]

    server.answers["/"] = Answer(200, {"X": "y"}, b"abc")

    length, response = run(passes_on).output
    assert length == 3
    assert (response["statusCode"], response["headers"]["X"], response["content"]) == (200, "y", "abc")


def test_it_works_awaited_too(run, server, stage):
    @orchestrator
    async def awaits(context):
        return (await context.call_http("GET", f"{server.url}/")).content

    server.answers["/"] = Answer(body=b"abc")

    assert run(awaits).output == "abc"


def test_many_calls_run_beside_one_another(run, server, stage):
    @orchestrator
    def fans_out(context):
        responses = yield context.task_all([context.call_http("GET", f"{server.url}/{number}") for number in range(60)])
        return [response.content for response in responses]

    for number in range(60):
        server.answers[f"/{number}"] = Answer(body=str(number).encode())

    assert run(fans_out).output == [str(number) for number in range(60)]


# Polls -----------------------------------------------------------------------------------------------------------


def test_what_is_accepted_is_polled_by_timers_while_no_worker_is_occupied(client, run, worker, fetch, server):
    server.answers["/jobs"] = Answer(202, {"Location": "/jobs/7?code=x", "Retry-After": "120"})
    server.answers["/jobs/7"] = [Answer(202, {"Location": "/jobs/8"}), Answer(200, {}, b"unused")]
    server.answers["/jobs/8"] = Answer(200, {}, b"done")

    waiting = run(fetch(), ["POST", f"{server.url}/jobs", "x", {"X-Functions-Key": "key", "X-Mine": "1"}], "job")

    row = Instance.objects.get(instance_id="job")
    timer = Timer.objects.get(instance=row)
    assert waiting.runtime_status == "Running"
    assert row.waiting_for.startswith(f"timer before GET {server.url}/jobs/7?… due ")
    assert (timer.due_at - row.last_updated_at).total_seconds() == pytest.approx(120, abs=5)
    assert not worker.runtime.pool.is_busy and not ActivityWorkItem.objects.exists()

    assert skip_and_go_on(client, worker, "job").runtime_status == "Running"
    assert skip_and_go_on(client, worker, "job").output == [200, "done"]
    assert server.paths() == ["POST /jobs", "GET /jobs/7?code=x", "GET /jobs/8"]
    assert "x-functions-key" in server.received[0].headers
    for poll in server.received[1:]:
        assert "x-functions-key" not in poll.headers and poll.headers["x-mine"] == "1" and poll.body == b""
    assert_replays(record_history("job"))


def test_polling_can_be_switched_off(run, fetch, server):
    server.answers["/"] = Answer(202, {"Location": "/x"}, b"accepted")

    assert run(fetch(asynchronous_pattern_enabled=False), ["GET", f"{server.url}/"]).output == [202, "accepted"]


def test_another_worker_goes_on_with_the_polls(client, run, make_worker, fetch, server):
    server.answers["/"] = Answer(202, {"Location": "/end"})
    server.answers["/end"] = Answer(body=b"done")
    run(fetch(), ["GET", f"{server.url}/"], "moved")

    assert skip_and_go_on(client, make_worker(), "moved").output == [200, "done"]


def test_a_poll_that_leads_inside_is_refused_and_the_orchestrator_is_told(client, run, worker, server, stage, spy):
    @orchestrator
    def careful(context):
        try:
            yield context.call_http(
                "GET", f"{server.url}/", retry=HttpRetryOptions(first_retry_interval=ONE_MS, max_number_of_attempts=5)
            )
        except TaskFailedError as error:
            return [error.is_caused_by("HttpRequestRefused"), str(error)]

    server.answers["/"] = Answer(202, {"Location": "http://169.254.169.254/latest?token=x"})
    run(careful, None, "careful")
    refused, message = skip_and_go_on(client, worker, "careful").output

    assert refused
    assert "http://169.254.169.254/latest?…" in message and "token=x" not in message
    assert {address for address, _ in spy.connected if address.startswith("169.")} == set()
    assert types("careful").count("TaskFailed") == 1, "it is not tried again"


# Retries, timeouts, rewind ---------------------------------------------------------------------------------------


def test_statuses_are_tried_again_by_durable_timers(run, worker, client, fetch, server):
    server.answers["/"] = [Answer(503), Answer(500), Answer(200, {}, b"third")]
    retry = HttpRetryOptions(first_retry_interval=ONE_MS, max_number_of_attempts=3)

    client.start_new(fetch(retry=retry), "again", ["GET", f"{server.url}/"])

    assert worker.run_until_ended("again").output == [200, "third"]
    assert types("again").count("TimerCreated") == 2
    assert_replays(record_history("again"))


def test_past_the_timeout_the_orchestrator_gets_a_timeout_error(client, run, worker, server, stage):
    @orchestrator
    def impatient(context):
        try:
            yield context.call_http("GET", f"{server.url}/", timeout=timedelta(hours=1))
        except TimeoutError as error:
            return str(error)

    server.answers["/"] = Answer(202, {"Location": "/", "Retry-After": "7200"})
    run(impatient, None, "late")
    Timer.objects.filter(task_id=2).update(due_at="2020-01-01T00:00:00Z")
    worker.run_until_idle()

    assert client.get_status("late").output == f"GET {server.url}/ had no final answer within 3600 seconds."
    assert not Timer.objects.filter(state=Timer.State.PENDING).exists()
    assert len(server.received) == 1


def test_what_is_accepted_for_ever_is_polled_until_the_timeout(client, run, worker, fetch, server):
    server.answers["/"] = Answer(202, {"Location": "/", "Retry-After": "10"})
    run(fetch(timeout=timedelta(seconds=35)), ["POST", f"{server.url}/"], "for ever")

    worker.advance(timedelta(minutes=2))

    ended = client.get_status("for ever")
    assert (ended.runtime_status, ended.failure_details.error_type) == ("Failed", "TimeoutError")
    assert server.paths() == ["POST /", "GET /", "GET /", "GET /"]
    assert not Timer.objects.filter(state=Timer.State.PENDING).exists()
    assert_replays(record_history("for ever"))


def test_a_request_that_takes_too_long_fails_as_a_timeout(run, server, allow, stage):
    @orchestrator
    def asks(context):
        try:
            yield context.call_http("GET", f"{server.url}/")
        except TaskFailedError as error:
            return error.is_caused_by(TimeoutError)

    allow("127.0.0.1", HTTP_TIMEOUT_SECONDS=0.1)
    server.answers["/"] = lambda received: server.release.wait(5) and Answer()

    assert run(asks).output is True


def test_a_rewind_repeats_the_failed_poll_alone(client, run, worker, fetch, server):
    server.answers["/jobs"] = Answer(202, {"Location": "/jobs/7"})
    server.answers["/jobs/7"] = [Answer(200, {"Content-Encoding": "br"}), Answer(200, {}, b"done")]
    run(fetch(), ["POST", f"{server.url}/jobs"], "rewound")
    failed = skip_and_go_on(client, worker, "rewound")
    assert failed.runtime_status == "Failed"
    assert "HttpRequestRefused" in str(failed.failure_details)

    client.rewind("rewound", "it speaks plainly now")
    worker.run_until_idle()

    assert client.get_status("rewound").output == [200, "done"]
    assert server.paths() == ["POST /jobs", "GET /jobs/7", "GET /jobs/7"]
    assert_replays(record_history("rewound"))


def test_a_rewind_goes_on_polling_where_the_timeout_failed_it(client, run, worker, fetch, server):
    server.answers["/jobs"] = Answer(202, {"Location": "/jobs/7", "Retry-After": "7200"})
    server.answers["/jobs/7"] = Answer(200, {}, b"done")
    run(fetch(timeout=timedelta(hours=1)), ["POST", f"{server.url}/jobs"], "rewound")
    Timer.objects.filter(task_id=2).update(due_at="2020-01-01T00:00:00Z")
    worker.run_until_idle()
    assert client.get_status("rewound").runtime_status == "Failed"

    client.rewind("rewound", "it was slow")
    worker.run_until_idle()
    Timer.objects.filter(task_id=3).update(due_at="2020-01-01T00:00:00Z")
    worker.run_until_idle()

    assert client.get_status("rewound").output == [200, "done"]
    assert server.paths() == ["POST /jobs", "GET /jobs/7"]
    assert_replays(record_history("rewound"))


def test_terminating_ends_the_polls(client, run, worker, fetch, server):
    server.answers["/"] = Answer(202, {"Location": "/"})
    run(fetch(), ["GET", f"{server.url}/"], "ended")

    client.terminate("ended", "enough")
    worker.run_until_idle()

    assert not Timer.objects.filter(state=Timer.State.PENDING).exists()
    assert len(server.received) == 1


# Secrets and reserved names --------------------------------------------------------------------------------------


def test_tokens_and_secrets_reach_the_server_and_nothing_else(client, run, worker, server, stage, caplog):
    caplog.set_level("DEBUG")

    @orchestrator
    def confidential(context):
        headers = {"X-Key": HttpSecret("shop")}
        source = ManagedIdentityTokenSource("https://vault.test")
        response = yield context.call_http("GET", f"{server.url}/", None, headers, source)
        yield context.call_http("GET", f"{server.url}/broken", None, headers, source)
        return response.content

    server.answers["/"] = lambda received: Answer(body=f"{received.headers}".encode())
    server.answers["/broken"] = lambda received: Answer(200, {"Content-Encoding": received.headers["authorization"]})

    failed = run(confidential, None, "secret")

    assert failed.runtime_status == "Failed"
    for received in server.received:
        assert received.headers["authorization"] == f"Bearer {TOKEN}"
        assert received.headers["x-key"] == SECRET
    stored = [
        *(f"{row.payload} {row.attributes}" for row in HistoryEvent.objects.all()),
        *(str(vars(row)) for row in Instance.objects.all()),
        *(str(vars(row)) for row in ActivityWorkItem.objects.all()),
        caplog.text,
    ]
    assert '"resource":"https://vault.test"' in "".join(stored)
    assert TOKEN not in "".join(stored) and SECRET not in "".join(stored)


def test_workers_know_and_tell_that_they_have_the_built_in_activity():
    assert registry.has_activity("durable.http")
    assert "durable.http" in json.loads(described_functions())["activities"]


def test_the_built_in_activity_is_nobodys_to_take_or_start(client, run, stage):
    with pytest.raises(ConfigurationError, match="a name of the engine's own"):
        activity(name="durable.http")(lambda_like)
    with pytest.raises(ConfigurationError, match="a name of the engine's own"):
        orchestrator(name="Durable.Http")(lambda_like)
    with pytest.raises(FunctionNotRegistered):
        client.start_new("durable.http", None, {"method": "GET", "uri": "http://127.0.0.1/"})
    assert "durable.http" not in registry.activities()

    @orchestrator
    def by_name(context):
        yield context.call_activity("durable.http", {"method": "GET", "uri": "http://127.0.0.1/"})

    failed = run(by_name)
    assert "Use context.call_http" in str(failed.failure_details)


def lambda_like(value: object) -> object:
    return value
