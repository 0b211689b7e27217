"""Telling people of questions: once for each occasion over many workers, and no mail server harms an instance."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core import mail
from django.db import connection
from django.utils import timezone

from orchestrations import OrchestrationClient, Quorum, Reviewers, orchestrator
from orchestrations.access.permissions import why_not
from orchestrations.models import AuditEntry, HistoryEvent, HumanAudience, HumanComment, HumanNotice, HumanTask
from orchestrations.notices import links, occasions, outbox
from orchestrations.runtime.chores import Chores, Questions
from orchestrations.store import get_store

HOUR = timedelta(hours=1)
TEAM = Reviewers(groups=["Finance"], users=["joe"], permission="orchestrations.start_instance", exclude=["ann"])


@pytest.fixture(autouse=True)
def site(settings, durable):
    settings.DURABLE = {**settings.DURABLE, "SITE_URL": "https://shop.example"}


@pytest.fixture
def people(client) -> dict[str, User]:
    found = {
        name: User.objects.create_user(name, email=f"{name}@shop.example")
        for name in ("dana", "ann", "joe", "pat", "lea", "gone")
    }
    Group.objects.create(name="Finance").user_set.add(found["dana"], found["ann"], found["gone"])
    Group.objects.create(name="Leads").user_set.add(found["lea"], found["ann"])
    found["pat"].user_permissions.add(Permission.objects.get(codename="start_instance"))
    User.objects.filter(username="gone").update(is_active=False)
    return found


class NoChores:
    """For a worker whose chores the test does itself."""

    def run(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def ask(client, worker, people):
    worker.runtime.chores = NoChores()

    def ask(**options) -> HumanTask:
        given = {"title": "Pay 7 EUR?", "assign": TEAM, "notify": ["inbox", "email"], **options}

        @orchestrator
        def asks(context):
            return (yield context.wait_for_external_event("approval", **given)).outcome

        client.start_new(asks, "order")
        worker.run_until_idle()
        return HumanTask.objects.get()

    return ask


def tell() -> list[str]:
    """Has a fresh worker's chores done, and returns the subjects and addresses of what has been sent since."""
    mail.outbox.clear()
    chores = Chores(get_store())
    chores.run()
    chores.close()
    return sorted(f"{message.to[0].partition('@')[0]}: {message.subject}" for message in mail.outbox)


def let_pass(duration: timedelta) -> None:
    """Moves the times of the only task, as if it had been asked so much earlier."""
    task = HumanTask.objects.get()
    for name in ("asked_at", "due_at", "escalate_at", "next_notice_at", "deliver_at"):
        moment = getattr(task, name)
        setattr(task, name, moment and moment - duration)
    task.reminders = re.sub(
        r'"([^"]+)"',
        lambda told: f'"{(timezone.datetime.fromisoformat(told[1]) - duration).isoformat()}"',
        task.reminders,
    )
    task.save()


def deeds() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))


def test_all_who_are_asked_are_told_once(ask):
    ask()

    assert tell() == [f"{name}: Pay 7 EUR?" for name in ("dana", "joe", "pat")]
    assert tell() == []
    assert HumanNotice.objects.filter(sent_at__isnull=False, send_at=None).count() == 3


def test_a_question_that_nobody_can_be_told_of_holds_up_no_other(client, worker, people):
    """Its permission lacks the name of the app, and so is none whose holders could be found."""
    worker.runtime.chores = NoChores()

    @orchestrator
    def asks(context, whom):
        yield context.wait_for_external_event("approval", assign=Reviewers(**whom), notify=["email"])

    client.start_new(asks, "order-0", {"permission": "start_instance"})
    client.start_new(asks, "order-1", {"users": ["joe"]})
    worker.run_until_idle()

    assert tell() == ["joe: approval"]
    assert HumanTask.objects.get(next_notice_at__isnull=False).instance.instance_id == "order-0"
    assert tell() == [], "it rests before it is tried again"


def test_a_worker_does_it_by_itself(client, worker, people):
    @orchestrator
    def asks(context):
        yield context.wait_for_external_event("approval", assign=Reviewers(users=["joe"]), notify=["email"])

    client.start_new(asks, "order")

    worker.run_until(lambda: bool(mail.outbox), 10, "nobody was told")


def test_a_message_has_a_link_and_a_code_and_no_secret_in_the_link(ask):
    task = ask()
    tell()
    notice = HumanNotice.objects.get(recipient__username="dana")
    [message] = [message for message in mail.outbox if message.to == ["dana@shop.example"]]
    [token] = re.findall(r"https://shop\.example/approvals/t/([^/]+)/\n", message.body)
    code = links.code_for(notice, task)

    opened = links.open_link(token, "default")

    assert (opened.recipient.username, opened.task.pk, opened.is_good) == ("dana", task.pk, True)
    assert re.fullmatch(r"\d{6}", code)
    assert code in message.body
    assert code not in token


def test_a_link_ends_with_the_vote_the_deadline_and_the_passing_on(ask, people):
    task = ask(quorum=Quorum(approve=2), due=HOUR)
    tell()
    tokens = {n.recipient.username: links.token_for(n, task) for n in HumanNotice.objects.all()}
    dana = OrchestrationClient(actor=people["dana"], via="E-mail link")

    dana.answer_task(task.pk, {"approved": True})
    assert links.open_link(tokens["dana"], "default").is_used
    assert links.open_link(tokens["joe"], "default").is_good, "another's vote leaves it"

    OrchestrationClient(actor=people["joe"]).delegate_task(task.pk, people["lea"], "on leave")
    assert links.open_link(tokens["pat"], "default").is_void
    HumanTask.objects.update(due_at=timezone.now() - HOUR, link_version=1)
    assert not links.open_link(tokens["pat"], "default").is_good
    for altered in (tokens["pat"][:-1], tokens["pat"] + "x", "", "a:b:c"):
        with pytest.raises(links.InvalidLink):
            links.open_link(altered, "default")


def test_a_few_wrong_codes_close_the_link(ask):
    task = ask()
    tell()
    notice = HumanNotice.objects.get(recipient__username="dana")
    link = links.open_link(links.token_for(notice, task), "default")
    code = links.code_for(notice, task)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"

    assert links.check_code(link, f" {code[:3]} {code[3:]} ", "default")
    assert not any(links.check_code(link, wrong, "default") for _ in range(5))
    assert not links.check_code(link, code, "default")


def test_a_reminder_goes_out_once_over_many_workers(ask):
    ask(remind=[HOUR, HOUR * 2], due=HOUR * 3)
    tell()
    assert tell() == []
    let_pass(HOUR)

    def attend(_: int) -> int:
        try:
            return occasions.attend(get_store())
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(attend, range(4)))

    assert tell() == [f"{name}: Reminder: Pay 7 EUR?" for name in ("dana", "joe", "pat")]
    assert deeds() == ["asked", "reminded"]
    let_pass(HOUR)
    assert len(tell()) == 3
    assert HumanTask.objects.get().next_notice_at is None


def test_who_has_voted_is_not_reminded(ask, people):
    task = ask(remind=[HOUR], quorum=Quorum(approve=3))
    tell()
    OrchestrationClient(actor=people["dana"]).answer_task(task.pk, {"approved": True})
    let_pass(HOUR)

    assert [line.partition(":")[0] for line in tell()] == ["joe", "pat"]


def test_an_escalation_asks_others_besides_and_frees_the_task(ask, people):
    task = ask(due=HOUR * 2, escalate=Reviewers(groups=["Leads"]), notify=["email"])
    tell()
    OrchestrationClient(actor=people["dana"]).claim_task(task.pk)
    assert why_not(people["lea"], task)
    let_pass(HOUR)

    assert tell() == ["lea: Escalated: Pay 7 EUR?"], "ann stays left out"
    task.refresh_from_db()
    assert (task.state, task.assignee_id) == ("escalated", None)
    assert why_not(people["lea"], task) == why_not(people["dana"], task) == ""
    assert why_not(people["ann"], task)
    assert HumanAudience.objects.filter(key="group:Leads").exists()
    assert HumanComment.objects.last().kind == "escalated"
    assert deeds() == ["asked", "claimed", "escalated"]
    assert tell() == []


def test_a_decision_that_nobody_took_back_is_delivered_after_its_undo_time(ask, people, worker):
    task = ask(undo=HOUR, notify=["inbox"])
    OrchestrationClient(actor=people["dana"]).answer_task(task.pk, {"approved": True})
    tell()
    assert not HistoryEvent.objects.filter(type="EventRaised").exists()
    let_pass(HOUR)
    tell()
    tell()

    assert worker.run_until_ended("order").output == "approve"
    assert HistoryEvent.objects.filter(type="EventRaised").count() == 1


def broken(notice) -> None:
    raise ConnectionRefusedError("no mail server: \x00\ud800")  # as a text, nothing that a database takes


def test_a_channel_that_fails_is_tried_again_and_harms_nothing(ask, people, settings, worker, monkeypatch):
    monkeypatch.setattr(outbox.logger, "disabled", True)  # a report of the test could not hold the message
    settings.DURABLE = {**settings.DURABLE, "NOTIFIERS": {"pager": f"{__name__}.broken"}}
    task = ask(notify=["pager", "nowhere"], assign=Reviewers(users=["joe"]))
    tell()
    failed = HumanNotice.objects.get(channel="pager")
    assert (failed.sent_at, failed.error) == (None, r"no mail server: \x00\ud800")
    assert failed.send_at > timezone.now()
    assert HumanNotice.objects.get(channel="nowhere").send_at is None, "there is no such channel to try again"

    for _ in range(outbox.ATTEMPTS):
        HumanNotice.objects.filter(send_at__isnull=False).update(send_at=timezone.now() - HOUR)
        tell()
    assert HumanNotice.objects.get(channel="pager").send_at is None
    OrchestrationClient(actor=people["joe"]).answer_task(task.pk, {"approved": False})
    assert worker.run_until_ended("order").output == "reject"


def test_nobody_is_told_of_what_is_closed(ask, people):
    task = ask(notify=["email"])
    HumanNotice.objects.all().delete()
    HumanTask.objects.update(next_notice_at=task.asked_at)
    occasions.attend(get_store())
    OrchestrationClient(actor=people["dana"]).answer_task(task.pk, {"approved": True})

    assert tell() == []


def test_with_nothing_due_a_look_costs_two_short_statements(client, django_assert_num_queries):
    chores = Questions(get_store())

    with django_assert_num_queries(2):
        chores.run()
    with django_assert_num_queries(0):
        chores.run()
