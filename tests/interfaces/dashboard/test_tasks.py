"""The page of one question: who may see and answer it, what a bad or late answer gets, and what else one can do."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrations.interfaces.dashboard.human import told
from orchestrations.models import AuditEntry, HumanComment, HumanFollowUp, HumanTask, HumanVote, InboxMessage, Instance
from tests import rows
from tests.asking import Refund, ask, closed, say, vote

HTMX = {"HX-Request": "true"}
GROUPS = ("approvers",)
YES = {"decision": "approve"}


@pytest.fixture
def dana(sign_in, approver) -> Client:
    """Another approver."""
    User.objects.create_user("dana").groups.add(Group.objects.get(name="approvers"))
    return sign_in("dana")


@pytest.fixture
def task(approver) -> HumanTask:
    """A question to the approvers."""
    return ask("one", "Pay 41 EUR?", groups=GROUPS, on_timeout='{"decision": "reject"}')


def url(task: HumanTask) -> str:
    return f"/approvals/{task.pk}/"


def events() -> list[dict[str, object]]:
    return [json.loads(message.payload) for message in InboxMessage.objects.order_by("pk")]


def test_the_page_says_what_why_who_and_what_silence_does(approver, task):
    page = approver.get(url(task)).text

    assert "Acme GmbH" in page
    assert "Over the 1,000 EUR limit" in page
    assert "Any one of approvers." in page
    assert re.search(r"If nobody answers</dt><dd>Rejected at <time", page)
    assert page.index("If nobody answers") < page.index('type="radio"')


def test_an_approver_needs_no_other_right_and_sees_no_operations(approver, operator, task):
    page = approver.get(url(task)).text

    assert 'type="radio" name="decision" value="approve"' in page
    assert "checked" not in page
    assert "/hubs/default/i/one/" not in page
    assert "/hubs/default/i/one/" in operator.get(url(task)).text


def test_the_answer_is_the_event_that_is_awaited(approver, task):
    response = approver.post(url(task), {**YES, "limit": "1200.50", "reason": "as agreed"})

    assert response["Location"] == url(task)
    assert events() == [{"decision": "approve", "limit": "1200.50", "reason": "as agreed"}]
    assert AuditEntry.objects.filter(action="voted").get().actor_name == "approver"
    page = approver.get(url(task)).text
    assert "You approved this. The answer is on its way to the orchestrator." in page
    assert "approver approved this" in page


@pytest.mark.parametrize("path", ["", "state/", "tick/", "do/claim/", "do/delegate/"])
def test_who_is_neither_asked_nor_may_view_learns_nothing(sign_in, task, path):
    User.objects.create_user("stranger")
    Group.objects.create(name="strangers")

    assert sign_in("stranger").get(f"{url(task)}{path}").status_code == 404
    assert sign_in("stranger").post(url(task), YES).status_code == 404
    assert not HumanVote.objects.exists()


def test_who_may_view_and_is_not_asked_is_told_whom_it_asks(viewer, task):
    page = viewer.get(url(task)).text

    assert "You may look, but not answer." in page
    assert 'name="decision"' not in page
    assert viewer.post(url(task), YES).status_code == 403
    assert not HumanVote.objects.exists()


def test_who_asked_sees_no_form_and_the_reason(approver):
    task = ask("one", "Mine", groups=GROUPS, exclude=("approver",))

    page = approver.get(url(task)).text

    assert "You asked for this" in page
    assert 'name="decision"' not in page
    assert approver.post(url(task), YES).status_code == 403


def test_a_refused_answer_keeps_what_was_typed_and_leads_to_the_field(approver, task):
    response = approver.post(url(task), {"decision": "reject", "limit": "9000", "reason": " "})

    assert response.status_code == 422
    links = re.findall(r'<a href="#([^"]+)">([^<]+)</a></li>', response.text)
    assert [words for _, words in links] == [
        "New limit (EUR): Ensure this value is less than or equal to 5000.",
        "Reason: Required when you reject.",
    ]
    assert all(f'id="{target}"' in response.text for target, _ in links)
    assert 'value="9000"' in response.text
    assert re.search(r'value="reject"[^>]* checked', response.text)
    assert "<title>Not sent: " in response.text
    assert not InboxMessage.objects.exists()
    assert not HumanVote.objects.exists()


def test_send_and_next_leads_to_the_next_question_and_in_the_end_to_the_inbox(approver, task):
    later = ask("two", "And this?", groups=GROUPS, due_in=timedelta(hours=5))
    assert "Send and next" in approver.get(url(task)).text

    assert approver.post(url(task), {**YES, "send": "next"})["Location"] == url(later)
    assert "Send and next" not in approver.get(url(later)).text
    assert approver.post(url(later), {**YES, "send": "next"})["Location"] == "/approvals/"


def test_with_a_quorum_of_two_the_first_vote_keeps_it_open(approver, dana):
    task = ask("one", "Four eyes", groups=GROUPS, quorum_approve=2)

    approver.post(url(task), YES)

    page = approver.get(url(task)).text
    assert "1 of 2 approvals" in page
    assert "You have answered. It waits for others now." in page
    assert 'name="decision"' not in page
    assert not events()
    second = approver.post(url(task), YES)
    assert (second.status_code, "Each person has one vote" in second.text) == (409, True)
    dana.post(url(task), YES)
    assert len(events()) == 1


def test_a_late_answer_is_told_who_was_quicker_when_and_why(approver, dana, task):
    dana.post(url(task), {"decision": "reject", "reason": "over the limit"})
    HumanVote.objects.update(comment="over the limit")

    response = approver.post(url(task), {**YES, "reason": "fine by me"})

    assert response.status_code == 409
    assert "dana rejected this" in response.text
    assert "over the limit" in response.text
    assert "fine by me" in response.text
    assert re.search(r"<dt>Decision</dt><dd[^>]*>Approve<", response.text)
    assert len(events()) == 1


def test_an_answer_after_the_deadline_is_not_sent(approver):
    task = ask("one", "Late", groups=GROUPS, due_in=-timedelta(seconds=1), on_timeout='{"decision": "reject"}')

    page = approver.get(url(task)).text
    response = approver.post(url(task), {**YES, "reason": "sorry"})

    assert "The time was over" in page
    assert 'name="decision"' not in page
    assert (response.status_code, "The time to answer was over" in response.text) == (409, True)
    assert "sorry" in response.text
    assert not events()


def test_what_expired_says_what_the_deadline_gave(approver, task):
    HumanTask.objects.update(state="expired", closed_at=timezone.now())

    assert "Expired, rejected automatically" in approver.get(url(task)).text


def test_a_suspended_instance_keeps_the_answer_and_says_so(approver, task):
    Instance.objects.update(status="Suspended")

    assert "kept, and delivered when it is resumed" in approver.get(url(task)).text
    approver.post(url(task), YES)
    assert "the answer is kept and delivered when it is resumed" in approver.get(url(task)).text


def test_a_form_whose_code_is_not_here_is_drawn_from_what_was_stored(approver, task):
    schema = {**json.loads(task.schema), "path": "claims.human.Gone"}
    HumanTask.objects.update(form="claims.human.Gone", schema=json.dumps(schema))

    assert "checked with the stored form" in approver.get(url(task)).text
    assert approver.post(url(task), {**YES, "limit": "9000"}).status_code == 422
    assert approver.post(url(task), YES).status_code == 302


def test_a_row_is_added_without_a_verdict_on_what_was_typed(approver):
    task = ask("one", "Refund?", groups=GROUPS, form=Refund)

    response = approver.post(url(task), {"lines-0-article": "bolt", "lines-add": "1", "mail": "nonsense"})

    assert response.status_code == 200
    assert re.findall(r'name="lines-(\d)-article"', response.text) == ["0", "1"]
    assert 'value="bolt"' in response.text
    assert "problem" not in response.text
    assert not HumanVote.objects.exists()


def test_whoever_was_signed_out_while_typing_signs_in_and_loses_nothing(approver, sign_in, task):
    browser = sign_in("anonymous")
    typed = {"decision": "reject", "reason": "a long story <b>"}

    asked = browser.post(url(task), typed)
    assert asked.status_code == 401
    assert 'name="reason" value="a long story &lt;b&gt;"' in asked.text
    wrong = browser.post(url(task), {**typed, "username": "approver", "password": "no", "sign-in-again": "1"})
    assert (wrong.status_code, "do not match" in wrong.text) == (401, True)

    again = {**typed, "username": "approver", "password": "open-sesame", "sign-in-again": "1"}
    shown = browser.post(url(task), again)

    assert shown.status_code == 200
    assert "a long story &lt;b&gt;</textarea>" in shown.text
    assert "You are signed in again" in shown.text
    assert "open-sesame" not in shown.text
    assert not HumanVote.objects.exists()
    assert browser.post(url(task), typed).status_code == 302


def test_a_get_without_a_session_leads_to_the_sign_in_page(sign_in, task):
    assert sign_in("anonymous").get(url(task))["Location"] == f"/accounts/login/?next={url(task)}"


def test_a_comment_is_read_by_the_others_and_answers_nothing(approver, dana, task):
    approver.post(f"{url(task)}comment/", {"text": "Who knows them?"})

    assert "Who knows them?" in dana.get(url(task)).text
    assert not HumanVote.objects.exists()
    empty = approver.post(f"{url(task)}comment/", {"text": " "})
    assert (empty.status_code, "Write something" in empty.text) == (422, True)


def test_a_comment_and_a_claim_leave_the_page_where_it_is(approver, task):
    bad = approver.post(f"{url(task)}comment/", {"text": " "}, headers=HTMX)
    said = approver.post(f"{url(task)}comment/", {"text": "Who knows them?"}, headers=HTMX)
    claimed = approver.post(f"{url(task)}do/claim/", headers=HTMX)
    again = approver.post(f"{url(task)}do/claim/", headers=HTMX)

    assert [answer.status_code for answer in (bad, said, claimed, again)] == [422, 200, 204, 409]
    assert "Write something" in bad.text
    assert "Who knows them?" in said.text
    assert "<html" not in bad.text + said.text + again.text
    assert "data-answer" not in bad.text + said.text
    assert [json.loads(answer["HX-Trigger"])["dash:done"]["message"] for answer in (said, claimed)] == [
        "Your comment is added.",
        "You took this on.",
    ]
    assert not [name for answer in (said, claimed) for name in answer.headers if name == "HX-Redirect"]


def test_what_one_person_takes_on_the_others_leave_until_it_is_released(approver, dana, task):
    approver.post(f"{url(task)}do/claim/")

    assert "taken on by approver" in dana.get(url(task)).text
    assert "Once it is released, you can answer" in dana.get(url(task)).text
    assert dana.post(url(task), YES).status_code == 403
    refused = dana.post(f"{url(task)}do/claim/")
    assert (refused.status_code, "It is assigned to somebody." in refused.text) == (409, True)
    assert "Delegate" not in dana.get(url(task)).text
    approver.post(f"{url(task)}do/release/")
    assert dana.post(url(task), YES).status_code == 302


def test_a_question_is_handed_on_with_a_reason(approver, sign_in, task):
    User.objects.create_user("kim")
    Group.objects.create(name="kims")
    page = approver.get(f"{url(task)}do/delegate/").text
    assert "To whom" in page
    nobody = approver.post(f"{url(task)}do/delegate/", {"to": "nemo", "reason": "on leave"})
    assert (nobody.status_code, "Nobody with that user name" in nobody.text) == (422, True)

    response = approver.post(f"{url(task)}do/delegate/", {"to": "kim", "reason": "on leave"})

    assert response["Location"] == "/approvals/"
    assert "kim is asked now." in approver.get("/approvals/").text
    shown = sign_in("kim").get(url(task)).text
    assert "handed this on to kim" in shown
    assert "on leave" in shown
    assert sign_in("kim").post(url(task), YES).status_code == 302


def test_who_was_left_out_stays_out_when_a_question_is_handed_on(approver):
    User.objects.create_user("kim")
    task = ask("one", "Not kim", groups=GROUPS, exclude=("kim",))

    response = approver.post(f"{url(task)}do/delegate/", {"to": "kim", "reason": "on leave"})

    assert (response.status_code, "kim was left out" in response.text) == (422, True)


def test_acts_open_in_the_dialog_and_close_it(approver, task):
    dialog = approver.get(f"{url(task)}do/follow-up/", headers=HTMX)
    assert "<html" not in dialog.text
    assert 'id="dialog-title"' in dialog.text
    past = approver.post(f"{url(task)}do/follow-up/", {"until": "2020-01-01"}, headers=HTMX)
    assert (past.status_code, "after today" in past.text) == (422, True)

    until = f"{timezone.now() + timedelta(days=2):%Y-%m-%d}"
    done = approver.post(f"{url(task)}do/follow-up/", {"until": until}, headers=HTMX)

    assert (done.status_code, done["HX-Redirect"]) == (204, "/approvals/")
    assert approver.get(f"{url(task)}do/nonsense/").status_code == 404


def test_nothing_can_be_done_with_a_closed_question_but_talk(approver):
    task = closed("Over", "one", "withdrawn", timedelta(minutes=1), groups=GROUPS)

    page = approver.get(url(task)).text

    assert "Withdrawn" in page
    assert "Delegate" not in page
    refused = approver.post(f"{url(task)}do/claim/")
    assert (refused.status_code, "Withdrawn: the orchestrator no longer waits for it." in refused.text) == (409, True)
    assert approver.post(url(task), YES).status_code == 409
    assert approver.post(f"{url(task)}comment/", {"text": "a pity"}).status_code == 302


@pytest.mark.parametrize(
    ("slug", "told"),
    [
        ("claim", {}),
        ("delegate", {"to": "dana", "reason": "on leave"}),
        ("follow-up", {"until": f"{timezone.now() + timedelta(days=2):%Y-%m-%d}"}),
    ],
)
def test_nothing_is_done_with_a_question_whose_time_is_over(approver, dana, slug, told):
    task = ask("one", "Overdue", groups=GROUPS, due_in=-timedelta(minutes=1))
    assert "What else you can do" not in approver.get(url(task)).text
    act = f"{url(task)}do/{slug}/"

    answers = [approver.get(act), approver.post(act, told), approver.post(act, told, headers=HTMX)]

    assert [answer.status_code for answer in answers] == [409] * 3
    assert all("The time to answer is over. Nothing was changed." in answer.text for answer in answers)
    assert HumanTask.objects.get().assignee is None
    assert not HumanFollowUp.objects.exists()


def test_who_has_voted_has_nothing_more_to_do_with_it(approver):
    task = ask("one", "Four eyes", groups=GROUPS, quorum_approve=2)
    approver.post(url(task), YES)

    assert "What else you can do" not in approver.get(url(task)).text
    refused = approver.post(f"{url(task)}do/claim/")
    assert (refused.status_code, "You have answered." in refused.text) == (409, True)


def test_acts_go_from_an_open_page_once_they_are_not_possible(approver, dana, task):
    assert "Delegate…" in approver.get(f"{url(task)}state/").text
    dana.post(url(task), YES)

    assert '<div id="acts" hx-swap-oob="morph"></div>' in approver.get(f"{url(task)}state/").text


def test_the_state_is_live_and_nobody_types_in_it(approver, dana, task):
    page = approver.get(url(task)).text
    watched = re.search(r'data-watch="(task:[^"]+)"', page)[1]
    assert approver.get(f"{url(task)}tick/", {"v": watched}).status_code == 204

    dana.post(f"{url(task)}comment/", {"text": "Anybody?"})
    assert approver.get(f"{url(task)}tick/", {"v": watched})["HX-Trigger"] == '{"dash:task": {}}'
    open_state = approver.get(f"{url(task)}state/").text
    dana.post(url(task), YES)
    state = approver.get(f"{url(task)}state/").text

    assert "dana approved this" in state
    assert "Anybody?" in state
    assert not re.search(r"<(textarea|select|input (?!type=.hidden))", state + open_state)


def test_the_instance_page_has_the_same_form_and_answers_in_place(operator):
    task = ask("one", "Anybody?", groups=())
    page = operator.get("/hubs/default/i/one/").text
    assert 'name="decision" value="approve"' in page

    refused = operator.post(url(task), {"decision": "reject"}, headers=HTMX)
    assert refused.status_code == 422
    assert refused.text.strip().startswith("<section")
    sent = operator.post(url(task), YES, headers=HTMX)

    assert "You approved this." in sent.text
    assert "dash:done" in sent["HX-Trigger"]
    late = operator.post(url(task), YES, headers=HTMX)
    assert (late.status_code, "operator approved this" in late.text) == (409, True)


def test_the_page_costs_the_same_whatever_was_said(approver, task):
    HumanTask.objects.update(seen_at=timezone.now(), quorum_approve=99)
    with CaptureQueriesContext(connection) as quiet:
        approver.get(url(task))
    for number in range(30):
        say(task, f"person-{number}", "hm")
        vote(task, f"voter-{number}", "approve")

    with CaptureQueriesContext(connection) as busy:
        approver.get(url(task))

    assert len(quiet) == len(busy) == 6  # two of the session, one of rights, and three of the question


def test_of_a_long_thread_and_a_long_trail_the_newest_are_shown_in_order(approver, task, monkeypatch):
    monkeypatch.setattr(told, "THREAD_SHOWN", 2)
    monkeypatch.setattr(told, "TRAIL_SHOWN", 2)
    for text in ("first", "second", "third"):
        say(task, "erin", text)
        AuditEntry.objects.create(
            hub=task.hub, instance_id="one", action="commented", actor_name="erin", details={"title": task.title},
            reason=f"because {text}", via="Dashboard",
        )  # fmt: skip

    page = approver.get(url(task)).text

    assert re.findall(r'<p class="said">(\w+)</p>', page) == ["second", "third"]
    assert re.findall(r"because (\w+)", page) == ["second", "third"]


def test_the_first_look_of_one_who_is_asked_is_noted(approver, viewer, task):
    viewer.get(url(task))
    assert HumanTask.objects.get().seen_at is None

    approver.get(url(task))

    assert HumanTask.objects.get().seen_at is not None
    assert "saw the question first" in approver.get(url(task)).text


def test_what_people_say_is_escaped(approver, task):
    HumanTask.objects.update(description="<script>1</script>", summary='{"<b>": "<i>"}')
    HumanComment.objects.create(task=task, instance=task.instance, username="<u>", text="<script>2</script>")

    page = approver.get(url(task)).text

    for hostile in ("<script>1", "<script>2", "<b>", "<i>", "<u>"):
        assert hostile not in page


@pytest.mark.django_db(transaction=True)
def test_of_two_who_answer_at_once_one_is_told_that_the_other_did(approver, dana, task):
    together = threading.Barrier(2)

    def answer(browser: Client) -> int:
        together.wait()
        try:
            return browser.post(url(task), YES).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(answer, [approver, dana]))

    assert statuses == [302, 409]
    assert len(events()) == 1
    assert AuditEntry.objects.filter(action="voted").count() == 1


def test_a_question_without_a_reader_is_not_there(approver):
    assert approver.get("/approvals/4711/").status_code == 404
    assert rows.instance("two")


def test_a_decision_is_taken_back_while_that_is_possible_and_by_its_maker_alone(approver, dana):
    task = ask("one", "Pay?", groups=GROUPS, undo_seconds=30)
    approver.post(url(task), YES)

    assert not events()
    assert "It can be taken back until" in approver.get(url(task)).text
    assert "Take it back" not in dana.get(url(task)).text
    assert dana.post(f"{url(task)}do/undo/").status_code == 409
    approver.post(f"{url(task)}do/undo/")

    assert "You took your answer back." in approver.get(url(task)).text
    assert dana.post(url(task), YES).status_code == 302
    HumanTask.objects.update(deliver_at=timezone.now())
    assert dana.post(f"{url(task)}do/undo/").status_code == 409


@pytest.fixture
def boss(sign_in, approver) -> Client:
    """Somebody who is not asked, and may decide over the heads of those who are."""
    boss = User.objects.create_user("boss")
    boss.user_permissions.add(Permission.objects.get(codename="override_task"))
    return sign_in("boss")


def test_who_may_override_decides_alone_with_a_reason(boss, approver, task):
    HumanTask.objects.update(quorum_approve=2)
    address = f"{url(task)}override/"
    assert address in boss.get(url(task)).text
    assert address not in approver.get(url(task)).text
    assert approver.get(address).status_code == 403
    assert "It is put to approvers" in boss.get(address).text

    assert "Say why" in (refused := boss.post(address, YES)).text and refused.status_code == 422
    wrong = boss.post(address, {"decision": "reject", "override-reason": "too dear"})
    assert wrong.status_code == 422 and "Required when you reject." in wrong.text and "too dear" in wrong.text
    assert not HumanVote.objects.exists()

    assert boss.post(address, {**YES, "override-reason": "both are away"}).status_code == 302
    assert [event["decision"] for event in events()] == ["approve"]
    assert AuditEntry.objects.get(action="overridden").reason == "both are away"
    assert boss.post(address, {**YES, "override-reason": "again"}).status_code == 409


def test_who_was_left_out_cannot_override_either(boss, approver):
    left_out = ask("two", "Pay boss 41 EUR?", groups=GROUPS, exclude=("boss",))

    assert f"{url(left_out)}override/" not in boss.get(url(left_out)).text
    assert boss.get(f"{url(left_out)}override/").status_code == 403
