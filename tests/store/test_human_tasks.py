"""Questions to people in the store: written with the checkpoint that has them, or not at all."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from orchestrations.models import AuditEntry, HumanAudience, HumanTask
from orchestrations.store.task_contract import NewTask, SettledTask
from tests.store.episodes import HOUR, NOON, checkpoint, ended

pytestmark = pytest.mark.django_db


def asked(wait_id: int = 1, **columns: Any) -> NewTask:
    values: dict[str, Any] = {"generation": 1, "name": "approval", "title": f"Pay {wait_id}?", "asked_at": NOON}
    return NewTask(wait_id=wait_id, audience=("group:Finance", "excluded:ann"), **(values | columns))


def states() -> dict[int, str]:
    return dict(HumanTask.objects.values_list("wait_id", "state"))


def audience() -> Counter[str]:
    return Counter(HumanAudience.objects.values_list("key", flat=True))


@pytest.fixture
def asking(store, token, running):
    """An instance that asks three questions, as it stands for its next checkpoint."""
    claimed = running()
    store.commit(token, [checkpoint(claimed, asked=[asked(1), asked(2, due_at=NOON + HOUR), asked(3)], release=False)])
    return claimed


def test_a_question_is_written_with_its_audience_and_the_audit(asking, store):
    task = HumanTask.objects.get(wait_id=2)

    assert (task.hub, task.execution, task.title, task.due_at) == (store.hub, 1, "Pay 2?", NOON + HOUR)
    assert (task.state, task.urgent_at, task.row_version) == ("open", NOON + HOUR, 1)
    assert HumanAudience.objects.filter(wait_id=2).count() == 2
    assert [(row.instance_id, row.action) for row in AuditEntry.objects.all()] == [("order-1", "asked")] * 3


def test_who_lost_the_lease_asks_and_closes_nothing(store, token, open_lease, running):
    claimed = running()
    other = open_lease()

    assert store.commit(other, [checkpoint(claimed, asked=[asked()])]).lost == {claimed.pk}
    store.commit(token, [checkpoint(claimed, asked=[asked(2)])])
    store.commit(other, [ended(claimed, settled=[SettledTask(2, "withdrawn")], withdraws_tasks=True)])

    assert states() == {2: "open"}
    assert not AuditEntry.objects.exclude(action="asked").exists()


def test_each_is_closed_as_the_checkpoint_says(asking, store, token):
    HumanTask.objects.filter(wait_id=2).update(state="answered", answered_by="dana", outcome="approve", closed_at=NOON)
    settled = [
        SettledTask(1, "expired"),
        SettledTask(2, "answered", by="engine", outcome="reject"),
        SettledTask(3, "answered", by="system key", outcome="reject"),
    ]

    store.commit(token, [checkpoint(asking, settled=settled)])

    assert states() == {1: "expired", 2: "answered", 3: "answered"}
    told = HumanTask.objects.order_by("wait_id").values_list("answered_by", "outcome")
    assert list(told) == [("", ""), ("dana", "approve"), ("system key", "reject")]
    assert HumanTask.objects.get(wait_id=2).closed_at == NOON
    assert HumanTask.objects.filter(delivered_at__isnull=False).count() == 2
    assert audience() == {"excluded:ann": 3}


def test_the_deadline_that_came_first_overrules_an_answer_on_its_way(asking, store, token):
    HumanTask.objects.update(state="answered")

    store.commit(token, [checkpoint(asking, settled=[SettledTask(1, "expired")])])

    assert HumanTask.objects.get(wait_id=1).state == "expired"


def test_what_ends_without_its_code_withdraws_what_is_open(asking, store, token):
    HumanTask.objects.filter(wait_id=3).update(state="answered")

    store.commit(token, [ended(asking, withdraws_tasks=True)])

    assert states() == {1: "withdrawn", 2: "withdrawn", 3: "answered"}
    assert audience() == {"excluded:ann": 3}
    assert [row.action for row in AuditEntry.objects.order_by("pk")] == ["asked"] * 3 + ["withdrawn"] * 2


def test_more_than_a_batch_is_asked_and_closed(store, token, running):
    claimed = running()
    store.commit(token, [checkpoint(claimed, asked=[asked(number) for number in range(250)], release=False)])

    store.commit(token, [checkpoint(claimed, settled=[SettledTask(number, "withdrawn") for number in range(250)])])

    assert HumanTask.objects.filter(state="withdrawn").count() == 250
    assert audience() == {"excluded:ann": 250}
