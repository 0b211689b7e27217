"""Programs with an API key: how they present it, what it opens, and that it ends."""

from __future__ import annotations

import re

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrations.access import api_keys
from orchestrations.access.api_keys import ACTIONS, Verb
from orchestrations.access.permissions import Action
from orchestrations.core.events import EventType
from orchestrations.interfaces.api.urls import urlpatterns
from orchestrations.models import ApiKey, AuditEntry, Instance
from tests import rows

pytestmark = pytest.mark.django_db
INSTANCES = "/api/instances/"


def robot(*verbs: Verb, scheme: str = "x-functions-key", name: str = "robot", **options) -> APIClient:
    _, text = api_keys.issue(name, verbs, **options)
    client = APIClient()
    if scheme == "x-functions-key":
        client.credentials(HTTP_X_FUNCTIONS_KEY=text)
    else:
        client.credentials(HTTP_AUTHORIZATION=f"{scheme} {text}")
    return client


@pytest.mark.parametrize("scheme", ["x-functions-key", "Api-Key", "api-key", "Bearer"])
def test_a_key_comes_in_its_own_header_or_in_the_usual_one(scheme):
    assert robot(Verb.LIST, scheme=scheme).get(INSTANCES).status_code == 200


@pytest.mark.parametrize(
    "end",
    [
        {"expires_at": timezone.now()},
        {"revoked_at": timezone.now()},
        {"digest": "of another"},
    ],
)
def test_a_key_that_has_ended_opens_nothing(end):
    api = robot(Verb.LIST)
    ApiKey.objects.update(**end)
    response = api.get(INSTANCES)

    assert (response.status_code, response.json()["code"]) == (401, "invalid_key")


def test_a_wrong_key_is_refused_even_beside_a_valid_session(django_user_model):
    api = APIClient()
    api.force_login(django_user_model.objects.create_superuser("root"))

    assert api.get(INSTANCES).status_code == 200
    assert api.get(INSTANCES, headers={"x-functions-key": "dfk_wrong"}).status_code == 401


@pytest.mark.parametrize(
    ("verb", "method", "address", "expected"),
    [
        (Verb.LIST, "get", INSTANCES, 200),
        (Verb.LIST, "get", "/api/instance-counts/", 200),
        (Verb.STATUS, "get", f"{INSTANCES}order/", 200),
        (Verb.STATUS, "get", f"{INSTANCES}order/history/", 200),
        (Verb.STATUS, "get", f"{INSTANCES}order/waits/", 200),
        (Verb.START, "post", INSTANCES, 201),
        (Verb.RAISE_EVENT, "post", f"{INSTANCES}order/events/paid/", 202),
        (Verb.TERMINATE, "post", f"{INSTANCES}order/terminate/", 202),
        (Verb.SUSPEND, "post", f"{INSTANCES}order/suspend/", 202),
        (Verb.RESUME, "post", f"{INSTANCES}order/resume/", 202),
        (Verb.REWIND, "post", f"{INSTANCES}order/rewind/", 409),
        (Verb.RESTART, "post", f"{INSTANCES}order/restart/", 201),
        (Verb.FORK, "post", f"{INSTANCES}order/fork/", 400),
        (Verb.PURGE, "delete", f"{INSTANCES}order/", 409),
        (Verb.LIST_ENTITIES, "get", "/api/entities/", 200),
        (Verb.READ_ENTITY, "get", "/api/entities/counter/a/", 404),
    ],
)
def test_a_key_opens_its_verb_and_no_other(verb, method, address, expected):
    rows.instance("order")
    body = {"orchestrator": "echo"} if verb is Verb.START else {}
    others = [other for other in Verb if other is not verb]

    assert getattr(robot(verb), method)(address, body, format="json").status_code == expected
    refused = getattr(robot(*others, name="other"), method)(address, body, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_refused")


@pytest.mark.parametrize("address", ["/api/approvals/", "/api/approvals/1/"])
def test_no_program_answers_for_people(address):
    api = robot(*Verb)

    assert api.get(address).status_code == 403
    assert api.post(address, {"approved": True}, format="json").status_code in (403, 405)


def test_every_address_is_closed_to_a_key_without_verbs():
    rows.instance("order")
    api = robot()
    for pattern in urlpatterns:
        if pattern.name in {"docs", "redoc", "root", "schema", "nowhere", "with_slash"}:
            continue
        address = re.sub("<(str|int):[^>]+>", "1", f"/api/{pattern.pattern}")
        for method in ("get", "post", "delete", "patch", "put"):
            assert getattr(api, method)(address).status_code in (403, 405), (method, address)


def test_a_key_of_another_hub_opens_nothing():
    assert robot(*Verb, hub="other").get(INSTANCES).status_code == 403


def test_a_key_ends_at_its_names():
    rows.instance("order", name="echo")
    rows.instance("secret", name="payroll_run")
    api = robot(*Verb, names="ec*")

    assert [row["instance_id"] for row in api.get(INSTANCES).json()["results"]] == ["order"]
    assert api.get(f"{INSTANCES}order/").status_code == 200
    assert api.get(f"{INSTANCES}secret/").json()["code"] == "instance_not_found"
    assert api.post(f"{INSTANCES}secret/terminate/").status_code == 404
    assert api.post(INSTANCES, {"orchestrator": "echo"}, format="json").status_code == 201
    assert api.post(INSTANCES, {"orchestrator": "settle_expense"}, format="json").status_code == 403
    assert {row["name"] for row in api.get("/api/functions/").json()} == {"echo"}
    assert api.get("/api/workers/").status_code == 403, "workers tell of everything"


def test_payloads_are_a_verb_of_their_own():
    order = rows.instance("order", input='"secret"', output='"secret"')
    rows.history(order, (EventType.EXECUTION_STARTED, {"payload": '"secret"'}))
    addresses = (f"{INSTANCES}order/", f"{INSTANCES}order/history/")

    api = robot(Verb.STATUS)
    for address in addresses:
        response = api.get(address)
        assert "secret" not in response.text
        assert response.json()["payloads"] == "withheld"
    ApiKey.objects.update(verbs=["status", "readPayloads"])
    for address in addresses:
        response = api.get(address)
        assert "secret" in response.text
        assert response.json()["payloads"] == "shown"


def test_the_audit_names_the_key():
    robot(Verb.START).post(INSTANCES, {"orchestrator": "echo"}, format="json")
    entry = AuditEntry.objects.get()

    assert (entry.actor_name, entry.actor, entry.via) == ("API key robot", None, "API")


def test_two_programs_do_not_share_idempotency_keys():
    body, headers = {"orchestrator": "echo"}, {"Idempotency-Key": "k"}
    first, second = robot(Verb.START), robot(Verb.START, name="second")

    assert first.post(INSTANCES, body, format="json", headers=headers).status_code == 201
    assert first.post(INSTANCES, body, format="json", headers=headers).status_code == 200
    assert second.post(INSTANCES, body, format="json", headers=headers).status_code == 201
    assert Instance.objects.count() == 2


def test_a_key_has_its_number_of_requests_in_a_minute_whatever_the_interface():
    api = robot(Verb.LIST, requests_per_minute=2)
    with time_machine.travel(timezone.now().replace(second=1), tick=False):
        answers = [api.get(INSTANCES) for _ in range(3)]

    refused = answers[-1]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "throttled"
    assert 58 <= int(refused.headers["Retry-After"]) <= 60


def test_every_verb_stands_for_acts():
    assert set(ACTIONS) == set(Verb)
    assert Action.VIEW_PAYLOADS in ACTIONS[Verb.READ_PAYLOADS]
