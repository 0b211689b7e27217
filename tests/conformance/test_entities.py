"""Entities: operations one by one and once each, rolled back alone, and locks that nobody waits for in a circle."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from orchestrations import EntityId, OrchestrationClient, entity, orchestrator
from orchestrations.core.entities import decode_callers
from orchestrations.limits import PAYLOAD_BYTES
from orchestrations.models import Entity, HistoryEvent, InboxMessage, Instance
from tests.conformance import entity_functions
from tests.conformance.entity_functions import Purse, purse
from tests.runtime import functions

COUNTER = EntityId("counter", "a")


@pytest.fixture(autouse=True)
def switches():
    with entity_functions.registered() as switches:
        yield switches


@pytest.fixture
def state(client):
    """The state of an entity, or None."""
    return lambda entity_id: client.read_entity_state(entity_id).entity_state


@pytest.fixture
def call(run):
    """The results of operations that an orchestrator calls in turn."""
    return lambda *given: run(entity_functions.call, [[str(entity_id), *rest] for entity_id, *rest in given]).output


# Operations ---------------------------------------------------------------------------------------------------------


def test_signals_are_carried_out_in_order_and_once(client, worker, state):
    for number in range(1, 101):
        client.signal_entity(COUNTER, "add", number)

    worker.run_until_idle()

    read = client.read_entity_state(COUNTER)
    assert (read.entity_exists, read.entity_state) == (True, 5050)
    assert not InboxMessage.objects.exists()


def test_a_call_gives_the_result(call):
    assert call((COUNTER, "add", 5), (COUNTER, "get", None), (purse("x"), "deposit", 7)) == [None, 5, 7]


def test_an_entity_knows_who_asked_last(client, worker, run):
    client.signal_entity(COUNTER, "add", 1)
    worker.run_until_idle()
    caller = run(entity_functions.call, [[str(COUNTER), "get", None]]).instance_id

    assert [one.operation for one in decode_callers(Entity.objects.get().callers)] == ["add", "get"]
    *_, last = decode_callers(Entity.objects.get().callers)
    assert (last.name, last.is_call, last.is_instance) == (caller, True, True)


def test_a_class_whose_attributes_are_its_state(call, state):
    basket = EntityId("basket", "ann")

    assert call((basket, "put", "tea"), (basket, "put", "tea"), (basket, "size", None)) == [None, None, ["ann", 2]]
    assert state(basket) == {"items": {"tea": 2}}
    assert call((basket, "delete", None), (basket, "size", None))[1] == ["ann", 0]


def test_a_failed_operation_is_undone_alone_and_its_caller_is_told_why(client, worker, call, state):
    client.signal_entity(COUNTER, "add", 1)
    client.signal_entity(COUNTER, "fail")
    client.signal_entity(COUNTER, "add", 1)
    worker.run_until_idle()

    [told] = call((COUNTER, "fail", None))

    assert told == ["ValueError", "not so", "Entity operation 'fail' failed: not so"]
    assert state(COUNTER) == 2
    assert state(EntityId("counter", "told")) is None


@pytest.mark.parametrize(
    ("entity_id", "operation", "value", "error"),
    [
        (purse("x"), "steal", None, "AttributeError"),
        (purse("x"), "set_state", 5, "AttributeError"),
        (purse("x"), "deposit", "much", "orchestrations.errors.PayloadRejected"),
        (COUNTER, "unheard of", None, "NotImplementedError"),
    ],
)
def test_an_operation_that_can_not_be_carried_out_fails(call, entity_id, operation, value, error):
    [told] = call((entity_id, operation, value))

    assert told[0] == error


@pytest.mark.parametrize("operation", ["bad", "bad result", "bad result given", "bad state"])
def test_whatever_an_operation_fails_of_it_has_neither_told_nor_started_anybody(client, call, state, operation):
    @entity
    def failing(context):
        context.set_state("changed")
        context.signal_entity(COUNTER, "add", 1)
        context.signal_entity(context.entity_id, "again")
        context.start_new(functions.chain, 0, "never")
        if operation == "bad":
            raise ValueError
        if operation == "bad state":
            context.set_state({"a": object()})
        context.set_result(object())
        return object() if operation == "bad result" else None

    [told] = call((EntityId("failing", "a"), operation, None))

    assert told[0] == ("ValueError" if operation == "bad" else "orchestrations.errors.PayloadRejected")
    assert (state(EntityId("failing", "a")), state(COUNTER), client.get_status("never")) == (None, None, None)
    assert not InboxMessage.objects.exists()


def test_an_entity_that_signals_itself_goes_on_after_what_waits_already(client, worker, state):
    @entity
    def countdown(context, number: int):
        context.set_state([*context.get_state(list, []), number])
        if number > 0:
            context.signal_entity(context.entity_id, "next", number - 1)

    client.signal_entity(EntityId("countdown", "a"), "begin", 3)
    client.signal_entity(EntityId("countdown", "a"), "begin", 0)
    worker.run_until_idle()

    assert state(EntityId("countdown", "a")) == [3, 0, 2, 1, 0]


def test_an_entity_is_deleted_and_made_anew_in_one_batch(client, worker, state):
    @entity
    def fickle(context, value: object = None):
        context.set_state([value, context.is_newly_constructed])
        if context.operation_name == "destruct":
            context.destruct_on_exit()

    one = EntityId("fickle", "a")
    for operation in ("set", "destruct", "set"):
        client.signal_entity(one, operation, operation)
    worker.run_until_idle()
    assert state(one) == ["set", True]

    client.signal_entity(one, "destruct", 0)
    worker.run_until_idle()
    assert not client.read_entity_state(one).entity_exists


def test_a_state_may_be_as_large_as_any_payload(client, call, state):
    @entity
    def large(context, size: int = 0):
        if context.operation_name == "fill":
            context.set_state("x" * (size - 2))
        return len(context.get_state(str, ""))

    one = EntityId("large", "a")
    fits, larger, after, small = call(
        (one, "fill", PAYLOAD_BYTES), (one, "fill", PAYLOAD_BYTES + 1), (one, "size", None), (one, "fill", 5)
    )

    assert (fits, after, small) == (PAYLOAD_BYTES - 2, PAYLOAD_BYTES - 2, 3)
    assert larger[0] == "orchestrations.errors.PayloadRejected"
    assert state(one) == "xxx"


@pytest.mark.parametrize(
    "key", ["", "$", "Ann", "ann@example.org", "\u00fc", "u\u0308", " '%_; --", "k" * 240], ids=ascii
)
def test_a_key_is_taken_to_the_letter(client, run, key):
    named = EntityId("COUNTER", key)
    for other in (EntityId("counter", f"{key}x"), EntityId("counter", key.swapcase())):
        client.signal_entity(other, "add", 100)
    client.signal_entity(str(named), "add", 1)

    output = run(entity_functions.call, [[str(named), "get", None]]).output

    assert output == [101 if key.swapcase() == key else 1]
    assert [item.entity_id for item in client.list_entities("Counter").items].count(EntityId("counter", key)) == 1


def test_an_entity_is_deleted_by_its_state_and_begins_anew(client, call, state):
    assert call((purse("x"), "deposit", 5), (purse("x"), "delete", None), (purse("x"), "deposit", 1))[-1] == 1
    call((COUNTER, "add", 5), (COUNTER, "reset", None))

    assert not client.read_entity_state(COUNTER).entity_exists
    assert [item.entity_id.key for item in client.list_entities(include_deleted=True).items] == ["a", "x"]


@pytest.mark.parametrize("value", [0, "", [], False, {}], ids=repr)
def test_what_is_false_is_a_state_and_none_is_not(client, worker, run, value):
    @entity
    def keeper(context):
        if context.operation_name == "keep":
            context.set_state(context.get_input())
        return context.get_state(lambda: "nothing")

    @orchestrator
    def keeps(context, given):
        yield context.call_entity(EntityId("keeper", "a"), "keep", given)
        return (yield context.call_entity(EntityId("keeper", "a"), "look"))

    assert run(keeps, value).output == value
    read = client.read_entity_state(EntityId("keeper", "a"))
    assert (read.entity_exists, read.entity_state) == (True, value)
    assert type(read.entity_state) is type(value)

    assert run(keeps, None).output == "nothing"
    assert not client.read_entity_state(EntityId("keeper", "a")).entity_exists


def test_an_entity_signals_others_and_starts_orchestrations(client, worker, call, state):
    client.signal_entity(COUNTER, "relay", "b")
    [started] = call((COUNTER, "start", None))

    assert state(EntityId("counter", "b")) == 1
    assert client.get_status(started).runtime_status == "Completed"


def test_a_scheduled_signal_waits_for_its_time(client, worker, state):
    client.signal_entity(COUNTER, "add", 1, signal_time=datetime.now(UTC) + timedelta(hours=1))
    client.signal_entity(COUNTER, "add", 10)
    worker.run_until_idle()
    assert state(COUNTER) == 10

    InboxMessage.objects.update(visible_at=worker.runtime.store.now())
    worker.run_until_idle()

    assert state(COUNTER) == 11


def test_a_signal_for_a_time_that_has_passed_keeps_its_place(client, worker, run, state):
    past = datetime.now(UTC) - timedelta(days=1)

    @orchestrator
    def signals(context):
        for number, moment in enumerate([None, past.replace(tzinfo=None), None, past, None]):
            context.signal_entity(EntityId("log", "a"), "append", number, moment)
        yield context.create_timer(timedelta(0))

    for number, moment in enumerate([None, past, None, datetime(1, 1, 2, tzinfo=UTC), None], start=10):
        client.signal_entity(EntityId("log", "a"), "append", number, moment)
    run(signals)

    assert state(EntityId("log", "a")) == [10, 11, 12, 13, 14, 0, 1, 2, 3, 4]


def test_each_senders_signals_come_in_its_order(client, make_worker, state):
    started = [client.start_new(entity_functions.signal_many, client_input=[sender, 12]) for sender in range(4)]
    workers = [make_worker(), make_worker()]
    for worker in [*workers] * 2:
        worker.run_until_idle()

    assert all(client.get_status(instance).runtime_status == "Completed" for instance in started)
    entries = state(EntityId("log", "a"))
    assert [[number for by, number in entries if by == sender] for sender in range(4)] == [list(range(12))] * 4


# Faults -------------------------------------------------------------------------------------------------------------


def test_an_entity_whose_code_nobody_has_waits_and_says_so(client, worker, state):
    from orchestrations.authoring.registry import registry

    client.signal_entity(COUNTER, "add", 1)
    with registry.preserved():
        registry._entities.pop("counter")
        worker.run_until_idle()
        row = Instance.objects.get(instance_id="@counter@a")
        assert row.waiting_for == "no worker has the code of entity counter"
    InboxMessage.objects.update(visible_at=worker.runtime.store.now())

    worker.run_until_idle()

    assert state(COUNTER) == 1


def test_an_operation_that_hangs_holds_up_nobody_and_is_undone(client, make_worker, settings, state):
    settings.DURABLE = {**settings.DURABLE, "EPISODE_TIMEOUT_SECONDS": 0.2}
    client.signal_entity(COUNTER, "add", 1)
    client.signal_entity(COUNTER, "hang")
    client.signal_entity(COUNTER, "add", 1)
    other = client.start_new(functions.chain, client_input=0)

    make_worker().run_until_idle(20)

    assert state(COUNTER) == 2
    assert client.get_status(other).runtime_status == "Completed"


def test_an_operation_that_workers_die_of_fails_alone(client, worker, state):
    client.signal_entity(COUNTER, "add", 100)
    client.signal_entity(COUNTER, "add", 10)
    Instance.objects.update(attempts=99)

    worker.run_until_idle()

    assert state(COUNTER) == 10


@pytest.mark.parametrize("is_written", [True, False])
def test_a_commit_without_an_answer_has_its_effect_once(client, worker, monkeypatch, state, is_written):
    from django.db import OperationalError

    from orchestrations.runtime import committer

    store, commit = worker.runtime.store, worker.runtime.store.commit
    monkeypatch.setattr(committer, "RETRY_SECONDS", (0.0, 0.0))
    calls = []

    def cut(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            if is_written:
                commit(*arguments)
            raise OperationalError("the connection was cut")
        return commit(*arguments)

    monkeypatch.setattr(store, "commit", cut)
    client.signal_entity(COUNTER, "relay", "b")
    client.signal_entity(COUNTER, "add", 1)
    worker.run_until_idle()

    assert (state(COUNTER), state(EntityId("counter", "b"))) == (1, 1)


def test_the_number_of_batches_may_outgrow_its_column(client, worker, state):
    from orchestrations.runtime import entities

    client.signal_entity(COUNTER, "add", 1)
    worker.run_until_idle()
    Instance.objects.filter(is_entity=True).update(last_sequence=entities.LAST_VERSION)
    client.signal_entity(COUNTER, "add", 1)
    worker.run_until_idle()

    row = Instance.objects.get(is_entity=True)
    assert (state(COUNTER), row.execution, row.last_sequence) == (2, 2, 0)


# Locks --------------------------------------------------------------------------------------------------------------


def test_a_transfer_under_a_lock(client, call, run):
    call((purse("a"), "deposit", 100))

    assert run(entity_functions.transfer, ["a", "b", 30]).output == 30
    assert call((purse("a"), "balance", None)) == [70]
    assert not Entity.objects.exclude(locked_by="").exists()


def test_two_that_lock_the_same_entities_in_opposite_order_both_get_them(client, worker, call):
    call((purse("a"), "deposit", 100), (purse("b"), "deposit", 100))
    started = [
        client.start_new(entity_functions.transfer, client_input=[*keys, 1]) for keys in [("a", "b"), ("b", "a")] * 4
    ]

    worker.run_until_idle(30)

    assert [client.get_status(instance).runtime_status for instance in started] == ["Completed"] * 8
    assert call((purse("a"), "balance", None), (purse("b"), "balance", None)) == [100, 100]


def test_others_wait_for_the_lock_and_lose_nothing(client, worker, state):
    client.start_new(entity_functions.hold, "holder", ["a", "b"])
    worker.run_until_idle()
    assert client.get_status("holder").custom_status == "holding"
    for _ in range(5):
        client.signal_entity(purse("a"), "deposit", 1)
    waiting = client.start_new(entity_functions.transfer, client_input=["a", "b", 2])
    worker.run_until_idle()
    read = client.read_entity_state(purse("a"))
    assert (read.entity_exists, read.locked_by, read.backlog_size) == (False, "holder", 6)
    assert Instance.objects.get(instance_id=waiting).waiting_for == "the lock of @purse@a, @purse@b"

    client.raise_event("holder", "go")
    worker.run_until_idle()

    assert client.get_status("holder").output == 0
    assert client.get_status(waiting).output == 2
    assert (state(purse("a")), state(purse("b"))) == (3, 2)
    assert client.read_entity_state(purse("a")).backlog_size == 0


def end_by(how: str, client, instance_id: str) -> None:
    if how == "terminate":
        client.terminate(instance_id)
    elif how == "replace":
        client.start_new(functions.chain, instance_id, 0, on_duplicate="terminate")
    else:
        client.raise_event(instance_id, "go", how)


@pytest.mark.parametrize("how", ["terminate", "fail", "continue", "replace"])
def test_a_lock_goes_when_its_owner_ends(client, worker, state, how):
    client.start_new(entity_functions.hold, "holder", ["a", "b", "c"])
    worker.run_until_idle()
    client.signal_entity(purse("a"), "deposit", 1)

    end_by(how, client, "holder")
    worker.run_until_idle()

    assert state(purse("a")) == 1
    assert not Entity.objects.exclude(locked_by="").exists()


def test_who_holds_a_lock_may_start_what_nobody_waits_for(client, run):
    @orchestrator
    def starts_under_a_lock(context):
        with (yield context.lock_entities([COUNTER])):
            started = context.start_new(functions.chain, 1, "aside")
            yield context.call_entity(COUNTER, "add", 1)
        return started

    assert run(starts_under_a_lock).output == "aside"
    assert client.get_status("aside").output == [0]
    assert client.get_status("aside").parent_instance_id is None


@pytest.mark.parametrize("is_gone", [False, True], ids=["while it waits", "before a worker has seen it"])
def test_a_request_goes_when_its_owner_ends(client, worker, state, is_gone):
    client.start_new(entity_functions.hold, "holder", ["b"])
    worker.run_until_idle()
    client.start_new(entity_functions.hold, "waiting", ["a", "b", "c"])
    if not is_gone:
        worker.run_until_idle()
        assert Entity.objects.get(key="a").locked_by == "waiting"
    client.terminate("waiting")
    worker.run_until_idle()
    assert set(Entity.objects.exclude(locked_by="").values_list("key", "locked_by")) == {("b", "holder")}
    assert client.read_entity_state(purse("b")).backlog_size == 0

    client.raise_event("holder", "go")
    worker.run_until_idle()

    assert not Entity.objects.exclude(locked_by="").exists()
    assert not InboxMessage.objects.exists()


def test_an_orphaned_lock_is_released_by_cleaning(client, worker, state):
    client.start_new(entity_functions.hold, "holder", ["a"])
    worker.run_until_idle()
    client.signal_entity(purse("a"), "deposit", 1)
    worker.run_until_idle()
    Instance.objects.filter(instance_id="holder").delete()

    assert client.clean_entity_storage().orphaned_locks_released == 1
    worker.run_until_idle()

    assert state(purse("a")) == 1


@pytest.mark.parametrize("how", ["is suspended", "waits"])
def test_cleaning_leaves_the_lock_of_whoever_goes_on(client, worker, how):
    client.start_new(entity_functions.hold, "holder", ["a"])
    worker.run_until_idle()
    if how == "is suspended":
        client.suspend("holder")
        worker.run_until_idle()

    cleaned = client.clean_entity_storage()

    assert (cleaned.empty_entities_removed, cleaned.orphaned_locks_released) == (0, 0)
    client.resume("holder")
    client.raise_event("holder", "go")
    worker.run_until_idle()
    assert client.get_status("holder").output == 0


def test_cleaning_leaves_an_entity_for_which_a_signal_is_scheduled(client, worker, state):
    client.signal_entity(COUNTER, "add", 1, signal_time=datetime.now(UTC) + timedelta(hours=1))
    assert client.clean_entity_storage().empty_entities_removed == 0
    worker.advance(timedelta(hours=1))

    assert state(COUNTER) == 1


def test_cleaning_removes_what_is_empty_and_its_next_signal_makes_it_anew(client, worker, call, state):
    call((COUNTER, "add", 1), (COUNTER, "reset", None))

    assert client.clean_entity_storage().empty_entities_removed == 1
    assert not Instance.objects.filter(is_entity=True).exists()
    client.signal_entity(COUNTER, "add", 3)
    worker.run_until_idle()

    assert state(COUNTER) == 3


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("nested", "nested"),
        ("other", "not among those that are locked"),
        ("parallel", "one call at a time"),
        ("child", "No sub-orchestration"),
        ("signal", "is locked. Call it"),
        ("before the grant", "Wait for the lock"),
        ("nothing to lock", "at least one entity"),
    ],
)
def test_the_rules_of_locks(client, run, rule, message):
    status = run(entity_functions.break_rule, rule)

    assert status.runtime_status == "Failed"
    assert message in status.failure_details.message
    assert not Entity.objects.exclude(locked_by="").exists()


def test_without_a_breach_the_block_is_passed(run):
    assert run(entity_functions.break_rule, "none").output == "allowed"


# Rewind -------------------------------------------------------------------------------------------------------------


def test_operations_are_not_repeated_by_a_rewind(client, worker, stage, state):
    stage.failing.add("beside")
    client.start_new(entity_functions.entities_beside, "fan-out", 3)
    worker.run_until_idle()
    assert client.get_status("fan-out").runtime_status == "Failed"
    stage.failing.clear()

    client.rewind("fan-out")
    worker.run_until_idle()

    status = client.get_status("fan-out")
    assert (status.runtime_status, status.output) == ("Completed", 4)


@pytest.mark.parametrize("is_first", [True, False], ids=["then rewound", "after the rewind"])
def test_an_answer_that_comes_after_the_failure_counts(client, worker, stage, state, is_first):
    stage.failing.add("beside")
    client.start_new(entity_functions.hold, "holder", ["k"])
    worker.run_until_idle()
    client.start_new(entity_functions.call_beside, "caller", "k")
    worker.run_until_idle()
    assert client.get_status("caller").runtime_status == "Failed"
    stage.failing.clear()
    steps = [lambda: client.raise_event("holder", "go"), lambda: client.rewind("caller")]

    for step in steps if is_first else reversed(steps):
        step()
        worker.run_until_idle()

    assert client.get_status("caller").output == 4
    assert state(purse("k")) == 4
    assert not InboxMessage.objects.exists()


def test_a_rewind_into_a_critical_section_locks_again_before_it_calls(client, worker, stage, state, events):
    stage.failing.add("held")
    client.start_new(entity_functions.hold_and_work, "worker", "a")
    worker.run_until_idle()
    assert client.get_status("worker").runtime_status == "Failed"
    client.start_new(entity_functions.hold, "holder", ["a"])
    worker.run_until_idle()
    stage.failing.clear()

    client.rewind("worker")
    worker.run_until_idle()
    assert client.get_status("worker").runtime_status == "Running"
    assert state(purse("a")) == 1
    client.raise_event("holder", "go")
    worker.run_until_idle()

    assert client.get_status("worker").output == [1, 11]
    assert stage.runs["held"] == 2
    assert events("worker", execution=2).count("EntityLockRequested") == 2
    assert not Entity.objects.exclude(locked_by="").exists()


def test_mended_code_goes_on_inside_its_critical_section(client, worker, switches):
    switches.broken = True
    client.start_new(entity_functions.mend, "mended", 1)
    worker.run_until_idle()
    assert client.get_status("mended").runtime_status == "Failed"
    assert not Entity.objects.exclude(locked_by="").exists()
    switches.broken = False

    client.rewind("mended")
    worker.run_until_idle()

    assert client.get_status("mended").output == 10
    assert not Entity.objects.exclude(locked_by="").exists()


def test_a_failed_call_is_made_again_by_a_rewind(client, worker, call):
    client.start_new(entity_functions.retry_call, "caller", 5)
    worker.run_until_idle()
    assert client.get_status("caller").runtime_status == "Failed"
    call((purse("r"), "deposit", 8))

    client.rewind("caller")
    worker.run_until_idle()

    assert client.get_status("caller").output == 3


# Together -----------------------------------------------------------------------------------------------------------


def test_entities_add_up_whoever_sends_and_whichever_worker_works(client, make_worker, state):
    """10 entities, five senders and two workers that stop and go on at any time."""
    keys, sent, senders = [f"k{number}" for number in range(10)], 40, 5

    def send(number: int) -> None:
        try:
            chosen = random.Random(number)
            sender = OrchestrationClient()
            for _ in range(sent):
                sender.signal_entity(EntityId("counter", chosen.choice(keys)), "add", 1)
        finally:
            connections.close_all()

    def drain(worker) -> None:
        try:
            while not done.is_set():
                worker.runtime.drain(0.01)
        finally:
            connections.close_all()

    done = threading.Event()
    workers = [make_worker(), make_worker()]
    draining = [threading.Thread(target=drain, args=(worker,)) for worker in workers]
    sending = [threading.Thread(target=send, args=(number,)) for number in range(senders)]
    for thread in [*draining, *sending]:
        thread.start()
    for thread in sending:
        thread.join()
    done.set()
    for thread in draining:
        thread.join()
    workers[0].run_until_idle(30)

    states = [item.entity_state for item in client.list_entities("counter", include_state=True).items]
    assert sum(states) == sent * senders
    assert not InboxMessage.objects.exists()


def test_the_history_of_an_orchestration_names_what_it_did_with_entities(client, run, call):
    call((purse("a"), "deposit", 5))
    run(entity_functions.transfer, ["a", "b", 1], "transfer")

    events = HistoryEvent.objects.filter(instance__instance_id="transfer").order_by("sequence")
    assert [event.type for event in events] == [
        "ExecutionStarted",
        "EntityLockRequested",
        "EntityLockGranted",
        "EntityOperationCalled",
        "EntityOperationCompleted",
        "EntityOperationCalled",
        "EntityOperationCompleted",
        "EntityUnlockSent",
        "ExecutionCompleted",
    ]
    shown = client.get_status("transfer", show_history=True).history
    assert [event["EventType"] for event in shown][1] == "EntityLockRequested"
    assert Purse.durable.name == "purse"
