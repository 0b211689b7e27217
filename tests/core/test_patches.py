"""A change behind ``patched``: whoever passed the place before keeps the old path, everybody else takes the new one."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from orchestrations.core.errors import NonDeterminismError, TaskFailedError
from orchestrations.core.events import EventType
from orchestrations.core.rewind import rewind
from tests.core.cases import Case, check, done, error, failed, in_words, output, raised, rewound, run, table
from tests.core.plain import Driver, PlainFunctions, definition


def before(context):
    """The code that was deployed first."""
    yield context.call_activity("a")
    yield context.call_activity("b")
    return "old"


def after(context):
    """The same with its second step changed."""
    yield context.call_activity("a")
    if context.patched("shorter"):
        yield context.call_activity("c")
        return "new"
    yield context.call_activity("b")
    return "old"


def deprecated(context):
    yield context.call_activity("a")
    context.deprecate_patch("shorter")
    yield context.call_activity("c")
    return "new"


def cleaned(context):
    yield context.call_activity("a")
    yield context.call_activity("c")
    return "new"


def in_a_loop(context):
    steps = []
    for number in range(3):
        steps.append((yield context.call_activity("new" if context.patched("loop") else "old", number)))
    return steps


async def awaits(context):
    if context.patched("first") and context.patched("second"):
        await context.call_activity("both")


def asks_twice(context):
    return [context.patched("x"), context.patched("X")]
    yield


@table(
    Case(
        "an execution that comes there anew takes the new path and records it",
        after,
        [],
        [done(1)],
        ["apply patch shorter", "schedule c#2()"],
    ),
    Case("a patch takes no task id", after, [done(1)], [done(2)], ['Completed "new"']),
    Case(
        "each patch is recorded once and in order",
        awaits,
        None,
        [],
        ["apply patch first", "apply patch second", "schedule both#1()"],
    ),
    Case(
        "the answer is the same in every round of a loop",
        in_a_loop,
        [done(1, "new")],
        [done(2, "new")],
        ["schedule new#3(2)"],
    ),
    Case("an id in another case is the same id", asks_twice, None, [], ["apply patch x", "Completed [true, true]"]),
    Case("deprecated code records it too", deprecated, [], [done(1)], ["apply patch shorter", "schedule c#2()"]),
)
def test_new_executions(case):
    check(case)


def deploy(driver: Driver, code) -> Driver:
    """Let other code go on with what the driver has recorded."""
    driver.execution.discard()
    driver.definition = definition(code)
    driver.reload()
    return driver


def test_an_execution_that_had_passed_the_place_keeps_the_old_path_to_its_end():
    driver = deploy(run(before, done(1)), after)

    driver.feed(driver.stamp(done(2)))

    assert output(driver) == "old"
    assert EventType.PATCH_APPLIED not in [event.type for event in driver.history]
    driver.reload()
    assert output(driver) == "old"


def test_an_execution_that_had_not_come_there_yet_takes_the_new_path():
    driver = deploy(run(before), after)

    episode = driver.feed(driver.stamp(done(1)))

    assert [in_words(action) for action in episode.actions] == ["apply patch shorter", "schedule c#2()"]
    driver.reload()
    driver.feed(driver.stamp(done(2)))
    assert output(driver) == "new"


def old_loop(context):
    steps = []
    for number in range(3):
        steps.append((yield context.call_activity("old", number)))
    return steps


@pytest.mark.parametrize("is_cold", [False, True])
def test_a_loop_that_began_on_the_old_path_stays_on_it(is_cold):
    driver = deploy(run(old_loop, done(1, "old")), in_a_loop)
    for task_id in (2, 3):
        driver.feed(driver.stamp(done(task_id, "old")))
        if is_cold:
            driver.reload()

    assert output(driver) == ["old", "old", "old"]


def test_code_that_forgot_a_patch_does_not_fit():
    with pytest.raises(NonDeterminismError, match=r"Event 4 of the history is PatchApplied 'shorter', but the code"):
        deploy(run(after, done(1)), cleaned)


def test_code_that_asks_elsewhere_does_not_fit():
    def asks_first(context):
        context.patched("shorter")
        yield context.call_activity("a")
        yield context.call_activity("c")

    with pytest.raises(NonDeterminismError, match=r"but the code decided PatchApplied 'shorter' at .*test_patches.py"):
        deploy(run(after, done(1)), asks_first)


@pytest.mark.parametrize(
    ("recorded_by", "replayed_by"),
    [(after, deprecated), (deprecated, deprecated), (deprecated, after), (deprecated, cleaned), (cleaned, deprecated)],
    ids=lambda code: code.__name__,
)
def test_a_patch_can_be_retired_step_by_step_and_rolled_back(recorded_by, replayed_by):
    driver = deploy(run(recorded_by, done(1)), replayed_by)

    driver.feed(driver.stamp(done(2)))

    assert output(driver) == "new"
    driver.reload()


def test_a_mark_that_is_left_out_leaves_the_ones_beside_it_in_their_order():
    def three(context):
        context.patched("one")
        context.deprecate_patch("two")
        context.patched("three")
        yield context.call_activity("a")

    def without_two(context):
        context.patched("one")
        context.patched("three")
        yield context.call_activity("a")

    def swapped(context):
        context.patched("three")
        context.patched("one")
        yield context.call_activity("a")

    deploy(run(three), without_two)
    with pytest.raises(NonDeterminismError, match=r"PatchApplied 'one', but the code decided PatchApplied 'three'"):
        deploy(run(three), swapped)


# Over a rewind -------------------------------------------------------------------------------------------------------


def rewind_with(driver: Driver, code) -> Driver:
    """Rewind a failed execution with that code."""
    plan = rewind(definition(code), PlainFunctions(), driver.facts, driver.history)
    driver.definition = definition(code)
    driver.execution = plan.execution
    driver.history = plan.kept
    driver.feed(driver.stamp(rewound(plan)), *(driver.stamp(event) for event in plan.redelivered))
    return driver


def crashes(context):
    yield context.call_activity("a")
    raise ValueError("a bug")


def mended(context):
    yield context.call_activity("a")
    if context.patched("fix"):
        return (yield context.call_activity("c"))
    raise ValueError("a bug")


def test_mended_code_takes_the_new_path_from_where_the_old_one_failed():
    driver = rewind_with(run(crashes, done(1)), mended)

    assert [event.type for event in driver.history[-3:]] == ["ExecutionRewound", "PatchApplied", "TaskScheduled"]
    driver.reload()
    driver.feed(driver.stamp(done(2, "well")))
    assert output(driver) == "well"
    driver.reload()


def test_a_patch_that_was_applied_before_the_failure_is_kept():
    driver = run(after, done(1), failed(2, LookupError("down")))
    assert error(driver).message.endswith("down")

    rewind_with(driver, after)

    assert [e.name for e in driver.history if e.type is EventType.PATCH_APPLIED] == ["shorter"]
    driver.feed(driver.stamp(done(2)))
    assert output(driver) == "new"
    driver.reload()


def test_the_old_path_is_kept_over_a_rewind():
    driver = deploy(run(before, done(1)), after)
    driver.feed(driver.stamp(failed(2, LookupError("down"))))

    rewind_with(driver, after)
    driver.reload()
    driver.feed(driver.stamp(done(2)))

    assert output(driver) == "old"


def compensates(context):
    try:
        yield context.call_activity("a")
    except TaskFailedError:
        if context.patched("undo"):
            yield context.call_activity("undo")
        raise


def test_a_patch_of_the_compensation_goes_with_it():
    driver = run(compensates, failed(1), done(2))
    assert EventType.PATCH_APPLIED in [event.type for event in driver.history]

    rewind_with(driver, compensates)
    assert EventType.PATCH_APPLIED not in [event.type for event in driver.history]

    driver.feed(driver.stamp(failed(1)))
    assert [in_words(action) for action in driver.episodes[-1].actions] == ["apply patch undo", "schedule undo#3()"]


def test_a_rewind_counts_a_mark_that_the_code_has_left_out():
    def marks(context):
        context.deprecate_patch("old")
        yield context.call_activity("a")
        yield context.call_activity("b")

    def forgot(context):
        yield context.call_activity("a")
        yield context.call_activity("b")

    driver = rewind_with(run(marks, done(1), failed(2)), forgot)

    driver.feed(driver.stamp(done(2)))
    assert output(driver) is None
    driver.reload()


def test_each_generation_decides_anew():
    def goes_on(context):
        yield context.wait_for_external_event("go")
        context.patched("x")
        context.continue_as_new(None)

    driver = run(goes_on, raised("go"))

    assert [event.type for event in driver.history[-2:]] == ["PatchApplied", "ExecutionCompleted"]


@pytest.mark.parametrize("patch_id", ["", " ", "a\nb", "x" * 257, None, 5])
def test_an_id_that_no_history_can_hold_fails_the_call(patch_id):
    def asks(context):
        context.patched(patch_id)
        yield context.create_timer(timedelta(1))

    assert error(run(asks)).error_type.endswith("ValueError")
    assert "patch" in json.dumps(error(run(asks)).to_json())


@pytest.mark.parametrize("version", ["x" * 65, "a\nb", 2])
@pytest.mark.parametrize("call", ["call_sub_orchestrator", "start_new", "continue_as_new"])
def test_a_version_that_no_column_can_hold_fails_the_call(call, version):
    def asks(context):
        if call == "continue_as_new":
            context.continue_as_new(None, new_version=version)
        else:
            getattr(context, call)("child", version=version)
        yield context.create_timer(timedelta(1))

    assert "A version is one line of at most 64" in error(run(asks)).message
