"""Questions to people over the REST API: whose inbox, one vote each, the form's errors by place, who was quicker."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrations.authoring.forms import binding
from orchestrations.models import HumanTask, HumanVote, InboxMessage
from tests import rows

URL = "/api/approvals/"
HOUR = timedelta(hours=1)


@dataclass
class Decision:
    """What is asked for."""

    decision: Literal["approve", "reject"]
    limit: int = 100


SCHEMA = json.dumps(binding.describe_form(Decision).as_dict())


def ask(*audience: str, **columns: Any) -> HumanTask:
    """A question to these keys of an audience, which its assignment says too."""
    named: dict[str, Any] = {"groups": [], "users": [], "exclude": []}
    for key in audience:
        kind, _, name = key.partition(":")
        named["exclude" if kind == "excluded" else f"{kind}s"].append(name)
    return rows.task(rows.instance(), *audience, schema=SCHEMA, assignment=json.dumps(named), **columns)


@pytest.fixture
def dana(caller) -> APIClient:
    dana = caller(name="dana")
    User.objects.get(username="dana").groups.add(Group.objects.create(name="Finance"))
    return dana


def titles(api: APIClient, tab: str = "groups", **query: object) -> list[str]:
    return [row["title"] for row in api.get(URL, {"tab": tab, **query}).json()["results"]]


def test_each_question_is_in_its_tab_and_what_is_due_first_comes_first(dana, caller):
    user = User.objects.get(username="dana")
    soon = timezone.now() + HOUR
    ask("group:Finance", title="late", due_at=soon + HOUR)
    ask("group:Finance", title="ever")
    ask("group:Finance", title="soon", due_at=soon)
    ask("user:dana", title="by name")
    ask("group:Sales", title="assigned", assignee=user)
    ask("group:Sales", title="of others")
    ask("group:Finance", "excluded:dana", title="asked by her")
    ask("group:Finance", title="closed", state="withdrawn")
    ask("group:Finance", title="taken", assignee=caller(name="max") and User.objects.get(username="max"))
    rows.thread(ask("group:Finance", title="answered"), user)

    assert titles(dana) == ["soon", "late", "ever"]
    assert titles(dana, "mine") == ["by name", "assigned"]
    assert titles(dana, "asked") == ["asked by her"]
    assert titles(dana, "done") == ["answered"]
    assert dana.get(URL, {"tab": "all"}).status_code == 400


def test_what_is_put_off_is_out_of_the_inbox_until_then(dana):
    task = ask("group:Finance", title="later")
    follow_up = {"task": task, "instance": task.instance, "user": User.objects.get(username="dana")}
    task.humanfollowup_set.create(
        **{key: value for key, value in follow_up.items() if key != "task"}, until=timezone.now() + HOUR
    )
    assert titles(dana) == []

    task.humanfollowup_set.update(until=timezone.now() - HOUR)

    assert titles(dana) == ["later"]


def test_a_page_costs_as_many_statements_as_it_has_rows_or_more(dana):
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert dana.get(URL).status_code == 200
        return len(captured)

    ask("group:Finance")
    few = cost()
    for number in range(30):
        ask("group:Finance", title=str(number))

    assert cost() == few
    first = dana.get(URL, {"limit": 20}).json()
    assert len(first["results"]) == 20
    assert len(dana.get(first["next"]).json()["results"]) == 11


def test_a_question_says_what_it_takes_to_answer_it(dana):
    task = ask("group:Finance", title="Pay?", summary='{"Total": "7"}', initial='{"limit": 5}', quorum_approve=2)

    shown = dana.get(f"{URL}{task.pk}/").json()

    assert (shown["title"], shown["summary"], shown["initial"]) == ("Pay?", {"Total": "7"}, {"limit": 5})
    assert [field["name"] for field in shown["form"]["fields"]] == ["decision", "limit"]
    assert (shown["approvals"], shown["approvals_needed"], shown["may_not_answer"]) == (0, 2, "")


def test_an_answer_is_a_vote_and_a_second_one_a_conflict(dana, caller):
    task = ask("group:Finance")
    max_ = caller(name="max")
    User.objects.get(username="max").groups.add(Group.objects.get(name="Finance"))
    body = {"answer": {"decision": "reject"}, "comment": "too much"}

    answered = dana.post(f"{URL}{task.pk}/", body, format="json")
    late = max_.post(f"{URL}{task.pk}/", body, format="json")

    assert (answered.status_code, answered.json()["state"]) == (200, "answered")
    assert answered.json()["votes"][0]["comment"] == "too much"
    assert (late.status_code, late.json()["code"]) == (409, "human_task_closed")
    assert "dana rejected this before you: too much" in late.json()["detail"]
    assert json.loads(InboxMessage.objects.get().payload) == {"decision": "reject", "limit": 100}


def test_the_form_says_which_field_is_wrong(dana):
    task = ask("group:Finance")
    response = dana.post(f"{URL}{task.pk}/", {"answer": {"decision": "maybe", "limit": "x"}}, format="json")

    assert (response.status_code, response.json()["code"]) == (422, "answer_rejected")
    assert {error["path"] for error in response.json()["errors"]} == {"$.decision", "$.limit"}
    assert dana.post(f"{URL}{task.pk}/", {"comment": "?"}, format="json").json()["errors"][0]["path"] == "$.answer"
    assert not HumanVote.objects.exists()


def test_who_is_not_asked_finds_nothing_and_who_asked_may_look(caller):
    task = ask("group:Finance", "excluded:ann")
    body = {"answer": {"decision": "approve"}}
    ann, joe = caller(name="ann"), caller(name="joe")

    assert (
        joe.get(f"{URL}{task.pk}/").status_code == joe.post(f"{URL}{task.pk}/", body, format="json").status_code == 404
    )
    assert ann.get(f"{URL}{task.pk}/").json()["may_not_answer"].startswith("You asked for this")
    assert ann.post(f"{URL}{task.pk}/", body, format="json").status_code == 403


def test_a_question_is_taken_given_back_and_passed_on(dana, caller):
    task = ask("group:Finance")
    caller(name="joe")
    address = f"{URL}{task.pk}/"

    assert dana.post(f"{address}claim/").json()["assignee"] == "dana"
    assert dana.post(f"{address}release/").json()["assignee"] is None
    assert dana.post(f"{address}delegate/", {"to": "nobody", "reason": "?"}, format="json").status_code == 400
    passed = dana.post(f"{address}delegate/", {"to": "joe", "reason": "on leave"}, format="json").json()
    assert (passed["assignee"], passed["thread"][-1]["text"]) == ("joe", "on leave")
    assert dana.post(f"{address}comments/", {"text": "Thanks"}, format="json").json()["thread"][-1]["text"] == "Thanks"
    assert dana.post(f"{address}undo/").status_code == 409
    assert dana.post(f"{address}explode/").status_code == 404


def test_an_override_needs_its_permission_and_a_reason(dana, caller):
    task = ask("group:Finance", quorum_approve=3)
    boss = caller("override_task", name="boss")
    body = {"answer": {"decision": "approve"}, "reason": "because"}

    assert dana.post(f"{URL}{task.pk}/override/", body, format="json").status_code == 403
    assert boss.post(f"{URL}{task.pk}/override/", {**body, "reason": ""}, format="json").status_code == 400
    assert boss.post(f"{URL}{task.pk}/override/", body, format="json").json()["state"] == "answered"
