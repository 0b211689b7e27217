"""What an orchestrator decides about entities: it is recorded, it replays, and a lock never outlives its owner."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from orchestrations.core.actions import DeliverEvent
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.episode import Episode, advance
from orchestrations.core.errors import LockingRulesViolation, NonDeterminismError, TaskFailedError
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.rewind import rewind
from tests.core.cases import done, error, failed, failure, output, raised, rewound, run, started
from tests.core.plain import START, Driver, PlainFunctions, definition

A, B = EntityId("account", "a"), EntityId("account", "b")


def sent(episode: Episode) -> list[str]:
    """What goes out to entities, in words."""
    return [
        f"{action.event.type.removeprefix('Entity')} {action.event.name or ''} to {action.instance_id}".replace(
            "  ", " "
        )
        for action in episode.actions
        if isinstance(action, DeliverEvent)
    ]


def messages(driver: Driver, kind: EventType) -> list[DeliverEvent]:
    return [
        action
        for episode in driver.episodes
        for action in episode.actions
        if isinstance(action, DeliverEvent) and action.event.type is kind
    ]


def requests(driver: Driver) -> list[str]:
    return [event.attributes["request_id"] for event in driver.history if "request_id" in event.attributes]


def answered(driver: Driver, task_id: int, value: object = None, fault: BaseException | None = None) -> HistoryEvent:
    """The entity's answer to that call."""
    [call] = [e for e in driver.history if e.type is EventType.ENTITY_CALLED and e.task_id == task_id]
    kind = EventType.ENTITY_COMPLETED if fault is None else EventType.ENTITY_FAILED
    payload = json.dumps(value) if fault is None else failure(fault)
    return HistoryEvent(kind, START, task_id, payload=payload, attributes={"request_id": call.attributes["request_id"]})


def granted(driver: Driver) -> HistoryEvent:
    """The answer to the latest request for a lock."""
    asked = [event for event in driver.history if event.type is EventType.ENTITY_LOCK_REQUESTED][-1]
    attributes = {"request_id": asked.attributes["request_id"]}
    return HistoryEvent(EventType.ENTITY_LOCK_GRANTED, START, asked.task_id, attributes=attributes)


def tell(driver: Driver, event: HistoryEvent, *, cold: bool = True) -> Episode:
    """Feed one event, to an execution that is opened from its history where ``cold``."""
    if cold:
        driver.reload()
    return driver.feed(driver.stamp(event))


@pytest.fixture(params=[True, False], ids=["replayed", "in memory"])
def cold(request) -> bool:
    return request.param


# Calls and signals --------------------------------------------------------------------------------------------------


def caller(context):
    context.signal_entity(B, "add", 1, context.current_utc_datetime + timedelta(hours=1))
    first = yield context.call_entity(A, "get")
    try:
        yield context.call_entity(A, "fail", first)
    except TaskFailedError as error:
        return [first, str(error), error.is_caused_by(ValueError)]


def test_a_call_goes_out_once_and_its_answer_is_taken_once(cold):
    driver = run(caller)
    assert sent(driver.episodes[-1]) == ["OperationSignaled add to @account@b", "OperationCalled get to @account@a"]
    [signal] = messages(driver, EventType.ENTITY_SIGNALED)
    assert signal.visible_at == START + timedelta(hours=1, seconds=1)
    assert signal.event.attributes == {"owner": "i1"}

    answer = answered(driver, 2, 5)
    assert sent(tell(driver, answer, cold=cold)) == ["OperationCalled fail to @account@a"]
    assert tell(driver, answer, cold=cold).events == []
    tell(driver, answered(driver, 3, fault=ValueError("no")), cold=cold)

    assert output(driver) == [5, "Entity operation 'fail' failed: no", True]


def test_an_answer_to_another_request_is_not_taken(cold):
    driver = run(caller)
    answer = answered(driver, 2, 5)
    answer.attributes = {"request_id": "of an earlier execution"}

    assert tell(driver, answer, cold=cold).events == []


def test_requests_differ_between_calls_and_replays_have_the_same():
    def thrice(context):
        yield context.task_all([context.call_entity(A, "get") for _ in range(3)])

    driver = run(thrice)
    first = [action.event.attributes["request_id"] for action in messages(driver, EventType.ENTITY_CALLED)]
    driver.reload()

    assert len(set(first)) == 3
    assert [task.request_id for task in driver.execution.tasks.values()] == first == requests(driver)


@pytest.mark.parametrize(
    "changed",
    [
        lambda context: (yield context.call_entity(B, "get")),
        lambda context: (yield context.call_entity(A, "set")),
        lambda context: (yield context.lock_entities([A])),
        lambda context: context.signal_entity(A, "get"),
        lambda context: (yield context.call_activity("get")),
    ],
)
def test_code_that_decides_otherwise_is_found_out(changed):
    def original(context):
        yield context.call_entity(A, "get")

    driver = run(original)
    driver.definition = definition(changed)

    with pytest.raises(NonDeterminismError, match="EntityOperationCalled"):
        driver.reload()


def test_a_lock_of_other_entities_is_found_out():
    def original(context):
        yield context.lock_entities([A, B])

    driver = run(original)
    driver.definition = definition(lambda context: (yield context.lock_entities([A])))

    with pytest.raises(NonDeterminismError, match="@account@a, @account@b"):
        driver.reload()


def test_both_sets_of_argument_names_are_understood():
    def names(context):
        context.signal_entity(entityId=A, operation_name="x", operation_input=1)
        context.signal_entity(entity_id=A, operation_name="x", input=1)
        yield context.task_all(
            [
                context.call_entity(entityId=A, operationName="x", operationInput=1),
                context.call_entity(entity=A, operation="x", input=1),
                context.call_entity("@account@a", "x", 1),
            ]
        )

    driver = run(names)

    told = [action for action in driver.episodes[-1].actions if isinstance(action, DeliverEvent)]
    assert [(action.instance_id, action.event.name, action.event.payload) for action in told] == [
        ("@account@a", "x", "1")
    ] * 5


@pytest.mark.parametrize(("reference", "kind"), [("a", "ValueError"), (None, "TypeError"), (7, "TypeError")])
def test_what_is_no_entity_is_told_to_the_code(reference, kind):
    def wrong(context):
        yield context.call_entity(reference, "x")

    assert error(run(wrong)).error_type == kind


# Locks --------------------------------------------------------------------------------------------------------------


def holder(context):
    with (yield context.lock_entities([B, A, "@account@b"])):
        yield context.call_entity(A, "get")
        yield context.call_activity("work")
    yield context.wait_for_external_event("go")


def held() -> Driver:
    driver = run(holder)
    tell(driver, granted(driver))
    return driver


def test_entities_are_asked_for_in_order_and_once_and_let_go_at_the_end_of_the_block(cold):
    driver = run(holder)
    [request] = messages(driver, EventType.ENTITY_LOCK_REQUESTED)
    assert request.instance_id == "@account@a"
    assert request.event.attributes["entities"] == ["@account@a", "@account@b"]

    tell(driver, granted(driver), cold=cold)
    [call] = messages(driver, EventType.ENTITY_CALLED)
    assert call.event.attributes["lock"] == request.event.attributes["request_id"]
    tell(driver, answered(driver, 2, 5), cold=cold)

    assert sent(tell(driver, done(3), cold=cold)) == ["UnlockSent to @account@a", "UnlockSent to @account@b"]
    assert [action.event.attributes["entities"] for action in messages(driver, EventType.ENTITY_UNLOCK_SENT)] == [
        ["@account@a"],
        ["@account@b"],
    ]


@pytest.mark.parametrize("one", [EntityId("account", "a"), "@account@a"])
def test_one_entity_is_no_list_of_them(one):
    def locks(context):
        yield context.lock_entities(one)

    assert "takes a list" in error(run(locks)).message


def test_a_grant_of_another_request_is_not_taken():
    driver = run(holder)
    grant = granted(driver)
    grant.attributes = {"request_id": "earlier"}

    assert tell(driver, grant).events == []


def test_a_failure_inside_the_block_lets_go_first(cold):
    driver = held()
    tell(driver, answered(driver, 2, 5), cold=cold)

    episode = tell(driver, failed(3), cold=cold)

    assert sent(episode) == ["UnlockSent to @account@a", "UnlockSent to @account@b"]
    assert [event.type for event in episode.events][-2:] == [
        EventType.ENTITY_UNLOCK_SENT,
        EventType.EXECUTION_COMPLETED,
    ]


def leaver(context):
    lock = yield context.lock_entities([A, B])
    what = yield context.wait_for_external_event("leave")
    if what == "continue":
        context.continue_as_new(1)
        yield context.create_timer(timedelta(days=1))
    if what == "release":
        lock.release()
        lock.release()
    return what


@pytest.mark.parametrize("what", ["return", "continue", "release"])
def test_the_end_of_the_execution_lets_go_once(what, cold):
    driver = run(leaver)
    tell(driver, granted(driver), cold=cold)

    assert sent(tell(driver, raised("leave", what), cold=cold)) == [
        "UnlockSent to @account@a",
        "UnlockSent to @account@b",
    ]


def test_a_request_that_was_not_granted_is_withdrawn_along_its_way():
    def impatient(context):
        yield context.task_any([context.lock_entities([A, B]), context.create_timer(timedelta(seconds=5))])

    driver = run(impatient)
    driver.reload()
    episode = driver.feed(driver.stamp(HistoryEvent(EventType.TIMER_FIRED, START, 2, attempt=0)))

    assert sent(episode) == ["UnlockSent to @account@a"]
    [withdrawal] = messages(driver, EventType.ENTITY_UNLOCK_SENT)
    assert withdrawal.event.attributes["entities"] == ["@account@a", "@account@b"]


def test_an_async_block_lets_go_too():
    async def block(context):
        async with await context.lock_entities([A]):
            await context.call_activity("work")
        return "out"

    driver = run(block)
    tell(driver, granted(driver))
    assert sent(tell(driver, done(2))) == ["UnlockSent to @account@a"]
    assert output(driver) == "out"


def test_dropping_an_execution_from_memory_lets_nothing_go():
    driver = held()
    before = list(driver.history)

    driver.execution.discard()

    assert driver.execution.take_actions() == []
    assert driver.history == before


def test_another_lock_may_follow_the_first():
    def twice(context):
        for entity in (A, B):
            with (yield context.lock_entities([entity])):
                pass
        return "done"

    driver = run(twice)
    assert sent(tell(driver, granted(driver))) == ["UnlockSent to @account@a", "LockRequested to @account@b"]
    tell(driver, granted(driver))
    assert output(driver) == "done"


def test_a_breach_of_a_rule_is_an_error_of_its_own_kind():
    def nested(context):
        with (yield context.lock_entities([A])):
            try:
                yield context.lock_entities([B])
            except LockingRulesViolation as violation:
                assert isinstance(violation, RuntimeError)
                return "refused"

    driver = run(nested)
    tell(driver, granted(driver))
    assert output(driver) == "refused"


# Rewind -------------------------------------------------------------------------------------------------------------


def rewind_driver(driver: Driver) -> Episode:
    plan = rewind(driver.definition, PlainFunctions(), driver.facts, driver.history)
    driver.execution.discard()
    driver.execution, driver.history = plan.execution, plan.kept
    event = driver.stamp(rewound(plan))
    episode = advance(plan.execution, [event, *plan.redelivered])
    driver.history += episode.events
    driver.episodes.append(episode)
    return episode


def failed_inside() -> Driver:
    """It called A, and its activity failed."""

    def guarded(context):
        with (yield context.lock_entities([A, B])):
            one = yield context.call_entity(A, "get")
            two = yield context.call_activity("work")
            three = yield context.call_entity(B, "get")
        return [one, two, three]

    driver = run(guarded)
    tell(driver, granted(driver))
    tell(driver, answered(driver, 2, 1))
    tell(driver, failed(3))
    return driver


def test_a_rewind_asks_for_the_entities_again_and_keeps_calls_back_until_it_has_them(cold):
    driver = failed_inside()
    earlier = granted(driver)

    episode = rewind_driver(driver)
    assert sent(episode) == ["LockRequested to @account@a"]
    assert tell(driver, earlier, cold=cold).events == []
    assert sent(tell(driver, done(3, 2), cold=cold)) == []
    assert sent(tell(driver, granted(driver), cold=cold)) == ["OperationCalled get to @account@b"]
    call = messages(driver, EventType.ENTITY_CALLED)[-1]
    assert call.event.attributes["lock"] == granted(driver).attributes["request_id"]
    assert sent(tell(driver, answered(driver, 4, 3), cold=cold)) == [
        "UnlockSent to @account@a",
        "UnlockSent to @account@b",
    ]

    assert output(driver) == [1, 2, 3]


def test_two_rewinds_ask_twice(cold):
    driver = failed_inside()
    rewind_driver(driver)
    tell(driver, granted(driver), cold=cold)
    tell(driver, failed(3), cold=cold)

    assert sent(rewind_driver(driver)) == ["LockRequested to @account@a"]
    tell(driver, granted(driver), cold=cold)
    tell(driver, done(3, 2), cold=cold)
    tell(driver, answered(driver, 4, 3), cold=cold)

    assert output(driver) == [1, 2, 3]


def test_a_failed_call_inside_the_block_is_made_again_once_the_entities_are_held(cold):
    def guarded(context):
        with (yield context.lock_entities([A])):
            return (yield context.call_entity(A, "get"))

    driver = run(guarded)
    tell(driver, granted(driver))
    tell(driver, answered(driver, 2, fault=ValueError("no")))

    assert sent(rewind_driver(driver)) == ["LockRequested to @account@a"]
    assert sent(tell(driver, granted(driver), cold=cold)) == ["OperationCalled get to @account@a"]
    tell(driver, answered(driver, 2, 7), cold=cold)
    assert output(driver) == 7


def beside(context):
    call = context.call_entity(A, "get")
    yield context.call_activity("work")
    return (yield call)


def test_a_call_that_is_under_way_is_not_made_again(cold):
    driver = run(beside)
    tell(driver, failed(2))

    assert sent(rewind_driver(driver)) == []
    tell(driver, done(2), cold=cold)
    tell(driver, answered(driver, 1, 4), cold=cold)
    assert output(driver) == 4


def test_a_call_that_failed_unseen_is_made_again(cold):
    driver = run(beside)
    tell(driver, answered(driver, 1, fault=ValueError("no")))
    tell(driver, failed(2))

    assert sent(rewind_driver(driver)) == ["OperationCalled get to @account@a"]
    tell(driver, done(2), cold=cold)
    tell(driver, answered(driver, 1, 4), cold=cold)
    assert output(driver) == 4


def test_mended_code_need_not_let_go_where_it_failed():
    def broken(context):
        with (yield context.lock_entities([A])):
            raise RuntimeError("a defect")

    def mended(context):
        with (yield context.lock_entities([A])):
            return (yield context.call_activity("work"))

    driver = run(broken)
    tell(driver, granted(driver))
    driver.definition = definition(mended)

    assert sent(rewind_driver(driver)) == ["LockRequested to @account@a"]
    tell(driver, done(2, "fine"))
    assert output(driver) == "fine"


def test_time_of_requests_is_the_orchestrations_own():
    def late(context) -> Any:
        yield context.create_timer(timedelta(seconds=1))
        yield context.call_entity(A, "get")

    driver = Driver(late)
    driver.feed(driver.stamp(started()))
    driver.feed(driver.stamp(HistoryEvent(EventType.TIMER_FIRED, START, 1, attempt=0)))
    [call] = messages(driver, EventType.ENTITY_CALLED)

    assert isinstance(call.event.timestamp, datetime)
    assert call.event.timestamp == driver.now
