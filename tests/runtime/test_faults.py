"""The database refuses, does not answer, or has given the lease to somebody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection
from django.db.models import F

from orchestrations import activity, orchestrator
from orchestrations.models import ActivityWorkItem, AuditEntry, HistoryEvent, InboxMessage, Instance, WorkerLease
from orchestrations.runtime import activities, committer, drain, instances
from tests.runtime import functions


@pytest.fixture(params=[1000, 0], ids=["in memory", "replayed"])
def cache_size(request) -> int:
    return request.param


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(committer, "RETRY_SECONDS", (0.0, 0.0))


def first_time(method, fault):
    """The method, the first call of which meets the fault: ``fault(call)`` may make the call or not."""
    calls = []

    def met(*arguments):
        calls.append(arguments)
        return fault(lambda: method(*arguments)) if len(calls) == 1 else method(*arguments)

    return met


def cut_before(call):
    raise OperationalError("the connection was cut")


def cut_after(call):
    call()
    raise OperationalError("the connection was cut")


def without_an_answer(*arguments):
    raise OperationalError("away")


def cut_each_time(method):
    def cut(*arguments):
        method(*arguments)
        raise OperationalError("the connection was cut")

    return cut


# The answer to a commit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [cut_before, cut_after])
def test_a_commit_without_an_answer_has_its_effect_once(client, worker, stage, monkeypatch, events, fault):
    store = worker.runtime.store
    monkeypatch.setattr(store, "commit", first_time(store.commit, fault))
    client.start_new(functions.chain, "order", 3)

    assert worker.run_until_ended("order").output == [0, 1, 2]
    assert stage.runs == dict.fromkeys(range(3), 1)
    assert events("order") == ["ExecutionStarted", *["TaskScheduled", "TaskCompleted"] * 3, "ExecutionCompleted"]


def test_a_commit_without_an_answer_is_not_taken_for_another_workers(client, make_worker, stage, monkeypatch):
    """It has lost its lease meanwhile, and whoever has it now has come as far, by another result of the activity."""
    draws = iter([1, 2])

    @activity
    def draw(_: object) -> int:
        return next(draws)

    @orchestrator
    def draws_and_waits(context):
        drawn = yield context.call_activity("draw", None)
        yield context.wait_for_external_event("go")
        return drawn

    worker, second = make_worker(), make_worker()
    commit = worker.runtime.store.commit

    def overtaken(token, checkpoints):
        if any(event.type == "TaskCompleted" for checkpoint in checkpoints for event in checkpoint.history):
            monkeypatch.setattr(worker.runtime.store, "commit", commit)
            WorkerLease.objects.filter(token=token).update(expires_at=F("started_at"))
            worker.runtime.store.recover()
            second.run_until_idle()
            raise OperationalError("the connection was cut")
        return commit(token, checkpoints)

    monkeypatch.setattr(worker.runtime.store, "commit", overtaken)
    client.start_new(draws_and_waits, "order")
    worker.runtime.drain(1.0)
    assert HistoryEvent.objects.get(type="TaskCompleted").payload == "2"
    worker.runtime.lease.is_lost = True  # as its heart will tell it

    client.raise_event("order", "go")
    assert worker.run_until_ended("order").output == 2


@pytest.mark.parametrize("fault", [cut_before, cut_after])
def test_a_child_and_a_message_of_such_a_commit_exist_once(client, worker, monkeypatch, fault):
    store = worker.runtime.store
    monkeypatch.setattr(store, "commit", first_time(store.commit, fault))
    client.start_new(functions.parent, "order", ["chain", 1, "child"])

    assert worker.run_until_ended("order").output == [0]
    assert HistoryEvent.objects.filter(type="SubOrchestrationInstanceCompleted").count() == 1


def test_a_database_that_stays_away_loses_nothing(client, worker, stage, monkeypatch):
    store = worker.runtime.store
    commit = store.commit
    client.start_new(functions.chain, "order", 2)

    def away(*arguments):
        commit(*arguments)
        raise OperationalError("away")

    with monkeypatch.context() as while_it_is_away:
        while_it_is_away.setattr(store, "commit", away)
        while_it_is_away.setattr(store, "renew_lease", without_an_answer)
        with pytest.raises(OperationalError):
            worker.runtime.drain(1.0)

    assert worker.run_until_ended("order").output == [0, 1]
    assert WorkerLease.objects.count() == 1


@pytest.mark.parametrize("name", ["commit", "claim_instances", "claim_activities", "fire_timers"])
def test_a_restart_of_the_database_does_not_repeat_what_is_running(client, worker, stage, monkeypatch, name):
    """The lease outlives it, so nobody else may run it; only what this worker can't know of is given back."""
    store = worker.runtime.store
    client.start_new(functions.calls, "running", ["gated", 1, 2])
    broken = []

    def restart() -> bool:
        if stage.inside and not broken:
            broken.append(monkeypatch.setattr(store, name, cut_each_time(getattr(store, name))))
            monkeypatch.setattr(store, "renew_lease", without_an_answer)
            client.start_new(functions.fan_out, "order", 40)
        return False

    with monkeypatch.context(), pytest.raises(OperationalError):
        worker.runtime.drain(0.0, gives_way=restart)
    for repaired in (name, "renew_lease"):
        monkeypatch.setattr(store, repaired, getattr(type(store), repaired).__get__(store))
    stage.gate.set()

    assert worker.run_until_ended("order").output == sum(range(40))
    assert worker.run_until_ended("running").output == 2
    assert stage.runs == dict.fromkeys(range(40), 1) | {1: 2, 2: 2}, "each of the two has a 1 and a 2"
    assert not ActivityWorkItem.objects.exists()


def test_what_has_just_ended_is_not_run_again_because_a_heart_beats_while_the_worker_lets_go(
    client, worker, stage, monkeypatch
):
    """The heartbeat settles what is in doubt, and must find there what the drain had already collected."""
    runtime = worker.runtime
    commit, take_unstarted = runtime.store.commit, runtime.pool.take_unstarted

    def away_with_the_result(*arguments):
        if stage.runs:
            raise OperationalError("away")
        return commit(*arguments)

    def beat_meanwhile():
        runtime._flush_detached()
        return take_unstarted()

    client.start_new(functions.calls, "order", ["work", 1])
    with monkeypatch.context() as while_it_is_away:
        while_it_is_away.setattr(runtime.store, "commit", away_with_the_result)
        while_it_is_away.setattr(runtime.store, "renew_lease", without_an_answer)
        while_it_is_away.setattr(runtime.pool, "take_unstarted", beat_meanwhile)
        with pytest.raises(OperationalError):
            runtime.drain(1.0)

    assert worker.run_until_ended("order").output == 1
    assert stage.runs == {1: 1}


def test_a_database_that_takes_claims_but_no_commits_makes_no_poison(client, worker, stage, monkeypatch):
    """A disk that is full, say: nobody has died, however often it is tried."""
    client.start_new(functions.calls, "order", ["work", 1])
    with monkeypatch.context() as while_it_is_full:
        while_it_is_full.setattr(worker.runtime.store, "commit", without_an_answer)
        while_it_is_full.setattr(worker.runtime.store, "renew_lease", without_an_answer)
        for _ in range(worker.runtime.config.dispatch_attempts + 2):
            with pytest.raises(OperationalError):
                worker.runtime.drain(1.0)

    assert worker.run_until_ended("order").output == 1


@pytest.mark.parametrize("answer", ["lost", "none"])
def test_a_step_that_takes_too_long_each_time_does_not_hold_up_the_others(client, worker, stage, monkeypatch, answer):
    """The database is there for everything else: it says that of this statement only."""
    store = worker.runtime.store
    for number in range(3):
        client.start_new(functions.chain, f"order-{number}", 2)
    slow = Instance.objects.get(instance_id="order-0")
    commit = store.commit

    def time_limit(token, checkpoints):
        if any(checkpoint.pk == slow.pk for checkpoint in checkpoints):
            if answer == "lost":
                commit(token, checkpoints)
            raise OperationalError("canceling statement due to statement timeout")
        return commit(token, checkpoints)

    monkeypatch.setattr(store, "commit", time_limit)
    worker.run_until_idle()

    others = Instance.objects.exclude(pk=slow.pk)
    assert set(others.values_list("status", flat=True)) == {"Completed"}
    monkeypatch.setattr(store, "commit", commit)
    Instance.objects.filter(claimable_at__isnull=False).update(claimable_at=F("created_at"))
    InboxMessage.objects.update(visible_at=F("created_at"))
    assert worker.run_until_ended("order-0").output == [0, 1]
    assert stage.runs == {0: 3, 1: 3}


def test_after_a_restart_of_the_database_nothing_waits_for_the_next_drain(
    client, worker, stage, monkeypatch, eventually
):
    """Another worker may be the one that drains next."""
    store = worker.runtime.store
    client.start_new(functions.chain, "order", 1)
    with monkeypatch.context() as while_it_is_away:
        while_it_is_away.setattr(store, "commit", cut_each_time(store.commit))
        while_it_is_away.setattr(store, "renew_lease", without_an_answer)
        with pytest.raises(OperationalError):
            worker.runtime.drain(1.0)

    eventually(lambda: not Instance.objects.exclude(lease_token=None).exists())
    assert WorkerLease.objects.count() == 1


@pytest.mark.parametrize(
    "name", ["claim_instances", "claim_activities", "fire_timers", "load_history", "complete_activities", "now"]
)
def test_an_error_of_any_statement_ends_the_drain_and_loses_nothing(
    client, worker, stage, monkeypatch, name, eventually
):
    store = worker.runtime.store
    client.start_new(functions.fan_out, "order", 40)
    client.start_new(functions.calls, "late", ["gated", 1])
    stage.gate.set()
    monkeypatch.setattr(store, name, first_time(getattr(store, name), cut_after))

    def is_over():
        try:
            worker.runtime.drain(0.5)
        except OperationalError:
            return False
        return not Instance.objects.filter(completed_at=None).exists()

    eventually(is_over)
    assert set(Instance.objects.values_list("status", flat=True)) == {"Completed"}


def test_a_defect_in_a_turn_gives_everything_back(client, worker, stage, monkeypatch, eventually):
    store = worker.runtime.store
    client.start_new(functions.fan_out, "order", 8)
    monkeypatch.setattr(
        store, "claim_activities", first_time(store.claim_activities, lambda call: [call(), {}["missing"]])
    )
    with pytest.raises(KeyError):
        worker.runtime.drain(1.0)

    assert not ActivityWorkItem.objects.exclude(lease_token=None).exists()
    assert worker.run_until_ended("order").output == 28


# The database refuses ------------------------------------------------------------------------------------------------


def refusing(store, pk, kind=DataError):
    commit = store.commit

    def refuse(token, checkpoints):
        if any(checkpoint.pk == pk and checkpoint.history for checkpoint in checkpoints):
            raise kind("it does not fit\nDETAIL: at all")
        return commit(token, checkpoints)

    return refuse


@pytest.mark.parametrize("kind", [DataError, IntegrityError])
def test_what_the_database_refuses_of_one_instance_fails_that_one_alone(client, worker, stage, monkeypatch, kind):
    store = worker.runtime.store
    for number in range(5):
        client.start_new(functions.chain, f"order-{number}", 2)
    bad = Instance.objects.get(instance_id="order-2")
    monkeypatch.setattr(store, "commit", refusing(store, bad.pk, kind))
    worker.run_until_idle()

    good = Instance.objects.exclude(pk=bad.pk)
    assert set(good.values_list("status", flat=True)) == {"Completed"}
    bad.refresh_from_db()
    assert (bad.status, bad.lease_token, bad.last_sequence) == ("Pending", None, 0)
    assert bad.waiting_for == "the database refused its last step: it does not fit"
    assert worker.runtime.store.next_due_at() is not None, "it is tried again later"


def test_the_activity_results_of_a_refused_step_are_kept(client, worker, stage, monkeypatch):
    """They had been taken from the pool, and nobody would bring them again."""
    store = worker.runtime.store
    client.start_new(functions.chain, "order", 2)
    pk = Instance.objects.get().pk
    commit = store.commit

    def refuse_later(token, checkpoints):
        if any(event.type == "TaskCompleted" for checkpoint in checkpoints for event in checkpoint.history):
            raise DataError("it does not fit")
        return commit(token, checkpoints)

    monkeypatch.setattr(store, "commit", refuse_later)
    worker.run_until_idle()
    assert InboxMessage.objects.filter(instance_id=pk, type="TaskCompleted").count() == 1
    monkeypatch.setattr(store, "commit", commit)
    InboxMessage.objects.update(visible_at=F("created_at"))

    assert worker.run_until_ended("order").output == [0, 1]
    assert stage.runs == {0: 1, 1: 1}


def test_a_value_that_the_database_really_refuses(client, worker, stage, monkeypatch):
    """NUL and oversized names don't get past the payload door; one that did would stop at the database."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite takes everything")
    for number in range(3):
        client.start_new(functions.chain, f"order-{number}", 1)
    advance = instances.advance_instance

    def with_nul(held, *arguments):
        result = advance(held, *arguments)
        if held.claimed.instance_id == "order-1" and result.events:
            result.events[-1].name = "a\x00b"
        return result

    monkeypatch.setattr("orchestrations.runtime.drain.advance_instance", with_nul)
    worker.run_until_idle()

    statuses = dict(Instance.objects.values_list("instance_id", "status"))
    assert statuses == {"order-0": "Completed", "order-1": "Pending", "order-2": "Completed"}


def test_an_activity_result_that_the_database_refuses_is_a_failure(
    client, worker, stage, drain_until_inside, monkeypatch
):
    """Detached from any drain, one such result must not keep the others from being recorded."""
    store = worker.runtime.store
    complete = store.complete_activities

    def refuse(token, completions):
        if any(completion.event.payload == '"bad"' for completion in completions):
            raise DataError("it does not fit")
        return complete(token, completions)

    monkeypatch.setattr(store, "complete_activities", refuse)
    for value in ("bad", "good"):
        client.start_new(functions.calls, value, ["gated", value])
    drain_until_inside(worker, 2)
    stage.gate.set()

    assert worker.run_until_ended("good").output == "good"
    assert "it does not fit" in worker.run_until_ended("bad").failure_details.message


@pytest.mark.parametrize("is_detached", [True, False], ids=["detached", "in a drain"])
@pytest.mark.parametrize("name", ["gated", "gated_async"])
def test_an_end_that_the_database_does_not_take_just_now_waits_alone(
    client, make_worker, stage, drain_until_inside, monkeypatch, eventually, name, is_detached
):
    """For a lock or a time limit that it meets each time, though the database is there."""
    worker, second = make_worker(), make_worker()
    for value in ("bad", "good"):
        client.start_new(functions.calls, value, [name, value])
    drain_until_inside(worker, 2)  # so that the instances are nobody's, and are told by messages
    store = worker.runtime.store
    complete, tries = store.complete_activities, []

    def refuse(token, completions):
        tries.append(len(completions))
        if any(completion.event.payload == '"bad"' for completion in completions):
            raise OperationalError("canceling statement due to lock timeout")
        return complete(token, completions)

    monkeypatch.setattr(store, "complete_activities", refuse)
    worker.runtime._is_draining = not is_detached
    stage.gate.set()
    if not is_detached:
        eventually(lambda: worker.runtime.pool.in_flight == 0)
        worker.runtime.drain(0.0)
    assert second.run_until_ended("good").output == "good"

    client.start_new(functions.calls, "later", ["work", 1])
    assert worker.run_until_ended("later").output == 1, "nor is other work held up"
    assert len(tries) < 20
    monkeypatch.setattr(store, "complete_activities", complete)
    assert worker.run_until_ended("bad").output == "bad"
    assert stage.runs == {"bad": 1, "good": 1, 1: 1}


def test_an_end_that_the_database_never_takes_is_a_failure_at_last(
    client, worker, stage, drain_until_inside, monkeypatch
):
    monkeypatch.setattr(activities, "LONGEST_POSTPONED", 0.0)
    client.start_new(functions.calls, "order", ["gated", "bad"])
    drain_until_inside(worker)
    complete, tries = worker.runtime.store.complete_activities, []

    def refuse(token, completions):
        tries.append(completions)
        if any(completion.event.payload == '"bad"' for completion in completions):
            raise OperationalError("canceling statement due to statement timeout")
        return complete(token, completions)

    monkeypatch.setattr(worker.runtime.store, "complete_activities", refuse)
    stage.gate.set()

    assert "did not take the result of 'gated'" in worker.run_until_ended("order").failure_details.message
    assert len(tries) > committer.MOST_REFUSALS


def test_where_the_database_takes_no_end_at_all_no_time_is_lost_with_each(
    client, worker, stage, drain_until_inside, monkeypatch, eventually
):
    for number in range(4):
        client.start_new(functions.calls, f"order-{number}", ["gated", number])
    drain_until_inside(worker, 4)
    complete, tries = worker.runtime.store.complete_activities, []
    worker.runtime._is_draining = True
    stage.gate.set()
    eventually(lambda: worker.runtime.pool.in_flight == 0)

    def refuse(token, completions):
        tries.append(len(completions))
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(worker.runtime.store, "complete_activities", refuse)
    worker.runtime.turn()
    assert tries == [4] + [1] * committer.MOST_REFUSED

    monkeypatch.setattr(worker.runtime.store, "complete_activities", complete)
    assert [worker.run_until_ended(f"order-{number}").output for number in range(4)] == [0, 1, 2, 3]
    assert set(stage.runs.values()) == {1}


def test_a_defect_that_one_instance_meets_leaves_the_others_alone(client, worker, stage, monkeypatch):
    monkeypatch.setattr(drain.logger, "disabled", True)  # a report of the test could not hold the message
    for number in range(3):
        client.start_new(functions.chain, f"order-{number}", 1)
    advance = instances.advance_instance

    def defect(held, *arguments):
        if held.claimed.instance_id == "order-1":
            raise RecursionError("too deep: \x00\ud800")
        return advance(held, *arguments)

    monkeypatch.setattr("orchestrations.runtime.drain.advance_instance", defect)
    worker.run_until_idle()

    row = Instance.objects.get(instance_id="order-1")
    assert row.waiting_for == r"the engine failed on it: RecursionError: too deep: \x00\ud800"
    assert (row.lease_token, row.attempts) == (None, 0)
    assert Instance.objects.filter(status="Completed").count() == 2


def test_an_event_that_only_a_newer_release_knows_waits_for_a_worker_of_that_release(client, worker, stage):
    client.start_new(functions.waits, "order-0", 1)
    worker.run_until_idle()
    client.raise_event("order-0", "go", 7)
    InboxMessage.objects.update(type="FromTheFuture")
    client.start_new(functions.chain, "order-1", 1)

    assert worker.run_until_ended("order-1").output == [0]
    row = Instance.objects.get(instance_id="order-0")
    assert (row.status, row.lease_token, row.attempts) == ("Running", None, 0)
    assert "a newer release has written it" in row.waiting_for
    InboxMessage.objects.update(type="EventRaised", visible_at=F("created_at"))
    assert worker.run_until_ended("order-0").output == [7]


class Killed(BaseException):
    """What becomes of a worker, without the process."""


@pytest.mark.parametrize("position", range(3))
def test_those_who_were_claimed_with_a_killer_are_not_given_up_with_it(client, worker, stage, monkeypatch, position):
    for number in range(3):
        client.start_new(functions.chain, f"order-{number}", 1)
    advance = instances.advance_instance
    killer = f"order-{position}"
    most = worker.runtime.config.dispatch_attempts

    def kill(held, *arguments):
        if held.claimed.instance_id == killer and held.claimed.attempts <= most:
            raise Killed
        return advance(held, *arguments)

    monkeypatch.setattr("orchestrations.runtime.drain.advance_instance", kill)
    deaths = 0
    while Instance.objects.filter(completed_at=None).exists():
        try:
            worker.runtime.drain(1.0)
        except Killed:
            deaths += 1

    assert deaths == most
    statuses = dict(Instance.objects.values_list("instance_id", "status"))
    assert statuses == {f"order-{number}": "Completed" for number in range(3)} | {killer: "Failed"}
    assert "Workers died 10 times" in client.get_status(killer).failure_details.message


# Somebody else has the lease -----------------------------------------------------------------------------------------


def test_a_worker_that_has_lost_its_lease_writes_nothing(client, make_worker, stage):
    stale, other = make_worker(), make_worker()
    client.start_new(functions.calls, "order", ["gated", 1])
    other_started = []

    def overtake() -> bool:
        if stage.inside and not other_started:
            WorkerLease.objects.filter(token=stale.runtime.lease.token).delete()
            other.runtime.store.recover()
            other_started.append(True)
            stage.gate.set()
            other.run_until_ended("order")
        return bool(other_started)

    stale.runtime.drain(0.0, gives_way=overtake)
    before = list(HistoryEvent.objects.values())
    stale.runtime.drain(0.5)

    assert list(HistoryEvent.objects.values()) == before
    assert stage.runs[1] == 2, "at least once, and twice only because the lease was lost"
    assert HistoryEvent.objects.filter(type="TaskCompleted").count() == 1


def test_after_its_lease_was_lost_a_worker_goes_on_with_another(client, worker, stage, eventually):
    client.start_new(functions.calls, "order", ["gated", 1])
    tokens = []

    def expire() -> bool:
        if stage.inside and not tokens:
            tokens.append(worker.runtime.lease.token)
            worker.runtime.lease.is_lost = True
            WorkerLease.objects.all().delete()
            worker.runtime.store.recover()
        return len(stage.inside) == 2

    worker.runtime.drain(0.0, gives_way=expire)
    assert worker.runtime.lease.token > tokens[0]
    assert [context.is_cancelled() for context in stage.contexts] == [True, False]
    stage.gate.set()

    assert worker.run_until_ended("order").output == 1


only_where_writers_do_not_wait = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="while such an activity runs on SQLite, nobody else can write"
)


# Transactional activities --------------------------------------------------------------------------------------------


def test_a_transactional_activity_writes_with_its_completion(client, worker):
    client.start_new(functions.calls, "order", ["book", "x"])

    assert worker.run_until_ended("order").output == "x"
    assert AuditEntry.objects.filter(instance_id="x").count() == 1


@only_where_writers_do_not_wait
def test_what_it_wrote_is_undone_when_its_lease_is_lost(client, make_worker, stage):
    stale, other = make_worker(), make_worker()
    client.start_new(functions.calls, "order", ["book_gated", "x"])
    stale.runtime.drain(0.0, gives_way=lambda: len(stage.inside) == 1)
    WorkerLease.objects.filter(token=stale.runtime.lease.token).delete()
    other.runtime.store.recover()
    stage.gate.set()

    assert other.run_until_ended("order").output == "x"
    stale.stop()
    assert AuditEntry.objects.filter(instance_id="x").count() == 1
    assert HistoryEvent.objects.filter(type="TaskCompleted").count() == 1


@only_where_writers_do_not_wait
def test_what_it_wrote_is_undone_when_its_instance_was_terminated(client, worker, stage):
    client.start_new(functions.calls, "order", ["book_gated", "x"])
    worker.runtime.drain(0.0, gives_way=lambda: len(stage.inside) == 1)
    client.terminate("order")
    worker.runtime.drain(0.0)
    stage.gate.set()
    worker.run_until_idle()

    assert not AuditEntry.objects.filter(instance_id="x").exists()
    assert client.get_status("order").runtime_status == "Terminated"


def test_an_error_of_its_commit_that_came_too_late_is_no_failure(client, worker, stage, monkeypatch):
    """The writes are there, so the orchestration must see it completed."""
    record = worker.runtime.pool._record

    def recorded_but_unanswered(finished):
        assert record(finished)
        connection.on_commit(lambda: cut_before(None))
        return True

    monkeypatch.setattr(worker.runtime.pool, "_record", recorded_but_unanswered)
    client.start_new(functions.calls, "order", ["book", "x"])

    assert worker.run_until_ended("order").output == "x"
    assert AuditEntry.objects.filter(instance_id="x").count() == 1


def test_an_error_of_its_commit_is_its_failure_where_nothing_was_written(client, worker, stage, monkeypatch):
    monkeypatch.setattr(worker.runtime.pool, "_record", lambda finished: cut_before(None))
    client.start_new(functions.calls, "order", ["book", "x"])

    assert worker.run_until_ended("order").failure_details.is_caused_by("OperationalError")
    assert not AuditEntry.objects.filter(instance_id="x").exists()


# Poison --------------------------------------------------------------------------------------------------------------


def test_an_instance_that_kills_its_workers_fails_in_the_end(client, worker, stage):
    client.start_new(functions.chain, "order", 1)
    client.start_new(functions.chain, "innocent", 1)
    attempts = worker.runtime.config.dispatch_attempts
    Instance.objects.filter(instance_id="order").update(attempts=attempts)
    worker.run_until_idle()

    status = client.get_status("order")
    assert status.runtime_status == "Failed"
    assert status.failure_details.is_caused_by("PoisonMessage")
    assert not stage.runs[0] > 1
    assert client.get_status("innocent").runtime_status == "Completed"

    client.rewind("order", "the worker has more memory now")
    assert worker.run_until_ended("order").output == [0]


def test_an_activity_that_kills_its_workers_fails_in_the_end(client, make_worker, stage, drain_until_inside):
    first, second = make_worker(), make_worker()
    client.start_new(functions.calls, "order", ["gated", 1])
    drain_until_inside(first)
    ActivityWorkItem.objects.update(dispatches=first.runtime.config.dispatch_attempts)
    WorkerLease.objects.all().delete()
    second.runtime.store.recover()
    ActivityWorkItem.objects.update(visible_at=F("scheduled_at") - timedelta(seconds=1))

    status = second.run_until_ended("order")

    assert status.failure_details.is_caused_by("PoisonMessage")
    assert stage.runs == {1: 1}
