"""What the context tells of its instance: the same in every replay, whatever has become of the instance's row."""

from __future__ import annotations

from datetime import timedelta

from orchestrations import TaskFailedError, orchestrator
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import HistoryEvent, Instance
from tests.runtime import functions


def go_on(client, make_worker, times: int) -> object:
    """Raise the event ``go`` that often, each time to a worker that knows nothing, and return the output."""
    for _ in range(times):
        worker = make_worker()
        worker.run_until_idle()
        worker.stop()
        client.raise_event("order", "go")
    return make_worker().run_until_ended("order").output


def test_progress_is_kept_in_the_custom_status(client, make_worker, stage):
    @orchestrator
    def progress(context):
        for step in range(3):
            done = context.custom_status or []
            context.set_custom_status([*done, step])
            yield context.wait_for_external_event("go")
        return context.custom_status

    client.start_new(progress, "order")

    assert go_on(client, make_worker, 3) == [0, 1, 2]
    assert client.get_status("order").custom_status == [0, 1, 2]


def test_a_generation_sees_the_custom_status_of_the_one_before(client, make_worker, stage):
    @orchestrator
    def rounds(context, n):
        inherited = context.custom_status
        context.set_custom_status({"round": n})
        yield context.wait_for_external_event("go")
        if n < 3:
            return context.continue_as_new(n + 1)
        return inherited

    client.start_new(rounds, "order", 1)

    assert go_on(client, make_worker, 3) == {"round": 2}
    inherited = HistoryEvent.objects.filter(type="ExecutionStarted").order_by("execution")
    assert [event.payload for event in inherited] == ['{"round":2}']


def test_it_stays_while_a_generation_is_suspended_before_it_begins(client, make_worker, stage):
    @orchestrator
    def rounds(context, n):
        if n == 1:
            yield context.wait_for_external_event("go")
            context.set_custom_status("first")
            return context.continue_as_new(2)
        yield context.wait_for_external_event("go")
        return context.custom_status

    client.start_new(rounds, "order", 1)
    make_worker().run_until_idle()
    client.raise_event("order", "go")
    client.suspend("order", "wait")
    make_worker().run_until_idle()

    assert client.get_status("order").runtime_status == RuntimeStatus.SUSPENDED
    assert client.get_status("order").custom_status == "first"

    client.resume("order", "go on")
    assert go_on(client, make_worker, 1) == "first"


def test_a_rewound_generation_sees_what_it_saw_at_first(client, make_worker, stage):
    @orchestrator
    def rounds(context, n):
        seen = context.custom_status
        if n == 1:
            context.set_custom_status("first")
            return context.continue_as_new(2)
        try:
            yield context.call_activity(functions.work, "broken")
        except TaskFailedError:
            context.set_custom_status("rolling back")
            raise
        return seen

    stage.failing = {"broken"}
    client.start_new(rounds, "order", 1)
    assert make_worker().run_until_ended("order").custom_status == "rolling back"

    stage.failing = set()
    client.rewind("order")
    status = make_worker().run_until_ended("order")

    assert (status.output, status.custom_status) == ("first", "first")


def test_a_child_knows_its_parent_though_that_is_purged(client, make_worker, stage):
    @orchestrator
    def leaves(context):
        context.call_sub_orchestrator(left_behind, instance_id="order")
        yield context.create_timer(timedelta(0))

    @orchestrator
    def left_behind(context):
        known = context.parent_instance_id
        context.send_event(known, "begun")
        yield context.wait_for_external_event("go")
        return [known, context.parent_instance_id]

    client.start_new(leaves, "parent")
    worker = make_worker()
    worker.run_until_ended("parent")
    worker.run_until_idle()
    worker.stop()
    client.purge_instance_history("parent")
    assert not Instance.objects.filter(instance_id="parent").exists()

    assert go_on(client, make_worker, 1) == ["parent", "parent"]


def test_tags_are_those_that_the_code_saw_first(client, make_worker, stage):
    @orchestrator
    def tagged(context):
        first = dict(context.tags)
        yield context.wait_for_external_event("go")
        return [first, dict(context.tags)]

    client.start_new(tagged, "order", tags={"region": "eu"})
    make_worker().run_until_idle()
    client.set_tags("order", {"region": "us"})

    assert go_on(client, make_worker, 1) == [{"region": "eu"}, {"region": "eu"}]
