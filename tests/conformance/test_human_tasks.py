"""Questions to people: asked with the episode that asks, closed with the one that ends the wait, once each."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrations import HumanAnswer, HumanTimeout, Quorum, Reviewers, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.models import AuditEntry, HistoryEvent, HumanAudience, HumanTask, OpenWait
from orchestrations.reading.integrity import CHECKS, TaskHub
from tests.runtime import functions

HOUR = timedelta(hours=1)
TEAM = Reviewers(groups=["Finance"], users=["eve"], permission="shop.approve", exclude=["ann"])


@dataclass
class Decision:
    """What is asked for."""

    decision: Literal["approve", "reject"]
    limit: int = 100


with registry.preserved():

    @orchestrator
    def asks(context, options):
        for number in range(options.get("episodes", 0)):
            yield context.call_activity(functions.work, number)
        answer: HumanAnswer = yield context.wait_for_external_event(
            "approval",
            form=Decision,
            title="Pay 7 EUR?",
            description="It is urgent.",
            summary={"Total": 7},
            initial={"limit": 50},
            assign=TEAM,
            quorum=Quorum(approve=2),
            due=HOUR,
            remind=[HOUR / 2],
            escalate=Reviewers(groups=["Leads"]),
            notify=["inbox", "email"],
            priority=2,
        )
        return [answer.data.decision, answer.data.limit, answer.by]


class NoChores:
    """For a worker that tells nobody of what it asks: these cases are about the asking."""

    def run(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def quiet(worker):
    worker.runtime.chores = NoChores()


@pytest.fixture
def task(client, worker):
    """The task of an instance that has just asked."""
    registry.add_orchestrator(asks.durable)

    def ask(orchestrator: object = asks, client_input: object = None) -> HumanTask:
        client.start_new(orchestrator, "order", client_input or {})
        worker.run_until_idle()
        return HumanTask.objects.get()

    return ask


def audit() -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.filter(instance_id="order").order_by("pk")
    return [(row.action, row.actor_name, row.via) for row in rows]


def findings() -> list[str]:
    hub = TaskHub()
    return [finding for check in CHECKS.values() for finding in check(hub)]


def test_asking_writes_what_pages_need_with_the_episode(task):
    asked = task()

    assert (asked.title, asked.description, asked.state, asked.name) == (
        "Pay 7 EUR?", "It is urgent.", "open", "approval"
    )  # fmt: skip
    assert json.loads(asked.summary) == {"Total": "7"}
    assert json.loads(asked.initial) == {"limit": 50}
    assert asked.form == f"{__name__}.Decision"
    assert json.loads(asked.schema)["outcome"] == "decision"
    assert (asked.quorum_approve, asked.quorum_reject, asked.priority) == (2, 1, 2)
    assert asked.due_at == asked.urgent_at == asked.asked_at + HOUR
    assert asked.escalate_at == asked.asked_at + HOUR / 2
    assert json.loads(asked.reminders) == [(asked.asked_at + HOUR / 2).isoformat()]
    assert asked.next_notice_at == asked.asked_at
    assert set(HumanAudience.objects.values_list("key", flat=True)) == {
        "group:Finance", "user:eve", "permission:shop.approve", "excluded:ann"
    }  # fmt: skip
    assert audit() == [("asked", "engine", "Engine")]
    wait = OpenWait.objects.get()
    assert (wait.title, wait.due_at, wait.wait_id) == (asked.title, asked.due_at, asked.wait_id)


def test_replay_writes_nothing(task, client, worker, events):
    @orchestrator
    def asks_first(context, _):
        context.wait_for_external_event("approval", assign=TEAM)
        for number in range(4):
            yield context.call_activity(functions.work, number)
        yield context.wait_for_external_event("go")

    before = task(asks_first)
    client.raise_event("order", "go")
    worker.run_until_ended("order")

    [after] = HumanTask.objects.all()
    assert (after.pk, after.asked_at, after.state) == (before.pk, before.asked_at, "withdrawn")
    assert [deed for deed, _, _ in audit()] == ["asked", "withdrawn"]


def test_a_bare_event_closes_it_as_answered_and_delivered(task, client, worker):
    task()
    client.raise_event("order", "approval", {"decision": "reject", "limit": 7})

    assert worker.run_until_ended("order").output == ["reject", 7, ""]
    done = HumanTask.objects.get()
    assert (done.state, done.outcome, done.closed_at) == ("answered", "reject", done.delivered_at)
    assert [row.key for row in HumanAudience.objects.all()] == ["excluded:ann"]
    assert [deed for deed, _, _ in audit()] == ["asked", "delivered"]
    assert findings() == []


def test_the_deadline_expires_it(task, worker):
    task()
    worker.skip_timers("order")

    assert "HumanTimeout" in worker.run_until_ended("order").failure_details.error_type
    done = HumanTask.objects.get()
    assert (done.state, done.delivered_at, done.next_notice_at) == ("expired", None, None)
    assert [deed for deed, _, _ in audit()] == ["asked", "expired"]


def test_the_deadline_can_be_caught_and_can_answer(task, worker):
    @orchestrator
    def falls_back(context, _):
        with suppress(HumanTimeout):
            yield context.wait_for_external_event("approval", assign=TEAM, due=HOUR)
        answer = yield context.wait_for_external_event(
            "approval", form=Decision, due=HOUR, on_timeout={"decision": "reject"}
        )
        return [answer.data.decision, answer.approved, answer.via]

    task(falls_back)
    worker.skip_timers("order")
    worker.run_until_idle()
    assert json.loads(HumanTask.objects.get(state="open").on_timeout) == {"decision": "reject"}
    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == ["reject", False, "timeout"]
    assert [row.state for row in HumanTask.objects.order_by("pk")] == ["expired", "expired"]


def test_a_default_that_the_form_refuses_fails_where_it_is_asked(client, worker):
    @orchestrator
    def asks_wrongly(context):
        yield context.wait_for_external_event("approval", form=Decision, due=HOUR, on_timeout={"decision": "maybe"})

    client.start_new(asks_wrongly, "order")

    assert "on_timeout" in worker.run_until_ended("order").failure_details.message
    assert not HumanTask.objects.exists()


@pytest.mark.parametrize("act", ["terminate", "fail", "continue", "complete"])
def test_the_end_of_the_execution_withdraws_it(task, client, worker, act):
    @orchestrator
    def asks_and_goes_on(context, _):
        context.wait_for_external_event("approval", assign=TEAM)
        told = yield context.wait_for_external_event("go")
        if told == "fail":
            raise ValueError("no")
        if told == "continue":
            context.continue_as_new({})

    first = task(asks_and_goes_on)
    if act == "terminate":
        client.terminate("order")
    else:
        client.raise_event("order", "go", act)
    worker.run_until_idle()

    first.refresh_from_db()
    assert first.state == "withdrawn"
    keys = set(HumanAudience.objects.filter(key="group:Finance").values_list("execution", flat=True))
    assert keys == ({2} if act == "continue" else set())
    assert HumanTask.objects.filter(state="open").count() == (act == "continue")
    assert findings() == []


def test_an_instance_that_can_not_be_run_is_terminated_with_its_task(task, client, worker, make_worker):
    task()
    client.suspend("order")
    worker.run_until_idle()
    other = make_worker()
    client.terminate("order")

    other.run_until_idle()

    assert HumanTask.objects.get().state == "withdrawn"


def test_what_is_dropped_is_withdrawn_and_what_is_taken_up_again_is_open_with_its_votes(task, client, worker):
    @orchestrator
    def looks_away(context, _):
        answer = context.wait_for_external_event("approval", form=Decision, assign=TEAM)
        while not answer.is_completed:
            if (yield context.task_any([answer, context.wait_for_external_event("look")])) is not answer:
                yield context.wait_for_external_event("back")
        return answer.result.data.limit

    asked = task(looks_away)
    HumanTask.objects.update(approvals=1, state="partly_answered")
    client.raise_event("order", "look")
    worker.run_until_idle()
    asked.refresh_from_db()
    assert asked.state == "withdrawn"

    client.raise_event("order", "back")
    worker.run_until_idle()

    asked.refresh_from_db()
    assert (asked.state, asked.closed_at) == ("partly_answered", None)
    assert HumanAudience.objects.count() == 4
    client.raise_event("order", "approval", {"decision": "approve"})
    assert worker.run_until_ended("order").output == 100
    assert HumanTask.objects.get().state == "answered"


def test_a_rewind_asks_anew(task, client, worker, stage):
    @orchestrator
    def fails_beside_it(context, _):
        answer = context.wait_for_external_event("approval", assign=TEAM)
        yield context.wait_for_external_event("go")
        yield context.call_activity(functions.work, "beside")
        return (yield answer).outcome

    stage.failing.add("beside")
    task(fails_beside_it)
    client.raise_event("order", "go")
    worker.run_until_ended("order")
    stage.failing.clear()
    client.rewind("order")
    worker.run_until_idle()

    assert [(row.execution, row.state) for row in HumanTask.objects.order_by("pk")] == [(1, "withdrawn"), (2, "open")]
    assert findings() == []


def test_a_rewind_asks_anew_with_all_the_time_there_was_where_nobody_had_answered(task, client, worker):
    @orchestrator
    def asks_until_a_moment(context, _):
        due = context.current_utc_datetime + timedelta(days=1)
        return (yield context.wait_for_external_event("approval", assign=TEAM, due=due)).outcome

    task(asks_until_a_moment)
    worker.skip_timers("order")
    assert worker.run_until_ended("order").runtime_status == "Failed"
    client.rewind("order")
    worker.run_until_idle()

    expired, asked = HumanTask.objects.order_by("pk")
    assert (expired.state, asked.state) == ("expired", "open")
    assert asked.asked_at > expired.asked_at
    assert asked.due_at - asked.asked_at == timedelta(days=1)


def test_a_title_is_a_task_with_the_form_of_an_approval(task, client, worker):
    @orchestrator
    def asks_as_ever(context, _):
        return (yield context.wait_for_external_event("approval", title="Go?", groups=["Finance"]))

    asked = task(asks_as_ever)
    schema = json.loads(asked.schema)

    assert (schema["outcome"], schema["plain"]) == ("approved", True)
    assert list(HumanAudience.objects.values_list("key", flat=True)) == ["group:Finance"]
    client.raise_event("order", "approval", {"approved": True, "comment": "", "by": "dana"})
    assert worker.run_until_ended("order").output == {"approved": True, "comment": "", "by": "dana"}
    assert HumanTask.objects.get().outcome == "approve"


def test_waits_that_ask_nobody_cost_no_statement_more(client, worker):
    with CaptureQueriesContext(connection) as captured:
        client.start_new(functions.waits, "order", 1)
        worker.run_until_idle()
        client.raise_event("order", "go")
        worker.run_until_ended("order")

    assert not [query for query in captured if "durable_task" in str(query["sql"])]


def test_a_purge_leaves_the_audit(task, client, worker):
    task()
    client.terminate("order")
    worker.run_until_idle()

    client.purge_instance_history("order")

    assert not HumanTask.objects.exists()
    assert [deed for deed, _, _ in audit()] == ["asked", "withdrawn"]
    assert HistoryEvent.objects.count() == 0
