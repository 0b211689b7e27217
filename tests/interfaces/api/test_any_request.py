"""Whatever is sent: an answer below 500 that is JSON, a refusal that writes nothing and says where, and values that
come back as sent."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from orchestrations import entity
from orchestrations.interfaces.api.urls import urlpatterns
from tests import rows
from tests.authoring.strategies import TEXT, VALUES
from tests.interfaces.management_api.test_any_request import (
    BODIES,
    INSTANTS,
    Undo,
    encoded,
    refusable,
    written,
)

any_request = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

APART = {"docs", "redoc", "nowhere", "with_slash"}  # pages for people, and what is no address
PATTERNS = sorted({str(pattern.pattern) for pattern in urlpatterns if pattern.name not in APART})
SEGMENTS = TEXT | st.sampled_from(["order", "counter", "a", "1", "@counter@a", "..", "-1", "9" * 20, "\n"])
METHODS = st.sampled_from(["GET", "POST", "DELETE", "PATCH", "PUT", "OPTIONS", "HEAD"])
NAMES = (
    "status name id_prefix parent version tag error created_from created_to completed_from completed_to roots_only "
    "oldest_first cursor limit execution after type instance_id last_operation_from include_deleted recursive format"
)
PARAMETERS = st.dictionaries(
    st.sampled_from(NAMES.split()) | TEXT,
    TEXT | INSTANTS | st.integers().map(str) | st.sampled_from(["true", "Failed", "nan", "a:b", "json"]),
    max_size=4,
)
LATIN = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12)
HEADERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("Idempotency-Key", "If-None-Match", "Last-Event-ID", "Accept", "X-Other"), LATIN)
)
CONTENT_TYPES = st.sampled_from(["application/json", "text/plain", "", "application/json; charset=utf-16", "a/b; ;="])


def is_json(response) -> bool:
    """No body, a document of its own media type where one was asked for, or JSON."""
    if not response.content or "json" not in response.headers["Content-Type"]:
        return response.status_code < 400 or "html" in response.headers["Content-Type"] or not response.content
    json.loads(response.content)
    return True


@pytest.mark.parametrize("pattern", PATTERNS)
def test_any_request_is_answered_and_a_refusal_leaves_nothing(api, pattern):
    entity(name="counter")(lambda context: None)
    rows.instance("order")
    places = len(re.findall("<", pattern))

    @any_request
    @given(METHODS, st.tuples(*[SEGMENTS] * places), PARAMETERS, HEADERS, CONTENT_TYPES, BODIES)
    def check(method, segments, parameters, headers, content_type, body):
        values = iter(segments)
        path = re.sub("<[^>]+>", lambda _: encoded(next(values)), f"/api/{pattern}")
        query = "&".join(f"{encoded(name)}={encoded(value)}" for name, value in parameters.items())
        before = written()
        try:
            with transaction.atomic():
                response = api.generic(method, f"{path}?{query}", body, content_type=content_type, headers=headers)
                assert response.status_code < 500 or response.status_code == 501, response.content
                assert is_json(response), (response.headers, response.content[:200])
                assert response.status_code < 400 or written() == before
                raise Undo
        except Undo:
            pass

    check()


@any_request
@given(VALUES)
def test_an_input_comes_back_as_it_was_sent_or_is_refused_with_its_path(api, value):
    text = json.dumps({"orchestrator": "echo", "input": value}, skipkeys=True)
    response = api.generic("POST", "/api/instances/", text, content_type="application/json")

    if response.status_code == 201:
        assert json.loads(api.get(response.json()["url"]).content)["input"] == json.loads(text)["input"]
    else:
        assert response.status_code == 400
        assert response.json()["errors"][0]["path"].startswith("$.input")
        assert refusable(value)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5_000 + b"]" * 5_000,
        b'{"orchestrator":"echo","input":' + b"1" * 100_000 + b"}",
        b'{"orchestrator":"echo","tags":{' + b",".join(b'"t%d":"v"' % n for n in range(10_000)) + b"}}",
        b'{"orchestrator":"echo",' + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}",
        b'{"orchestrator":"' + b"x" * 1_000_000 + b'"}',
        b'{"orchestrator":"echo","orchestrator":"echo","instance_id":"' + b"i" * 1_000 + b'"}',
        b'{"orchestrator":"echo","instance_id":"../x"}',
        b'{"orchestrator":"echo","start_at":"9999999999-01-01"}',
        b'{"orchestrator":"echo","start_at":1e400}',
        b'\xef\xbb\xbf{"orchestrator":"echo"',
    ],
    ids=range(10),
)
def test_a_body_that_would_exhaust_or_mislead_is_refused_and_starts_nothing(api, body):
    before = written()
    response = api.generic("POST", "/api/instances/", body, content_type="application/json")

    assert 400 <= response.status_code < 500, response.content[:300]
    assert response.headers["Content-Type"] == "application/problem+json"
    assert len(response.content) < 20_000, "what was sent does not come back at length"
    assert written() == before


def test_too_many_parameters_are_refused(api):
    response = api.get("/api/instances/?" + "&".join(f"a{number}=1" for number in range(2_000)))

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=" + b"x" * 11_000_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % number for number in range(2_000)), "application/x-www-form-urlencoded"),
        (b"--x", "multipart/form-data"),
        (b"--x", "multipart/form-data; boundary=x"),
    ],
    ids=["large", "many", "no boundary", "cut off"],
)
def test_a_form_of_a_browser_is_not_read(api, settings, body, content_type):
    settings.ROOT_URLCONF = "durable_admin.urls"
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(User.objects.get())
    browser.cookies["csrftoken"] = "c" * 32
    response = browser.generic("POST", "/api/instances/", body, content_type=content_type)

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
