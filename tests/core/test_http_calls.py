"""Durable HTTP in the core: which requests and timers a call decides on, answer by answer."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest

from orchestrations.core.actions import CancelTimer, CompleteOrchestration, CreateTimer, ScheduleTask
from orchestrations.core.composition import when_any
from orchestrations.core.errors import TaskFailedError
from orchestrations.core.http_calls import HttpAnswer, HttpRetryOptions
from orchestrations.core.http_messages import (
    HTTP_ACTIVITY,
    DurableHttpResponse,
    HttpHeaders,
    HttpRequest,
    HttpSecret,
    ManagedIdentityTokenSource,
    TokenSource,
    is_same_origin,
    shown_uri,
)
from orchestrations.core.retries import RetryPolicy
from orchestrations.core.rewind import rewind
from orchestrations.core.waits import describe_waits, sentence
from tests.core.cases import done, error, failed, fired, output, raised, resumed, rewound, run, started, suspended
from tests.core.plain import Driver, PlainFunctions

TEN = timedelta(seconds=10)
URL = "https://api.test/jobs"


def answered(task_id, status=200, content="", *, poll=None, after=5.0, attempt=1):
    """The built-in activity's result."""
    answer = HttpAnswer(DurableHttpResponse(status, {}, content), poll, after)
    return done(task_id, answer.to_json(), attempt)


def in_words(action):
    """An action on one line, with only the request's method, address and names of headers."""
    if isinstance(action, ScheduleTask):
        if action.name != HTTP_ACTIVITY:
            return f"#{action.task_id} {action.name}"
        request = json.loads(action.input)
        attempt = f" again ({action.attempt})" if action.attempt > 1 else ""
        return f"#{action.task_id} {request['method']} {request['uri']}{attempt}"
    if isinstance(action, CreateTimer):
        return f"#{action.task_id} timer"
    if isinstance(action, CancelTimer):
        return f"#{action.task_id} cancel"
    assert isinstance(action, CompleteOrchestration)
    return action.status


def calls(*arguments, **options):
    """An orchestrator of one call; it returns status and content."""

    def orchestrator(context):
        response = yield context.call_http(*arguments, **options)
        return [response.status_code, response.content]

    return orchestrator


@dataclass
class Case:
    sentence: str
    call: object
    events: list
    actions: list[str]
    output: object


once_more = HttpRetryOptions(first_retry_interval=TEN, max_number_of_attempts=2)
only_busy = HttpRetryOptions(first_retry_interval=TEN, max_number_of_attempts=2, status_codes_to_retry=[503])
plain = RetryPolicy(first_retry_interval=TEN, max_number_of_attempts=2)

CASES = [
    Case("an answer is the result", calls("GET", URL), [answered(1, 200, "hi")], [], [200, "hi"]),
    Case("an error's answer is a result too", calls("GET", URL), [answered(1, 500, "oh")], [], [500, "oh"]),
    Case(
        "what is accepted is polled after the time that it says",
        calls("POST", URL, "x"),
        [answered(1, 202, poll="https://api.test/jobs/7"), fired(2), answered(3, 200, "made")],
        ["#2 timer", "#3 GET https://api.test/jobs/7"],
        [200, "made"],
    ),
    Case(
        "it is polled until it is something else",
        calls("POST", URL, "x"),
        [
            answered(1, 202, poll="https://api.test/a"),
            fired(2),
            answered(3, 202, poll="https://api.test/b"),
            fired(4),
            answered(5, 404),
        ],
        ["#2 timer", "#3 GET https://api.test/a", "#4 timer", "#5 GET https://api.test/b"],
        [404, ""],
    ),
    Case(
        "a failure is tried again",
        calls("GET", URL, retry=plain),
        [failed(1), fired(1, 2), answered(1, attempt=2)],
        ["#1 timer", "#1 GET https://api.test/jobs again (2)"],
        [200, ""],
    ),
    Case("a plain policy takes any answer", calls("GET", URL, retry=plain), [answered(1, 503)], [], [503, ""]),
    Case(
        "a policy for HTTP tries again after any answer but success",
        calls("GET", URL, retry_policy=once_more),
        [answered(1, 404), fired(1, 2), answered(1, 204, attempt=2)],
        ["#1 timer", "#1 GET https://api.test/jobs again (2)"],
        [204, ""],
    ),
    Case(
        "once the attempts are used up the last answer is the result",
        calls("GET", URL, retry=once_more),
        [answered(1, 500), fired(1, 2), answered(1, 502, "still", attempt=2)],
        ["#1 timer", "#1 GET https://api.test/jobs again (2)"],
        [502, "still"],
    ),
    Case("named statuses alone are tried again", calls("GET", URL, retry=only_busy), [answered(1, 500)], [], [500, ""]),
    Case(
        "each poll has attempts of its own",
        calls("GET", URL, retry=only_busy),
        [answered(1, 202, poll=URL), fired(2), answered(3, 503), fired(3, 2), answered(3, 200, attempt=2)],
        ["#2 timer", f"#3 GET {URL}", "#3 timer", f"#3 GET {URL} again (2)"],
        [200, ""],
    ),
    Case(
        "an answer in time cancels the deadline",
        calls("GET", URL, timeout=60),
        [answered(1)],
        ["#2 cancel"],
        [200, ""],
    ),
]


@pytest.mark.parametrize("is_cold", [False, True], ids=["in memory", "replayed"])
@pytest.mark.parametrize("case", [pytest.param(case, id=case.sentence.replace(" ", "_")) for case in CASES])
def test_a_call_decides(case, is_cold):
    driver = run(case.call)
    first = driver.episodes[0].actions
    for event in case.events:
        if is_cold:
            driver.reload()
        driver.feed(driver.stamp(event))

    actions = [in_words(action) for episode in driver.episodes[1:] for action in episode.actions]
    assert in_words(first[0]).startswith("#1 ")
    assert actions == [*case.actions, "Completed"]
    assert output(driver) == case.output


def test_the_timer_before_a_poll_is_as_long_as_the_answer_says():
    driver = run(calls("GET", URL), answered(1, 202, poll=URL, after=90.0))

    timer = driver.episodes[-1].actions[0]
    assert timer.due_at == driver.now + timedelta(seconds=90)


# Deadlines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_cold", [False, True], ids=["in memory", "replayed"])
@pytest.mark.parametrize(
    ("events", "cancelled"),
    [
        ([], []),
        ([answered(1, 202, poll=URL)], ["#3 cancel"]),
        ([answered(1, 202, poll=URL), fired(3)], []),
        ([failed(1)], ["#1 cancel"]),
    ],
    ids=["while a request runs", "before a poll", "while a poll runs", "before another attempt"],
)
def test_past_the_timeout_the_call_fails_and_nothing_of_it_goes_on(events, cancelled, is_cold):
    def orchestrator(context):
        try:
            yield context.call_http("GET", f"{URL}?key=secret", timeout=TEN, retry=plain)
        except TimeoutError as error:
            context.set_custom_status(str(error))
        yield context.wait_for_external_event("go")

    driver = run(orchestrator, *events)
    if is_cold:
        driver.reload()
    episode = driver.feed(driver.stamp(fired(2)))

    assert [in_words(action) for action in episode.actions] == cancelled
    assert json.loads(driver.execution.custom_status) == f"GET {URL}?… had no final answer within 10 seconds."
    for late in (answered(1), answered(4), fired(3), failed(1), fired(1, 2)):
        assert driver.feed(driver.stamp(late)).events == []
    driver.feed(driver.stamp(raised("go")))
    assert output(driver) is None


@pytest.mark.parametrize("timeout", [0, -1, timedelta(0), timedelta.max, timedelta(days=3_000_000)])
def test_a_timeout_that_leaves_no_time_or_has_no_date_is_refused_before_anything_is_decided(timeout):
    driver = run(calls("GET", URL, timeout=timeout))

    assert error(driver).error_type == "ValueError"
    assert [in_words(action) for action in driver.episodes[0].actions] == ["Failed"]


# Beside other tasks ------------------------------------------------------------------------------------------------


def test_calls_run_beside_one_another_and_their_results_keep_their_order():
    def orchestrator(context):
        first = context.call_http("GET", "https://a.test/")
        second = context.call_http("GET", "https://b.test/")
        both = yield context.task_all([first, second])
        return [response.content for response in both]

    driver = run(orchestrator, answered(2, 202, poll="https://b.test/x"), answered(1, content="a"), fired(3))
    driver.reload()
    driver.feed(driver.stamp(answered(4, content="b")))

    assert output(driver) == ["a", "b"]


def test_a_call_that_lost_goes_on_and_can_be_awaited_later():
    def orchestrator(context):
        call = context.call_http("GET", URL)
        yield when_any([call, context.create_timer(TEN)])
        return (yield call).content

    assert output(run(orchestrator, fired(2), answered(1, 202, poll=URL), fired(3), answered(4, content="late"))) == (
        "late"
    )


def test_answers_that_come_while_it_is_suspended_are_followed_up_on_resuming():
    driver = run(calls("GET", URL), suspended(), answered(1, 202, poll=URL))
    assert driver.episodes[-1].actions == []

    driver.feed(driver.stamp(resumed()))

    assert [in_words(action) for action in driver.episodes[-1].actions] == ["#2 timer"]


def test_code_that_no_longer_makes_the_call_is_found_out():
    driver = run(calls("GET", URL), answered(1, 202, poll=URL))
    driver.definition = Driver(lambda context: (yield context.call_activity("other"))).definition

    with pytest.raises(Exception, match=r"Event 2 of the history is TaskScheduled 'durable.http' \(task 1\)"):
        driver.reload()


# Failures and rewind -----------------------------------------------------------------------------------------------


def test_a_failure_is_raised_in_the_orchestrator():
    def orchestrator(context):
        try:
            yield context.call_http("GET", URL)
        except TaskFailedError as error:
            return error.is_caused_by(ConnectionError)

    assert output(run(orchestrator, failed(1, ConnectionError("refused")))) is True


def rewound_of(driver):
    return rewind(driver.definition, PlainFunctions(), driver.facts, driver.history)


def test_a_rewind_repeats_the_failed_poll_and_not_the_request():
    driver = run(calls("POST", URL, "x"), answered(1, 202, poll=URL), fired(2), failed(3))
    assert driver.execution.status == "Failed"

    plan = rewound_of(driver)

    assert [(event.type, event.task_id) for event in plan.kept if event.task_id] == [
        ("TaskScheduled", 1),
        ("TaskCompleted", 1),
        ("TimerCreated", 2),
        ("TimerFired", 2),
        ("TaskScheduled", 3),
    ]
    assert plan.redelivered == []


def test_a_rewind_gives_the_failed_request_all_its_attempts_again():
    driver = run(calls("GET", URL, retry=once_more), answered(1, 500), fired(1, 2), failed(1, attempt=2))
    assert driver.execution.status == "Failed"

    plan = rewound_of(driver)

    assert [(event.type, event.attempt) for event in plan.kept if event.task_id] == [("TaskScheduled", 1)]
    assert plan.execution.tasks[1].attempt == 1


def test_a_rewind_gives_the_call_the_time_again_during_which_the_instance_lay_failed():
    driver = run(calls("GET", URL, timeout=60), failed(1))
    plan = rewound_of(driver)
    driver.execution, driver.history = plan.execution, list(plan.kept)
    driver.now += timedelta(days=1)
    again = driver.feed(driver.stamp(rewound(plan)))

    request, deadline = again.actions
    assert in_words(request) == f"#1 GET {URL}"
    # A second after the start it failed with 59 seconds left, and a day and a second later it goes on.
    assert deadline.due_at == driver.now + timedelta(seconds=59)


def test_a_rewind_leaves_a_call_alone_that_was_given_up_earlier():
    def orchestrator(context):
        with suppress(TimeoutError):
            yield context.call_http("GET", URL, timeout=TEN)
        yield context.call_activity("work")

    driver = run(orchestrator, fired(2), failed(3))
    assert driver.execution.status == "Failed"

    plan = rewound_of(driver)

    assert [(event.type, event.task_id) for event in plan.kept if event.task_id] == [
        ("TaskScheduled", 1),
        ("TimerCreated", 2),
        ("TimerFired", 2),
        ("TaskScheduled", 3),
    ]


def test_a_rewind_leaves_a_call_alone_that_was_given_up_before_anybody_looked():
    def orchestrator(context):
        call = context.call_http("GET", URL, timeout=TEN)
        yield context.call_activity("work")
        try:
            yield call
        except TimeoutError:
            return "late"

    driver = run(orchestrator, fired(2), failed(3))
    assert driver.execution.status == "Failed"

    plan = rewound_of(driver)
    driver.execution, driver.history = plan.execution, list(plan.kept)
    again = driver.feed(driver.stamp(rewound(plan)), *plan.redelivered)
    driver.feed(driver.stamp(done(3)))

    assert [in_words(action) for action in again.actions] == ["#3 work"]
    assert output(driver) == "late"


# What is recorded --------------------------------------------------------------------------------------------------


def recorded(*arguments, **options):
    return json.loads(run(calls(*arguments, **options)).episodes[0].actions[0].input)


def test_secrets_and_tokens_are_recorded_by_name():
    request = recorded(
        "post", URL, {"a": 1}, {"X-Key": HttpSecret("shop"), "X": "y"}, ManagedIdentityTokenSource("https://vault")
    )

    assert request == {
        "method": "POST",
        "uri": URL,
        "headers": {"X-Key": {"secret": "shop"}, "X": "y", "Content-Type": "application/json"},
        "content": '{"a": 1}',
        "tokenSource": {"kind": "AzureManagedIdentity", "resource": "https://vault"},
        "asynchronousPatternEnabled": True,
    }


@pytest.mark.parametrize(
    ("content", "options", "sent", "content_type"),
    [
        ("text", {"is_raw_str": True}, "text", "text/plain; charset=utf-8"),
        ("text", {}, '"text"', "application/json"),
        ([1], {}, "[1]", "application/json"),
        ([1], {"headers": {"content-type": "application/x"}}, "[1]", None),
        (None, {}, None, None),
        ("", {"is_raw_str": True}, "", "text/plain; charset=utf-8"),
    ],
)
def test_content_is_text_or_json(content, options, sent, content_type):
    request = recorded("POST", URL, content, **options)

    assert request["content"] == sent
    assert request["headers"].get("Content-Type") == content_type


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("G T", URL), "ValueError: The method of an HTTP call is a word such as GET or POST."),
        (("GET", "file:///etc/passwd"), "ValueError: The address of an HTTP call is an address that can't be read"),
        (("GET", "gopher://a.test/"), "ValueError: The address of an HTTP call is gopher://a.test/"),
        (("GET", "/relative"), "ValueError: The address of an HTTP call is an address that can't be read"),
        (("GET", "http://[bad"), "ValueError: The address of an HTTP call is an address that can't be read"),
        (("GET", "https://ann:pw@a.test/"), "ValueError: The address of an HTTP call holds a user."),
        (("GET", "https://a.test/\r\nX: y"), "ValueError: The address of an HTTP call holds blanks"),
        (("GET", 7), "TypeError: The address of an HTTP call is a int."),
        (("GET", URL, None, {"Host": "b.test"}), "ValueError: The header Host of an HTTP call follows"),
        (("GET", URL, None, {"X Y": "z"}), "ValueError: A header of an HTTP call has a name that no header can have."),
        (("GET", URL, None, {"X": "hush\r\nY: z"}), "ValueError: The header X of an HTTP call holds line breaks"),
        (("GET", URL, None, {"X": 7}), "TypeError: The header X of an HTTP call is a int."),
        (("GET", URL, None, {7: "x"}), "TypeError: A header of an HTTP call has a int as its name."),
        (("GET", URL, None, {"X": HttpSecret(7)}), "TypeError: The HttpSecret of the header X names no text."),
        (("GET", URL, None, None, "token"), "TypeError: token_source is a str."),
        (("GET", URL, None, None, TokenSource("kind", {})), "TypeError: A TokenSource holds two texts"),
    ],
)
def test_what_can_be_no_request_is_refused_at_the_call_without_its_values(arguments, message):
    failure = error(run(calls(*arguments)))

    assert failure.summary.startswith(message)
    assert not {"pw", "hush"} & set(failure.message.replace(":", " ").split())


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("https://api.test/jobs/7", ["Authorization", "Cookie", "Proxy-Authorization", "X-Key", "X"]),
        ("https://api.test:443/jobs/7", ["Authorization", "Cookie", "Proxy-Authorization", "X-Key", "X"]),
        ("https://API.test/jobs/7", ["Authorization", "Cookie", "Proxy-Authorization", "X-Key", "X"]),
        ("https://other.test/jobs/7", ["X"]),
        ("https://api.test:8443/jobs/7", ["X"]),
        ("http://api.test/jobs/7", ["X"]),
        ("https://api.test:99999/", ["X"]),
        ("https://[bad", ["X"]),
    ],
)
def test_a_poll_carries_the_headers_but_no_functions_key_and_no_credentials_to_another_origin(location, kept):
    names = ["Authorization", "Cookie", "Proxy-Authorization"]
    headers = {**dict.fromkeys(names, "x"), "X-Functions-Key": "k", "X-Key": HttpSecret("shop"), "X": "y"}
    request = HttpRequest("POST", URL, headers, "body", TokenSource("vault", "r"))

    poll = request.poll_of(location)

    assert (poll.method, poll.uri, poll.content) == ("GET", location, None)
    assert list(poll.headers) == kept
    assert (poll.token_source is not None) == (len(kept) > 1)
    assert poll.asynchronous_pattern_enabled


def test_credentials_that_were_dropped_on_the_way_do_not_come_back():
    request = HttpRequest("POST", URL, {"Authorization": "x"})

    assert request.poll_of("https://other.test/").poll_of(URL).headers == {}


def test_origins_that_can_not_be_read_are_never_the_same():
    assert not is_same_origin("https://[bad", "https://[bad")
    assert not is_same_origin("/a", "/a")


def test_an_address_is_shown_without_user_and_query():
    assert shown_uri("https://ann:pw@a.test:8000/p?code=hush#x") == "https://a.test:8000/p?…"


# The response ------------------------------------------------------------------------------------------------------


def test_a_response_has_its_parts_as_attributes_and_as_entries():
    response = DurableHttpResponse(201, {"Content-Type": "application/json"}, '{"a": 1}')

    assert response["statusCode"] == response["status_code"] == response.status_code == 201
    assert response["content"] == response.content
    assert response.headers["content-TYPE"] == response["headers"]["Content-Type"] == "application/json"
    assert "content-type" in response.headers and response.headers.get("x") is None
    assert response.json() == {"a": 1}
    assert response.is_success
    assert DurableHttpResponse.from_json(response.to_json()) == response
    assert repr(response) == "<DurableHttpResponse 201, 8 characters>"
    with pytest.raises(KeyError):
        response["other"]


def test_headers_keep_their_spelling_and_order():
    assert dict(HttpHeaders({"B-x": "1", "a": "2"})) == {"B-x": "1", "a": "2"}


@pytest.mark.parametrize("codes", [[99], [600]])
def test_statuses_that_do_not_exist_can_not_be_tried_again(codes):
    with pytest.raises(ValueError, match="status_codes_to_retry"):
        HttpRetryOptions(first_retry_interval=TEN, max_number_of_attempts=2, status_codes_to_retry=codes)


def test_the_wait_says_what_is_asked_without_the_query():
    driver = run(calls("GET", f"{URL}?code=hush"))
    assert sentence(driver.execution, describe_waits(driver.execution)) == f"activity GET {URL}?…"

    driver.feed(driver.stamp(answered(1, 202, poll=f"{URL}/7?code=hush")))

    assert sentence(driver.execution, describe_waits(driver.execution)) == (
        f"timer before GET {URL}/7?… due 2026-01-01T00:00:07+00:00"
    )


def test_a_call_after_the_start_is_the_same_in_one_episode_as_in_many():
    driver = Driver(calls("GET", URL))
    events = [started(), answered(1, 202, poll=URL), fired(2), answered(3, content="x")]
    driver.feed(*(driver.stamp(event) for event in events))

    assert output(driver) == [200, "x"]
