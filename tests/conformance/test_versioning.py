"""Versioning: set at the start for good, and an instance runs only on code that its version allows."""

from __future__ import annotations

import msgspec
import pytest

from orchestrations import activity, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.errors import PayloadRejected
from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance, WorkerLease
from orchestrations.store import get_store
from tests.runtime import functions


@pytest.fixture
def options(settings, stage):
    """Sets keys of DURABLE."""

    def options(**values: object) -> None:
        settings.DURABLE = {**settings.DURABLE, **values}

    return options


def declare(version: str, name: str = "pay"):
    """Code that waits once and says which version's code it is, and which version its instance has."""

    @orchestrator(name=name, version=version)
    def pay(context, value=None):
        yield context.wait_for_external_event("go")
        return [version, context.version]

    return pay


@pytest.fixture
def declared(stage):
    return declare


@pytest.fixture
def deploy(stage, worker):
    """Replaces the code of a name, as another release of the site would have it."""

    def deploy(*versions: str, name: str = "pay") -> None:
        registry._orchestrators.pop(name, None)
        for version in versions:
            declare(version, name)
        worker.runtime.cache.clear()

    return deploy


@pytest.fixture
def other_worker(client):
    """Another live worker, with code that this process lacks."""

    def other_worker(**told: object) -> int:
        store = get_store()
        lease = WorkerLease(
            hub=store.hub, worker="other:1", host="other", pid=1, expires_at=store.now().replace(year=2100),
            functions=msgspec.json.encode(told).decode(),
        )  # fmt: skip
        lease.save()
        return lease.token

    return other_worker


def now_due() -> None:
    """Let everything that was put off be due, as if the back-off were over."""
    past = get_store().now().replace(year=2000)
    InboxMessage.objects.update(visible_at=past)
    Instance.objects.exclude(claimable_at=None).update(claimable_at=past)
    ActivityWorkItem.objects.update(visible_at=past)


def row(instance_id: str) -> Instance:
    return Instance.objects.get(instance_id=instance_id)


# The version of an instance -------------------------------------------------------------------------------------------


def test_it_is_the_newest_by_name_that_of_the_function_by_reference_and_any_when_given(client, declared):
    first, _ = declared("1"), declared("2")

    assert row(client.start_new("pay")).version == "2"
    assert row(client.start_new(first)).version == "1"
    assert row(client.start_new(first, version="1.5")).version == "1.5"
    with pytest.raises(PayloadRejected):
        client.start_new(first, version="x" * 65)


def test_the_code_sees_it_and_old_instances_finish_on_old_code(client, worker, declared):
    first = declared("1")
    client.start_new(first, "old")
    worker.run_until_idle()
    declared("2")
    client.start_new("pay", "new")
    worker.run_until_idle()

    for instance_id in ("old", "new"):
        client.raise_event(instance_id, "go")

    assert worker.run_until_ended("old").output == ["1", "1"]
    assert worker.run_until_ended("new").output == ["2", "2"]


def test_newer_code_goes_on_with_older_instances_and_sees_their_version(client, worker, declared, deploy):
    client.start_new(declared("1"), "old")
    worker.run_until_idle()
    deploy("2")
    client.raise_event("old", "go")

    assert worker.run_until_ended("old").output == ["2", "1"]


def test_a_child_does_not_inherit_it(client, worker, options):
    @orchestrator(version="7")
    def elder(context, by_reference: bool):
        child = functions.chain if by_reference else "chain"
        yield context.task_all([
            context.call_sub_orchestrator(child, 0, "default"),
            context.call_sub_orchestrator(child, 0, "given", version="0.5"),
        ])  # fmt: skip
        context.start_new("elder", False, "forgotten", version="8")

    options(VERSION="3", DEFAULT_VERSION="2")
    client.start_new(elder, "elder", True)
    assert worker.run_until_ended("elder").runtime_status == "Completed"

    assert [row(key).version for key in ("elder", "default", "given", "forgotten")] == ["7", "2", "0.5", "8"]


def test_a_child_by_reference_is_of_that_code(run, declared):
    first, _ = declared("1", "step"), declared("2", "step")

    @orchestrator
    def elder(context, _):
        context.call_sub_orchestrator(first, instance_id="first")
        context.call_sub_orchestrator("step", instance_id="newest")
        yield context.wait_for_external_event("go")

    run(elder, instance_id="elder")

    assert (row("first").version, row("newest").version) == ("1", "2")


def test_continue_as_new_may_set_another_and_keeps_it_otherwise(client, worker, stage):
    @orchestrator(name="moves", version="1")
    def moves(context, round: int):
        yield context.call_activity(functions.work, round)
        context.continue_as_new(round + 1, new_version="2" if round == 2 else None)

    @orchestrator(name="moves", version="2")
    def moved(context, round: int):
        yield context.call_activity(functions.work, round)
        return [context.version, round]

    client.start_new(moves, "moving", 1)

    assert worker.run_until_ended("moving").output == ["2", 3]


def test_a_restart_keeps_it(client, worker, declared):
    client.start_new(declared("1"), "one")
    declared("2")
    client.terminate("one")
    worker.run_until_ended("one")

    assert row(client.restart("one")).version == "1"


# An instance that the code may not run ----------------------------------------------------------------------------


def test_it_is_left_to_other_workers_with_a_visible_reason_and_goes_on_when_they_come(client, worker, declared, deploy):
    deploy("1")
    client.start_new("pay", "ahead", version="2")
    worker.run_until_idle()

    waiting = row("ahead")
    assert waiting.status == "Pending"
    assert waiting.waiting_for == ("a worker with code for version 2 of orchestrator pay; the code here has version 1")
    assert (waiting.lease_token, waiting.attempts) == (None, 0)
    assert 0 < (waiting.claimable_at - get_store().now()).total_seconds() <= 60

    deploy("1", "2")
    now_due()
    worker.run_until_idle()
    client.raise_event("ahead", "go")
    assert worker.run_until_ended("ahead").output == ["2", "2"]


def test_one_that_began_elsewhere_keeps_its_events_meanwhile(client, worker, deploy):
    deploy("2")
    client.start_new("pay", "begun")
    worker.run_until_idle()
    deploy("1")
    client.raise_event("begun", "go", 1)
    worker.run_until_idle()

    assert row("begun").status == "Running"
    assert "version 2" in row("begun").waiting_for
    assert InboxMessage.objects.count() == 1

    deploy("2")
    now_due()
    assert worker.run_until_ended("begun").output == ["2", "2"]


def test_it_is_looked_at_again_sooner_where_a_live_worker_has_the_code(client, worker, deploy, other_worker):
    deploy("1")
    other_worker(versions={"pay": ["1", "2"]})
    client.start_new("pay", "soon", version="2")
    client.start_new("pay", "later", version="3")
    worker.run_until_idle()

    assert (row("later").claimable_at - row("soon").claimable_at).total_seconds() > 5


def test_it_can_be_terminated(client, worker, deploy):
    deploy("1")
    client.start_new("pay", "ahead", version="2")
    worker.run_until_idle()
    client.terminate("ahead", "no such code")

    assert worker.run_until_ended("ahead").runtime_status == "Terminated"


def test_strict_code_runs_its_own_version_alone(client, worker, options, deploy):
    options(VERSION_MATCH="strict")
    deploy("2")
    client.start_new("pay", "older", version="1")
    worker.run_until_idle()

    assert "version 1" in row("older").waiting_for


def test_without_matching_any_version_runs(client, worker, options, deploy):
    options(VERSION_MATCH="none")
    deploy("1")
    client.start_new("pay", "ahead", version="2")
    client.raise_event("ahead", "go")

    assert worker.run_until_ended("ahead").output == ["1", "2"]


@pytest.fixture
def failing(options):
    options(VERSION_MISMATCH="fail", UNKNOWN_ORCHESTRATOR="fail")


def test_it_fails_where_the_settings_say_so_and_a_rewind_with_the_code_continues_it(failing, client, worker, deploy):
    deploy("1")
    client.start_new("pay", "ahead", version="2")
    status = worker.run_until_ended("ahead")

    assert status.runtime_status == "Failed"
    assert status.failure_details.error_type.endswith("VersionMismatch")
    assert status.failure_details.is_non_retriable

    client.rewind("ahead")
    worker.run_until_idle()
    assert row("ahead").status == "Failed", "still no code for it"

    deploy("1", "2")
    client.rewind("ahead")
    worker.run_until_idle()
    client.raise_event("ahead", "go")
    assert worker.run_until_ended("ahead").output == ["2", "2"]


def test_unknown_code_fails_where_the_settings_say_so(failing, client, worker, deploy):
    deploy("1")
    client.start_new("pay", "gone")
    deploy()

    status = worker.run_until_ended("gone")

    assert status.failure_details.error_type.endswith("FunctionNotRegistered")


def test_unknown_code_waits_with_a_visible_reason_and_is_never_failed(client, worker, deploy):
    deploy("1")
    client.start_new("pay", "gone")
    deploy()
    worker.run_until_idle()

    assert (row("gone").status, row("gone").waiting_for) == ("Pending", "no worker has the code of orchestrator pay")


def test_a_child_that_no_worker_has_waits_like_any_other(run):
    @orchestrator
    def elder(context, _):
        yield context.call_sub_orchestrator("in_another_app", instance_id="child")

    assert run(elder, instance_id="elder").runtime_status == "Running"
    assert row("child").waiting_for == "no worker has the code of orchestrator in_another_app"


# Activities that the code lacks -----------------------------------------------------------------------------------


def test_a_call_of_an_activity_that_no_worker_has_fails_at_once_and_can_be_caught(run, events):
    @orchestrator
    def catches(context, _):
        try:
            yield context.call_activity("mispelt", retry=functions.RetryOptions(1, 5))
        except Exception as error:
            return [error.details.error_type, error.is_caused_by("FunctionNotRegistered")]

    status = run(catches, instance_id="catches")

    assert status.output == ["orchestrations.errors.FunctionNotRegistered", True]
    assert events("catches").count("TaskScheduled") == 1, "trying again would not help"


def test_an_activity_that_another_live_worker_has_is_left_to_it(client, worker, other_worker, stage):
    other_worker(activities=["newer"])
    client.start_new(functions.calls, "rolling", ["newer", 1])
    worker.run_until_idle()
    item = ActivityWorkItem.objects.get()

    assert row("rolling").status == "Running"
    assert (item.name, item.lease_token, item.dispatches) == ("newer", None, 0)
    now_due()
    worker.run_until_idle()
    item = ActivityWorkItem.objects.get()
    assert (item.lease_token, item.dispatches) == (None, 0), "it was looked at, and left again"
    assert 0 < (item.visible_at - get_store().now()).total_seconds() <= 60

    @activity
    def newer(value: int) -> str:
        return f"run {value}"

    now_due()
    assert worker.run_until_ended("rolling").output == "run 1"


@pytest.mark.parametrize("patience", [60.0, 0.0])
def test_one_whose_workers_are_gone_waits_a_while_for_them_and_fails_then(client, options, make_worker, other_worker,
                                                                          patience):  # fmt: skip
    options(UNKNOWN_ACTIVITY_SECONDS=patience)
    worker = make_worker()
    token = other_worker(activities=["removed"])
    client.start_new(functions.calls, "rolling", ["removed", 1])
    worker.run_until_idle()
    WorkerLease.objects.filter(token=token).delete()
    worker.runtime.workers._known_at = None
    now_due()
    worker.run_until_idle()

    assert row("rolling").status == ("Running" if patience else "Failed")
    types = set(HistoryEvent.objects.values_list("type", flat=True))
    assert ("TaskFailed" in types) == (not patience)


def test_a_worker_tells_others_what_it_has(client, worker, deploy):
    deploy("1", "2")
    worker.runtime.lease.ensure()

    told = msgspec.json.decode(WorkerLease.objects.get().functions)

    assert told["versions"]["pay"] == ["1", "2"]
    assert "work" in told["activities"]
