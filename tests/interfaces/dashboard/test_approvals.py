"""The approval inbox: what reaches whom, and that a question is answered once."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Group, User
from django.db import connections
from django.test import Client

from orchestrations.models import AuditEntry, HistoryEvent, InboxMessage, Instance, OpenWait
from tests import rows

HTMX = {"HX-Request": "true"}


@pytest.fixture
def wait(db) -> OpenWait:
    """A question to the approvers."""
    waits = [{"kind": "ExternalEvent", "name": "decision", "title": "Pay 41 EUR?"}]
    request = {"title": "Pay 41 EUR?", "summary": {"Customer": "Acme"}, "groups": ["approvers"]}
    return rows.wait(rows.instance("one", waits=json.dumps(waits)), "decision", title="Pay 41 EUR?", request=request)


def url(wait: OpenWait) -> str:
    return f"/approvals/default/one/{wait.pk}/"


def taken_up(wait: OpenWait) -> None:
    """What the engine does with the answer."""
    message = InboxMessage.objects.get()
    HistoryEvent.objects.create(
        instance=wait.instance,
        execution=1,
        sequence=1,
        type=message.type,
        name=message.name,
        payload=message.payload,
        attributes=message.attributes,
        timestamp=rows.NOON,
    )
    message.delete()
    Instance.objects.filter(pk=wait.instance_id).update(status="Completed")
    OpenWait.objects.all().delete()


def test_the_inbox_holds_what_one_is_asked(approver, operator, wait):
    assert "Pay 41 EUR?" in approver.get("/approvals/").text
    assert "Nothing waits for you" in operator.get("/approvals/").text
    assert "<strong>1" in approver.get("/approvals/badge/").text


def test_a_question_to_nobody_in_particular_reaches_who_may_raise_events(operator, approver):
    rows.wait(rows.instance("one"), title="Anybody?")

    assert "Anybody?" in operator.get("/approvals/").text
    assert "Anybody?" not in approver.get("/approvals/").text


def test_an_approver_needs_no_other_right(approver, wait):
    text = approver.get(url(wait)).text

    assert "Acme" in text
    assert "Approve" in text
    assert "/hubs/default/i/one/" not in text


@pytest.mark.parametrize("decision, approved", [("approve", True), ("reject", False)])
def test_the_answer_is_the_event_that_is_awaited(approver, wait, decision, approved):
    response = approver.post(url(wait), {"decision": decision, "comment": "as agreed"})

    assert response.status_code == 302
    message = InboxMessage.objects.get()
    assert (message.type, message.name) == ("EventRaised", "decision")
    assert json.loads(message.payload) == {"approved": approved, "comment": "as agreed", "by": "approver"}
    assert AuditEntry.objects.get().actor_name == "approver"


def test_who_is_not_asked_may_look_but_not_answer(operator, wait):
    page = operator.get(url(wait)).text

    assert "You may look, but not answer" in page
    assert operator.post(url(wait), {"decision": "approve"}).status_code == 403
    assert not InboxMessage.objects.exists()


def test_who_is_neither_asked_nor_may_view_learns_nothing(sign_in, wait):
    User.objects.create_user("stranger")
    Group.objects.create(name="strangers")
    stranger = sign_in("stranger")

    assert stranger.get(url(wait)).status_code == 404
    assert stranger.post(url(wait), {"decision": "approve"}).status_code == 404


def test_an_answer_without_a_verdict_is_refused_and_keeps_what_was_typed(approver, wait):
    response = approver.post(url(wait), {"comment": "hm"})

    assert response.status_code == 422
    assert "Press Approve or Reject." in response.text
    assert ">\nhm</textarea>" in response.text


def test_a_second_answer_is_told_who_was_quicker(sign_in, approver, wait):
    User.objects.create_user("dana").groups.add(Group.objects.get(name="approvers"))
    sign_in("dana").post(url(wait), {"decision": "reject", "comment": "over the limit"})

    response = approver.post(url(wait), {"decision": "approve", "comment": "fine by me"})

    assert response.status_code == 409
    assert "dana rejected this already" in response.text
    assert "over the limit" in response.text
    assert "fine by me" in response.text
    assert InboxMessage.objects.count() == 1


def test_an_answer_after_it_was_taken_up_is_told_the_same(approver, wait):
    approver.post(url(wait), {"decision": "approve", "comment": "yes"})
    taken_up(wait)

    response = approver.post(url(wait), {"decision": "reject"}, headers=HTMX)

    assert response.status_code == 409
    assert "approver approved this already" in response.text


def test_who_has_answered_sees_what_became_of_it(approver, wait):
    before = approver.get(url(wait)).text
    version = re.search(r'data-watch="([^"]+)"', before)[1]
    assert approver.get(f"{url(wait)}tick/", {"v": version}).status_code == 204

    approver.post(url(wait), {"decision": "approve"})
    on_its_way = approver.get(f"{url(wait)}outcome/").text
    assert approver.get(f"{url(wait)}tick/", {"v": version})["HX-Trigger"] == '{"dash:arrivals": {}}'
    taken_up(wait)
    done = approver.get(f"{url(wait)}outcome/").text

    assert "A worker is about to hand the answer" in on_its_way
    assert "approver approved this" in done
    assert "Completed" in done
    assert "data-tick" not in done


def test_the_inbox_learns_of_new_questions_by_ticks(approver, wait):
    version = re.search(r'data-watch="([^"]+)"', approver.get("/approvals/").text)[1]

    assert approver.get("/approvals/tick/", {"v": version}).status_code == 204
    rows.wait(rows.instance("two"), title="And this?", request={"groups": ["approvers"]})
    assert approver.get("/approvals/tick/", {"v": version})["HX-Trigger"] == '{"dash:approvals": {}}'
    assert "And this?" in approver.get("/approvals/", headers=HTMX).text


@pytest.mark.django_db(transaction=True)
def test_of_two_who_answer_at_once_one_is_told_that_the_other_did(sign_in, wait):
    browsers = [sign_in("approver")]
    User.objects.create_user("dana").groups.add(Group.objects.get(name="approvers"))
    browsers.append(sign_in("dana"))
    together = threading.Barrier(len(browsers))

    def answer(browser: Client) -> int:
        together.wait()
        try:
            return browser.post(url(wait), {"decision": "approve"}).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(browsers)) as pool:
        statuses = sorted(pool.map(answer, browsers))

    assert statuses == [302, 409]
    assert InboxMessage.objects.count() == 1
    assert AuditEntry.objects.count() == 1
