"""Rewind of a tree of sub-orchestrations of which some went other ways while it lay failed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from orchestrations import EntityId, OrchestrationClient, TaskFailedError, entity, orchestrator
from orchestrations.models import HistoryEvent, Instance, Timer
from orchestrations.store.contract import OnDuplicate
from tests.runtime import functions
from tests.runtime.functions import work

LEAVES = [f"order:000{a}:000{b}" for a in (2, 3) for b in (2, 3)]


@pytest.fixture
def tree(client, worker, stage):
    """Three levels; at each, work before and behind two children. Two of four leaves have failed."""

    @orchestrator(name="level")
    def level(context, depth):
        yield context.call_activity(work, f"before {context.instance_id}")
        if depth:
            both = yield context.task_all([context.call_sub_orchestrator("level", depth - 1) for _ in range(2)])
            done = [*both[0], *both[1]]
        else:
            yield context.call_activity(work, context.instance_id)
            done = [context.instance_id]
        yield context.call_activity(work, f"behind {context.instance_id}")
        return done

    stage.failing = {LEAVES[0], LEAVES[3]}
    client.start_new("level", "order", 2)
    worker.run_until_idle()


def purge(client):
    client.purge_instance_history("order:0002")


def purge_all(client):
    client.purge_instance_history("order:0002", recursive=True)


def purge_leaf(client):
    client.purge_instance_history("order:0002:0002")


def restart(client):
    client.restart("order:0002", restart_with_new_instance_id=False)


def restart_leaf(client):
    client.restart("order:0002:0002", restart_with_new_instance_id=False)


def replace(client):
    client.start(functions.chain, "order:0002", 1, on_duplicate=OnDuplicate.REPLACE_TERMINAL)


def fork(client):
    client.fork("order:0002", 3, "fork")


def rewind(client):
    client.rewind("order:0002")


def rewind_leaf(client):
    client.rewind("order:0002:0002")


ACTS = [purge, purge_all, purge_leaf, restart, restart_leaf, replace, fork, rewind, rewind_leaf]


@pytest.mark.parametrize("is_mended", [True, False], ids=["mended before", "mended after"])
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_it_comes_to_its_end_whatever_became_of_a_child(tree, client, worker, stage, act, is_mended):
    if is_mended:
        stage.failing.clear()
    act(client)
    worker.run_until_idle()
    stage.failing.clear()
    client.rewind("order")

    status = worker.run_until_ended("order")
    assert len(status.output) == 4
    assert status.output[2:] == LEAVES[2:]
    others = [value for value in stage.runs if str(value).endswith(("order", *LEAVES[2:], "order:0003"))]
    assert {value: stage.runs[value] for value in others} == {v: 2 if v == LEAVES[3] else 1 for v in others}
    mine = Instance.objects.filter(instance_id__in=["order", "order:0002", "order:0003"])
    assert set(mine.values_list("status", flat=True)) == {"Completed"}


def test_the_numbers_that_a_parent_has_used_up_are_not_those_of_its_child(client, worker, stage):
    @orchestrator(name="item")
    def item(context):
        yield context.call_activity(work, "x")
        yield context.call_activity(work, "y")
        return (yield context.wait_for_external_event("go"))

    @orchestrator(name="order")
    def order(context):
        try:
            return (yield context.call_sub_orchestrator("item"))
        except TaskFailedError:
            for number in range(5):
                yield context.call_activity(work, f"undo {number}")
            raise

    stage.failing = {"x", "y"}
    client.start_new("order", "order")
    worker.run_until_ended("order")
    for mended in ("x", "y"):
        stage.failing.discard(mended)
        client.rewind("order")
        worker.run_until_idle()
    client.raise_event("order:0001", "go", "shipped")

    assert worker.run_until_ended("order").output == "shipped"
    assert (stage.runs["x"], stage.runs["y"]) == (2, 2)


def test_a_child_is_told_who_rewound_its_parent_and_why(client, worker, stage):
    stage.failing = {"x"}
    client.start_new(functions.parent, "order", ["calls", ["work", "x"], None])
    worker.run_until_ended("order")
    stage.failing.clear()
    OrchestrationClient(actor="ann").rewind("order", "mended")
    worker.run_until_ended("order")

    rewound = HistoryEvent.objects.filter(type="ExecutionRewound")
    told = [json.loads(attributes) for attributes in rewound.values_list("attributes", flat=True)]
    assert [(one["by"], one["reason"]) for one in told] == 2 * [("ann", "mended")]


def test_the_time_that_a_parent_has_again_is_not_that_of_its_child(client, worker, stage):
    @orchestrator(name="item")
    def item(context):
        reminders = [context.create_timer(timedelta(days=1)) for _ in range(3)]
        yield context.call_activity(work, "x")
        return (yield context.task_any(reminders)).result

    @orchestrator(name="order")
    def order(context):
        answer = context.wait_for_external_event("go", timeout=timedelta(hours=1))
        errors = []
        for task in (context.call_sub_orchestrator("item", instance_id="item"), answer):
            try:
                yield task
            except (TaskFailedError, TimeoutError) as error:
                errors.append(error)
        raise ExceptionGroup("both failed", errors)

    stage.failing = {"x"}
    client.start_new("order", "order")
    worker.run_until_idle()
    worker.skip_timers("order")
    worker.run_until_ended("order")
    stage.failing.clear()
    client.rewind("order")
    worker.run_until_idle()

    due = Timer.objects.filter(state="Pending", instance__instance_id="item").values_list("due_at", flat=True)
    assert len(due) == 3
    assert all(at - datetime.now(UTC) > timedelta(hours=23) for at in due)
    again = Timer.objects.get(state="Pending", instance__instance_id="order").due_at
    assert again - datetime.now(UTC) <= timedelta(hours=1)


def test_locks_are_asked_for_anew_in_each_rewind_and_let_go_in_the_end(client, worker, stage):
    @entity(name="kept_account")
    def account(context):
        balance = context.get_state(lambda: 0) + (context.get_input() or 0)
        context.set_state(balance)
        context.set_result(balance)

    here, there = EntityId("kept_account", "a"), EntityId("kept_account", "b")

    @orchestrator
    def transfers(context):
        with (yield context.lock_entities([here, there])):
            yield context.call_entity(here, "add", -5)
            try:
                yield context.call_activity(work, "x")
            except TaskFailedError:
                yield context.create_timer(timedelta(0))
                raise
            return (yield context.call_entity(there, "add", 5))

    @orchestrator
    def looks(context):
        with (yield context.lock_entities([there, here])):
            return [(yield context.call_entity(here, "get")), (yield context.call_entity(there, "get"))]

    stage.failing = {"x"}
    client.start_new(transfers, "order")
    worker.run_until_idle()
    for number in (1, 2):
        client.start_new(looks, f"look {number}")
        client.rewind("order")
        worker.run_until_idle()
        assert client.get_status(f"look {number}").output == [-5, 0]
    stage.failing.clear()
    client.rewind("order")
    worker.run_until_idle()

    client.start_new(looks, "at last")
    assert worker.run_until_ended("at last").output == [-5, 5]
    assert stage.runs == {"x": 4}
