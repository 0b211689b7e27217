"""Questions to people in a browser: bad, late and second answers, four eyes, deadlines, phones, and no JavaScript."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import override_settings
from playwright.sync_api import Page, expect

from orchestrations import HumanAnswer, OrchestrationClient, OrchestrationContext, Quorum, Reviewers, orchestrator
from orchestrations.core.events import EventType
from orchestrations.models import HistoryEvent, HumanNotice, HumanTask, HumanVote, Instance
from orchestrations.notices.links import code_for, token_for
from tests import waiting
from tests.asking import OrderApproval, Refund, ask
from tests.e2e import questions, scenes
from tests.e2e.looks import faults, on_one_database, overflow, problems

pytestmark = pytest.mark.django_db(transaction=True)

TITLE = "Approve order ord-1 for 1,840.00 EUR"


@orchestrator(name="order_to_approve")
def order_to_approve(context: OrchestrationContext, options: dict[str, Any]) -> Generator[Any, Any, list[str]]:
    answer: HumanAnswer = yield context.wait_for_external_event(
        "approval",
        form=OrderApproval,
        title=TITLE,
        assign=Reviewers(groups=["Finance approvers"], exclude=["kim"]),
        quorum=Quorum(approve=options.get("quorum", 1)),
        due=timedelta(seconds=options.get("due", 3600)),
        on_timeout={"decision": "reject", "reason": "no answer"},
    )
    return [answer.outcome, answer.by, answer.data["reason"]]


@pytest.fixture
def approvers(people) -> None:
    """dana and lee approve; kim asks."""
    scenes_group = Group.objects.get(name="Finance approvers")
    for name in ("lee", "kim"):
        User.objects.create_user(name, password=scenes.PASSWORD).groups.add(scenes_group)


def start(**options: Any) -> str:
    """The address of a question that the engine has asked."""
    OrchestrationClient().start_new(order_to_approve, "ord-1", options)
    waiting.eventually(HumanTask.objects.exists)
    return f"/approvals/{HumanTask.objects.get().pk}/"


def raised() -> int:
    return HistoryEvent.objects.filter(type=EventType.EVENT_RAISED).count()


def send(page: Page, verdict: str, reason: str = "") -> None:
    page.get_by_label(verdict, exact=True).check()
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Send decision").click()


def test_a_bad_answer_is_refused_with_a_linked_summary_and_nothing_resumes(approvers, engine, open_page):
    page = open_page("dana", start())

    send(page, "Reject")

    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(page.get_by_label("Reject", exact=True)).to_be_checked()
    summary.get_by_role("link", name="Reason: Required when you reject.").click()
    expect(page.get_by_label("Reason")).to_be_focused()
    assert raised() == 0
    assert not HumanVote.objects.exists()

    send(page, "Reject", "too much")
    expect(page.locator("#state")).to_contain_text("dana rejected this")
    waiting.eventually(lambda: Instance.objects.get().status == "Completed")
    assert raised() == 1


def test_what_is_wrong_stands_apart_from_the_first_question_on_a_phone(approvers, open_page):
    task = ask("one", "Refund?", groups=["Finance approvers"], form=Refund)
    page = open_page("dana", f"/approvals/{task.pk}/", width=390)

    page.get_by_role("button", name="Send decision").click()

    summary = page.locator("[data-answer]").get_by_role("alert").bounding_box()
    legend = page.locator("[data-answer] legend").first.bounding_box()
    assert summary and legend
    assert legend["y"] - (summary["y"] + summary["height"]) >= 8


def test_two_have_to_agree_and_nobody_votes_twice(approvers, engine, open_page):
    address = start(quorum=2)
    dana, lee = open_page("dana", address), open_page("lee", address)

    send(dana, "Approve")
    expect(dana.locator("#state")).to_contain_text("1 of 2 approvals")
    expect(dana.get_by_role("button", name="Send decision")).to_have_count(0)
    expect(lee.locator("#state")).to_contain_text("dana approved")
    send(lee, "Approve", "fine")

    expect(lee.locator("#state")).to_contain_text("lee approved this")
    expect(dana.locator("#state").get_by_text("Completed")).to_be_visible()
    assert Instance.objects.get().output == '["approve","lee","fine"]'


def test_who_asked_sees_the_question_and_no_form(approvers, engine, open_page):
    page = open_page("kim", start())

    expect(page.get_by_text("You asked for this")).to_be_visible()
    expect(page.get_by_role("button", name="Send decision")).to_have_count(0)


def test_of_two_who_send_one_wins_and_the_other_is_told_who(approvers, engine, open_page, forgiven):
    forgiven |= {"status of 409"}
    address = start()
    dana, lee = open_page("dana", address), open_page("lee", address, javascript=False)
    lee.get_by_label("Approve", exact=True).check()
    lee.get_by_label("Reason").fill("fine by me")

    send(dana, "Reject", "they owe us")
    expect(dana.locator("#state")).to_contain_text("dana rejected this")
    lee.get_by_role("button", name="Send decision").click()

    expect(lee.get_by_role("heading", name="dana rejected this")).to_be_visible()
    expect(lee.get_by_text("fine by me")).to_be_visible()
    expect(lee.get_by_text("Your answer was not sent")).to_be_visible()
    waiting.eventually(lambda: Instance.objects.get().status == "Completed")
    assert raised() == 1


def test_at_the_deadline_the_open_form_can_be_read_and_copied_and_not_sent(approvers, engine, open_page):
    page = open_page("dana", start(due=4))
    page.get_by_label("Reason").fill("half a sentence")

    note = page.locator("[data-over]")
    expect(note).to_contain_text("Expired, rejected automatically")
    reason = page.get_by_label("Reason")
    expect(reason).to_have_value("half a sentence")
    expect(reason).to_have_attribute("readonly", "")
    expect(page.get_by_role("button", name="Send decision")).to_be_disabled()
    reason.select_text()
    assert page.evaluate("getSelection().toString() || document.activeElement.value") == "half a sentence"
    waiting.eventually(lambda: Instance.objects.get().status == "Completed")
    assert Instance.objects.get().output == '["reject","","no answer"]'


def test_what_is_typed_survives_what_others_say(approvers, engine, open_page):
    address = start(quorum=2)
    page = open_page("dana", address)
    page.get_by_label("Reason").fill("half a sentence")
    page.locator("h1").click()

    task = HumanTask.objects.get()
    OrchestrationClient(actor=User.objects.get(username="lee")).comment_task(task.pk, "Who knows them?")

    expect(page.locator("#thread")).to_contain_text("Who knows them?")
    expect(page.get_by_label("Reason")).to_have_value("half a sentence")


def test_what_is_typed_survives_a_comment_and_a_claim_of_ones_own(approvers, open_page):
    task = ask("ord-1", "Pay?", groups=["Finance approvers"], form=OrderApproval)
    page = open_page("dana", f"/approvals/{task.pk}/")
    page.get_by_label("Reason").fill("half a sentence")
    comments = page.locator("#comments")

    comments.get_by_role("button", name="Comment").click()
    expect(comments.get_by_role("alert")).to_be_focused()
    comments.get_by_label("Comment").fill("Who knows them?")
    comments.get_by_role("button", name="Comment").click()
    expect(page.locator("#thread")).to_contain_text("Who knows them?")
    expect(comments.get_by_role("heading")).to_be_focused()
    expect(comments.get_by_label("Comment")).to_have_value("")
    page.get_by_role("button", name="Claim").click()
    expect(page.get_by_role("button", name="Release")).to_be_visible()
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("button", name="Claim")).to_be_visible()

    expect(page.get_by_label("Reason")).to_have_value("half a sentence")
    page.get_by_label("Approve", exact=True).check()
    page.get_by_role("button", name="Send decision").click()
    expect(page.locator("#state")).to_contain_text("dana approved this")


def test_what_others_do_is_in_the_history_without_a_reload(approvers, open_page):
    task = ask("ord-1", "Pay?", groups=["Finance approvers"], form=OrderApproval)
    page = open_page("dana", f"/approvals/{task.pk}/")

    OrchestrationClient(actor=User.objects.get(username="lee")).claim_task(task.pk)

    expect(page.locator("#trail")).to_contain_text("lee took the question on")


def test_a_button_says_what_it_does_now_where_the_focus_is_on_it(approvers, open_page):
    task = ask("ord-1", "Pay?", groups=["Finance approvers"], form=OrderApproval)
    page = open_page("dana", f"/approvals/{task.pk}/")
    button = page.locator("#acts button")
    expect(button).to_have_text("Claim")
    button.focus()

    OrchestrationClient(actor=User.objects.get(username="dana")).claim_task(task.pk)

    expect(button).to_have_text("Release")
    expect(button).to_be_focused()


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without"])
def test_rows_are_added_and_sent(approvers, open_page, javascript):
    task = ask("ref-1", "Refund?", form=Refund)
    page = open_page("dana", f"/approvals/{task.pk}/", javascript=javascript)
    page.get_by_label("Approve", exact=True).check()
    page.get_by_label("Day").fill("2026-02-01")
    page.get_by_label("Article", exact=True).fill("bolt")

    page.get_by_role("button", name="Add a row").click()
    page.get_by_label("Article", exact=True).nth(1).fill("nut")
    page.get_by_label("Count").nth(1).fill("3")
    page.get_by_label("Broken").check()
    page.get_by_role("button", name="Send decision").click()

    expect(page.locator("#state")).to_contain_text("dana approved this")
    assert '"lines":[{"article":"bolt","price":null},{"article":"nut","count":3,"price":null}]' in (
        HumanVote.objects.get().data
    )


@pytest.fixture
def by_code(transactional_db) -> Iterator[None]:
    """A site where the code of a message is enough to answer."""
    with override_settings(DURABLE={**settings.DURABLE, "LINK_ANSWERS": "code"}):
        yield


def link(task: HumanTask, name: str = "dana") -> tuple[str, str]:
    """The address of a link in a message about the task, and the code beside it."""
    notice = HumanNotice.objects.create(
        hub=task.hub,
        task=task,
        instance=task.instance,
        kind="asked",
        channel="email",
        recipient=User.objects.get(username=name),
    )
    return f"/approvals/t/{token_for(notice, task)}/", code_for(notice, task)


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without"])
def test_a_link_in_a_mail_decides_by_a_typed_code_alone_and_once(
    approvers, by_code, engine, open_page, forgiven, javascript
):
    forgiven |= {"status of 410"}
    start()
    address, code = link(HumanTask.objects.get())
    page = open_page(None, address, javascript=javascript, width=390)
    for _ in range(4):
        page.reload()
    assert page.request.head(page.url).status == 200
    assert HumanTask.objects.get().state == "open"
    assert HumanTask.objects.get().seen_at is None

    send(page, "Approve", "from the train")
    expect(page.get_by_role("alert")).to_contain_text("Type the six digits")
    expect(page.get_by_label("Reason")).to_have_value("from the train")
    page.get_by_label("Code from the message").fill(code)
    page.get_by_role("button", name="Send decision").click()

    expect(page.get_by_role("heading", name="You have already answered this")).to_be_visible()
    waiting.eventually(lambda: Instance.objects.get().status == "Completed")
    assert Instance.objects.get().output == '["approve","dana","from the train"]'
    page.goto(address)
    expect(page.get_by_role("heading", name="You have already answered this")).to_be_visible()
    assert raised() == 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_pages_of_a_link_are_accessible_on_a_phone(approvers, by_code, open_page, forgiven, dark):
    forgiven |= {"status of 404", "status of 410"}
    task = ask("ref-1", "Refund?", form=Refund)
    address, _ = link(task)
    page = open_page(None, address, dark=dark, width=390)
    found = {"link": faults(page)}
    page.get_by_role("button", name="Send decision").click()
    found["refused"] = faults(page)
    assert not overflow(page)
    HumanTask.objects.update(state="withdrawn")
    page.goto(address)
    found["over"] = faults(page)
    page.goto("/approvals/t/nonsense/")
    found["invalid"] = faults(page)

    assert not {name: problems for name, problems in found.items() if problems}


def test_new_questions_are_announced_and_shown_when_asked(approvers, open_page):
    ask("one", "First?")
    page = open_page("dana", "/approvals/")
    link = page.get_by_role("link", name="First?")
    link.focus()

    ask("two", "Second?", due_in=timedelta(minutes=1))

    button = page.get_by_role("link", name="Show 1 new question")
    expect(button).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("1 new question")
    expect(link).to_be_focused()
    assert page.locator("#rows tr").count() == 1
    button.click()
    expect(page.locator("#rows tr").first).to_contain_text("Second?")


def test_ticked_questions_stay_ticked_and_are_answered_together(approvers, open_page):
    for number in range(3):
        ask(f"ord-{number}", f"Question {number}?")
    page = open_page("dana", "/approvals/")
    page.get_by_label("Question 0?").check()
    page.get_by_label("Question 2?").check()

    ask("ord-9", "Question 9?")
    expect(page.get_by_role("link", name="Show 1 new question")).to_be_visible()
    expect(page.get_by_label("Question 0?")).to_be_checked()
    page.get_by_role("button", name="Answer the ticked ones together…").click()
    expect(page.get_by_role("heading", name="Answer 2 questions alike")).to_be_visible()
    page.get_by_label("Approve", exact=True).check()
    page.get_by_role("button", name="Send 2 answers").click()

    expect(page.get_by_text("Sent", exact=True)).to_have_count(2)
    assert sorted(HumanVote.objects.values_list("task__title", flat=True)) == ["Question 0?", "Question 2?"]


def test_a_question_is_handed_on_in_a_dialog(approvers, open_page):
    task = ask("one", "First?")
    page = open_page("dana", f"/approvals/{task.pk}/")
    page.get_by_role("link", name="Delegate…").click()
    dialog = page.get_by_role("dialog")

    dialog.get_by_role("button", name="Delegate").click()
    expect(dialog.get_by_role("alert")).to_be_focused()
    dialog.get_by_label("To whom").fill("lee")
    dialog.get_by_label("Reason").fill("on leave")
    dialog.get_by_role("button", name="Delegate").click()

    expect(page.get_by_text("lee is asked now.")).to_be_visible()


def test_on_a_phone_everything_is_large_enough_and_nothing_hides_the_focus(approvers, open_page):
    task = ask("ref-1", "Refund?", form=Refund)
    page = open_page("dana", f"/approvals/{task.pk}/", width=390)
    small = page.evaluate(
        """() => [...document.querySelectorAll("main :is(button, .button, label.check, [data-answer] input)")]
            .filter(e => e.offsetParent && !e.matches(".visually-hidden, [type=hidden], .check input"))
            .filter(e => e.getBoundingClientRect().height < 43.5)
            .map(e => `${e.tagName} ${e.textContent} ${e.getBoundingClientRect().height}`)"""
    )
    assert not small

    bar = page.locator(".send")
    for control in page.locator("[data-answer] input:visible:not([type=radio]):not([type=checkbox])").all():
        control.focus()
        box, over = control.bounding_box(), bar.bounding_box()
        assert box["y"] + box["height"] <= over["y"] + 1 or box["y"] >= over["y"] + over["height"]
    assert not overflow(page)


@on_one_database
def test_every_page_of_questions_is_accessible_and_fits(approvers, open_page, forgiven):
    forgiven |= {"status of 409", "status of 401"}
    asked = questions.build()
    page = open_page("admin", "/approvals/?tab=groups")
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        found[name] = problems(page)

    look("groups")
    for tab in ("mine", "asked", "done"):
        page.goto(f"/approvals/?tab={tab}")
        look(tab)
    for name, task in asked.items():
        page.goto(f"/approvals/{task.pk}/")
        look(name)
    page.get_by_role("button", name="Comment").click()
    look("empty comment")
    page.goto(f"/approvals/{asked['refund'].pk}/")
    page.get_by_label("Count").fill("0")
    page.get_by_role("button", name="Send decision").click()
    look("refused")
    page.goto(f"/approvals/{asked['open'].pk}/")
    page.get_by_label("Approve", exact=True).check()
    HumanTask.objects.filter(pk=asked["open"].pk).update(state="withdrawn")
    page.get_by_role("button", name="Send decision").click()
    look("late")
    for act in ("delegate", "follow-up"):
        page.goto(f"/approvals/{asked['plain'].pk}/do/{act}/")
        look(act)
    page.goto("/approvals/?tab=groups")
    page.get_by_role("button", name="Answer the ticked ones together…").click()
    look("nothing ticked")
    page.goto("/approvals/?tab=groups")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Answer the ticked ones together…").click()
    look("together")
    page.goto(f"/hubs/default/i/{asked['refund'].instance.instance_id}/")
    look("instance")
    page.goto(f"/approvals/{asked['refund'].pk}/")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.get_by_role("button", name="Send decision").click()
    look("signed out")

    assert not any(found.values()), "\n".join(f"{name}: {fault}" for name, told in found.items() for fault in told)
