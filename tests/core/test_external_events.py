"""External events: each is seen once, in order, by whoever can still see it; none is lost."""

from __future__ import annotations

import contextlib
from datetime import timedelta

from orchestrations.core.errors import TaskCancelledError, TaskFailedError
from tests.core.cases import (
    Case,
    check,
    done,
    error,
    failed,
    fired,
    output,
    raised,
    resumed,
    run,
    started,
    suspended,
    table,
)

TEN = timedelta(seconds=10)


def one(context):
    return (yield context.wait_for_external_event("go"))


def two_waits(context):
    first, second = context.wait_for_external_event("e"), context.wait_for_external_event("e")
    return (yield context.task_all([first, second]))


def three_in_turn(context):
    seen = []
    for _ in range(3):
        seen.append((yield context.wait_for_external_event("e")))
    return seen


def reminders(context):
    """A new wait for each reminder, and none of the old ones cancelled."""
    count = 0
    while True:
        answer = context.wait_for_external_event("answer")
        timer = context.create_timer(TEN)
        winner = yield context.task_any([answer, timer])
        if winner is answer:
            return [answer.result, count]
        count += 1


def nested_reminders(context):
    while True:
        both = context.task_all([context.wait_for_external_event("a"), context.wait_for_external_event("b")])
        winner = yield context.task_any([both, context.create_timer(TEN)])
        if winner is both:
            return both.result


def same_wait(context):
    """One wait over all reminders."""
    answer = context.wait_for_external_event("answer")
    count = 0
    while (yield context.task_any([answer, context.create_timer(TEN)])) is not answer:
        count += 1
    return [answer.result, count]


def looked_at_later(context):
    """The loser of task_any is awaited again, after an event for it came."""
    wait = context.wait_for_external_event("e")
    yield context.task_any([wait, context.create_timer(TEN)])
    yield context.call_activity("a")
    return (yield wait)


def either_in_a_loop(context):
    seen = []
    while len(seen) < 2:
        winner = yield context.task_any([context.wait_for_external_event("a"), context.wait_for_external_event("b")])
        seen.append(winner.result)
    return seen


def either_then_again(context):
    context.create_timer(TEN)
    winner = yield context.task_any([context.wait_for_external_event("a"), context.wait_for_external_event("b")])
    context.continue_as_new(winner.result)


def as_many_as_come(context):
    waits = [context.wait_for_external_event("e") for _ in range(3)]
    yield context.task_any([context.task_all(waits), context.create_timer(TEN)])
    return [wait.result for wait in waits if wait.is_completed]


def after_a_failed_task_all(context):
    with contextlib.suppress(TaskFailedError):
        yield context.task_all([context.wait_for_external_event("e"), context.call_activity("a")])
    return [(yield context.wait_for_external_event("e")), (yield context.wait_for_external_event("e"))]


def beside_a_race_that_is_over(context):
    race = context.task_any([context.create_timer(TEN), context.wait_for_external_event("e")])
    other = context.wait_for_external_event("e")
    yield context.task_all([race, context.call_activity("a")])
    return (yield other)


def all_again(context):
    """A task_all is dropped when one of its two events has come, and awaited once more."""
    both = context.task_all([context.wait_for_external_event("a"), context.wait_for_external_event("b")])
    yield context.task_any([both, context.wait_for_external_event("c")])
    other = yield context.wait_for_external_event("a")
    return [other, (yield both)]


def finished_all_again(context):
    """A task_all loses although it had all that it needs, and is awaited once more."""
    single = context.task_all([context.wait_for_external_event("a")])
    yield context.task_any([context.wait_for_external_event("c"), single])
    other = yield context.wait_for_external_event("a")
    return [other, (yield single)]


def any_again(context):
    """A task_any loses although it had a winner, whose event goes elsewhere; another wins when it is awaited again."""
    either = context.task_any([context.wait_for_external_event("a"), context.wait_for_external_event("b")])
    yield context.task_any([context.wait_for_external_event("c"), either])
    other = yield context.wait_for_external_event("a")
    return [other, (yield either).result]


def awaited_again_the_younger_first(context):
    older, younger = context.wait_for_external_event("e"), context.wait_for_external_event("e")
    yield context.task_any([older, younger, context.create_timer(TEN)])
    yield context.call_activity("a")
    yield context.task_all([younger, older])
    return [older.result, younger.result]


def polling(context):
    stop = context.wait_for_external_event("stop")
    for number in range(3):
        yield context.call_activity("a", number)
        if stop.is_completed:
            return [number, stop.result]
    return None


def cancelled(context):
    dropped = context.wait_for_external_event("e")
    taken = context.wait_for_external_event("e")
    results = [dropped.cancel(), dropped.cancel()]
    value = yield taken
    try:
        yield dropped
    except TaskCancelledError:
        return [*results, value]


def cancelled_beside_the_rest(context):
    """A wait is cancelled that has lost a task_all with its event."""
    first, second = context.wait_for_external_event("e"), context.wait_for_external_event("e", timeout=TEN, default=0)
    with contextlib.suppress(TaskFailedError):
        yield context.task_all([first, context.call_activity("a")])
    return [first.cancel(), (yield second), (yield context.wait_for_external_event("e"))]


def cancelled_too_late(context):
    wait = context.wait_for_external_event("e")
    value = yield wait
    return [value, wait.cancel(), (yield wait)]


def with_deadline(context):
    return (yield context.wait_for_external_event("go", timeout=TEN))


def with_default(context):
    return (yield context.wait_for_external_event("go", timeout=10, default=None)) is None


def early(context):
    yield context.create_timer(TEN)
    return (yield context.wait_for_external_event("go", timeout=TEN))


def deadline_again(context):
    """The wait for b loses with its event, which goes elsewhere, and is awaited again before its deadline."""
    first, second = context.wait_for_external_event("a"), context.wait_for_external_event("b", timeout=TEN, default=0)
    yield context.task_any([first, second])
    other = yield context.wait_for_external_event("b")
    return [other, (yield second)]


def deadline_again_late(context):
    first, second = context.wait_for_external_event("a"), context.wait_for_external_event("b", timeout=1, default=0)
    yield context.task_any([first, second])
    other = yield context.wait_for_external_event("b")
    yield context.create_timer(2 * TEN)
    return [other, (yield second)]


def refused_timeout(context):
    """The refusal leaves no wait behind that would take the event."""
    with contextlib.suppress(ValueError):
        context.wait_for_external_event("go", timeout=float("nan"))
    return (yield context.wait_for_external_event("go"))


@table(
    Case("an event ends the wait", one, [], [raised("go", 1)], ["Completed 1"]),
    Case("names are the same in any case", one, [], [raised("GO", 1)], ["Completed 1"]),
    Case("the payload may be absent", one, [], [raised("go")], ["Completed None"]),
    Case("another name does not end it", one, [], [raised("stop", 1)], []),
    Case("an event that came before the start is kept", one, None, [raised("go", 1), started()], ["Completed 1"]),
    Case("events come to waits in order", three_in_turn, [raised("e", 1), raised("E", 2)], [raised("e", 3)],
         ["Completed [1, 2, 3]"]),
    Case("the older wait gets the first event", two_waits, [raised("e", 1)], [raised("e", 2)], ["Completed [1, 2]"]),
    Case("one event serves one wait", two_waits, [], [raised("e", 1)], []),
    Case("an empty name is refused", lambda c: (yield c.wait_for_external_event(" ")), None, [],
         ["Failed ValueError: An external event needs a name that is not empty."]),
    Case("a name that no table holds is refused", lambda c: (yield c.wait_for_external_event("x\0")), None, [],
         ["Failed ValueError: The name of an external event has at most 256 characters, all of them printable."]),
)  # fmt: skip
def test_wait(case):
    check(case)


@table(
    Case("an abandoned wait takes no event", reminders, [fired(1), fired(2)], [raised("answer", "yes")],
         ['Completed ["yes", 2]']),
    Case("nor does one inside an abandoned task_all", nested_reminders, [fired(1), raised("a", 1)], [raised("b", 2)],
         ["Completed [1, 2]"]),
    Case("an event taken inside an abandoned task_all goes to the next wait", nested_reminders,
         [raised("a", 1), fired(1)], [raised("b", 2)], ["Completed [1, 2]"]),
    Case("one wait may be used again and again", same_wait, [fired(1), fired(2)], [raised("answer", "yes")],
         ['Completed ["yes", 2]']),
    Case("a wait that is awaited again takes what came meanwhile", looked_at_later, [fired(1), raised("e", 1)],
         [done(2)], ["Completed 1"]),
    Case("a wait that is awaited again takes what comes then", looked_at_later, [fired(1), done(2)], [raised("e", 1)],
         ["Completed 1"]),
    Case("of two early events task_any takes one and leaves the other", either_in_a_loop, None,
         [raised("b", "b"), raised("a", "a"), started()], ['Completed ["a", "b"]']),
    Case("and the first of its name goes first", either_in_a_loop, None,
         [raised("b", 1), raised("b", 2), raised("a", "a"), started()], ['Completed ["a", 1]']),
    Case("a wait whose race is over takes no event", beside_a_race_that_is_over,
         [fired(1), raised("e", 1), raised("e", 2)], [done(2)], ["Completed 1"]),
    Case("a task_all may be awaited again after an event of it went elsewhere", all_again,
         [raised("a", 1), raised("c")], [raised("a", 2), raised("b", 3)], ["Completed [1, [2, 3]]"]),
    Case("also when it had them all", finished_all_again, None,
         [raised("a", 1), raised("c"), started(), raised("a", 2)], ["Completed [1, [2]]"]),
    Case("and so may a task_any", any_again, None,
         [raised("a", 1), raised("b", 2), raised("c"), started()], ["Completed [1, 2]"]),
    Case("and continue_as_new carries the other over", either_then_again, None,
         [raised("b", "b"), raised("a", "a"), started()], ["timer #1 13s", 'ContinuedAsNew "a" b="b"']),
    Case("of waits that are awaited again the oldest takes the first event", awaited_again_the_younger_first,
         [fired(1), raised("e", 1), raised("e", 2)], [done(2)], ["Completed [1, 2]"]),
    Case("what the code looks at is its own", as_many_as_come, [raised("e", 1), raised("e", 2)], [fired(1)],
         ["Completed [1, 2]"]),
    Case("an event beside the failure in a task_all goes to the next wait", after_a_failed_task_all,
         [raised("e", 1), failed(1)], [raised("e", 2)], ["Completed [1, 2]"]),
    Case("a wait may be looked at without being awaited", polling, [raised("stop", "now")], [done(1)],
         ['Completed [0, "now"]']),
    Case("a wait that is only looked at takes an early event", polling, None,
         [raised("stop", "now"), started(), done(1)], ["schedule a#1(0)", 'Completed [0, "now"]']),
    Case("a cancelled wait takes no event", cancelled, [], [raised("e", 1)], ["Completed [true, false, 1]"]),
    Case("nor does it keep one that came early", cancelled, None, [raised("e", 1), started()],
         ["Completed [true, false, 1]"]),
    Case("nor one that it took unseen, which comes before later ones", cancelled_beside_the_rest,
         [raised("e", 1), failed(2)], [raised("e", 2)], ["Completed [true, 1, 2]"]),
    Case("a wait whose event was seen is not cancelled", cancelled_too_late, [], [raised("e", 1)],
         ["Completed [1, false, 1]"]),
    Case("a suspended instance keeps events in order", three_in_turn,
         [suspended(), raised("e", 1), raised("e", 2), raised("e", 3)], [resumed()], ["Completed [1, 2, 3]"]),
)  # fmt: skip
def test_no_event_is_lost(case):
    check(case)


@table(
    Case("a deadline is a timer", with_deadline, None, [], ["timer #1 11s"]),
    Case("the event cancels it", with_deadline, [], [raised("go", 1)], ["cancel timer #1", "Completed 1"]),
    Case("without a default it raises TimeoutError", with_deadline, [], [fired(1)],
         ["Failed TimeoutError: No external event 'go' arrived within 0:00:10."]),
    Case("with a default it gives that, even None", with_default, [], [fired(1)], ["Completed true"]),
    Case("an event that came early needs no timer", early, [raised("go", 1)], [fired(1)], ["Completed 1"]),
    Case("an event after the deadline is not taken", with_default, [fired(1)], [raised("go", 1)], []),
    Case("cancelling the wait cancels its timer",
         lambda c: [c.wait_for_external_event("go", timeout=TEN).cancel(), (yield c.call_activity("a"))], None, [],
         ["timer #1 11s", "cancel timer #1", "schedule a#2()"]),
    Case("a timeout of nothing is refused", lambda c: (yield c.wait_for_external_event("go", timeout=0)), None, [],
         ["Failed ValueError: A timeout must be longer than nothing."]),
    Case("a timeout beyond all years is refused",
         lambda c: (yield c.wait_for_external_event("go", timeout=float("inf"))), None, [],
         ["Failed ValueError: A timeout must end before the year 10000. Leave it out to wait without an end."]),
    Case("also where it is a timedelta",
         lambda c: (yield c.wait_for_external_event("go", timeout=timedelta.max)), None, [],
         ["Failed ValueError: A timeout must end before the year 10000. Leave it out to wait without an end."]),
    Case("a refused wait takes no event", refused_timeout, [], [raised("go", 1)], ["Completed 1"]),
    Case("a wait that gave its event back keeps its deadline", deadline_again, None,
         [raised("b", 1), raised("a"), started()], ["timer #1 13s"]),
    Case("which ends it", deadline_again, None, [raised("b", 1), raised("a"), started(), fired(1)],
         ["timer #1 13s", "Completed [1, 0]"]),
    Case("unless an event comes in time", deadline_again, None,
         [raised("b", 1), raised("a"), started(), raised("b", 2)],
         ["timer #1 13s", "cancel timer #1", "Completed [1, 2]"]),
    Case("and at once where it has passed", deadline_again_late, None,
         [raised("b", 1), raised("a"), started(), fired(1)], ["timer #1 23s", "Completed [1, 0]"]),
)  # fmt: skip
def test_deadline(case):
    check(case)


def test_a_payload_of_the_wrong_type_fails_the_wait_and_not_the_engine():
    def orchestrator(context):
        return (yield context.wait_for_external_event("go"))

    broken = raised("go")
    broken.payload = "{"

    assert error(run(orchestrator, broken)).is_caused_by("JSONDecodeError")


def test_a_wait_that_gave_its_event_away_may_be_awaited_again():
    def orchestrator(context):
        first, second = context.wait_for_external_event("a"), context.wait_for_external_event("b")
        yield context.task_any([first, second])
        stolen = yield context.wait_for_external_event("b")
        again = yield second
        return [stolen, again]

    driver = run(orchestrator)
    driver.reload()
    for event in (raised("x"), raised("a", "a"), raised("b", 1), raised("b", 2)):
        driver.feed(driver.stamp(event))

    assert output(driver) == [1, 2]
