"""What an activity is told about its call."""

from __future__ import annotations

from orchestrations import ActivityContext


def test_the_idempotency_key_is_the_same_in_every_attempt_of_a_call():
    first = ActivityContext(instance_id="order-1", start=12, execution=2, task_id=7, attempt=1)
    second = ActivityContext(instance_id="order-1", start=12, execution=2, task_id=7, attempt=2)
    assert first.idempotency_key == second.idempotency_key == "order-1:12:1:7"


def test_it_answers_to_the_name_of_the_durabletask_sdk():
    assert ActivityContext(instance_id="order-1", task_id=7).orchestration_id == "order-1"


def test_it_is_cancelled_when_its_worker_says_so():
    answers = iter([False, True])
    context = ActivityContext(instance_id="order-1", task_id=7, is_cancelled=lambda: next(answers))
    assert [context.is_cancelled(), context.is_cancelled()] == [False, True]
    assert not ActivityContext(instance_id="order-1", task_id=7).is_cancelled()
