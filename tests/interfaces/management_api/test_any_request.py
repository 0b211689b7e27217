"""Whatever is sent: an answer below 500 in JSON, a refusal that writes nothing, and values that come back as sent."""

from __future__ import annotations

import json
import math
from urllib.parse import quote

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrations import entity
from orchestrations.models import AuditEntry, InboxMessage, Instance
from tests import rows
from tests.authoring.strategies import TEXT, VALUES
from tests.interfaces.management_api.conftest import BASE, Caller

any_request = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PLACES = st.sampled_from([f"{BASE}/", "/durabletask/"])
BODIES = st.binary(max_size=64) | VALUES.map(
    lambda value: json.dumps(value, ensure_ascii=False, skipkeys=True).encode(errors="surrogatepass")
)
INSTANTS = st.datetimes().map(lambda instant: instant.isoformat())
NAMES = (
    "timeout pollingInterval showHistory showHistoryOutput showInput instanceIdPrefix createdTimeFrom createdTimeTo "
    "runtimeStatus RUNTIMESTATUS state reason recursive restartWithNewInstanceId step newInstanceId op top "
    "lastOperationTimeFrom lastOperationTimeTo from type execution groupBy name tag version taskHub fetchState "
    "includeEntities returnInternalServerErrorOnFailure code"
)
PARAMETERS = st.dictionaries(
    st.sampled_from(NAMES.split()),
    TEXT | INSTANTS | st.integers().map(str) | st.sampled_from(["true", "FALSE", "Failed,running", "nan", "1e309"]),
    max_size=4,
)
SEGMENTS = TEXT | st.sampled_from(["order", "1", "echo", "@counter@a", "..", "%2e", "$"])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        name: st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12)
        for name in ("x-ms-continuation-token", "Idempotency-Key", "Authorization", "x-functions-key-2")
    },
)
CONTENT_TYPES = st.sampled_from(["application/json", "text/plain", "", "application/json; charset=utf-16", "a/b; ;="])
ROUTES = [
    ("POST", "orchestrators/{}"),
    ("POST", "orchestrators/{}/{}"),
    ("GET", "instances"),
    ("DELETE", "instances"),
    ("GET", "instances/{}"),
    ("GET", "instances/count"),
    ("GET", "instances/{}/history"),
    ("PATCH", "instances/{}/tags"),
    ("GET", "instances/{}/approvals"),
    ("POST", "instances/{}/approvals/{}"),
    ("DELETE", "instances/{}"),
    ("POST", "instances/{}/raiseEvent/{}"),
    ("POST", "instances/{}/terminate"),
    ("POST", "instances/{}/suspend"),
    ("POST", "instances/{}/resume"),
    ("POST", "instances/{}/rewind"),
    ("POST", "instances/{}/restart"),
    ("POST", "instances/{}/fork"),
    ("POST", "instances:batch"),
    ("GET", "batches"),
    ("GET", "batches/{}"),
    ("POST", "batches/{}/stop"),
    ("GET", "entities"),
    ("GET", "entities/{}"),
    ("GET", "entities/{}/{}"),
    ("POST", "entities/{}/{}"),
    ("DELETE", "entities/{}/{}"),
    ("GET", "webhooks"),
    ("POST", "webhooks"),
    ("GET", "webhooks/{}"),
    ("PATCH", "webhooks/{}"),
    ("DELETE", "webhooks/{}"),
    ("POST", "webhooks/{}/rotateSecret"),
    ("GET", "webhooks/{}/deliveries"),
    ("POST", "webhooks/{}/deliveries/{}/resend"),
    ("GET", "openapi.json"),
    ("POST", "makeprimary"),
    ("PATCH", "{}/{}"),
]


def encoded(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="")


def written() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Instance, InboxMessage, AuditEntry))


class Undo(Exception):
    """Leaves the example's transaction."""


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=lambda part: part)
def test_any_request_is_answered_and_a_refusal_leaves_nothing(api: Caller, method, route):
    entity(name="counter")(lambda context: None)
    rows.instance("order")

    @any_request
    @given(PLACES, st.tuples(SEGMENTS, SEGMENTS), PARAMETERS, HEADERS, CONTENT_TYPES, BODIES)
    def check(base, segments, parameters, headers, content_type, body):
        path = base + route.format(*map(encoded, segments))
        query = "&".join(f"{name}={encoded(value)}" for name, value in parameters.items() if name != "timeout")
        before = written()
        try:
            with transaction.atomic():
                response = api.call(method, f"{path}?{query}", data=body, content_type=content_type, headers=headers)
                assert response.status_code < 500, response.content
                assert response.content == b"" or json.loads(response.content) is not ...
                assert response.status_code < 400 or written() == before
                raise Undo
        except Undo:
            pass

    check()


@any_request
@given(PLACES, VALUES)
@example("/durabletask/", "text")
@example(f"{BASE}/", {"a": [1, {"b": "\0"}]})
def test_an_input_comes_back_as_it_was_sent_or_is_refused_with_its_path(api: Caller, base, value):
    text = json.dumps(value, skipkeys=True)
    wraps = base == "/durabletask/"
    if wraps:
        text = json.dumps(text)
    response = api.post(f"{base}orchestrators/echo", text)

    if response.status_code == 202:
        told = api.get(f"instances/{response.json()['id']}")
        meant = json.loads(json.loads(text) if wraps else text)
        assert json.loads(told.content)["input"] == meant
    else:
        assert response.status_code == 400
        assert response.json()["Path"].startswith("$")
        assert refusable(value)


def refusable(value: object) -> bool:
    """Whether there is something in it that can't be stored: see reference/authoring."""
    if isinstance(value, dict):
        return any(refusable(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(refusable, value))
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) >= 10**300
    return isinstance(value, str) and any(code == 0 or 0xD800 <= code <= 0xDFFF for code in map(ord, value))


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"items": [{"name": "a\\u0000"}]}', "$.items[0].name"),
        ('{"n": 1e400}', "$.n"),
        ('["\\ud800"]', "$[0]"),
        ("[" * 65 + "]" * 65, "$" + "[0]" * 64),
        ('{"a": tru}', "$.a"),
    ],
)
@pytest.mark.parametrize("route", ["orchestrators/echo", "instances/order/raiseEvent/go", "entities/counter/a?op=add"])
def test_a_refusal_names_the_place(api: Caller, route, body, path):
    entity(name="counter")(lambda context: None)
    rows.instance("order")

    response = api.post(route, body)

    assert response.status_code == 400
    assert response.json()["Path"] == path
    assert not InboxMessage.objects.exists()


def test_too_many_parameters_are_refused_in_json(api: Caller):
    response = api.get("instances?" + "&".join(f"a{number}=1" for number in range(2_000)))

    assert response.status_code == 400
    assert response.json()["ExceptionMessage"]
