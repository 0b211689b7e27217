"""Forking: a new instance goes on from any step of another one, which is left as it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestrations import EntityId, OrchestrationClient, Reviewers, orchestrator
from orchestrations.errors import (
    FunctionNotRegistered,
    InstanceAlreadyExists,
    InstanceIsEntity,
    InstanceNotFound,
    InvalidInstanceId,
    PayloadRejected,
    PayloadUnavailable,
    StepRefused,
)
from orchestrations.models import (
    AuditEntry,
    Entity,
    HistoryEvent,
    InboxMessage,
    Instance,
    LargePayload,
    OpenWait,
    Timer,
)
from orchestrations.store import get_store
from orchestrations.testing import answer_task
from tests.conformance import entity_functions, forking
from tests.conformance.test_any_rewind import ROUNDS, Raised, go_on
from tests.runtime import functions
from tests.simulation import model, programs, strategies


@pytest.fixture(autouse=True)
def registered(stage):
    with entity_functions.registered(), forking.registered():
        yield


def step_of(instance_id: str, kind: str, name: str | None = None) -> int:
    """The latest row of that type, and of that name where one is given."""
    rows = HistoryEvent.objects.filter(instance__instance_id=instance_id, type=kind).order_by("sequence")
    rows = rows if name is None else rows.filter(name=name)
    return rows.last().sequence


def everything_of(instance_id: str) -> list[object]:
    """The rows of an instance: what a fork must not touch."""
    row = Instance.objects.filter(instance_id=instance_id).values().get()
    return [row, *HistoryEvent.objects.filter(instance_id=row["id"]).order_by("pk").values()]


@pytest.fixture
def fork(client, worker):
    """Forks an instance, works until nothing more happens, and checks that the origin is what it was."""

    def fork(instance_id: str, step: int, new_id: str | None = "fork", **options: object):
        before = everything_of(instance_id)
        forked = client.fork(instance_id, step, new_id, **options)
        worker.run_until_idle()
        assert everything_of(instance_id) == before
        return client.get_status(forked)

    return fork


# What is done again ------------------------------------------------------------------------------------------------


def test_it_goes_on_from_the_step_and_nothing_that_had_ended_runs_again(run, fork, stage, events):
    run(functions.calls, ["work", "a", "b", "c"], "order")
    second = HistoryEvent.objects.filter(type="TaskScheduled").order_by("sequence")[1].sequence

    status = fork("order", second)

    assert status.output == "c"
    assert stage.runs == {"a": 1, "b": 2, "c": 2}
    assert (status.forked_from, status.forked_step, status.parent_instance_id) == ("order", second, None)
    assert events("fork") == [
        *("ExecutionStarted", "TaskScheduled", "TaskCompleted", "ExecutionForked"),
        *("TaskScheduled", "TaskCompleted", "TaskScheduled", "TaskCompleted", "ExecutionCompleted"),
    ]


def test_every_row_of_an_ended_instance_will_do(run, fork, stage):
    end = run(functions.calls, ["work", "a", "b"], "order").output
    for step in range(1, HistoryEvent.objects.count() + 1):
        status = fork("order", step, f"fork {step}")
        assert (status.runtime_status, status.output) == ("Completed", end)
    assert stage.runs["a"] == 1 + 3  # from the beginning, where it was scheduled, and where it ended
    assert stage.runs["b"] == 1 + 5


def test_a_failed_one_goes_on_from_its_end_with_mended_code_and_fails_with_the_same(run, fork, client, worker, stage):
    assert run(functions.fails_once, None, "order").runtime_status == "Failed"
    end = step_of("order", "ExecutionCompleted")
    assert fork("order", end, "too soon").runtime_status == "Failed"
    stage.mended = True
    assert fork("order", end).output == "before"
    client.rewind("too soon")
    worker.run_until_idle()
    assert client.get_status("too soon").output == "before"
    assert stage.runs == {"before": 1}


def test_a_live_one_is_forked_while_it_waits(run, fork, client, worker, stage):
    run(functions.waits, 3, "order")
    for number in (1, 2):
        client.raise_event("order", "go", number)
        worker.run_until_idle()

    status = fork("order", step_of("order", "EventRaised"))
    assert status.runtime_status == "Running"
    for number in (7, 8):
        client.raise_event("fork", "go", number)
    client.raise_event("order", "go", 3)
    worker.run_until_idle()
    assert client.get_status("fork").output == [1, 7, 8]
    assert client.get_status("order").output == [1, 2, 3]


def test_before_the_step_it_saw_what_the_original_saw_and_behind_it_it_is_itself(run, fork):
    origin = run(forking.knows_itself, None, "order").output
    status = fork("order", HistoryEvent.objects.filter(type="TaskScheduled").order_by("sequence").last().sequence)

    before, first, after, second, custom_status = status.output
    assert [before, first, custom_status] == [origin[0], origin[1], "begun"]
    assert after[0] == "fork"
    assert after[1] != origin[2][1]
    assert second != origin[3]


# What was open -----------------------------------------------------------------------------------------------------


def test_children_that_had_ended_stay_and_the_others_are_its_own(run, fork, stage):
    run(forking.has_children, None, "order")
    second = everything_of("second")

    status = fork("order", step_of("order", "SubOrchestrationInstanceCompleted"))

    assert status.output == [[0], [0, 1], "third", None]
    assert everything_of("second") == second
    children = Instance.objects.filter(parent__instance_id="fork").values_list("instance_id", flat=True)
    assert list(children) == ["fork:0002"]
    assert stage.runs == {0: 3, 1: 2, "third": 2}


def test_a_fork_of_a_child_has_no_parent(run, fork, events):
    run(forking.has_a_child, None, "mother")
    told = len(events("mother"))
    status = fork("child", step_of("child", "TaskCompleted"))
    assert status.output == ["mother", None]
    assert status.parent_instance_id is None
    assert len(events("mother")) == told


def test_a_question_is_asked_again(run, fork, client, worker):
    run(forking.asks, None, "order")
    client.raise_event("order", "approve", {"approved": True})
    worker.run_until_idle()
    fork("order", step_of("order", "EventRaised"))

    assert OpenWait.objects.get().instance.instance_id == "fork"
    client.raise_event("fork", "approve", {"approved": False})
    worker.run_until_idle()
    assert client.get_status("fork").output is False


def test_a_timer_begins_anew_or_has_the_rest_of_its_time(run, fork):
    run(forking.works_then_sleeps, None, "order")
    Instance.objects.filter(instance_id="order").update(lease_token=None)
    now = get_store().now()
    fork("order", step_of("order", "TimerCreated"))
    due_at = Timer.objects.get(instance__instance_id="fork", state="Pending").due_at
    assert timedelta(0) <= due_at - now - timedelta(days=1) < timedelta(seconds=30)


def test_an_operation_of_an_entity_is_asked_for_by_the_fork(run, fork, client, worker):
    client.signal_entity(EntityId("counter", "a"), "add", 1)
    run(forking.calls_an_entity, None, "order")
    client.signal_entity(EntityId("counter", "a"), "add", 1)
    worker.run_until_idle()
    assert fork("order", step_of("order", "EntityOperationCompleted")).output == 2
    assert fork("order", step_of("order", "ExecutionCompleted"), "late").output == 1


def test_it_locks_entities_for_itself_and_lets_them_go(run, fork, client):
    client.signal_entity(EntityId("Purse", "a"), "deposit", 9)
    assert run(entity_functions.transfer, ["a", "b", 2], "order").output == 2
    inside = step_of("order", "EntityOperationCalled")
    granted = step_of("order", "EntityLockGranted")
    with pytest.raises(StepRefused, match=f"Fork from step {granted}"):
        client.fork("order", inside)

    assert fork("order", granted).output == 4
    assert set(Entity.objects.values_list("locked_by", flat=True)) == {""}


def test_a_fork_of_one_that_holds_entities_waits_for_them(run, fork, client, worker):
    run(entity_functions.hold, ["a"], "order")
    fork("order", step_of("order", "EntityLockGranted"))
    assert client.get_status("fork").custom_status is None
    client.raise_event("order", "go", "return")
    worker.run_until_idle()
    assert client.get_status("fork").custom_status == "holding"
    client.raise_event("fork", "go", "return")
    worker.run_until_idle()
    assert client.get_status("fork").output == 0


# Generations, versions, code ---------------------------------------------------------------------------------------


def test_only_the_present_generation_is_forked_with_the_events_that_it_was_given(run, fork, client, worker, stage):
    run(forking.counts_up, 1, "order")
    for letter in "abc":
        client.raise_event("order", "go", letter)
    worker.run_until_idle()
    assert client.get_status("order").output == ["3:c", [0]]

    begun = fork("order", step_of("order", "ExecutionStarted"), "from the start")
    assert (begun.output, begun.input) == (["3:c", [0]], 3)
    late = fork("order", step_of("order", "SubOrchestrationInstanceCreated"), "late")
    assert late.output == ["3:c", [0]]
    assert stage.runs["3:c"] == 2
    mine = Instance.objects.filter(parent__instance_id="late").values_list("instance_id", flat=True)
    assert list(mine) == ["late:3.0002"]
    again = client.restart("late")
    assert client.get_status(again).input == 1


def test_another_version_takes_over_at_the_step(run, fork, client, worker, settings):
    settings.DURABLE = {**settings.DURABLE, "VERSION_MATCH": "none"}
    client.start_new(forking.versioned, "order", version="1")
    worker.run_until_idle()
    first = HistoryEvent.objects.filter(type="TaskScheduled").order_by("sequence").first().sequence
    assert client.get_status("order").output == ["1", "1"]

    status = fork("order", first + 2, version="2")
    assert (status.output, status.version) == (["1", "2"], "2")
    assert fork("order", first + 2, "same").output == ["1", "1"]


def test_code_that_does_not_fit_fails_it_and_a_rewind_goes_on_from_there(run, fork, client, worker, stage):
    run(forking.differs, None, "order")
    step = HistoryEvent.objects.filter(type="TaskCompleted").order_by("sequence").last().sequence
    stage.changed = True
    status = fork("order", step)
    assert status.runtime_status == "Failed"
    assert status.failure_details.error_type.endswith("NonDeterminismError")

    stage.changed = False
    client.rewind("fork")
    worker.run_until_idle()
    assert client.get_status("fork").output == "second"
    assert stage.runs == {"first": 1, "second": 2}


def test_a_fork_is_forked_again_after_its_own_rewind(run, fork, client, worker, stage):
    run(functions.calls, ["work", "a", "b", "c"], "order")
    stage.failing = {"b"}
    failed = fork("order", HistoryEvent.objects.filter(type="TaskScheduled").order_by("sequence")[1].sequence)
    assert failed.runtime_status == "Failed"
    stage.failing = set()
    client.rewind("fork")
    worker.run_until_idle()
    assert client.get_status("fork").output == "c"
    present = HistoryEvent.objects.filter(instance__instance_id="fork", execution=2)
    last = present.filter(type="TaskScheduled").order_by("sequence").last().sequence
    assert fork("fork", last, "second").output == "c"
    assert stage.runs == {"a": 1, "b": 3, "c": 3}


# Before it has begun -----------------------------------------------------------------------------------------------


def test_it_can_be_held_and_ended_before_it_runs(run, client, worker, stage):
    run(functions.calls, ["work", "a", "b"], "order")
    step = step_of("order", "TaskCompleted")
    client.fork("order", step, "held")
    client.suspend("held")
    client.fork("order", step, "ended")
    client.terminate("ended", "no")
    assert client.get_status("held").runtime_status == "Pending"
    worker.run_until_idle()
    assert client.get_status("held").runtime_status == "Suspended"
    assert client.get_status("ended").runtime_status == "Terminated"
    client.resume("held")
    worker.run_until_idle()
    assert client.get_status("held").output == "b"


def test_it_is_as_tagged_as_the_original_and_says_when_it_began(run, fork, client):
    client.start_new(functions.chain, "order", 1, tags={"team": "red"})
    client.set_tags("order", {"team": "blue"})
    run(functions.chain, 1)
    status = fork("order", step_of("order", "TaskCompleted"))
    assert status.tags == {"team": "blue"}
    assert status.started_time is not None


def test_it_happens_if_and_only_if_the_transaction_commits(run, client, worker):
    run(functions.chain, 2, "order")
    with transaction.atomic():
        client.fork("order", 2, "lost")
        transaction.set_rollback(True)
    assert client.get_status("lost") is None
    assert not HistoryEvent.objects.exclude(instance__instance_id="order").exists()
    assert not InboxMessage.objects.exists()


def test_async_code_forks_too(run, client, worker):
    run(functions.chain, 2, "order")
    forked = asyncio.run(client.afork("order", 4))
    worker.run_until_idle()
    assert client.get_status(forked).output == [0, 1]


def test_who_did_it_and_why_is_written_down(run):
    run(functions.chain, 2, "order")
    OrchestrationClient(actor="ann").fork("order", 3, "fork", reason="the price was wrong")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.instance_id, entry.actor_name, entry.reason) == (
        "fork",
        "fork",
        "ann",
        "the price was wrong",
    )
    assert entry.details == {"orchestrator": "chain", "forked": "order", "step": 3}
    forked = InboxMessage.objects.get(instance__instance_id="fork")
    assert forked.type == "ExecutionForked"


# What is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("nobody", 1), InstanceNotFound),
        (("@counter@a", 1), InstanceIsEntity),
        (("order", 0), StepRefused),
        (("order", 99), StepRefused),
        (("order", 1, "order"), InstanceAlreadyExists),
        (("order", 1, "ended"), InstanceAlreadyExists),
        (("order", 1, "a/b"), InvalidInstanceId),
        (("order", 1, "fork", "x" * 999), PayloadRejected),
    ],
)
def test_what_is_no_fork_is_refused_and_nothing_is_written(run, client, arguments, error):
    run(functions.chain, 1, "ended")
    run(functions.waits, 1, "order")
    before = [everything_of("ended"), everything_of("order")]
    with pytest.raises(error):
        client.fork(*arguments)
    assert [everything_of("ended"), everything_of("order")] == before
    assert set(Instance.objects.values_list("instance_id", flat=True)) == {"order", "ended"}


def test_an_orchestrator_that_is_gone_and_an_instance_that_has_not_begun_are_refused(run, client):
    client.start_new(functions.chain, "early", 1)
    with pytest.raises(StepRefused, match="no history yet"):
        client.fork("early", 1)
    run(functions.chain, 1, "order")
    Instance.objects.filter(instance_id="order").update(name="gone")
    with pytest.raises(FunctionNotRegistered):
        client.fork("order", 1)


def test_the_end_of_a_terminated_one_is_no_step(run, client):
    run(functions.waits, 1, "order")
    client.terminate("order")
    run(functions.chain, 1)
    with pytest.raises(StepRefused, match="Fork from step 2"):
        client.fork("order", 3)


# The original goes -------------------------------------------------------------------------------------------------


def test_it_has_files_of_its_own_for_large_payloads(run, client, worker, settings, tmp_path, stage):
    settings.MEDIA_ROOT = tmp_path
    settings.DURABLE = {**settings.DURABLE, "LARGE_PAYLOAD_BYTES": 1_000}
    large = "é" * 1_000
    run(functions.calls, ["work", large, large + "!"], "order")
    forked = client.fork("order", step_of("order", "TaskScheduled"))
    theirs = set(LargePayload.objects.filter(instance__instance_id="order").values_list("name", flat=True))
    client.purge_instance_history("order")

    worker.run_until_idle()
    status = client.get_status(forked)
    assert (status.input, status.output) == (["work", large, large + "!"], large + "!")
    assert stage.runs[large] == 1
    assert status.forked_from == "order"
    kept = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.gz")}
    assert kept == set(LargePayload.objects.values_list("name", flat=True))
    assert theirs
    assert not theirs & kept


def test_an_original_whose_files_are_lost_can_not_be_forked(run, client, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    settings.DURABLE = {**settings.DURABLE, "LARGE_PAYLOAD_BYTES": 1_000}
    run(functions.calls, ["work", "é" * 1_000], "order")
    for path in tmp_path.rglob("*.gz"):
        path.unlink()
    with pytest.raises(PayloadUnavailable):
        client.fork("order", 3)
    assert Instance.objects.count() == 1


def test_a_fork_of_a_fork_waits_and_asks_as_that_does(run, fork, client, worker, django_user_model):
    django_user_model.objects.create_user("dana")

    @orchestrator(name="ask")
    def ask(context):
        answer = yield context.wait_for_external_event("pay", title="Pay?", form=str, assign=Reviewers(users=["dana"]))
        return answer.data

    client.start_new("ask", "order")
    worker.run_until_idle()
    for origin, number in (("order", 1), ("order1", 2), ("order12", 3)):
        client.raise_event(origin, "news")  # a step behind the one with which it was forked
        worker.run_until_idle()
        fork(origin, Instance.objects.get(instance_id=origin).last_sequence, f"{origin}{number}")

    waits = OpenWait.objects.filter(name="pay").values_list("instance__instance_id", flat=True)
    assert sorted(waits) == ["order", "order1", "order12", "order123"]
    answer_task("order123", "dana", "yes")
    assert worker.run_until_ended("order123").output == "yes"


def test_a_new_start_under_the_id_of_a_fork_is_none(run, fork, client):
    run(functions.chain, 1, "order")
    fork("order", 3)
    assert run(functions.chain, 1, "fork").forked_from is None


# Any of them -------------------------------------------------------------------------------------------------------

numbers = count(1)


@pytest.fixture
def ledger(stage):
    with programs.registered() as ledger:
        yield ledger


def run_to_the_end(client, worker, instance_id: str, raised: Raised) -> list[object]:
    for _ in range(ROUNDS):
        go_on(client, worker, Counter(), raised)  # nothing is broken, so no child is tried again
        status = client.get_status(instance_id)
        if status.runtime_status == "Completed":
            return status.output
    raise AssertionError(f"not at its end after {ROUNDS} rounds: {client.get_status(instance_id)}")


def fork_at_or_before(client, instance_id: str, step: int) -> tuple[str, int]:
    """A fork from that step or, where entities are held there, from the last one before they were."""
    while True:
        try:
            return client.fork(instance_id, step, f"{instance_id}fork"), step
        except StepRefused:
            step -= 1


def raised_by(instance_id: str, step: int, raised: Raised) -> Raised:
    """How many events of each name the fork has had: those of generations before, and those before the step."""
    origin = Instance.objects.get(instance_id=instance_id)
    fork = Instance.objects.get(forked_from=instance_id)
    later = HistoryEvent.objects.filter(instance=origin, type="EventRaised", sequence__gte=step)
    names = [name.casefold() for name in later.values_list("name", flat=True)]
    return {(fork.pk, 0, name): total - names.count(name) for (pk, _, name), total in raised.items() if pk == origin.pk}


def labels_done(instance_id: str, step: int) -> set[str]:
    """The labels of the activities of its present execution that had ended by then."""
    rows = list(HistoryEvent.objects.filter(instance__instance_id=instance_id, sequence__lt=step))
    ended = {row.task_id for row in rows if row.type == "TaskCompleted"}
    return {row.payload.strip('"') for row in rows if row.type == "TaskScheduled" and row.task_id in ended}


@settings(
    deadline=None,
    max_examples=20,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failing one smaller takes too long for a test
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(strategies.programs, st.data())
def test_forked_anywhere_it_returns_what_it_would_have_and_repeats_nothing_that_had_ended(
    client, worker, ledger, program, data
):
    parts = strategies.labelled(program, "")
    ledger.broken = set()
    ledger.done.clear()
    instance_id = f"any-{next(numbers)}-"
    client.start_new(programs.simulated, instance_id, programs.given(parts))
    raised: Raised = {}
    assert run_to_the_end(client, worker, instance_id, raised) == model.Instance(parts).output

    step = data.draw(st.integers(1, Instance.objects.get(instance_id=instance_id).last_sequence))
    fork, step = fork_at_or_before(client, instance_id, step)
    done = labels_done(instance_id, step)
    raised |= raised_by(instance_id, step, raised)
    assert run_to_the_end(client, worker, fork, raised) == model.Instance(parts).output
    assert not [label for label in done if ledger.done[label] > 1]
    mine = Instance.objects.filter(instance_id__startswith=instance_id)
    assert set(mine.values_list("status", flat=True)) == {"Completed"}
    for ended in (instance_id, fork):
        client.purge_instance_history(ended, recursive=True)
