"""Bare events for questions to people: the form judges them at every door, and a person's is a vote like any other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from orchestrations.authoring.forms import binding
from orchestrations.models import AuditEntry, HumanTask, HumanVote, InboxMessage, OpenWait
from tests import rows
from tests.functions import registered

KEY = "correct horse battery staple"


@dataclass
class Decision:
    """What is asked for."""

    decision: Literal["approve", "reject"]
    limit: int = 100


@pytest.fixture(autouse=True)
def site(settings):
    settings.DURABLE = {"SYSTEM_KEY": KEY}
    with registered():
        yield


@pytest.fixture
def task(db) -> HumanTask:
    """A question that takes two approvals, put to dana and max."""
    order = rows.instance("order")
    assignment = {"users": ["dana", "max"]}
    task = rows.task(
        order, "user:dana", "user:max",
        form="tests.Decision", schema=json.dumps(binding.describe_form(Decision).as_dict()),
        assignment=json.dumps(assignment), quorum_approve=2,
    )  # fmt: skip
    OpenWait.objects.create(
        hub=order.hub, instance=order, execution=1, wait_id=task.wait_id, name="decision", since=rows.NOON,
        title="Pay?", request=json.dumps(assignment),
    )  # fmt: skip
    return task


def person(name: str, *permissions: str) -> APIClient:
    user = User.objects.create_user(name)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    caller = APIClient()
    caller.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=user).key}")
    return caller


def by_program(body: object, query: str = ""):
    address = f"/runtime/webhooks/durabletask/instances/order/raiseEvent/Decision{query}"
    return Client(headers={"x-functions-key": KEY}).post(address, json.dumps(body), content_type="application/json")


EVENTS = "/api/instances/order/events/decision/"


def test_what_a_person_raises_is_one_vote(task):
    dana = person("dana")

    assert dana.post(EVENTS, {"decision": "approve"}, format="json").status_code == 202
    second = dana.post(EVENTS, {"decision": "approve"}, format="json")

    assert (second.status_code, second.json()["code"]) == (409, "already_voted")
    assert HumanVote.objects.get().username == "dana"
    assert not InboxMessage.objects.exists(), "it takes two"
    assert person("max").post(EVENTS, {"decision": "approve", "limit": 3}, format="json").status_code == 202
    assert json.loads(InboxMessage.objects.get().payload) == {"decision": "approve", "limit": 3}


def test_a_person_is_told_which_field_is_wrong(task):
    response = person("dana").post(EVENTS, {"decision": "maybe", "limit": "x"}, format="json")

    assert (response.status_code, response.json()["code"]) == (422, "answer_rejected")
    assert {error["path"] for error in response.json()["errors"]} == {"$.decision", "$.limit"}
    assert not HumanVote.objects.exists()


def test_a_program_is_judged_too_and_told_which_field_is_wrong(task):
    response = by_program({"decision": "maybe"})

    assert response.status_code == 422
    assert set(response.json()["Errors"]) == {"$.decision"}
    assert not InboxMessage.objects.exists()
    assert by_program({"decision": "reject"}).status_code == 202
    assert json.loads(InboxMessage.objects.get().payload) == {"decision": "reject", "limit": 100}


def test_going_past_the_form_needs_its_permission_and_is_marked(task):
    body = {"anything": 1}
    refused = person("dana").post(f"{EVENTS}?unvalidated=true", body, format="json")
    allowed = person("max", "raise_unvalidated").post(f"{EVENTS}?unvalidated=true", body, format="json")

    assert (refused.status_code, allowed.status_code) == (403, 202)
    assert by_program(body, "?unvalidated=true").status_code == 202
    marked = AuditEntry.objects.filter(action="raise_unvalidated").values_list("actor_name", "via")
    assert list(marked) == [("max", "API"), ("system key", "Management API")]
    assert InboxMessage.objects.count() == 2


def test_the_dashboard_judges_as_well(task):
    dana = User.objects.create_user("dana")
    dana.user_permissions.set(Permission.objects.filter(codename__in=["raise_event", "view_instance"]))
    browser = Client()
    browser.force_login(dana)
    address = "/hubs/default/i/order/do/raise/"

    response = browser.post(address, {"name": "decision", "payload": '{"decision": "maybe"}'})

    assert response.status_code == 422
    assert "decision" in response.text
    assert not HumanVote.objects.exists()


def test_other_events_are_raised_as_ever(task):
    assert (
        person("joe", "raise_event").post("/api/instances/order/events/other/", [1], format="json").status_code == 202
    )
    assert InboxMessage.objects.get().payload == "[1]"
