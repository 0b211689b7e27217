"""A result that nobody waits for changes nothing, and the log tells of it."""

from __future__ import annotations

import logging

import pytest

from orchestrations import orchestrator
from orchestrations.models import InboxMessage, Instance
from tests.runtime import functions

LATE = "Dropped a TaskCompleted of task"


@pytest.fixture(params=[1000, 0], ids=["in memory", "replayed"])
def cache_size(request) -> int:
    return request.param


@pytest.mark.parametrize("task_id", [1, 99], ids=["has ended", "is unknown"])
def test_a_result_of_a_task_that_is_not_open_is_dropped_with_one_warning(client, worker, events, caplog, task_id):
    @orchestrator
    def works_then_waits(context):
        yield context.call_activity(functions.work, "a")
        return (yield context.wait_for_external_event("go"))

    client.start_new(works_then_waits, "order")
    worker.run_until_idle()
    before = events("order")
    assert LATE not in caplog.text
    InboxMessage.objects.create(
        instance=Instance.objects.get(), hub="default", type="TaskCompleted", task_id=task_id, payload="1", execution=1
    )
    with caplog.at_level(logging.WARNING, logger="orchestrations.runtime"):
        worker.run_until_idle()
        client.raise_event("order", "go", 5)
        assert worker.run_until_ended("order").output == 5

    assert caplog.text.count(f"{LATE} {task_id}, which has ended or is unknown. instance=order execution=1") == 1
    assert "TaskCompleted" not in events("order")[len(before) :]
