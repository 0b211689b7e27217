"""Rewind where compensation itself failed: what it was for is done again, and nothing that was done is undone."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from orchestrations import TaskFailedError, orchestrator
from tests.runtime import functions
from tests.runtime.functions import work


class OrderFailed(Exception):
    """An error of the author's."""


@pytest.fixture
def rewound(client, worker, stage):
    """Lets it fail of these, heals everything, and rewinds it once."""

    def rewound(steps, *failing):
        @orchestrator(name="order")
        def order(context):
            return (yield from steps(context))

        stage.failing = set(failing)
        client.start_new("order", "order")
        assert worker.run_until_ended("order").runtime_status == "Failed"
        stage.failing.clear()
        client.rewind("order")
        return worker.run_until_ended("order")

    return rewound


def raises_again(context):
    try:
        return (yield context.call_activity(work, "x"))
    except TaskFailedError:
        yield context.call_activity(work, "undo")
        yield context.create_timer(timedelta(hours=1))
        yield context.call_activity(work, "tell")
        raise


def cleans_up(context):
    try:
        return (yield context.call_activity(work, "x"))
    finally:
        yield context.call_activity(work, "undo")


def raises_its_own(context):
    try:
        return (yield context.call_activity(work, "x"))
    except TaskFailedError as error:
        yield context.call_sub_orchestrator(functions.calls, ["work", "undo"])
        raise OrderFailed(f"undone: {error}") from None


def undoes_behind_the_block(context):
    failed = False
    try:
        result = yield context.call_activity(work, "x")
    except TaskFailedError:
        failed = True
    if failed:
        yield context.call_activity(work, "undo")
        raise OrderFailed("given up")
    return result


def gives_up_undoing(context):
    failed = False
    try:
        result = yield context.call_activity(work, "x")
    except TaskFailedError:
        failed = True
    if failed:
        with suppress(TaskFailedError):
            yield context.call_activity(work, "undo")
        raise OrderFailed("given up")
    return result


def undoes_two_things_at_once(context):
    try:
        return (yield context.call_activity(work, "x"))
    except TaskFailedError:
        yield context.task_all([context.call_activity(work, value) for value in ("undo", "tell")])
        raise


def undoes_what_undoing_did(context):
    try:
        return (yield context.call_activity(work, "x"))
    except TaskFailedError:
        try:
            yield context.call_activity(work, "undo")
        except TaskFailedError:
            yield context.call_activity(work, "tell")
            raise
        raise


COMPENSATIONS = [
    raises_again,
    cleans_up,
    raises_its_own,
    undoes_behind_the_block,
    gives_up_undoing,
    undoes_two_things_at_once,
    undoes_what_undoing_did,
]


@pytest.mark.parametrize("steps", COMPENSATIONS, ids=lambda steps: steps.__name__)
def test_what_it_was_for_is_done_again_at_once(rewound, stage, steps):
    status = rewound(steps, "x", "undo", "tell")

    assert (status.runtime_status, status.output) == ("Completed", "x")
    assert stage.runs["x"] == 2
    assert stage.runs["undo"] == (2 if steps is cleans_up else 1), "undone although it was done"


def test_what_was_done_instead_and_failed_is_done_again_and_what_it_was_for_is_not(rewound, stage):
    def does_another(context):
        try:
            return (yield context.call_activity(work, "x"))
        except TaskFailedError:
            return (yield context.call_activity(work, "instead"))

    assert rewound(does_another, "x", "instead").output == "instead"
    assert stage.runs == {"x": 1, "instead": 2}


def test_where_the_code_says_nothing_what_was_done_between_two_failures_is_not_done_again(
    rewound, client, worker, stage
):
    def counts(context):
        failed = 0
        for value in ("x", "a", "y"):
            try:
                yield context.call_activity(work, value)
            except TaskFailedError:
                failed += 1
        if failed:
            raise OrderFailed(f"{failed} failed")
        return "done"

    assert rewound(counts, "x", "y").runtime_status == "Failed"
    assert stage.runs == {"x": 1, "a": 1, "y": 2}


def test_a_sibling_that_failed_unseen_is_not_taken_for_what_it_was_for(rewound, stage):
    def awaits_in_turn(context):
        tasks = [context.call_activity(work, value) for value in ("x", "y")]
        yield context.create_timer(timedelta(0))
        first = yield tasks[0]
        return [first, (yield tasks[1])]

    assert rewound(awaits_in_turn, "x", "y").output == ["x", "y"]
    assert stage.runs == {"x": 2, "y": 2}


def test_compensation_that_needs_its_result_is_done_again_itself(rewound, client, worker, stage):
    """Nobody knows how the code would go on with a result that there is not."""

    def looks_at_it(context):
        try:
            return (yield context.call_activity(work, "x"))
        except TaskFailedError:
            undone = yield context.call_activity(work, "undo")
            context.set_custom_status(undone.upper())
            raise

    assert rewound(looks_at_it, "x", "undo").runtime_status == "Failed"
    client.rewind("order")

    assert worker.run_until_ended("order").output == "x"
    assert stage.runs == {"x": 2, "undo": 2}
