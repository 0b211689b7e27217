"""Sub-orchestrations: how they end, what their parent sees of it, and whose ids they have."""

from __future__ import annotations

import pytest

from orchestrations.models import HistoryEvent, Instance
from tests.runtime import functions


@pytest.fixture(params=[1000, 0], ids=["in memory", "replayed"])
def cache_size(request) -> int:
    return request.param


def test_a_child_gives_its_output_to_its_parent(run):
    status = run(functions.parent, ["chain", 2, "child"])

    assert status.output == [0, 1]
    assert Instance.objects.get(instance_id="child").parent.instance_id == status.instance_id


def test_default_ids_come_from_the_parents_and_the_call(run):
    assert run(functions.two_children, instance_id="order").output == [[0], [0, 1]]
    assert set(Instance.objects.values_list("instance_id", flat=True)) == {"order", "order:0001", "order:0002"}


def test_a_failed_child_fails_its_parent_with_the_cause(run, stage):
    stage.failing = {"x"}
    status = run(functions.parent, ["calls", ["work", "x"], "child"])

    assert status.runtime_status == "Failed"
    assert status.failure_details.is_caused_by(LookupError)


def test_a_parent_may_handle_it(run, stage):
    stage.failing = {"x"}

    assert "no x" in run(functions.forgiving_parent, ["calls", ["work", "x"], None]).output


def test_a_terminated_child_is_a_failure_with_its_reason(client, worker):
    client.start_new(functions.forgiving_parent, "order", ["waits", 1, "child"])
    worker.run_until_idle()
    client.terminate("child", "no stock")

    output = worker.run_until_ended("order").output

    assert "'child' was terminated: no stock" in output
    assert client.get_status("child").runtime_status == "Terminated"


def test_an_id_that_a_live_instance_has_fails_the_call_and_leaves_that_instance_alone(client, run):
    client.start_new(functions.waits, "taken", 1)

    status = run(functions.parent, ["waits", 1, "taken"])

    assert status.runtime_status == "Failed"
    assert status.failure_details.is_caused_by("InstanceAlreadyExists")
    assert client.get_status("taken").runtime_status == "Running"
    assert Instance.objects.get(instance_id="taken").parent is None


def test_an_id_that_an_ended_instance_had_is_used_again(run):
    run(functions.chain, 1, "child")

    assert run(functions.parent, ["chain", 3, "child"]).output == [0, 1, 2]


def test_a_childs_end_is_told_once_though_it_is_delivered_twice(client, worker):
    client.start_new(functions.parent, "order", ["chain", 1, "child"])
    worker.run_until_ended("order")

    ends = HistoryEvent.objects.filter(instance__instance_id="order", type="SubOrchestrationInstanceCompleted")
    assert ends.count() == 1
