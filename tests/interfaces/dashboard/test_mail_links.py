"""Links in messages: reading decides nothing, a code typed by hand does, and a link that is over says why."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from orchestrations.models import AuditEntry, HumanNotice, HumanTask, HumanVote, InboxMessage
from orchestrations.notices.links import code_for, token_for
from tests.asking import Refund, ask

YES = {"decision": "approve"}


@pytest.fixture(autouse=True)
def by_code(settings):
    settings.DURABLE = {**settings.DURABLE, "LINK_ANSWERS": "code"}


@pytest.fixture
def notice(approver) -> HumanNotice:
    """A message to the approver about a question."""
    task = ask("one", "Pay 41 EUR?", groups=("approvers",), on_timeout='{"decision": "reject"}')
    return message(task)


def message(task: HumanTask, name: str = "approver") -> HumanNotice:
    recipient = User.objects.get(username=name)
    return HumanNotice.objects.create(
        hub=task.hub, task=task, instance=task.instance, kind="asked", channel="email", recipient=recipient
    )


def url(notice: HumanNotice) -> str:
    return f"/approvals/t/{token_for(notice, notice.task)}/"


def code(notice: HumanNotice) -> str:
    return code_for(notice, notice.task)


def wrong(notice: HumanNotice) -> str:
    return "000000" if code(notice) != "000000" else "111111"


def rows() -> tuple[object, ...]:
    tasks = tuple(HumanTask.objects.values_list())
    return tasks, *(tuple(model.objects.values_list()) for model in (HumanNotice, HumanVote, AuditEntry, InboxMessage))


def test_reading_changes_nothing_however_often(notice, client):
    before = rows()

    for method in (client.get, client.get, client.get, client.get, client.get, client.head):
        assert method(url(notice)).status_code == 200

    assert rows() == before


def test_the_page_keeps_its_address_to_itself(notice, client):
    response = client.get(url(notice))

    assert response["Referrer-Policy"] == "no-referrer"
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in response["Cache-Control"]
    assert code(notice) not in response.text


def test_the_code_answers_in_the_name_of_the_recipient_once(notice, client):
    spaced = f"{code(notice)[:3]} {code(notice)[3:]}"

    response = client.post(url(notice), {**YES, "code": spaced, "reason": "as agreed"}, follow=True)

    assert response.status_code == 410
    assert "You have already answered this" in response.text
    assert json.loads(InboxMessage.objects.get().payload)["reason"] == "as agreed"
    vote = HumanVote.objects.get()
    assert (vote.username, vote.via) == ("approver", "E-mail link")
    assert AuditEntry.objects.get(action="voted").via == "E-mail link"
    again = client.post(url(notice), {**YES, "code": code(notice)})
    assert (again.status_code, "already answered" in again.text) == (410, True)
    assert InboxMessage.objects.count() == 1


def test_the_link_alone_answers_nothing(notice, client):
    response = client.post(url(notice), {**YES, "reason": "quick"})

    assert response.status_code == 422
    assert "Type the six digits" in response.text
    assert "quick</textarea>" in response.text
    assert not HumanVote.objects.exists()


def test_wrong_codes_are_counted_and_then_only_signing_in_helps(notice, client):
    for left in (4, 3, 2, 1):
        response = client.post(url(notice), {**YES, "code": wrong(notice)})
        assert (response.status_code, f"{left} more" in response.text) == (422, True)

    last = client.post(url(notice), {**YES, "code": wrong(notice), "reason": "my words"})
    assert (last.status_code, "my words" in last.text) == (429, True)
    right = client.post(url(notice), {**YES, "code": code(notice)})
    assert (right.status_code, "Too many wrong codes" in right.text) == (429, True)
    assert client.get(url(notice)).status_code == 429
    assert not HumanVote.objects.exists()


def test_a_bad_answer_is_refused_by_the_form_and_the_code_is_not_asked_again(notice, client):
    response = client.post(url(notice), {"decision": "reject", "code": code(notice)})

    assert response.status_code == 422
    assert "Required when you reject." in response.text
    assert f'value="{code(notice)}"' in response.text
    assert not HumanVote.objects.exists()


def test_rows_are_added_without_a_code(approver, client):
    notice = message(ask("one", "Refund?", groups=("approvers",), form=Refund))

    response = client.post(url(notice), {"lines-0-article": "bolt", "lines-add": "1"})

    assert response.status_code == 200
    assert re.findall(r'name="lines-(\d)-article"', response.text) == ["0", "1"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "answered", "answered_by": "dana", "outcome": "reject"}, "dana rejected this"),
        ({"state": "expired", "on_timeout": '{"decision": "reject"}'}, "Expired, rejected automatically"),
        ({"state": "withdrawn"}, "Withdrawn"),
        ({"link_version": 2}, "passed on to somebody"),
        ({"due_at": timezone.now()}, "The time to answer is over"),
    ],
)
def test_a_link_that_is_over_says_why_and_answers_nothing(notice, client, change, words):
    address = url(notice)
    HumanTask.objects.update(**change)

    for response in (client.get(address), client.post(address, {**YES, "code": code(notice)})):
        assert response.status_code == 410
        assert words in response.text
        assert "Pay 41 EUR?" in response.text
    assert not HumanVote.objects.exists()


def test_who_was_quicker_while_one_typed_is_named_and_what_was_typed_is_kept(notice, client, sign_in, monkeypatch):
    User.objects.create_user("dana").groups.add(Group.objects.get(name="approvers"))
    from orchestrations.interfaces.dashboard.views import mail_links

    def dana_first(link: object, typed: str, using: str) -> bool:
        sign_in("dana").post(f"/approvals/{notice.task_id}/", {"decision": "reject", "reason": "no"})
        return True

    monkeypatch.setattr(mail_links, "check_code", dana_first)
    response = client.post(url(notice), {**YES, "code": "1", "reason": "my words"})

    assert response.status_code == 409
    assert "dana rejected this before you" in response.text
    assert "my words" in response.text
    assert InboxMessage.objects.count() == 1


def test_who_is_signed_in_goes_to_the_page_of_the_question(notice, approver):
    assert approver.get(url(notice))["Location"] == f"/approvals/{notice.task_id}/"


def test_where_the_site_asks_for_a_session_the_link_tells_nothing_without(notice, client, settings):
    settings.DURABLE = {**settings.DURABLE, "LINK_ANSWERS": "login"}

    for response in (client.get(url(notice)), client.post(url(notice), {**YES, "code": code(notice)})):
        assert response["Location"] == f"/accounts/login/?next=/approvals/{notice.task_id}/"
        assert "41 EUR" not in response.text
    assert not HumanVote.objects.exists()


def test_a_link_that_was_altered_leads_nowhere(notice, client):
    response = client.get(f"/approvals/t/{token_for(notice, notice.task)[:-1]}x/")

    assert response.status_code == 404
    assert "leads nowhere" in response.text
    assert client.get("/approvals/t/nonsense/").status_code == 404


def test_a_post_needs_the_token_of_the_page(notice):
    strict = Client(enforce_csrf_checks=True)
    page = strict.get(url(notice)).text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    answer = {**YES, "code": code(notice)}

    assert strict.post(url(notice), answer).status_code == 403
    assert strict.post(url(notice), answer, headers={"Origin": "null"}).status_code == 403
    elsewhere = {"Origin": "https://elsewhere.example"}
    assert strict.post(url(notice), {**answer, "csrfmiddlewaretoken": token}, headers=elsewhere).status_code == 403
    assert not HumanVote.objects.exists()
    # What browsers send from a page whose address is to be kept from others.
    sent = strict.post(url(notice), {**answer, "csrfmiddlewaretoken": token}, headers={"Origin": "null"})
    assert sent.status_code == 302
