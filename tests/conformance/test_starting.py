"""Starting: one instance for each id, whoever asks, now or later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from orchestrations import InstanceAlreadyExists, InstanceNotFound, InvalidInstanceId, WaitTimeout, orchestrator
from orchestrations.models import HistoryEvent, Instance
from orchestrations.store.contract import OnDuplicate
from tests.runtime import functions

DAY = timedelta(days=1)


def test_an_id_is_made_where_none_is_given(client):
    instance_id = client.start_new(functions.chain, client_input=1)

    assert len(instance_id) == 32
    assert int(instance_id, 16)


@pytest.mark.parametrize("instance_id", ["", "@counter@a", "a/b", "a\\b", "a#b", "a?b", "a\nb", "x" * 257])
def test_an_id_that_breaks_the_rules_is_refused(client, instance_id):
    with pytest.raises(InvalidInstanceId):
        client.start_new(functions.chain, instance_id, 1)


def test_a_live_id_is_refused_and_an_ended_one_is_used_again(client, run, worker):
    client.start_new(functions.chain, "order", 1)
    with pytest.raises(InstanceAlreadyExists):
        client.start_new(functions.chain, "order", 2)
    worker.run_until_ended("order")

    assert run(functions.chain, 2, "order").runtime_status == "Completed"
    assert set(HistoryEvent.objects.values_list("execution", flat=True)) == {2}, "the old history is gone"


def test_return_existing_starts_nothing(client, worker):
    client.start_new(functions.chain, "order", 1)
    worker.run_until_ended("order")

    assert client.start_new(functions.chain, "order", 2, on_duplicate="return-existing") == "order"
    assert client.get_status("order").output == [0]


def test_error_refuses_an_ended_one_too(client, run):
    run(functions.chain, 1, "order")

    with pytest.raises(InstanceAlreadyExists, match="Completed"):
        client.start_new(functions.chain, "order", 2, on_duplicate="error")


def test_terminate_replaces_a_live_one_whose_late_events_mean_nothing(client, worker, stage):
    client.start_new(functions.calls, "order", ["gated", "old"])
    worker.runtime.drain(0.0, gives_way=lambda: bool(stage.inside))

    client.start_new(functions.calls, "order", ["gated", "new"], on_duplicate="terminate")
    worker.runtime.drain(0.0, gives_way=lambda: "new" in stage.inside)
    stage.let_go("old")
    worker.runtime.drain(0.0, gives_way=lambda: "old" in stage.left)
    assert client.get_status("order").runtime_status == "Running"
    stage.let_go("new")

    assert worker.run_until_ended("order").output == "new"
    assert client.get_status("order").execution == 2


def test_terminate_takes_its_children_along_and_tells_its_parent(client, worker):
    client.start_new(functions.forgiving_parent, "parent", ["parent", ["waits", 1, "grandchild"], "child"])
    worker.run_until_idle()

    client.start_new(functions.chain, "child", 1, on_duplicate="terminate")
    worker.run_until_idle()

    assert client.get_status("child").output == [0]
    assert client.get_status("grandchild").runtime_status == "Terminated"
    assert "'child' was terminated: A new start took its id." in client.get_status("parent").output


@pytest.mark.parametrize("policy", OnDuplicate)
def test_of_many_starts_at_the_same_time_one_runs(client, worker, policy):
    def start(number: int) -> bool:
        try:
            client.start_new(functions.waits, "order", number, on_duplicate=policy)
        except InstanceAlreadyExists:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as threads:
        started = sum(threads.map(start, range(1, 17)))
    worker.run_until_idle()

    row = Instance.objects.get()
    assert row.status == "Running"
    if policy in (OnDuplicate.RETURN_EXISTING, OnDuplicate.TERMINATE):
        assert started == 16, "nobody is refused"
    else:
        assert started == 1
    assert row.execution == (16 if policy is OnDuplicate.TERMINATE else 1)


def test_a_start_happens_if_and_only_if_its_transaction_commits(client, worker):
    with transaction.atomic():
        client.start_new(functions.chain, "kept", 1)
    with transaction.atomic():
        client.start_new(functions.chain, "undone", 1)
        transaction.set_rollback(True)
    worker.run_until_idle()

    assert client.get_status("kept").runtime_status == "Completed"
    assert client.get_status("undone") is None


# Later --------------------------------------------------------------------------------------------------------------


def test_a_scheduled_start_is_pending_until_it_is_due(client, worker):
    start_at = timezone.now() + DAY
    client.start_new(functions.chain, "order", 1, start_at=start_at)
    worker.run_until_idle()
    status = client.get_status("order")
    assert (status.runtime_status, status.scheduled_start_time) == ("Pending", start_at)

    Instance.objects.update(claimable_at=timezone.now() - timedelta(seconds=1))

    assert worker.run_until_ended("order").output == [0]


def test_a_start_in_the_past_is_a_start_now(client, worker):
    client.start_new(functions.chain, "order", 1, start_at=timezone.now() - DAY)

    assert worker.run_until_ended("order").output == [0]


def test_events_raised_before_a_scheduled_start_are_there_when_it_begins(client, worker):
    client.start_new(functions.waits, "order", 2, start_at=timezone.now() + DAY)
    client.raise_event("order", "go", 1)
    client.raise_event("order", "GO", 2)
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Pending"

    client.start_new(functions.chain, "other", 1)
    Instance.objects.filter(instance_id="order").update(claimable_at=timezone.now() - timedelta(seconds=1))
    Instance.objects.get(instance_id="order").inbox.update(visible_at=timezone.now() - timedelta(seconds=1))

    assert worker.run_until_ended("order").output == [1, 2]


def test_one_that_is_terminated_while_pending_never_starts(client, worker, stage):
    client.start_new(functions.chain, "order", 1, start_at=timezone.now() + DAY)
    client.terminate("order", "not needed")
    worker.run_until_idle()

    status = client.get_status("order")
    assert (status.runtime_status, status.output, status.started_time) == ("Terminated", "not needed", None)
    assert not stage.runs
    assert worker.runtime.store.next_due_at() is None


@pytest.mark.parametrize("between", [lambda worker: None, lambda worker: worker.run_until_idle()])
def test_one_that_is_suspended_and_resumed_before_its_time_still_waits_for_it(client, worker, between):
    client.start_new(functions.chain, "order", 1, start_at=timezone.now() + DAY)
    client.suspend("order")
    between(worker)
    client.resume("order")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Pending"

    worker.advance(2 * DAY)

    assert client.get_status("order").output == [0]


def test_one_whose_time_comes_while_it_is_suspended_begins_when_it_is_resumed(client, worker, stage):
    client.start_new(functions.chain, "order", 1, start_at=timezone.now() + DAY)
    client.suspend("order")
    worker.advance(2 * DAY)
    assert client.get_status("order").runtime_status == "Suspended"
    assert not stage.runs

    client.resume("order")

    assert worker.run_until_ended("order").output == [0]


def test_waiting_for_the_start(client, worker):
    client.start_new(functions.waits, "order", 1)
    with pytest.raises(WaitTimeout):
        client.wait_for_start("order", timeout=0.01)
    worker.run_until_idle()

    assert client.wait_for_start("order").runtime_status == "Running"
    with pytest.raises(InstanceNotFound):
        client.wait_for_start("nobody")


# Again --------------------------------------------------------------------------------------------------------------


def test_a_restart_takes_name_input_tags_and_version_under_a_new_id(client, worker):
    @orchestrator(version="3")
    def tagged(context, value):
        yield context.task_all([])
        return [value, dict(context.tags), context.version, context.parent_instance_id]

    client.start_new(tagged, "order", 7, tags={"team": "a"}, version="2")
    worker.run_until_ended("order")

    again = client.restart("order")

    assert again != "order"
    assert worker.run_until_ended(again).output == [7, {"team": "a"}, "2", None]


def test_a_restart_under_the_same_id_needs_the_end(client, worker):
    client.start_new(functions.waits, "order", 1)
    worker.run_until_idle()
    with pytest.raises(InstanceAlreadyExists):
        client.restart("order", restart_with_new_instance_id=False)

    client.terminate("order")
    worker.run_until_idle()

    assert client.restart("order", restart_with_new_instance_id=False) == "order"
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"
    with pytest.raises(InstanceNotFound):
        client.restart("nobody")


def test_a_child_that_is_restarted_alone_has_no_parent(client, worker):
    client.start_new(functions.parent, "order", ["chain", 1, "child"])
    worker.run_until_ended("order")

    client.restart("child", restart_with_new_instance_id=False)
    worker.run_until_ended("child")

    assert client.get_status("child").parent_instance_id is None


def test_a_live_child_goes_on_beside_its_restart_of_which_the_parent_hears_nothing(client, worker):
    client.start_new(functions.parent, "order", ["waits", 1, "child"])
    worker.run_until_idle()

    again = client.restart("child")
    client.raise_event(again, "go", "again")
    assert worker.run_until_ended(again).output == ["again"]
    with pytest.raises(InstanceAlreadyExists):
        client.restart("child", restart_with_new_instance_id=False)
    assert client.get_status("order").runtime_status == "Running"
    client.raise_event("child", "go", "first")

    assert worker.run_until_ended("order").output == ["first"]
    assert client.get_status(again).parent_instance_id is None


def test_a_restart_is_of_what_has_the_id_now_and_begins_at_once(client, worker):
    client.start_new(functions.chain, "replaced", 1)
    worker.run_until_ended("replaced")
    client.start_new(functions.chain, "replaced", 2)
    client.start_new(functions.chain, "scheduled", 3, start_at=timezone.now() + DAY)
    worker.run_until_ended("replaced")

    assert worker.run_until_ended(client.restart("replaced")).output == [0, 1]
    assert worker.run_until_ended(client.restart("scheduled")).output == [0, 1, 2]
    assert client.get_status("scheduled").runtime_status == "Pending"


def test_a_restarted_fork_is_no_fork_any_more(client, worker, stage):
    client.start_new(functions.chain, "order", 2)
    worker.run_until_ended("order")
    fork = client.fork("order", 2)
    worker.run_until_ended(fork)
    before = stage.runs[0]

    again = client.restart(fork)
    assert client.restart(fork, restart_with_new_instance_id=False) == fork
    for instance_id in (again, fork):
        assert worker.run_until_ended(instance_id).output == [0, 1]
        status = client.get_status(instance_id)
        assert (status.forked_from, status.forked_step) == (None, None)
    assert stage.runs[0] == before + 2, "each did it all"


def test_a_start_under_an_ended_childs_id_takes_nothing_from_the_parent(client, worker):
    client.start_new(functions.parent, "order", ["waits", 1, "child"])
    worker.run_until_idle()
    client.suspend("order")
    client.raise_event("child", "go", "first")
    worker.run_until_ended("child")

    client.start_new(functions.chain, "child", 1)
    worker.run_until_ended("child")
    client.resume("order")

    assert worker.run_until_ended("order").output == ["first"]
    assert client.get_status("child").output == [0]


def test_one_orchestrator_may_run_many_times_below_one_parent(client, worker):
    @orchestrator
    def takes_many(context, width):
        return (yield context.task_all([context.call_sub_orchestrator(functions.chain, n) for n in range(width)]))

    client.start_new(takes_many, "order", 20)

    assert worker.run_until_ended("order").output == [list(range(number)) for number in range(20)]
    children = client.get_status_by(parent_instance_id="order")
    assert {child.instance_id for child in children} == {f"order:{number:04x}" for number in range(1, 21)}


@pytest.mark.parametrize("length", [251, 252, 256])
def test_an_id_of_any_length_has_room_for_children_below_it(client, worker, length):
    @orchestrator
    def deep(context, levels):
        return 1 + (yield context.call_sub_orchestrator("deep", levels - 1)) if levels else 0

    client.start_new(deep, "x" * length, 3)

    assert worker.run_until_ended("x" * length).output == 3
    assert all(len(instance_id) <= 256 for instance_id in Instance.objects.values_list("instance_id", flat=True))
    assert Instance.objects.count() == 4


def test_tags_that_change_while_it_runs_do_not_reach_its_code(client, worker):
    @orchestrator
    def looks_twice(context):
        before = dict(context.tags)
        yield context.wait_for_external_event("go")
        return [before, dict(context.tags)]

    for instance_id, tags in (("tagged", {"team": "a"}), ("bare", None)):
        client.start_new(looks_twice, instance_id, tags=tags)
    worker.run_until_idle()
    for instance_id in ("tagged", "bare"):
        client.set_tags(instance_id, {"team": "b", "new": "x"})
        client.raise_event(instance_id, "go")

    assert worker.run_until_ended("tagged").output == [{"team": "a"}, {"team": "a"}]
    assert worker.run_until_ended("bare").output == [{}, {}]
    assert client.get_status("bare").tags == {"team": "b", "new": "x"}
