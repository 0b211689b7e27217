"""The approval inbox: what reaches whom, in which order, and what one answer to many questions does."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrations.interfaces.dashboard.human import inbox
from orchestrations.models import AuditEntry, HumanFollowUp, HumanTask, HumanVote
from tests import rows
from tests.asking import Refund, ask, closed, vote

HTMX = {"HX-Request": "true"}
GROUPS = ("approvers",)


def titles(page: str) -> list[str]:
    return re.findall(r'<td class="main"><a href="[^"]+">([^<]+)</a>', page)


def in_tab(browser, tab: str) -> list[str]:
    return titles(browser.get("/approvals/", {"tab": tab}).text)


@pytest.fixture
def asked(approver) -> HumanTask:
    """A question to the approvers."""
    return ask("one", "Pay 41 EUR?", groups=GROUPS)


def test_the_inbox_holds_what_one_is_asked(approver, operator, asked):
    assert titles(approver.get("/approvals/").text) == ["Pay 41 EUR?"]
    assert "Nothing waits for you" in operator.get("/approvals/").text
    assert "<strong>1<" in approver.get("/approvals/badge/").text
    assert "<strong>" not in operator.get("/approvals/badge/").text


def test_a_question_to_nobody_in_particular_reaches_who_may_raise_events(operator, approver):
    ask("one", "Anybody?", groups=())

    assert in_tab(operator, "groups") == ["Anybody?"]
    assert in_tab(approver, "groups") == []


def test_a_question_by_name_is_mine_and_so_is_one_that_i_took_on(approver, asked):
    ask("two", "You in person?", groups=(), users=("approver",))
    assert (in_tab(approver, "mine"), in_tab(approver, "groups")) == (["You in person?"], ["Pay 41 EUR?"])

    approver.post(f"/approvals/{asked.pk}/do/claim/")

    assert sorted(in_tab(approver, "mine")) == ["Pay 41 EUR?", "You in person?"]
    assert in_tab(approver, "groups") == []


def test_the_most_urgent_is_on_top_and_the_overdue_above_all(approver):
    ask("later", "later", groups=GROUPS, due_in=timedelta(hours=3))
    ask("never", "never", groups=GROUPS, due_in=None)
    ask("over", "over", groups=GROUPS, due_in=-timedelta(minutes=1))
    ask("soon", "soon", groups=GROUPS, due_in=timedelta(hours=1))

    page = approver.get("/approvals/").text

    assert titles(page) == ["over", "soon", "later", "never"]
    assert "Overdue" in page


def test_whoever_asked_finds_the_question_under_asked_by_me_alone(approver):
    ask("one", "My own", groups=GROUPS, exclude=("approver",))

    assert in_tab(approver, "asked") == ["My own"]
    assert in_tab(approver, "groups") == in_tab(approver, "mine") == []


def test_what_became_of_what_one_asked_stays_under_asked_by_me(approver, sign_in):
    mine = {"groups": GROUPS, "exclude": ("approver",)}
    closed("Refused", "one", "answered", timedelta(minutes=9), answered_by="dana", outcome="reject", **mine)
    closed("Too late", "two", "expired", timedelta(minutes=3), **mine)
    still_open = ask("three", "Still open", **mine)

    page = approver.get("/approvals/?tab=asked").text

    assert titles(page) == ["Still open", "Too late", "Refused"]
    assert "dana rejected" in page
    assert "Expired, without an answer" in page
    assert 'class="gone"' not in page
    assert "Asked by me <strong>1</strong>" in page
    for row in HumanTask.objects.all():
        assert row.title in approver.get(f"/approvals/{row.pk}/").text
    assert in_tab(sign_in("operator"), "asked") == []
    assert approver.get("/approvals/rows/", {"tab": "asked", "ids": str(still_open.pk), "newest": "0"}).text.count(
        "Show 3 new questions"
    )


def test_what_one_asked_has_pages(approver):
    for number in range(55):
        ask(f"i-{number}", f"{number:02}", groups=GROUPS, exclude=("approver",),
            state="withdrawn" if number % 2 else "open")  # fmt: skip

    first = approver.get("/approvals/?tab=asked").text
    older = re.search(r'href="([^"]+)" rel="next"', first)[1].replace("&amp;", "&")

    assert titles(first) + titles(approver.get(older).text) == [f"{number:02}" for number in reversed(range(55))]


def test_what_one_has_answered_is_done_with_what_became_of_it(approver):
    task = closed("Answered", "one", "answered", timedelta(minutes=3), groups=GROUPS, answered_by="approver",
                  outcome="reject")  # fmt: skip
    vote(task, "approver", "reject")

    page = approver.get("/approvals/?tab=done").text

    assert titles(page) == ["Answered"]
    assert "approver rejected" in page
    assert in_tab(approver, "groups") == []


def test_a_vote_that_others_have_to_join_takes_the_question_out_of_ones_inbox(approver):
    task = ask("one", "Four eyes", groups=GROUPS, quorum_approve=2)
    vote(task, "approver", "approve")

    assert in_tab(approver, "groups") == []
    assert in_tab(approver, "done") == ["Four eyes"]


def test_what_is_put_off_comes_back_on_its_day(approver, asked):
    tomorrow = timezone.now() + timedelta(days=1)
    approver.post(f"/approvals/{asked.pk}/do/follow-up/", {"until": f"{tomorrow:%Y-%m-%d}"})
    assert in_tab(approver, "groups") == []

    HumanFollowUp.objects.update(until=timezone.now() - timedelta(seconds=1))

    assert in_tab(approver, "groups") == ["Pay 41 EUR?"]


def test_the_empty_inbox_leads_to_where_there_is_something(approver, asked):
    page = approver.get("/approvals/?tab=mine").text

    assert "Nothing waits for you" in page
    assert "My groups: 1" in page


def test_pages_follow_one_another_without_gap_or_repeat(approver):
    for number in range(55):
        ask(f"i-{number}", f"{number:02}", groups=GROUPS, due_in=timedelta(minutes=number + 1))

    first = approver.get("/approvals/?tab=groups").text
    older = re.search(r'href="([^"]+)" rel="next"', first)[1].replace("&amp;", "&")
    second = approver.get(older).text

    assert titles(first) + titles(second) == [f"{number:02}" for number in range(55)]
    assert approver.get("/approvals/?tab=groups&cursor=nonsense").status_code == 404
    assert approver.get("/approvals/?tab=nonsense").status_code == 404


def test_the_inbox_costs_the_same_whatever_it_holds(approver, asked):
    with CaptureQueriesContext(connection) as one:
        approver.get("/approvals/")
    for number in range(40):
        ask(f"i-{number}", f"Question {number}", groups=GROUPS)

    with CaptureQueriesContext(connection) as many:
        approver.get("/approvals/")

    assert len(one) == len(many) == 5  # two of the session, one of rights, and two of the inbox


def test_rows_change_where_they_stand_and_new_ones_are_only_counted(approver, asked):
    page = approver.get("/approvals/").text
    address = re.search(r'hx-get="(/approvals/rows/[^"]+)"', page)[1].replace("&amp;", "&")
    ask("two", "And this?", groups=GROUPS, due_in=timedelta(minutes=1))
    HumanTask.objects.filter(pk=asked.pk).update(state="answered", answered_by="dana", outcome="approve")

    again = approver.get(address, headers=HTMX).text

    assert titles(again) == ["Pay 41 EUR?"]
    assert "dana approved" in again
    assert "Show 1 new question" in again


def test_the_inbox_learns_of_new_questions_by_ticks(approver, asked):
    watched = re.search(r'data-watch="([^"]+)"', approver.get("/approvals/").text)[1]

    assert approver.get("/approvals/tick/", {"v": watched}).status_code == 204
    ask("two", "And this?", groups=GROUPS)
    assert approver.get("/approvals/tick/", {"v": watched})["HX-Trigger"] == '{"dash:approvals": {}}'


def test_a_question_that_is_committed_after_many_later_acts_is_heard_of(approver, asked):
    acts = [AuditEntry(pk=10**9 + n, hub="default", action="terminate", actor_name="dana") for n in range(30)]
    AuditEntry.objects.bulk_create(acts)
    watched = re.search(r'data-watch="([^"]+)"', approver.get("/approvals/").text)[1]

    ask("two", "And this?", groups=GROUPS)
    AuditEntry.objects.filter(instance_id="two").update(id=10**9 - 1)  # its transaction began before those

    assert approver.get("/approvals/tick/", {"v": watched}).status_code == 200


def test_acts_that_concern_no_question_wake_no_inbox(approver, asked):
    watched = re.search(r'data-watch="([^"]+)"', approver.get("/approvals/").text)[1]

    AuditEntry.objects.create(hub="default", action="terminate", actor_name="dana")

    assert approver.get("/approvals/tick/", {"v": watched}).status_code == 204


@pytest.mark.parametrize(
    "act, given",
    [("claim", {}), ("delegate", {"to": "approver", "reason": "on leave"}), ("answer", {"decision": "approve"})],
)
def test_whatever_somebody_does_with_a_question_is_heard_of(approver, asked, sign_in, act, given):
    watched = re.search(r'data-watch="([^"]+)"', approver.get("/approvals/").text)[1]

    where = f"/approvals/{asked.pk}/" if act == "answer" else f"/approvals/{asked.pk}/do/{act}/"
    assert approver.post(where, given).status_code == 302

    assert approver.get("/approvals/tick/", {"v": watched}).status_code == 200


def test_what_is_asked_while_a_page_is_read_is_heard_of_by_its_next_tick(approver, asked, monkeypatch):
    read = inbox.page_of

    def read_in_vain(*place) -> object:
        page = read(*place)
        ask("two", "And this?", groups=GROUPS)
        return page

    monkeypatch.setattr(inbox, "page_of", read_in_vain)
    page = approver.get("/approvals/").text
    watched = re.search(r'data-watch="([^"]+)"', page)[1]

    assert titles(page) == ["Pay 41 EUR?"]
    assert approver.get("/approvals/tick/", {"v": watched}).status_code == 200


def test_titles_are_escaped(approver):
    ask("one", "<script>alert(1)</script>", groups=GROUPS)

    assert "<script>alert" not in approver.get("/approvals/").text


def test_one_answer_goes_to_many_questions_once_their_titles_have_been_seen(approver):
    tasks = [ask(f"i-{number}", f"Question {number}", groups=GROUPS) for number in range(3)]
    chosen = {"task": [task.pk for task in tasks]}

    shown = approver.post("/approvals/together/", chosen)
    assert [f"Question {number}" in shown.text for number in range(3)] == [True] * 3
    assert not HumanVote.objects.exists()

    HumanTask.objects.filter(pk=tasks[1].pk).update(state="withdrawn")
    sent = approver.post("/approvals/together/", {**chosen, "send": "all", "decision": "approve"})

    assert sent.text.count("Not sent") == 1
    assert "was withdrawn" in sent.text
    assert set(HumanVote.objects.values_list("task_id", flat=True)) == {tasks[0].pk, tasks[2].pk}


def test_a_bad_answer_to_many_is_sent_to_none(approver):
    tasks = [ask(f"i-{number}", f"Question {number}", groups=GROUPS) for number in range(2)]
    chosen = {"task": [task.pk for task in tasks], "send": "all", "decision": "reject"}

    response = approver.post("/approvals/together/", chosen)

    assert response.status_code == 422
    assert "Required when you reject." in response.text
    assert not HumanVote.objects.exists()


def test_questions_that_differ_are_not_answered_together(approver):
    one, other = ask("one", "One", groups=GROUPS), ask("two", "Other", groups=GROUPS, form=Refund)

    different = approver.post("/approvals/together/", {"task": [one.pk, other.pk]})
    assert (different.status_code, "different forms" in different.text) == (422, True)
    single = approver.post("/approvals/together/", {"task": [other.pk]})
    assert (single.status_code, "answered by itself" in single.text) == (422, True)
    nothing = approver.post("/approvals/together/", {})
    assert (nothing.status_code, "No question was chosen" in nothing.text) == (422, True)


def test_an_open_wait_leads_to_its_question(approver, asked):
    wait = asked.instance.open_waits.get()

    assert approver.get(f"/approvals/of/default/one/{wait.pk}/")["Location"] == f"/approvals/{asked.pk}/"
    assert approver.get("/approvals/of/default/one/")["Location"] == f"/approvals/{asked.pk}/"
    assert approver.get("/approvals/of/default/two/").status_code == 404


def test_nobody_gets_in_without_signing_in(sign_in, asked):
    anonymous = sign_in("anonymous")

    assert anonymous.get("/approvals/")["Location"].startswith("/accounts/login/")
    assert anonymous.get("/approvals/badge/", headers=HTMX).status_code == 401
    assert anonymous.post("/approvals/together/", {"task": [asked.pk]}).status_code == 401


def test_who_is_in_no_group_sees_nothing(sign_in, asked):
    User.objects.create_user("stranger")
    Group.objects.create(name="strangers")
    rows.instance("two")

    assert titles(sign_in("stranger").get("/approvals/").text) == []
