"""What an orchestrator decides on what happens to it: one case to a line."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from orchestrations.core.errors import TaskCancelledError, TaskFailedError
from orchestrations.core.retries import RetryPolicy
from tests.core.cases import (
    Case,
    check,
    child_done,
    child_failed,
    done,
    failed,
    fired,
    raised,
    resumed,
    started,
    suspended,
    table,
    terminated,
)
from tests.core.plain import START, definition

TEN = timedelta(seconds=10)
THRICE = RetryPolicy(first_retry_interval=TEN, max_number_of_attempts=3, backoff_coefficient=2)
TWICE_AT_ONCE = RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=2)


def chain(context):
    one = yield context.call_activity("a", 1)
    two = yield context.call_activity("b", one)
    return [one, two]


def fan_out(context):
    return (yield context.task_all([context.call_activity("a", n) for n in range(3)]))


def fan_out_guarded(context):
    try:
        yield context.task_all([context.call_activity("a", n) for n in range(3)])
    except TaskFailedError as error:
        return [error.details.message, [failure.details.message for failure in error.failures]]


def guarded(context):
    try:
        return (yield context.call_activity("a"))
    except TaskFailedError as error:
        undone = yield context.call_activity("undo", str(error))
        return undone


def first_of_two(context):
    slow, quick = context.call_activity("slow"), context.call_activity("quick")
    winner = yield context.task_any([slow, quick])
    return [winner is quick, winner.result]


def first_may_fail(context):
    winner = yield context.task_any([context.call_activity("a"), context.create_timer(TEN)])
    return winner.is_failed


def cancelled_timer(context):
    timer = context.create_timer(TEN)
    first, second = timer.cancel(), timer.cancel()
    yield context.call_activity("a")
    return [first, second, timer.is_cancelled]


def awaits_cancelled_timer(context):
    timer = context.create_timer(TEN)
    timer.cancel()
    try:
        yield timer
    except TaskCancelledError:
        return "cancelled"


def loser_goes_on(context):
    work = context.call_activity("a")
    yield context.task_any([work, context.create_timer(TEN)])
    context.set_custom_status("late")
    return (yield work)


def retried(context):
    return (yield context.call_activity("a", "in", retry=THRICE))


def retried_child(context):
    return (yield context.call_sub_orchestrator("c", retry=THRICE))


def one_way(context):
    child = context.start_new("c", 1)
    context.send_event("other", "hello", {"n": 1})
    yield context.call_activity("a")
    return child


def eternal(context):
    event = yield context.wait_for_external_event("go")
    context.send_event("log", "seen", event)
    context.continue_as_new(event)
    yield context.wait_for_external_event("never")


@table(
    Case("an activity is scheduled with its input", chain, None, [], ["schedule a#1(1)"]),
    Case("a result goes to the code", chain, [], [done(1, 5)], ["schedule b#2(5)"]),
    Case("the last result ends it", chain, [done(1, 5)], [done(2, 6)], ["Completed [5, 6]"]),
    Case("several events make one episode", chain, [], [done(1, 5), done(2, 6)],
         ["schedule b#2(5)", "Completed [5, 6]"]),
    Case("an unknown task is ignored", chain, [], [done(7, 5)], []),
    Case("a duplicate is ignored", chain, [done(1, 5)], [done(1, 9)], []),
    Case("a failure after the result is ignored", chain, [done(1, 5)], [failed(1)], []),
    Case("nothing happens after the end", chain, [done(1, 5), done(2, 6)], [done(2, 6), raised("x"), suspended()], []),
    Case("a second start is ignored", chain, [], [started()], []),
    Case("an unhandled failure fails it", chain, [], [failed(1)], ["Failed TaskFailedError: Activity 'a' failed: no"]),
    Case("a handled failure does not", guarded, [], [failed(1)], ["schedule undo#2(\"Activity 'a' failed: no\")"]),
    Case("compensation may end it well", guarded, [failed(1)], [done(2, "ok")], ['Completed "ok"']),
    Case("an activity may be named by its function", lambda c: (yield c.call_activity(chain)), None, [],
         ["schedule chain#1()"]),
)  # fmt: skip
def test_activity(case):
    check(case)


@table(
    Case("a fan-out is scheduled at once", fan_out, None, [],
         ["schedule a#1(0)", "schedule a#2(1)", "schedule a#3(2)"]),
    Case("results come in argument order", fan_out, [done(3, "c"), done(1, "a")], [done(2, "b")],
         ['Completed ["a", "b", "c"]']),
    Case("task_all waits for all although one failed", fan_out, [failed(1)], [done(2)], []),
    Case("task_all raises the first failure in time", fan_out_guarded, [failed(3, ValueError("c")), done(2)],
         [failed(1, ValueError("a"))], ['Completed ["c", ["a", "c"]]']),
    Case("task_all of nothing completes at once", lambda c: (yield c.task_all([])), None, [], ["Completed []"]),
    Case("task_any of nothing is refused", lambda c: (yield c.task_any([])), None, [],
         ["Failed ValueError: task_any needs at least one task: with none it could never complete."]),
    Case("task_all takes only tasks", lambda c: (yield c.task_all([1])), None, [],
         ["Failed TypeError: task_all and task_any take tasks, as context.call_activity(...) returns them, but were "
          "given int."]),
    Case("task_any gives the first task to end", first_of_two, [], [done(2, "q")], ['Completed [true, "q"]']),
    Case("the winner of task_any may have failed", first_may_fail, [], [failed(1)], ["Completed true"]),
    Case("a loser goes on and may be awaited later", loser_goes_on, [fired(2)], [done(1, "late")],
         ['Completed "late"']),
    Case("a task that has ended gives its result again",
         lambda c: [t := c.call_activity("a"), (yield t), (yield t)][1:], [], [done(1, 3)], ["Completed [3, 3]"]),
    Case("a task may be a child twice", lambda c: [t := c.call_activity("a"), (yield c.task_all([t, t]))][1],
         [], [done(1, 3)], ["Completed [3, 3]"]),
    Case("tasks may be nested",
         lambda c: (yield c.task_all([c.task_all([c.call_activity("a")]), c.call_activity("b")])),
         [done(2, 2)], [done(1, 1)], ["Completed [[1], 2]"]),
    Case("task_all of ended tasks completes at once",
         lambda c: [t := c.call_activity("a"), (yield t), (yield c.task_all([t]))][2], [], [done(1, 3)],
         ["Completed [3]"]),
    Case("task_any of several ended tasks gives the first of its arguments",
         lambda c: [t := [c.call_activity("a"), c.call_activity("b")], (yield c.task_all(t)),
                    (yield c.task_any(t)) is t[0]][2:], [done(2)], [done(1)], ["Completed [true]"]),
    Case("a timer that was cancelled wins a task_any, and fails it in task_all",
         lambda c: [t := [c.create_timer(TEN), c.call_activity("a")], any_ := c.task_any(t), t[0].cancel(),
                    (yield any_) is t[0], (yield c.task_all(t[1:])), (yield c.task_any([c.task_all(t)])).is_failed][3:],
         [], [done(2, 5)], ["Completed [true, [5], true]"]),
    Case("task_any of ended tasks completes at once",
         lambda c: [t := c.call_activity("a"), (yield t), (yield c.task_any([t])).result][2], [], [done(1, 3)],
         ["Completed 3"]),
)  # fmt: skip
def test_composition(case):
    check(case)


@table(
    Case("a timedelta counts from the orchestration's clock", lambda c: (yield c.create_timer(TEN)), None, [],
         ["timer #1 11s"]),
    Case("an aware datetime is normalised",
         lambda c: (yield c.create_timer((START + TEN).astimezone(timezone(timedelta(hours=5))))), None, [],
         ["timer #1 10s"]),
    Case("a naive datetime is UTC", lambda c: (yield c.create_timer(datetime(2026, 1, 1, 0, 0, 10))),  # noqa: DTZ001
         None, [], ["timer #1 10s"]),
    Case("a moment that has passed is a timer all the same", lambda c: (yield c.create_timer(START - TEN)), None, [],
         ["timer #1 -10s"]),
    Case("a timer may last for years", lambda c: (yield c.create_timer(timedelta(days=4000))), None, [],
         ["timer #1 3.456e+08s"]),
    Case("a number of seconds is refused", lambda c: (yield c.create_timer(10)), None, [],
         ["Failed TypeError: create_timer takes a datetime or a timedelta, not int."]),
    Case("a timer that fires ends the wait", lambda c: (yield c.create_timer(TEN)), [], [fired(1)], ["Completed None"]),
    Case("a timer fires once", lambda c: [(yield c.create_timer(TEN)), (yield c.call_activity("a"))], [fired(1)],
         [fired(1)], []),
    Case("cancel is an action and happens once", cancelled_timer, None, [],
         ["timer #1 11s", "cancel timer #1", "schedule a#2()"]),
    Case("a cancelled timer that fires is ignored", cancelled_timer, [], [fired(1), done(2)],
         ["Completed [true, false, true]"]),
    Case("awaiting a cancelled timer raises", awaits_cancelled_timer, None, [],
         ["timer #1 11s", "cancel timer #1", 'Completed "cancelled"']),
)  # fmt: skip
def test_timer(case):
    check(case)


@table(
    Case("the first failure sets the retry timer", retried, [], [failed(1)], ["timer #1.2 12s"]),
    Case("the timer schedules the same task again", retried, [failed(1)], [fired(1, attempt=2)],
         ['schedule a#1.2("in")']),
    Case("the delay grows by the coefficient", retried, [failed(1), fired(1, attempt=2)], [failed(1, attempt=2)],
         ["timer #1.3 24s"]),
    Case("the last attempt's failure is raised", retried,
         [failed(1), fired(1, attempt=2), failed(1, attempt=2), fired(1, attempt=3)], [failed(1, attempt=3)],
         ["Failed TaskFailedError: Activity 'a' failed: no"]),
    Case("a later attempt may succeed", retried, [failed(1), fired(1, attempt=2)], [done(1, "ok", attempt=2)],
         ['Completed "ok"']),
    Case("a late result of an earlier attempt is ignored", retried, [failed(1), fired(1, attempt=2)],
         [done(1, "old"), failed(1)], []),
    Case("a result between attempts is ignored", retried, [failed(1)], [done(1, "old"), done(1, "new", attempt=2)], []),
    Case("a retry timer fires once", retried, [failed(1), fired(1, attempt=2)], [fired(1, attempt=2)], []),
    Case("a timer of another attempt is ignored", retried, [failed(1)], [fired(1, attempt=3), fired(1)], []),
    Case("without a delay there is no timer",
         lambda c: (yield c.call_activity("a", retry=TWICE_AT_ONCE)), [], [failed(1)], ["schedule a#1.2()"]),
    Case("a sub-orchestration is retried under the same id", retried_child, [child_failed(1)], [fired(1, attempt=2)],
         ["start c#1.2() as i1:0001"]),
)  # fmt: skip
def test_retry(case):
    check(case)


@table(
    Case("a child has an id made of its parent's", lambda c: (yield c.call_sub_orchestrator("c", 1)), None, [],
         ["start c#1(1) as i1:0001"]),
    Case("a child may be given an id", lambda c: (yield c.call_sub_orchestrator("c", 1, "mine")), None, [],
         ["start c#1(1) as mine"]),
    Case("a child can't have its parent's id", lambda c: (yield c.call_sub_orchestrator("c", 1, "I1")), None, [],
         ["Failed OrchestrationStateError: The sub-orchestration's id 'I1' is that of its own parent. Give it another "
          "id, or none."]),
    Case("a child's output goes to the code", lambda c: (yield c.call_sub_orchestrator("c")), [], [child_done(1, 4)],
         ["Completed 4"]),
    Case("a child's failure is raised", lambda c: (yield c.call_sub_orchestrator("c")), [], [child_failed(1)],
         ["Failed TaskFailedError: Sub-orchestration 'c' failed: no"]),
    Case("an activity's result is none of a child's", lambda c: (yield c.call_sub_orchestrator("c")), [], [done(1, 4)],
         []),
    Case("a child's output is none of an activity's", chain, [], [child_done(1, 4)], []),
    Case("what is sent one way is not awaited", one_way, None, [],
         ["start and forget c#1(1) as i1:0001", 'send hello={"n": 1} to other', "schedule a#3()"]),
    Case("nothing comes back from what is sent one way", one_way, [], [child_done(1), done(2), done(3)],
         ['Completed "i1:0001"']),
    Case("an entity is no target of send_event", lambda c: (yield c.send_event("@counter@a", "add")), None, [],
         ["Failed ValueError: The instance id '@counter@a' begins with '@', which is reserved for entities: "
          "use signal_entity."]),
    Case("a child's id is one that a URL can hold", lambda c: (yield c.call_sub_orchestrator("c", 1, "a/b")), None, [],
         ["Failed ValueError: The instance id 'a/b' holds '/'; none of / \\ # ? is allowed."]),
    Case("a child's id is one that a table can hold", lambda c: c.start_new("c", 1, "x\0"), None, [],
         ["Failed ValueError: The instance id 'x\\x00' holds the control character U+0000."]),
    Case("tags are texts", lambda c: (yield c.call_activity("a", tags={"k": 1})), None, [],
         ["Failed ValueError: Tags are at most 50 pairs of printable texts of up to 256 characters."]),
    Case("tags go with the call", lambda c: (yield c.call_activity("a", tags={"k": "v"})), None, [],
         ["schedule a#1() {'k': 'v'}"]),
    Case("an event to send needs a name", lambda c: (yield c.send_event("other", "")), None, [],
         ["Failed ValueError: An external event needs a name that is not empty."]),
)  # fmt: skip
def test_sub_orchestration_and_messages(case):
    check(case)


@table(
    Case("actions before it go out, and the code's next wait is ignored", eternal, [], [raised("go", 1)],
         ["send seen=1 to log", "ContinuedAsNew 1"]),
    Case("events that nobody took are carried over in order", eternal, [raised("b", 1), raised("a", 2), raised("b", 3)],
         [raised("go", 1)], ["send seen=1 to log", "ContinuedAsNew 1 b=1 a=2 b=3"]),
    Case("an event behind it in the same episode is carried over too", eternal, [raised("b", 1)],
         [raised("go", 1), raised("go", 2), raised("b", 3)], ["send seen=1 to log", "ContinuedAsNew 1 b=1 go=2 b=3"]),
    Case("a suspension behind it holds the next generation", eternal, [],
         [raised("go", 1), suspended(), raised("b", 2)], ["send seen=1 to log", "ContinuedAsNew 1 b=2 suspended"]),
    Case("unless a resumption follows", eternal, [], [raised("go", 1), suspended(), resumed()],
         ["send seen=1 to log", "ContinuedAsNew 1"]),
    Case("events held by a suspension are carried over too", eternal, [raised("b", 1), suspended(), raised("go", 2)],
         [raised("GO", 3), resumed(), raised("b", 4)], ["send seen=2 to log", "ContinuedAsNew 2 b=1 GO=3 b=4"]),
    Case("a wait begun after it takes no event",
         lambda c: [c.continue_as_new(0), (yield c.wait_for_external_event("e"))], None, [raised("e", 1)],
         ["ContinuedAsNew 0 e=1"]),
    Case("save_events=False drops what is buffered",
         lambda c: [(yield c.wait_for_external_event("go")), c.continue_as_new(0, save_events=False)],
         [raised("b", 1)], [raised("go")], ["ContinuedAsNew 0"]),
    Case("the return value is ignored", lambda c: [c.continue_as_new(0), (yield c.task_all([]))], None, [],
         ["ContinuedAsNew 0"]),
    Case("a plain function may continue as new", lambda c: c.continue_as_new(7), None, [], ["ContinuedAsNew 7"]),
    Case("an error after it fails the instance", lambda c: [c.continue_as_new(0), (yield c.task_any([]))], None, [],
         ["Failed ValueError: task_any needs at least one task: with none it could never complete."]),
)  # fmt: skip
def test_continue_as_new(case):
    check(case)


def leaves_all_open(context):
    context.call_activity("a")
    context.call_sub_orchestrator("c")
    context.create_timer(TEN)
    context.wait_for_external_event("go", timeout=TEN)
    return 7


waits_for_all = replace(definition(leaves_all_open), wait_for_open_tasks=True)


@table(
    Case("an orchestrator that returns is completed whatever is open", leaves_all_open, None, [],
         ["schedule a#1()", "start c#2() as i1:0002", "timer #3 11s", "timer #4 11s", "Completed 7"]),
    Case("one that waits for open tasks is not", waits_for_all, None, [],
         ["schedule a#1()", "start c#2() as i1:0002", "timer #3 11s", "timer #4 11s"]),
    Case("until the last of them has ended, well or badly", waits_for_all, [failed(1), fired(3)], [child_done(2)],
         ["Completed 7"]),
    Case("a retry is part of the task",
         replace(definition(lambda c: c.call_activity("a", retry=THRICE) and 7), wait_for_open_tasks=True),
         [failed(1), fired(1, 2)], [done(1, attempt=2)], ["Completed 7"]),
    Case("it may be suspended meanwhile", waits_for_all, [done(1), child_done(2), suspended(), fired(3)], [resumed()],
         ["Completed 7"]),
    Case("one without open tasks ends at once",
         replace(definition(lambda c: 7), wait_for_open_tasks=True), None, [], ["Completed 7"]),
    Case("one that fails does not wait",
         replace(definition(lambda c: c.call_activity("a") and 1 / 0), wait_for_open_tasks=True), None, [],
         ["schedule a#1()", "Failed ZeroDivisionError: division by zero"]),
)  # fmt: skip
def test_open_tasks(case):
    check(case)


@table(
    Case("a suspended instance decides nothing", chain, [suspended()], [done(1, 5)], []),
    Case("resuming delivers what came, in order", fan_out_guarded,
         [suspended(), failed(2, ValueError("2")), failed(1, ValueError("1")), done(3)], [resumed()],
         ['Completed ["2", ["1", "2"]]']),
    Case("a duplicate among what came counts once", chain, [suspended(), done(1, 5)], [done(1, 6), resumed()],
         ["schedule b#2(5)"]),
    Case("a timer may fire while suspended", lambda c: (yield c.create_timer(TEN)), [suspended(), fired(1)],
         [resumed()], ["Completed None"]),
    Case("suspending twice is suspending once", chain, [suspended(), suspended(), done(1, 5)], [resumed()],
         ["schedule b#2(5)"]),
    Case("resuming what is not suspended does nothing", chain, [], [resumed()], []),
    Case("an instance may be suspended before it starts", chain, None, [suspended(), started(), resumed()],
         ["schedule a#1(1)"]),
    Case("one that was suspended before it started does nothing", chain, None, [suspended(), started()], []),
    Case("terminating ends it with the reason", chain, [], [terminated("enough")], ['Terminated "enough"']),
    Case("terminating needs no reason", chain, [], [terminated()], ["Terminated None"]),
    Case("terminating beats suspending", chain, [suspended(), done(1, 5)], [terminated("enough")],
         ['Terminated "enough"']),
    Case("terminating runs no handler of the code", guarded, [failed(1)], [terminated("x"), done(2)],
         ['Terminated "x"']),
    Case("what is ended is not terminated again", chain, [terminated("a")], [terminated("b")], []),
)  # fmt: skip
def test_control(case):
    check(case)
