"""Single tasks over HTTP: retried, skipped and completed by hand."""

from __future__ import annotations

import pytest

from orchestrations.models import ActivityWorkItem, AuditEntry, InboxMessage, Timer
from tests import rows

RIGHTS = ("view_instance", "hasten_task", "complete_task")


@pytest.fixture
def operator(caller):
    return caller(*RIGHTS, name="grace")


def url(act: str, task: int) -> str:
    return f"/api/instances/one/tasks/{task}/{act}/"


def timer(instance, task: int, **columns: object) -> Timer:
    return Timer.objects.create(
        hub=instance.hub, instance=instance, execution=1, task_id=task, due_at=rows.NOON.replace(year=2099), **columns
    )


@pytest.mark.parametrize("act, attempt, audited", [("skip", 0, "skip_timer"), ("retry", 2, "retry_now")])
def test_what_waits_for_its_time_is_hastened(operator, act, attempt, audited):
    timer(rows.instance("one"), 3, attempt=attempt)

    answer = operator.post(url(act, 3), {"reason": "no need to wait"}, "json")

    assert answer.status_code == 202
    assert Timer.objects.get().due_at.year < 2099
    assert (AuditEntry.objects.get().action, AuditEntry.objects.get().reason) == (audited, "no need to wait")


def test_an_activity_is_completed_with_a_result_and_a_reason(operator):
    instance = rows.instance("one")
    ActivityWorkItem.objects.create(
        hub=instance.hub,
        instance=instance,
        execution=1,
        task_id=4,
        sequence=1,
        name="charge",
        scheduled_at=rows.NOON,
        visible_at=rows.NOON,
    )

    assert operator.post(url("complete", 4), {"result": 41}, "json").status_code == 400
    assert operator.post(url("complete", 4), {"result": 41, "reason": "paid by phone"}, "json").status_code == 202
    assert InboxMessage.objects.get().payload == "41"


@pytest.mark.parametrize("act", ["skip", "retry", "complete"])
def test_what_is_not_open_is_a_conflict_and_what_is_not_there_not_found(operator, act):
    body = {"reason": "late"}
    assert operator.post(url(act, 3), body, "json").status_code == 404
    rows.instance("one")

    answer = operator.post(url(act, 3), body, "json")

    assert (answer.status_code, answer.json()["code"]) == (409, "task_not_open")


@pytest.mark.parametrize("act", ["skip", "retry", "complete"])
def test_each_needs_its_right(caller, act):
    rows.instance("one")

    assert caller("view_instance").post(url(act, 3), {"reason": "x"}, "json").status_code == 403
