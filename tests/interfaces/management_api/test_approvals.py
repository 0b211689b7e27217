"""Questions to people as programs meet them: what is open, and an answer that the form has checked, once."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User

from orchestrations import OrchestrationClient
from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.authoring.forms import binding
from orchestrations.core.human import Approval
from orchestrations.errors import PermissionRefused
from orchestrations.interfaces.management_api.authentication import Capability
from orchestrations.models import AuditEntry, HumanTask, HumanVote, InboxMessage, Instance
from tests import asking, rows
from tests.interfaces.management_api.conftest import Caller

TOKEN = "x-ms-continuation-token"
APPROVE = {"answer": {"decision": "approve", "limit": 3}, "comment": "as agreed"}


@pytest.fixture
def order(db) -> Instance:
    return rows.instance("order", name="order_flow")


@pytest.fixture
def task(order) -> HumanTask:
    """Put to the finance approvers, two of whom have to agree, with a time to take it back."""
    return asking.ask(order, "Pay?", quorum_approve=2, undo_seconds=60)


def path(task: HumanTask, query: str = "") -> str:
    return f"instances/{task.instance.instance_id}/approvals/{task.pk}{query}"


def answer(caller: Caller, task: HumanTask, body: object, query: str = ""):
    return caller.post(path(task, query), json.dumps(body))


def test_an_answer_is_delivered_once_and_at_once_whatever_the_quorum(api, task):
    first = answer(api, task, APPROVE)
    second = answer(api, task, APPROVE)

    assert (first.status_code, first.json()["state"], first.json()["answeredBy"]) == (200, "answered", "system key")
    assert (second.status_code, second.json()["ExceptionType"]) == (409, "already_voted")
    message = InboxMessage.objects.get()
    assert json.loads(message.payload) == {"decision": "approve", "limit": "3", "reason": ""}
    told = json.loads(message.attributes)
    assert (told["by"], told["wait_id"]) == ("system key", task.wait_id)
    assert [vote["via"] for vote in told["answer"]["votes"]] == ["Management API"]
    vote = HumanVote.objects.get()
    assert (vote.username, vote.user, vote.comment) == ("system key", None, "as agreed")


def test_it_leaves_an_audit_row(task):
    robot = Caller(api_keys.issue("robot", [Verb.RAISE_EVENT])[1])

    assert answer(robot, task, APPROVE).status_code == 200
    entry = AuditEntry.objects.exclude(action="asked").get()
    assert (entry.action, entry.actor_name, entry.via, entry.reason) == (
        "voted",
        "API key robot",
        "Management API",
        "as agreed",
    )
    assert entry.details == {"event": "approval", "title": "Pay?", "outcome": "approve"}


def test_the_form_says_which_field_is_wrong_and_nothing_is_stored(api, task):
    response = answer(api, task, {"answer": {"decision": "reject", "limit": 9_000}})

    assert (response.status_code, response.json()["ExceptionType"]) == (422, "answer_rejected")
    assert set(response.json()["Errors"]) == {"$.limit", "$.reason"}
    assert not HumanVote.objects.exists()
    assert not InboxMessage.objects.exists()
    assert not AuditEntry.objects.exclude(action="asked").exists()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("", "$"),
        ("{}", "$"),
        ("[]", "$"),
        ('{"answer": {}, "coment": "x"}', "$"),
        ('{"answer": {}, "comment": 1}', "$.comment"),
        (json.dumps({"answer": {}, "comment": "x" * 2_001}), "$.comment"),
    ],
)
def test_a_body_that_is_no_answer_is_refused(api, task, body, place):
    response = api.post(path(task), body)

    assert (response.status_code, response.json()["Path"]) == (400, place)
    assert not HumanVote.objects.exists()


def test_who_was_quicker_is_told(api, task):
    asking.vote(task, "dana", "approve", "fine")
    HumanTask.objects.update(state="answered", answered_by="dana", outcome="approve")

    response = answer(api, task, APPROVE)

    assert (response.status_code, response.json()["ExceptionType"]) == (409, "human_task_closed")
    assert "dana approved this before you: fine" in response.json()["Message"]


def test_a_link_answers_what_is_put_to_everybody_and_nothing_else(api, stranger, order):
    everybody = asking.ask(order, "Pay?", groups=())
    certain = asking.ask(order, "Really?", groups=(), users=("dana",))
    left_out = asking.ask(order, "And you?", groups=(), exclude=("dana",))
    escalated = asking.ask(
        order, "Boss?", groups=(), escalated_at=rows.NOON, escalation=json.dumps({"groups": ["bosses"]})
    )
    raising, status = code(Verb.RAISE_EVENT), code(Verb.STATUS)

    for task in (certain, left_out):
        assert answer(stranger, task, APPROVE, raising).status_code == 403
    assert answer(stranger, everybody, APPROVE, status).status_code == 403
    assert answer(stranger, asking.ask("other", "Pay?", groups=()), APPROVE, raising).status_code == 403
    assert answer(stranger, everybody, APPROVE).status_code == 401
    assert not HumanVote.objects.exists()
    assert answer(stranger, everybody, APPROVE, raising).status_code == 200
    assert answer(stranger, escalated, APPROVE, raising).status_code == 200
    assert {vote.username for vote in HumanVote.objects.all()} == {"management link"}


def code(verb: Verb) -> str:
    """What a management link to the order ends with."""
    return f"?code={Capability(rows.HUB, 'order', verb).sign()}"


def test_a_key_needs_the_verb_and_the_name(task):
    reader = Caller(api_keys.issue("reader", [Verb.STATUS, Verb.LIST])[1])
    bills = Caller(api_keys.issue("bills", [Verb.RAISE_EVENT, Verb.STATUS], names="bill*")[1])

    assert answer(reader, task, APPROVE).status_code == 403
    assert answer(bills, task, APPROVE).status_code == 403
    assert bills.get("instances/order/approvals").status_code == 403
    assert reader.get("instances/order/approvals").status_code == 200


@pytest.mark.parametrize("number", ["0", "x", "-1", "99999999999999999999999", "²"])
def test_a_number_that_is_none_is_not_found(api, order, number):
    response = api.post(f"instances/order/approvals/{number}", json.dumps(APPROVE))

    assert (response.status_code, response.json()["ExceptionType"]) == (404, "human_task_not_found")


def test_a_question_is_found_at_its_own_instance_alone(api, task):
    rows.instance("other")

    assert api.post(f"instances/other/approvals/{task.pk}", json.dumps(APPROVE)).status_code == 404
    assert api.post(f"instances/nobody/approvals/{task.pk}", json.dumps(APPROVE)).status_code == 404
    assert not HumanVote.objects.exists()


def test_a_bare_verdict_is_what_it_always_was(api, order):
    form = binding.describe_form(Approval).as_dict()
    task = rows.task(order, "anyone", schema=json.dumps({**form, "plain": True}))

    assert answer(api, task, {"answer": {"approved": True}, "comment": "ok"}).status_code == 200
    verdict = {"approved": True, "comment": "ok", "by": "system key"}
    assert json.loads(InboxMessage.objects.get().payload) == verdict


def test_open_questions_are_listed_with_their_form_in_pages(api, order):
    asked = [asking.ask(order, title) for title in ("first", "second", "third")]
    asking.ask(order, "closed", state="answered")
    first = api.get("instances/order/approvals?top=2")
    second = api.get("instances/order/approvals?top=2", headers={TOKEN: first.headers[TOKEN]})

    told = first.json() + second.json()
    assert [question["id"] for question in told] == [task.pk for task in asked]
    assert TOKEN not in second.headers
    assert told[0]["summary"] == asking.SUMMARY
    assert [field["name"] for field in told[0]["form"]["fields"]] == ["decision", "limit", "reason"]
    assert told[0]["dueTime"].endswith("Z")


def test_what_the_instance_told_is_withheld_from_a_key_without_payloads(task):
    blind = Caller(api_keys.issue("blind", [Verb.STATUS])[1])
    response = blind.get("instances/order/approvals")

    [told] = response.json()
    assert response.headers["X-Durable-Payloads"] == "withheld"
    assert (told["title"], told["description"], told["summary"], told["initial"]) == ("Pay?", None, None, None)


def test_no_person_decides_as_a_program(task):
    for actor in (None, User.objects.create_superuser("root")):
        with pytest.raises(PermissionRefused):
            OrchestrationClient(actor=actor).decide_task(task.pk, APPROVE["answer"])
