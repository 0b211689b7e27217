"""Answers of people: one vote each, counted and delivered once, by who is asked, as the form lets them through."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, transaction
from django.utils import timezone

from orchestrations import HumanForm, OrchestrationClient, Quorum, Reviewers, orchestrator
from orchestrations.errors import (
    AlreadyVoted,
    AnswerRejected,
    HumanTaskClosed,
    HumanTaskNotFound,
    PermissionRefused,
)
from orchestrations.models import AuditEntry, HistoryEvent, HumanComment, HumanTask, HumanVote, InboxMessage

HOUR = timedelta(hours=1)


@dataclass
class Decision:
    """What is asked for."""

    decision: Literal["approve", "reject"]
    limit: int = 100


class Together(HumanForm):
    """A form that may be answered for many questions at once."""

    class Human:
        bulk = True


APPROVE = {"decision": "approve"}
REJECT = {"decision": "reject"}


@pytest.fixture
def people(client) -> dict[str, User]:
    """Three of the group that is asked, one who asked, one of nothing, one who may override."""
    finance = Group.objects.create(name="Finance")
    found = {name: User.objects.create_user(name) for name in ("dana", "max", "eve", "ann", "joe", "boss")}
    for name in ("dana", "max", "eve", "ann"):
        found[name].groups.add(finance)
    found["boss"].user_permissions.add(Permission.objects.get(codename="override_task"))
    return {name: User.objects.get(pk=user.pk) for name, user in found.items()}


@pytest.fixture
def by(people):
    """A client in the name of a person."""
    return lambda name: OrchestrationClient(actor=people[name], via="Dashboard")


@pytest.fixture
def ask(client, worker, people):
    """Has an instance ask, and returns the task."""

    def ask(instance_id: str = "order", **options) -> HumanTask:
        given = {"form": Decision, "assign": Reviewers(groups=["Finance"], exclude=["ann"]), **options}

        @orchestrator(name=f"asks {instance_id}")
        def asks(context):
            answer = yield context.wait_for_external_event("approval", **given)
            if isinstance(answer, dict):
                return answer
            votes = [[vote.by, vote.outcome] for vote in answer.votes]
            return [getattr(answer.data, "limit", answer.data), answer.outcome, answer.by, answer.comment, votes]

        client.start_new(f"asks {instance_id}", instance_id)
        worker.run_until_idle()
        return HumanTask.objects.get(instance__instance_id=instance_id)

    return ask


def deeds() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", "actor_name"))


def test_one_vote_answers_and_the_orchestrator_gets_it_typed(ask, by, worker):
    task = ask()
    by("dana").answer_task(task.pk, {"decision": "approve", "limit": "7"}, "as agreed")

    assert worker.run_until_ended("order").output == [7, "approve", "dana", "as agreed", [["dana", "approve"]]]
    task.refresh_from_db()
    assert (task.state, task.answered_by, task.outcome) == ("answered", "dana", "approve")
    assert task.delivered_at >= task.closed_at
    assert deeds() == [("asked", "engine"), ("voted", "dana"), ("delivered", "engine")]
    [event] = HistoryEvent.objects.filter(type="EventRaised")
    assert json.loads(event.payload) == {"decision": "approve", "limit": 7}


def test_four_eyes_are_two_people(ask, by, worker):
    task = ask(quorum=Quorum(approve=2))
    first = by("dana").answer_task(task.pk, APPROVE)
    worker.run_until_idle()

    assert (first.state, first.approvals, first.quorum_approve) == ("partly_answered", 1, 2)
    with pytest.raises(AlreadyVoted, match="You approved this before"):
        by("dana").answer_task(task.pk, APPROVE)
    assert not HistoryEvent.objects.filter(type="EventRaised").exists()

    by("max").answer_task(task.pk, {"decision": "approve", "limit": 3})

    assert worker.run_until_ended("order").output == [
        3, "approve", "max", "", [["dana", "approve"], ["max", "approve"]]
    ]  # fmt: skip


def test_the_rejecting_quorum_wins(ask, by, worker):
    task = ask(quorum=Quorum(approve=2, reject=1))
    by("dana").answer_task(task.pk, APPROVE)
    by("max").answer_task(task.pk, REJECT, "too much")

    assert worker.run_until_ended("order").output[1:4] == ["reject", "max", "too much"]


def test_who_comes_second_is_told_who_was_quicker_and_what_they_said(ask, by):
    task = ask()
    by("dana").answer_task(task.pk, REJECT, "too much")

    with pytest.raises(HumanTaskClosed, match="dana rejected this before you: too much") as late:
        by("max").answer_task(task.pk, APPROVE)
    with pytest.raises(AlreadyVoted, match="You rejected this before"):
        by("dana").answer_task(task.pk, APPROVE)

    assert (late.value.by, late.value.outcome, late.value.comment) == ("dana", "reject", "too much")
    assert late.value.at == HumanTask.objects.get().closed_at
    assert HumanVote.objects.count() == 1


def test_of_many_at_once_exactly_one_wins(ask, people, worker):
    task = ask()
    names = ["dana", "max", "eve"]

    def answer(name: str) -> bool:
        try:
            OrchestrationClient(actor=people[name]).answer_task(task.pk, APPROVE)
        except HumanTaskClosed:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(len(names)) as threads:
        won = list(threads.map(answer, names))

    assert won.count(True) == 1
    assert InboxMessage.objects.count() == HumanVote.objects.count() == 1
    worker.run_until_ended("order")
    assert HistoryEvent.objects.filter(type="EventRaised").count() == 1


def test_one_person_at_once_in_two_windows_votes_once(ask, people):
    task = ask(quorum=Quorum(approve=3))

    def answer(_: int) -> bool:
        try:
            OrchestrationClient(actor=people["dana"]).answer_task(task.pk, APPROVE)
        except AlreadyVoted:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(answer, range(4))).count(True) == 1
    task.refresh_from_db()
    assert task.approvals == HumanVote.objects.count() == 1


def test_the_form_judges_before_anything_is_stored(ask, by):
    task = ask()
    with pytest.raises(AnswerRejected) as refused:
        by("dana").answer_task(task.pk, {"decision": "maybe", "limit": "x"})

    assert set(refused.value.errors) == {"$.decision", "$.limit"}
    assert refused.value.form.data
    assert not HumanVote.objects.exists()
    assert not InboxMessage.objects.exists()


@pytest.mark.parametrize("name, error", [("ann", PermissionRefused), ("joe", HumanTaskNotFound)])
def test_who_asked_and_who_is_not_asked_do_not_answer(ask, by, name, error):
    task = ask()
    with pytest.raises(error):
        by(name).answer_task(task.pk, APPROVE)

    assert not HumanVote.objects.exists()


def test_a_program_answers_nothing(ask):
    task = ask()
    with pytest.raises(PermissionRefused, match="Only a person answers"):
        OrchestrationClient(actor="system key").answer_task(task.pk, APPROVE)


@pytest.mark.parametrize("end", ["terminate", "expire", "due"])
def test_nobody_answers_for_a_wait_that_is_over(ask, by, client, worker, end):
    task = ask(due=HOUR)
    if end == "terminate":
        client.terminate("order")
    elif end == "expire":
        worker.skip_timers("order")
    else:  # the deadline has passed, and no worker has seen it yet
        HumanTask.objects.update(due_at=timezone.now() - HOUR)
    if end != "due":
        worker.run_until_idle()

    with pytest.raises(HumanTaskClosed) as closed:
        by("dana").answer_task(task.pk, APPROVE)

    assert closed.value.state == ("withdrawn" if end == "terminate" else "expired")
    assert not InboxMessage.objects.exists()


def test_a_suspended_instance_gets_the_answer_when_it_is_resumed(ask, by, client, worker):
    task = ask()
    client.suspend("order")
    worker.run_until_idle()
    by("dana").answer_task(task.pk, APPROVE)
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Suspended"

    client.resume("order")

    assert worker.run_until_ended("order").output[1] == "approve"
    assert HumanTask.objects.get().delivered_at is not None


def test_an_answer_in_a_transaction_that_is_rolled_back_was_never_given(ask, by):
    task = ask()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        by("dana").answer_task(task.pk, APPROVE)
        raise ZeroDivisionError

    task.refresh_from_db()
    assert (task.state, task.approvals) == ("open", 0)
    assert not InboxMessage.objects.exists()


def test_a_title_alone_is_answered_as_ever(ask, by, worker):
    task = ask(form=None, assign=None, title="Go?", groups=["Finance"])
    by("dana").answer_task(task.pk, {"approved": False}, "no")

    assert worker.run_until_ended("order").output == {"approved": False, "comment": "no", "by": "dana"}


# Passing on ---------------------------------------------------------------------------------------------------------


def test_a_delegate_answers_instead_and_the_deadline_stays(ask, by, people, worker):
    task = ask(due=HOUR, notify=["email"])
    before = task.due_at
    delegated = by("dana").delegate_task(task.pk, people["joe"], "on leave")

    assert (delegated.assignee_id, delegated.due_at, delegated.link_version) == (people["joe"].pk, before, 2)
    with pytest.raises(PermissionRefused, match="assigned to somebody"):
        by("max").answer_task(task.pk, APPROVE)
    by("joe").answer_task(task.pk, APPROVE)
    assert worker.run_until_ended("order").output[2] == "joe"
    line = HumanComment.objects.get()
    assert (line.kind, line.username, line.to, line.text) == ("delegated", "dana", "joe", "on leave")
    assert ("delegated", "dana") in deeds()
    assert task.notices.get(kind="delegated").recipient == people["joe"]


def test_who_was_left_out_stays_so(ask, by, people):
    task = ask()
    with pytest.raises(PermissionRefused, match="left out"):
        by("dana").delegate_task(task.pk, people["ann"], "please")
    people["ann"].user_permissions.add(Permission.objects.get(codename="override_task"))
    with pytest.raises(PermissionRefused, match="You asked for this"):
        OrchestrationClient(actor=User.objects.get(username="ann")).override_task(task.pk, APPROVE, "I want it")


def test_a_claim_keeps_others_off_until_it_is_released(ask, by, worker):
    task = ask()
    by("dana").claim_task(task.pk)
    for act in (lambda: by("max").answer_task(task.pk, APPROVE), lambda: by("max").claim_task(task.pk)):
        with pytest.raises(PermissionRefused):
            act()
    with pytest.raises(PermissionRefused, match="who can release it"):
        by("max").release_task(task.pk)

    by("dana").release_task(task.pk)
    by("max").answer_task(task.pk, APPROVE)

    assert worker.run_until_ended("order").output[2] == "max"


def test_an_override_decides_alone_and_says_why(ask, by, worker):
    task = ask(quorum=Quorum(approve=3))
    with pytest.raises(ValueError, match="Say why"):
        by("boss").override_task(task.pk, APPROVE, " ")
    with pytest.raises(PermissionRefused):
        by("max").override_task(task.pk, APPROVE, "because")

    by("boss").override_task(task.pk, APPROVE, "because")

    assert worker.run_until_ended("order").output[1:4] == ["approve", "boss", "because"]
    assert ("overridden", "boss") in deeds()


def test_comments_and_follow_ups_answer_nothing(ask, by, people):
    task = ask()
    by("dana").comment_task(task.pk, "Is it urgent?")
    by("dana").follow_up_task(task.pk, timezone.now() + HOUR)
    by("dana").follow_up_task(task.pk, None)
    with pytest.raises(HumanTaskNotFound):
        by("joe").comment_task(task.pk, "Me too")

    assert [line.text for line in task.humancomments.all()] == ["Is it urgent?"]
    assert HumanTask.objects.get().state == "open"


def test_what_is_closed_is_neither_put_off_nor_taken(ask, by):
    task = ask(quorum=Quorum(approve=2))
    by("dana").answer_task(task.pk, APPROVE)
    with pytest.raises(AlreadyVoted):
        by("dana").claim_task(task.pk)
    by("max").answer_task(task.pk, APPROVE)

    for act in (
        lambda: by("max").claim_task(task.pk),
        lambda: by("max").follow_up_task(task.pk, timezone.now() + HOUR),
    ):
        with pytest.raises(HumanTaskClosed):
            act()
    by("max").follow_up_task(task.pk, None)


def test_the_first_look_is_noted_once(ask, by):
    task = ask()
    by("ann").see_task(task.pk)
    assert HumanTask.objects.get().seen_at is None, "who asked is not asked"
    by("dana").see_task(task.pk)
    by("max").see_task(task.pk)

    assert deeds() == [("asked", "engine"), ("seen", "dana")]


def test_a_decision_can_be_taken_back_for_a_while(ask, by, worker):
    task = ask(undo=HOUR)
    done = by("dana").answer_task(task.pk, APPROVE)
    worker.run_until_idle()
    assert (done.state, done.deliver_at - done.closed_at) == ("answered", HOUR)
    assert not HistoryEvent.objects.filter(type="EventRaised").exists()
    with pytest.raises(PermissionRefused):
        by("max").undo_answer(task.pk)

    open_again = by("dana").undo_answer(task.pk)

    assert (open_again.state, open_again.approvals, open_again.answered_by) == ("open", 0, "")
    with pytest.raises(HumanTaskClosed):
        by("dana").undo_answer(task.pk)


def test_many_are_answered_at_once_where_their_form_allows_it(ask, by, worker):
    first, second, other = ask("one", form=Together), ask("two", form=Together), ask("three")
    by("dana").answer_task(first.pk, {})

    outcomes = by("max").answer_tasks([first.pk, second.pk], {}, "all fine")

    assert isinstance(outcomes[first.pk], HumanTaskClosed)
    assert outcomes[second.pk] is None
    with pytest.raises(ValueError, match="can't be answered together"):
        by("max").answer_tasks([second.pk, other.pk], {})
