"""Questions to people in the core: plain values, the same on replay, answered once and by what was meant for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.human import HumanAnswer, HumanTimeout, Quorum, Reviewers
from orchestrations.core.waits import event_waits
from tests.core.cases import copied, error, fired, output, raised, run
from tests.core.plain import START, Driver

HOUR = timedelta(hours=1)
TEAM = Reviewers(groups=["Finance"], exclude=["ann"])


def answered(value: object, wait_id: int = 1, *, name: str = "approval", generation: int = 1, **stamps: Any) -> Any:
    """The answer that people gave to one question."""
    told = {"by": "dana", "at": START.isoformat(), **stamps}
    attributes = {"wait_id": wait_id, "generation": generation, "by": told["by"], "answer": told}
    return HistoryEvent(EventType.EVENT_RAISED, START, name=name, payload=json.dumps(value), attributes=attributes)


def asking(**options: Any) -> Callable[..., Any]:
    def asks(context):
        answer: HumanAnswer = yield context.wait_for_external_event("approval", **options)
        return [answer.data, answer.outcome, answer.approved, answer.by, answer.via, [v.by for v in answer.votes]]

    return asks


def question(driver: Driver) -> Any:
    [wait] = event_waits(driver.execution)
    return wait.question


def test_a_question_leaves_the_history_of_a_wait():
    driver = run(asking(assign=TEAM, title="Pay?"))

    assert [str(event.type) for event in driver.history] == ["ExecutionStarted"]
    assert question(driver).assign == TEAM
    assert event_waits(driver.execution)[0].request == {
        "title": "Pay?", "summary": {}, "groups": ["Finance"], "permission": None, "exclude": ["ann"]
    }  # fmt: skip


def test_the_answer_has_the_data_and_what_was_stamped():
    votes = [{"by": "max", "at": START.isoformat(), "outcome": "approve"}, {"by": "dana", "at": START.isoformat()}]
    driver = run(asking(assign=TEAM), answered({"decision": "approve"}, outcome="approve", via="Admin", votes=votes))

    assert output(driver) == [{"decision": "approve"}, "approve", True, "dana", "Admin", ["max", "dana"]]


def test_a_bare_event_answers_too_and_says_who_raised_it():
    event = raised("approval", {"decision": "Declined"})
    event.attributes["by"] = "system key"

    assert output(run(asking(assign=TEAM), event)) == [
        {"decision": "Declined"},
        "Declined",
        False,
        "system key",
        "",
        [],
    ]


def test_the_deadline_counts_from_the_orchestrations_clock_and_raises():
    driver = run(asking(due=HOUR))
    [wait] = event_waits(driver.execution)
    assert wait.timer.due_at == driver.now + HOUR

    driver.feed(driver.stamp(fired(1)))

    assert error(driver).error_type == "orchestrations.core.human.HumanTimeout"
    assert issubclass(HumanTimeout, TimeoutError)


@pytest.mark.parametrize("verdict, approved", [("reject", False), ("approve", True)])
def test_the_deadline_can_answer(verdict, approved):
    driver = run(asking(due=HOUR, on_timeout={"decision": verdict}), fired(1))

    assert output(driver) == [{"decision": verdict}, verdict, approved, "", "timeout", []]


def test_a_deadline_without_a_verdict_approves_nothing():
    assert output(run(asking(due=HOUR, on_timeout={}), fired(1)))[2] is False


def test_the_timeout_of_a_title_is_as_ever():
    def asks(context):
        return (yield context.wait_for_external_event("approval", title="Pay?", timeout=HOUR))

    assert error(run(asks, fired(1))).error_type == "TimeoutError"


def test_an_answer_reaches_the_question_that_was_answered_and_no_other():
    def asks_twice(context):
        first = context.wait_for_external_event("approval", assign=TEAM, title="First?")
        second = context.wait_for_external_event("APPROVAL", assign=TEAM, title="Second?")
        one = yield context.task_any([first, second])
        return [one is second, one.result.data]

    assert output(run(asks_twice, answered("two", 2))) == [True, "two"]


@pytest.mark.parametrize(
    "late",
    [
        answered("again"),
        answered("of another generation", generation=2),
        answered("of none", 7),
        answered("by another name", name="other"),
    ],
)
def test_an_answer_that_is_for_nothing_open_is_no_part_of_the_history(late):
    def goes_on(context):
        yield context.wait_for_external_event("approval", assign=TEAM)
        return (yield context.wait_for_external_event("go"))

    driver = run(goes_on, answered("yes"))

    assert driver.feed(driver.stamp(late)).events == []


def test_an_answer_to_a_question_that_was_raced_is_kept_for_it():
    def reminds(context):
        answer = context.wait_for_external_event("approval", assign=TEAM)
        while not answer.is_completed:
            if (yield context.task_any([answer, context.create_timer(HOUR)])) is not answer:
                yield context.call_activity("remind")
        return answer.result.data

    driver = run(reminds, fired(1))
    driver.feed(driver.stamp(answered("yes")))
    assert driver.execution.completion is None
    assert driver.feed(driver.stamp(answered("no"))).events == [], "one answer is enough"

    driver.feed(driver.completed(2))

    assert output(driver) == "yes"


def test_an_answer_does_not_outlive_its_generation():
    def again(context):
        context.wait_for_external_event("approval", assign=TEAM)
        yield context.wait_for_external_event("go")
        context.continue_as_new(1)

    driver = run(again)
    driver.feed(driver.stamp(answered("unseen")), driver.stamp(raised("go")), driver.stamp(answered("late")))

    assert driver.execution.completion.carried_events == []


def test_an_answer_that_comes_while_suspended_is_taken_on_resume():
    driver = run(asking(assign=TEAM))
    driver.feed(driver.event(EventType.EXECUTION_SUSPENDED, attributes={}), driver.stamp(answered("yes")))
    assert driver.execution.completion is None

    driver.feed(driver.event(EventType.EXECUTION_RESUMED))

    assert output(driver)[0] == "yes"


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"assign": ["dana"]}, "Pass Reviewers"),
        ({"assign": TEAM, "groups": ["Sales"]}, "Pass assign alone"),
        ({"quorum": 2}, "Pass Quorum"),
        ({"due": HOUR, "timeout": HOUR}, "Pass due alone"),
        ({"on_timeout": {}}, "Pass due="),
        ({"due": HOUR, "on_timeout": {}, "default": {}}, "Pass on_timeout alone"),
        ({"remind": [timedelta()]}, "longer than nothing"),
        ({"escalate": TEAM}, "Nothing says when to escalate"),
        ({"escalate_after": HOUR}, "nobody is to be asked"),
        ({"notify": "email"}, "Pass a list of channels"),
        ({"undo": timedelta(days=2)}, "at most a day"),
        ({"priority": 101}, "outside"),
        ({"description": "x" * 70_000}, "characters, and"),
        ({"due": 0}, "longer than nothing"),
    ],
)
def test_what_can_be_no_question_fails_where_it_is_asked(options, reason):
    details = error(run(asking(title="Pay?", **options)))

    assert details.error_type in ("ValueError", "TypeError")
    assert reason in details.message


@pytest.mark.parametrize(
    "make", [lambda: Reviewers(exclude=[None]), lambda: Reviewers(users=[""]), lambda: Quorum(approve=0)]
)
def test_names_and_numbers_that_are_none_are_refused(make):
    with pytest.raises(ValueError, match=r"Pass one|pass the name"):
        make()


def test_a_name_in_the_place_of_a_list_is_refused():
    with pytest.raises(TypeError, match=r"Write groups=\[...\]"):
        Reviewers(groups="Finance")


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text(min_size=1, max_size=20),
        "summary": st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
        "description": st.text(max_size=20),
        "initial": st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        "assign": st.just(TEAM),
        "quorum": st.builds(Quorum, approve=st.integers(1, 3), reject=st.integers(1, 3)),
        "due": st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=9)),
        "remind": st.lists(st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=9)), max_size=3),
        "priority": st.integers(-100, 100),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(OPTIONS.filter(lambda options: options.keys() - {"title", "summary"}))
def test_a_replay_asks_the_same(options):
    driver = run(asking(**options))
    [before] = event_waits(driver.execution)
    driver.history = [copied(event) for event in driver.history]

    driver.reload()

    [after] = event_waits(driver.execution)
    assert (after.id, after.name, after.since, after.question) == (
        before.id,
        before.name,
        before.since,
        before.question,
    )
    assert (after.timer and after.timer.due_at) == (before.timer and before.timer.due_at)
    assert driver.execution.take_actions() == []


@pytest.mark.parametrize("seconds", [1e300, float("nan")])
def test_seconds_that_no_span_holds_are_refused_by_name(seconds):
    with pytest.raises(ValueError, match=r"undo was given .* seconds\. Pass fewer"):
        raise run(asking(undo=seconds)).execution.error
