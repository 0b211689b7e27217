"""Code that no longer fits its history is found out, and the message says where; code that fits never is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from orchestrations.core.errors import NonDeterminismError, TaskFailedError
from orchestrations.core.events import EventType
from orchestrations.core.retries import RetryPolicy
from tests.core.cases import child_done, done, failed, fired, raised, run

RETRY = RetryPolicy(first_retry_interval=timedelta(seconds=5), max_number_of_attempts=2)

ONE_WAY = (EventType.EVENT_SENT, EventType.PATCH_APPLIED)

Step = tuple[str, str]


def perform(context, step: Step):  # noqa: C901 (one case to a kind)
    kind, name = step
    match kind:
        case "activity":
            yield context.call_activity(name)
        case "retried":
            yield context.call_activity(name, retry=RETRY)
        case "child":
            yield context.call_sub_orchestrator(name)
        case "timer":
            yield context.create_timer(timedelta(seconds=10))
        case "start":
            context.start_new(name)
        case "patch":
            context.patched(name)
        case "send":
            context.send_event(name, "hello")
        case "event":
            yield context.wait_for_external_event("go", timeout=timedelta(seconds=10), default=None)
        case "pair":
            yield context.task_all([context.call_activity(name), context.call_activity("beside")])
        case "guarded":
            try:
                yield context.call_activity(name)
            except TaskFailedError:
                yield context.call_activity("undo")


def orchestrator_of(steps: list[Step]):
    def orchestrator(context):
        for step in steps:
            yield from perform(context, step)
        return "done"

    return orchestrator


def finished(steps: list[Step]):
    """A driver whose orchestrator has run to its end, with a failure wherever one is foreseen."""
    driver = run(orchestrator_of(steps))
    answered: set[tuple[EventType, int, int]] = set()
    while driver.execution.completion is None:
        decided = next(e for e in driver.history if e.is_decided and (e.type, e.task_id, e.attempt) not in answered
                       and e.type not in ONE_WAY and not e.attributes.get("fire_and_forget"))  # fmt: skip
        answered.add((decided.type, decided.task_id, decided.attempt))
        driver.feed(driver.stamp(_answer(decided)))
    return driver


def _answer(decided):
    if decided.type is EventType.TIMER_CREATED:
        return fired(decided.task_id, decided.attempt)
    if decided.type is EventType.SUB_ORCHESTRATION_CREATED:
        return child_done(decided.task_id)
    if decided.name.startswith("fails") and decided.attempt == 1:
        return failed(decided.task_id)
    return done(decided.task_id, attempt=decided.attempt)


PROGRAMS: list[list[Step]] = [
    [("activity", "a")],
    [("activity", "a"), ("activity", "b"), ("activity", "c")],
    [("activity", "a"), ("timer", ""), ("activity", "b")],
    [("child", "c"), ("activity", "a"), ("child", "d")],
    [("start", "c"), ("activity", "a"), ("send", "x")],
    [("send", "x"), ("send", "y"), ("timer", "")],
    [("pair", "a"), ("pair", "b"), ("activity", "c")],
    [("retried", "fails"), ("activity", "a")],
    [("guarded", "fails"), ("activity", "a"), ("timer", "")],
    [("event", ""), ("activity", "a"), ("child", "c")],
    [("timer", ""), ("start", "c"), ("guarded", "a"), ("retried", "b")],
    [("patch", "p"), ("activity", "a"), ("patch", "q"), ("activity", "b")],
    [("activity", "a"), ("patch", "p"), ("child", "c"), ("timer", "")],
    [("patch", "p"), ("patch", "q"), ("timer", ""), ("send", "x")],
    [("start", "c"), ("patch", "p"), ("pair", "a")],
    [("guarded", "fails"), ("patch", "p"), ("retried", "fails again")],
    [("timer", ""), ("timer", ""), ("activity", "a")],
    [("child", "c"), ("child", "c"), ("activity", "c")],
    [("send", "x"), ("start", "x"), ("child", "x"), ("activity", "x")],
    [("pair", "a"), ("guarded", "fails"), ("send", "x"), ("event", "")],
    [("event", ""), ("event", ""), ("patch", "p"), ("activity", "a")],
]

KINDS = ["activity", "child", "timer", "start", "send", "pair"]
UNNAMED = {"timer", "event"}


def mutants(steps: list[Step]) -> Iterator[tuple[str, list[Step]]]:
    """Every way of inserting, deleting, swapping, renaming or changing the kind of one step."""
    for index in range(len(steps) + 1):
        for kind in KINDS:
            yield f"insert {kind} at {index}", [*steps[:index], (kind, "new"), *steps[index:]]
    for index, (kind, name) in enumerate(steps):
        before, after = steps[:index], steps[index + 1 :]
        yield f"delete {index}", before + after
        if kind not in UNNAMED:
            yield f"rename {index}", [*before, (kind, f"{name}x"), *after]
        for other in KINDS:
            if other != kind:
                yield f"{other} at {index}", [*before, (other, name), *after]
        if after and steps[index] != after[0]:
            yield f"swap {index}", [*before, after[0], steps[index], *after[1:]]


def equivalent(steps: list[Step], mutant: list[Step]) -> bool:
    """Whether the two make the same calls in what has been recorded."""
    return _calls(steps) == _calls(mutant)


def _calls(steps: list[Step]) -> list[Step]:
    """The steps as these histories show them: a deadline that passed is a timer, a retry that was not needed a call."""
    seen = {"event": "timer"}
    return [
        ("activity" if kind in ("guarded", "retried") and not name.startswith("fails") else seen.get(kind, kind), name)
        for kind, name in steps
    ]


@pytest.mark.parametrize("steps", PROGRAMS, ids=lambda steps: "-".join(kind for kind, _ in steps))
def test_every_mutant_is_detected(steps):
    driver = finished(steps)
    undetected = []
    for name, mutant in mutants(steps):
        if equivalent(steps, mutant):
            continue
        changed = run(orchestrator_of(mutant))
        changed.history = driver.history
        try:
            changed.reload()
        except NonDeterminismError as error:
            assert re.search(r"[Ee]vent \d+ of the history is|the history ends there", str(error)), error
            assert re.search(rf"{re.escape(__file__)}:\d+ in ", str(error)), error
        else:
            undetected.append(name)
    assert undetected == []


@pytest.mark.parametrize("steps", PROGRAMS, ids=lambda steps: "-".join(kind for kind, _ in steps))
def test_unchanged_code_fits_its_history_at_every_step(steps):
    driver = finished(steps)
    ends = [index for index, event in enumerate(driver.history) if not event.is_decided] + [len(driver.history)]
    history = driver.history

    for end in ends:
        driver.history = history[:end]
        driver.reload()


def replayed(history_of, code, *events):
    """The error of replaying what one orchestrator recorded with another one's code."""
    driver = run(history_of, *events)
    changed = run(code)
    changed.history = driver.history
    with pytest.raises(NonDeterminismError) as raised_here:
        changed.reload()
    return str(raised_here.value)


def line_of(code, offset=1):
    return f"{__file__}:{code.__code__.co_firstlineno + offset} in {code.__qualname__}"


def calls_a(context):
    yield context.call_activity("a")


def calls_b(context):
    yield context.call_activity("b")


def calls_child_a(context):
    yield context.call_sub_orchestrator("a")


def starts_a(context):
    context.start_new("a")
    yield context.create_timer(timedelta(1))


def calls_a_then_b(context):
    yield context.call_activity("a")
    yield context.call_activity("b")


def waits_only(context):
    yield context.wait_for_external_event("go")


def returns_at_once(context):
    return "done"
    yield


def sends_to_x(context):
    context.send_event("x", "hello")
    yield context.wait_for_external_event("go")


def sends_to_y(context):
    context.send_event("y", "hello")
    yield context.wait_for_external_event("go")


def cancels_the_timer(context):
    context.create_timer(timedelta(1)).cancel()
    yield context.wait_for_external_event("go")


def keeps_the_timer(context):
    context.create_timer(timedelta(1))
    yield context.wait_for_external_event("go")


def test_a_renamed_call_is_told_with_both_names_and_the_line():
    message = replayed(calls_a, calls_b)

    assert "Event 2 of the history is TaskScheduled 'a' (task 1), " in message
    assert f"but the code decided TaskScheduled 'b' (task 1) at {line_of(calls_b)}. " in message
    assert message.endswith("new behaviour for old instances belongs behind a version.")


def test_a_changed_kind_is_told():
    message = replayed(calls_a, calls_child_a)

    assert "decided SubOrchestrationInstanceCreated 'a' for instance 'i1:0001' (task 1) at " in message


def test_waiting_for_a_child_that_was_started_and_forgotten_is_told():
    assert "'i1:0001' (task 1, fire and forget), but the code decided" in replayed(starts_a, calls_child_a)


def test_a_deleted_call_is_told_with_the_line_at_which_the_code_waits():
    message = replayed(calls_a, waits_only)

    assert f"but the code decided nothing more there and waits at {line_of(waits_only)}. " in message


def test_an_inserted_call_is_told_with_what_the_history_has_there():
    message = replayed(waits_only, calls_a_then_b, raised("go", 1))
    assert f"The code decided TaskScheduled 'a' (task 1) at {line_of(calls_a_then_b)}, but event 2 of the" in message

    message = replayed(waits_only, calls_a_then_b)
    assert "but the history ends there." in message


def test_code_that_ends_early_is_told_with_the_line_at_which_it_stood():
    assert f"ExecutionCompleted (Completed) at {line_of(calls_a)}. " in replayed(calls_a_then_b, calls_a, done(1))
    assert f"(Completed) at {line_of(returns_at_once, 0)}. " in replayed(calls_a, returns_at_once)


def test_an_event_for_another_target_is_told():
    message = replayed(sends_to_x, sends_to_y)

    assert "is EventSent 'hello' for instance 'x' (task 1), but" in message
    assert "EventSent 'hello' for instance 'y' (task 1) at" in message


def test_an_answer_to_what_the_code_no_longer_waits_for_is_told():
    message = replayed(keeps_the_timer, cancels_the_timer, fired(1))

    assert "Event 3 of the history is TimerFired (task 1), but the code had nothing open" in message
    assert f"at {line_of(cancels_the_timer, 2)}. " in message


def test_a_name_in_another_case_is_the_same_name():
    driver = run(calls_a)
    driver.history[1].name = "A"
    driver.reload()

    assert driver.execution.tasks[1].name == "a"


def test_another_delay_of_a_timer_is_no_other_decision():
    driver = run(keeps_the_timer)
    driver.history[1].attributes["fire_at"] = "2030-01-01T00:00:00+00:00"
    driver.reload()

    assert 1 in driver.execution.tasks
