"""External events: kept from the moment of the start, in order, each seen once, never given to a wait that is dead."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction

from orchestrations import InstanceEnded, InstanceNotFound, TaskCancelledError, orchestrator
from orchestrations.errors import PayloadRejected
from orchestrations.models import HistoryEvent, InboxMessage, Instance, OpenWait, RaisedEventKey
from tests.runtime import functions

DAY = timedelta(days=1)


def test_of_two_open_waits_the_older_gets_the_first_event(client, worker):
    @orchestrator
    def two_waits(context):
        first, second = context.wait_for_external_event("go"), context.wait_for_external_event("GO")
        return (yield context.task_all([first, second]))

    client.start_new(two_waits, "order")
    worker.run_until_idle()
    client.raise_event("order", "go", 1)
    worker.run_until_idle()
    client.raise_event("order", "Go", 2)

    assert worker.run_until_ended("order").output == [1, 2]


def test_a_loop_of_reminders_loses_no_answer(client, worker):
    @orchestrator
    def reminds(context):
        reminders = 0
        while True:
            answer = context.wait_for_external_event("answer")
            if (yield context.task_any([answer, context.create_timer(DAY)])) is answer:
                return [answer.result, reminders]
            reminders += 1

    client.start_new(reminds, "order")
    for _ in range(3):
        worker.run_until_idle()
        worker.skip_timers("order")
    worker.run_until_idle()
    client.raise_event("order", "answer", "yes")

    assert worker.run_until_ended("order").output == ["yes", 3]


@pytest.mark.parametrize(
    ("awaited", "raised"),
    [("straße", "STRASSE"), ("ﬁn", "FIN"), ("ǅ", "ǆ"), ("Σ", "ς"), ("İ", "i̇"), ("ß" * 256, "ẞ" * 256)],
    ids=["sharp s", "ligature", "title case", "final sigma", "dotted i", "long"],
)
def test_a_name_is_the_same_in_any_case_that_unicode_knows(client, worker, awaited, raised):
    @orchestrator
    def waits_for_it(context):
        return [(yield context.wait_for_external_event(awaited)), (yield context.wait_for_external_event(awaited))]

    client.start_new(waits_for_it, "order")
    client.raise_event("order", raised, "early")
    worker.run_until_idle()
    assert OpenWait.objects.get().name == awaited
    client.raise_event("order", raised, "late")

    assert worker.run_until_ended("order").output == ["early", "late"]


def test_buffered_events_are_given_out_once_each(client, worker):
    client.start_new(functions.waits, "order", 3)
    client.raise_event("order", "go", "one")
    client.raise_event("order", "go", "two")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"

    client.raise_event("order", "go", "three")

    assert worker.run_until_ended("order").output == ["one", "two", "three"]
    assert HistoryEvent.objects.filter(type="EventRaised").count() == 3


def test_events_wait_in_line_by_name(client, worker):
    @orchestrator
    def in_another_order(context):
        seen = []
        for name in ("b", "a", "b"):
            seen.append((yield context.wait_for_external_event(name)))
        return seen

    client.start_new(in_another_order, "order")
    for name, value in (("a", 1), ("B", 2), ("b", 3)):
        client.raise_event("order", name, value)

    assert worker.run_until_ended("order").output == [2, 1, 3]


@pytest.mark.parametrize("comes_early", [False, True], ids=["later", "early"])
def test_a_cancelled_wait_takes_nothing(client, worker, comes_early):
    @orchestrator
    def cancels(context):
        dropped, kept = context.wait_for_external_event("go"), context.wait_for_external_event("go")
        dropped.cancel()
        value = yield kept
        try:
            yield dropped
        except TaskCancelledError:
            return value

    client.start_new(cancels, "order")
    if not comes_early:
        worker.run_until_idle()
    client.raise_event("order", "go", 1)

    assert worker.run_until_ended("order").output == 1


@pytest.mark.parametrize("value", [None, True, False, 0, "", "text", [], {}, {"a": [1, None]}, 2**53 + 1, "\U0001f600"])
def test_any_json_value_arrives_as_it_was(client, worker, value):
    client.start_new(functions.waits, "order", 1)
    client.raise_event("order", "go", value)

    [received] = worker.run_until_ended("order").output
    assert received == value
    assert type(received) is type(value)


def test_a_value_of_the_wrong_type_raises_in_the_orchestrator(client, worker):
    @orchestrator
    def wants_a_number(context):
        try:
            yield context.wait_for_external_event("go", data_type=int)
        except PayloadRejected as error:
            return str(error)

    client.start_new(wants_a_number, "order")
    client.raise_event("order", "go", "no number")

    assert "'go'" in worker.run_until_ended("order").output


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 257])
def test_a_name_that_no_event_can_have_is_refused(client, name):
    client.start_new(functions.waits, "order", 1)

    with pytest.raises(PayloadRejected):
        client.raise_event("order", name)


def test_an_unknown_instance_is_told(client):
    with pytest.raises(InstanceNotFound):
        client.raise_event("nobody", "go")


@pytest.mark.parametrize("status", ["Completed", "Failed", "Terminated"])
def test_an_ended_instance_refuses_and_nothing_is_kept(client, run, status):
    run(functions.fails_once if status == "Failed" else functions.waits, 0, "order")
    if status == "Terminated":
        client.start_new(functions.waits, "order", 1)
        client.terminate("order")
        run(functions.chain, 0)
    assert client.get_status("order").runtime_status == status

    with pytest.raises(InstanceEnded):
        client.raise_event("order", "go", 1)

    assert not InboxMessage.objects.exists()


def test_a_suspended_instance_keeps_it(client, worker):
    client.start_new(functions.waits, "order", 2)
    client.suspend("order")
    client.raise_event("order", "go", 1)
    worker.run_until_idle()
    client.raise_event("order", "go", 2)
    worker.run_until_idle()
    client.resume("order")

    assert worker.run_until_ended("order").output == [1, 2]


def test_while_nobody_has_the_code_events_are_kept_in_order(client, worker):
    client.start_new(functions.waits, "order", 12)
    worker.run_until_idle()
    Instance.objects.update(name="gone")
    worker.runtime.cache.clear()
    for number in range(12):  # more often than work that kills its worker is tried
        client.raise_event("order", "go", number)
        worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"

    Instance.objects.update(name="waits")
    client.resume("order")  # as soon as anything is visible, what was put off before comes first

    assert worker.run_until_ended("order").output == list(range(12))


def test_a_suspension_waits_for_the_code_and_then_holds_what_came_behind_it(client, worker):
    client.start_new(functions.waits, "order", 2)
    worker.run_until_idle()
    Instance.objects.update(name="gone")
    worker.runtime.cache.clear()
    client.raise_event("order", "go", 1)
    client.suspend("order", "stocktaking")
    client.raise_event("order", "go", 2)
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"

    Instance.objects.update(name="waits")
    client.suspend("order")  # looked at once, instead of when it is next looked for the code
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Suspended"

    client.resume("order")
    assert worker.run_until_ended("order").output == [1, 2]


# Keys ---------------------------------------------------------------------------------------------------------------


def test_a_retry_has_no_second_effect_wherever_the_first_event_is_by_now(client, worker):
    client.start_new(functions.collects, "order", [])
    for number in range(9):
        for _ in range(2):
            client.raise_event("order", "go", number, idempotency_key=f"event {number}")
        if number % 2:
            worker.run_until_idle()  # taken, and a generation further
        client.raise_event("order", "go", "again", idempotency_key=f"event {number}")
    client.raise_event("order", "go", 9)
    assert worker.run_until_ended("order").output == list(range(10))

    client.raise_event("order", "go", 0, idempotency_key="event 0")  # its answer was lost, too
    with pytest.raises(InstanceEnded):
        client.raise_event("order", "go", 0, idempotency_key="another")


def test_a_key_is_the_instances_own_and_goes_with_it(client, worker):
    for instance_id in ("a", "b"):
        client.start_new(functions.waits, instance_id, 1)
        client.raise_event(instance_id, "go", 1, idempotency_key="k")
    worker.run_until_idle()
    assert client.get_status("a").output == client.get_status("b").output == [1]

    client.start_new(functions.waits, "a", 1)
    client.raise_event("a", "go", 2, idempotency_key="k")
    assert worker.run_until_ended("a").output == [2]
    client.purge_instance_history("a")
    client.purge_instance_history("b")
    assert not RaisedEventKey.objects.exists()


def test_a_key_counts_over_suspension_and_rewind_and_begins_anew_with_a_restart(client, worker, stage):
    @orchestrator
    def takes_two(context):
        first = yield context.wait_for_external_event("go")
        if not stage.mended:
            raise ValueError("a bug")
        return [first, (yield context.wait_for_external_event("go"))]

    def raises_twice(value):
        for _ in range(2):
            client.raise_event("order", "go", value, idempotency_key=f"event {value}")

    client.start_new(takes_two, "order")
    client.suspend("order")
    worker.run_until_idle()
    raises_twice(1)
    client.resume("order")
    worker.run_until_ended("order")
    raises_twice(1)
    stage.mended = True
    client.rewind("order")
    worker.run_until_idle()
    raises_twice(1)
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"
    raises_twice(2)
    assert worker.run_until_ended("order").output == [1, 2]

    client.restart("order", restart_with_new_instance_id=False)
    raises_twice(1)
    raises_twice(2)
    assert worker.run_until_ended("order").output == [1, 2]


def test_of_many_at_once_with_one_key_one_counts(client, worker):
    client.start_new(functions.waits, "order", 2)

    def send(number: int) -> None:
        try:
            client.raise_event("order", "go", number, idempotency_key="k")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(send, range(8)))
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"
    client.raise_event("order", "go", "another")

    first, second = worker.run_until_ended("order").output
    assert (first in range(8), second) == (True, "another")


def test_a_key_whose_transaction_is_rolled_back_is_free(client, worker):
    client.start_new(functions.waits, "order", 1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        client.raise_event("order", "go", 1, idempotency_key="k")
        raise ZeroDivisionError
    client.raise_event("order", "go", 2, idempotency_key="k")

    assert worker.run_until_ended("order").output == [2]


# Deadlines ----------------------------------------------------------------------------------------------------------


def test_a_wait_ends_with_its_default(client, worker):
    @orchestrator
    def with_default(context):
        return (yield context.wait_for_external_event("go", timeout=DAY, default="nobody"))

    client.start_new(with_default, "order")
    worker.run_until_idle()
    assert OpenWait.objects.get().due_at is not None
    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == "nobody"
    assert not OpenWait.objects.exists()


def test_or_with_timeout_error(client, worker):
    @orchestrator
    def without_default(context):
        try:
            yield context.wait_for_external_event("go", timeout=86_400)
        except TimeoutError as error:
            return str(error)

    client.start_new(without_default, "order")
    worker.run_until_idle()
    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == "No external event 'go' arrived within 1 day, 0:00:00."


def test_an_event_ends_the_deadline(client, worker):
    @orchestrator
    def with_deadline(context):
        value = yield context.wait_for_external_event("go", timeout=DAY)
        yield context.wait_for_external_event("stop")
        return value

    client.start_new(with_deadline, "order")
    client.raise_event("order", "go", 1)
    worker.run_until_idle()
    assert worker.skip_timers("order") == 0

    client.raise_event("order", "stop")
    assert worker.run_until_ended("order").output == 1


@pytest.mark.parametrize("is_suspended", [False, True], ids=["running", "suspended"])
@pytest.mark.parametrize(("first", "output"), [("deadline", ["late", 1]), ("event", [1, "none"])])
def test_of_an_event_and_the_deadline_in_one_batch_the_first_counts(client, worker, is_suspended, first, output):
    """An event that comes behind the deadline is kept for the next wait."""

    @orchestrator
    def waits_twice(context):
        first = yield context.wait_for_external_event("go", timeout=DAY, default="late")
        return [first, (yield context.wait_for_external_event("go", timeout=DAY, default="none"))]

    def expire():
        worker.skip_timers("order")
        assert worker.runtime.store.fire_timers() == 1

    client.start_new(waits_twice, "order")
    worker.run_until_idle()
    if is_suspended:
        client.suspend("order")
        worker.run_until_idle()
    if first == "deadline":
        expire()
    client.raise_event("order", "go", 1)
    if first == "event":
        expire()
    worker.run_until_idle()
    if is_suspended:
        client.resume("order")
        worker.run_until_idle()
    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == output


def test_a_wait_that_lost_with_its_event_has_its_deadline_when_it_is_awaited_again(client, worker):
    """The event that it took goes to the wait that asks first; the deadline is then what ends it."""

    @orchestrator
    def awaited_again(context):
        yield context.call_activity(functions.work, "meanwhile both events come")
        first = context.wait_for_external_event("a")
        second = context.wait_for_external_event("b", timeout=DAY, default="too late")
        yield context.task_any([first, second])
        other = yield context.wait_for_external_event("b")
        return [other, (yield second)]

    client.start_new(awaited_again, "order")
    client.raise_event("order", "b", 1)
    client.raise_event("order", "a")
    worker.run_until_idle()
    assert client.get_status("order").runtime_status == "Running"
    worker.skip_timers("order")

    assert worker.run_until_ended("order").output == [1, "too late"]


# From orchestrator to orchestrator ----------------------------------------------------------------------------------


def test_an_orchestrator_raises_events_once_and_in_order(client, worker):
    @orchestrator
    def sends(context, count):
        for number in range(count):
            context.send_event("listener", "go" if number % 2 else "GO", number)
            yield context.call_activity(functions.work, number)
        context.send_event("nobody", "go")

    client.start_new(functions.waits, "listener", 20)
    client.start_new(sends, "order", 20)

    assert worker.run_until_ended("listener").output == list(range(20))
    assert worker.run_until_ended("order").runtime_status == "Completed"


def test_two_instances_that_talk_to_each_other(client, worker):
    @orchestrator
    def talks(context, other):
        heard = []
        for number in range(20):
            context.send_event(other, "word", number)
            heard.append((yield context.wait_for_external_event("word")))
        return heard

    client.start_new(talks, "a", "b")
    client.start_new(talks, "b", "a")
    worker.run_until_idle()

    # What "a" said before "b" existed is dropped, as for every unknown target; both were started here before any ran.
    assert client.get_status("a").output == client.get_status("b").output == list(range(20))


def test_what_is_begun_in_a_turn_hears_of_the_events_of_that_turn(client, worker):
    @orchestrator
    def begins_and_tells(context, generation):
        if generation == 2:
            return [(yield context.wait_for_external_event("me")), (yield context.wait_for_external_event("me"))]
        child = context.call_sub_orchestrator(functions.waits, 1, "child")
        context.start_new(functions.waits, 1, "forgotten")
        for target in ("child", "forgotten"):
            context.send_event(target, "go", target)
        context.send_event(context.instance_id, "me", "before")
        yield child
        context.send_event(context.instance_id, "me", "with the end")
        context.continue_as_new(2)

    client.start_new(begins_and_tells, "order", 1)

    assert worker.run_until_ended("order").output == ["before", "with the end"]
    assert worker.run_until_ended("child").output == ["child"]
    assert worker.run_until_ended("forgotten").output == ["forgotten"]
