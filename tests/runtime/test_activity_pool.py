"""The pool by itself: its threads, its room, its timeouts and its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from orchestrations import activity
from orchestrations.runtime import activities
from orchestrations.runtime.activities import ActivityPool, FinishedActivity
from orchestrations.runtime.activity_runs import key_of
from orchestrations.store.contract import ActivityKey, ClaimedActivity, RunsOn
from tests.runtime.functions import Stage

pytestmark = pytest.mark.usefixtures("transactional_db")
THREADS = 2
ASYNC = 3
LOCK = threading.Lock


@pytest.fixture
def pool(stage: Stage) -> Iterator[ActivityPool]:
    pool = ActivityPool(THREADS, 60.0, "host:1", lambda finished: True, async_activities=ASYNC)
    yield pool
    stage.gate.set()
    pool.close(5.0)
    pool.give_up()


@pytest.fixture
def ends(pool: ActivityPool, eventually: Callable[..., object]) -> Callable[[int], list[FinishedActivity]]:
    """The next activities that end, once there are so many."""
    finished: list[FinishedActivity] = []

    def ends(count: int) -> list[FinishedActivity]:
        eventually(lambda: finished.extend(pool.take_finished()) or len(finished) >= count)
        taken, finished[:] = finished[:], []
        return taken

    return ends


def call(
    name: str, value: str = "1", *, task_id: int = 1, pk: int = 1, timeout: float | None = None
) -> ClaimedActivity:
    return ClaimedActivity(pk, f"order-{pk}", 1, task_id, 1, name, f'"{value}"', timeout, 1)


def test_what_is_submitted_ends_with_its_result(pool, ends):
    for name in ("work", "work_async"):
        pool.submit(call(name, name))

    assert {finished.event.payload for finished in ends(2)} == {'"work"', '"work_async"'}
    assert pool.in_flight == 0


def test_an_unknown_name_and_an_error_are_failures(pool, ends, stage):
    stage.failing = {"x"}
    pool.submit(call("unheard_of"))
    pool.submit(call("work", "x", task_id=2))

    assert {finished.event.type for finished in ends(2)} == {"TaskFailed"}


def test_threads_that_were_given_up_are_replaced(pool, ends, stage):
    """Else a worker that loses its lease often enough would run nothing any more."""
    for _ in range(3):
        for number in range(THREADS):
            pool.submit(call("gated", f"hung {number}"))
        while len(stage.inside) % THREADS or not stage.inside:
            pool.wait(0.01)
        pool.abandon_all()
        assert pool.in_flight == 0
    pool.submit(call("work", "free"))

    assert [finished.event.payload for finished in ends(1)] == ['"free"']
    assert all(context.is_cancelled() for context in stage.contexts)


def test_where_the_system_gives_no_more_threads_nothing_is_forgotten(pool, ends, stage, eventually, monkeypatch):
    """What is given up ends, and what is queued begins once there is a thread again."""
    pool.submit(call("gated", "hung", timeout=0.01))
    eventually(lambda: stage.inside)
    with monkeypatch.context() as while_there_are_none:
        while_there_are_none.setattr(threading.Thread, "start", no_more_threads)
        pool.submit(call("work", "next", task_id=2))
        eventually(lambda: pool.expire() or pool.in_flight < 2)
        [given_up] = ends(1)
        pool.expire()
        assert pool.in_flight == 1
    pool.expire()
    [ended] = ends(1)

    assert (given_up.event.type, ended.event.payload) == ("TaskFailed", '"next"')


def no_more_threads(thread) -> None:
    raise RuntimeError("can't start new thread")


def test_what_was_given_up_is_not_delivered_when_it_ends_after_all(pool, ends, stage, eventually):
    pool.submit(call("gated", "late"))
    eventually(lambda: stage.inside)
    pool.abandon_all()
    stage.gate.set()
    eventually(lambda: stage.left)
    pool.submit(call("work", "next"))

    assert [finished.event.payload for finished in ends(1)] == ['"next"']


class LockThatLooks:
    """A lock after each release of which something is looked at, by whoever released it."""

    def __init__(self) -> None:
        self._lock = LOCK()
        self._looking = threading.local()
        self.look: Callable[[], object] = lambda: None

    def acquire(self, *arguments) -> bool:
        return self._lock.acquire(*arguments)

    def release(self) -> None:
        self._lock.release()
        if not getattr(self._looking, "now", False):
            self._looking.now = True
            self.look()
            self._looking.now = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_) -> None:
        self.release()


@pytest.mark.parametrize("name", ["work", "work_async", "unheard_of", "gated", "gated_async"])
def test_at_no_moment_does_the_pool_not_know_what_was_submitted(stage, monkeypatch, eventually, name):
    """Else what has ended that moment is given back as nobody's, and runs again."""
    with monkeypatch.context() as while_it_is_made:
        while_it_is_made.setattr(threading, "Lock", LockThatLooks)
        pool = ActivityPool(THREADS, 60.0, "host:1", lambda finished: True)
    work = call(name, timeout=0.01 if "gated" in name else None)
    looks = []
    pool._lock.look = lambda: looks.append(pool.keys().count(key_of(work)))
    pool.submit(work)
    eventually(lambda: pool.expire() or pool.in_flight == 0)
    pool._lock.look = lambda: None

    assert looks
    assert all(looks)
    assert len(pool.take_finished()) == 1
    stage.gate.set()
    pool.close(5.0)
    pool.give_up()


@pytest.mark.parametrize("name", ["gated", "gated_async"])
def test_what_takes_too_long_fails_once_and_frees_its_place(pool, ends, stage, eventually, name):
    pool.submit(call(name, "slow", timeout=0.01))
    eventually(lambda: stage.inside)
    eventually(lambda: pool.expire() or pool.in_flight == 0)
    [finished] = ends(1)
    assert finished.event.type == "TaskFailed"
    assert "did not return within 0.01 seconds" in finished.event.payload
    assert stage.contexts[0].is_cancelled()

    stage.gate.set()
    for number in range(THREADS + 1):
        pool.submit(call("work", str(number), task_id=number))
    assert len(ends(THREADS + 1)) == THREADS + 1


def test_an_async_activity_that_takes_too_long_is_stopped_at_once(pool, stage, ends, eventually):
    """Although its loop sleeps: it is told in the loop's own thread."""
    stopped = threading.Event()

    @activity
    async def sleeps_for_ever(value: str) -> None:
        try:
            stage.inside.append(value)
            await asyncio.Event().wait()
        finally:
            stopped.set()

    pool.submit(call("sleeps_for_ever", timeout=0.01))
    eventually(lambda: stage.inside)
    eventually(lambda: pool.expire() or pool.in_flight == 0)

    assert stopped.wait(5.0)


def test_there_is_room_for_the_quick_behind_the_quick(pool, ends):
    pool._durations.seconds["work"] = 0.001
    for number in range(20):
        assert pool.has_room("work")
        pool.submit(call("work", str(number), task_id=number))
    assert len(ends(20)) == 20


def test_nothing_queues_behind_what_is_slow(pool, stage, eventually, monkeypatch):
    """However quick it is: another worker may have room for it at once."""
    pool._durations.seconds["work"] = 0.001
    for number in range(THREADS):
        pool.submit(call("gated", f"slow {number}", task_id=number))
    eventually(lambda: len(stage.inside) == THREADS)
    monkeypatch.setattr(activities, "BACKLOG_SECONDS", 0.0)
    pool.take_finished()
    monkeypatch.setattr(activities, "BACKLOG_SECONDS", 0.1)

    assert not pool.has_room("work")
    assert pool.room[RunsOn.THREAD] == 0


def test_beside_a_slow_one_there_is_room_for_what_the_other_threads_can_do(pool, stage, eventually, monkeypatch):
    pool._durations.seconds["work"] = 0.001
    pool.submit(call("gated", "slow"))
    eventually(lambda: stage.inside)
    monkeypatch.setattr(activities, "BACKLOG_SECONDS", 0.0)
    pool.take_finished()
    monkeypatch.setattr(activities, "BACKLOG_SECONDS", 0.1)

    assert pool.has_room("work", planned=20, planned_seconds=0.02)
    assert 1 <= pool.room[RunsOn.THREAD] <= 101


def test_places_for_asynchronous_activities_count_where_there_are_such(pool, monkeypatch):
    monkeypatch.setattr(activities.registry, "activities", lambda: {"work": None})
    assert pool.capacity == THREADS

    monkeypatch.setattr(activities.registry, "activities", lambda: {"work": None, "work_async": None})
    assert pool.capacity == THREADS + ASYNC


def test_async_activities_have_places_of_their_own(pool, ends, stage, eventually):
    assert pool.capacity == THREADS + ASYNC
    for number in range(ASYNC):
        assert pool.has_room("gated_async", planned=ASYNC - 1 - number)
        pool.submit(call("gated_async", str(number), task_id=number))
    eventually(lambda: len(stage.inside) == ASYNC)

    assert not pool.has_room("gated_async")
    assert pool.room[RunsOn.LOOP] == 0 < pool.room[RunsOn.THREAD]
    for number in range(THREADS):
        assert pool.has_room("gated", planned=THREADS - 1 - number), "the threads are free"
        pool.submit(call("gated", f"slow {number}", task_id=10 + number))
    stage.gate.set()
    ends(ASYNC + THREADS)
    assert pool.has_room("gated_async", planned=ASYNC - 1)
    assert pool.room[RunsOn.LOOP] > 0


@pytest.mark.parametrize("how", ["in time", "given up", "abandoned"])
def test_the_place_of_an_async_activity_is_free_however_it_ends(pool, ends, stage, eventually, how):
    for number in range(ASYNC):
        pool.submit(call("gated_async", str(number), task_id=number, timeout=0.01 if how == "given up" else None))
    eventually(lambda: len(stage.inside) == ASYNC)
    if how == "abandoned":
        pool.abandon_all()
    else:
        stage.gate.set() if how == "in time" else eventually(lambda: pool.expire() or not pool.in_flight)
        ends(ASYNC)

    assert pool.has_room("gated_async", planned=ASYNC - 1)
    assert not pool.has_room("gated_async", planned=ASYNC)


def test_a_reserved_pool_has_no_room(pool):
    pool.is_reserved = True

    assert not pool.has_room("work")


def test_what_no_thread_has_begun_can_be_withdrawn(pool, stage, eventually):
    for number in range(THREADS + 2):
        pool.submit(call("gated", str(number), task_id=number))
    eventually(lambda: len(stage.inside) == THREADS)

    assert pool.take_unstarted() == [ActivityKey(1, 1, THREADS), ActivityKey(1, 1, THREADS + 1)]
    assert pool.take_unstarted() == []


def test_an_ended_execution_starts_nothing_more(pool, stage, ends, eventually):
    pool.submit(call("gated", "running", pk=1))
    pool.submit(call("gated", "another's", pk=2))
    eventually(lambda: len(stage.inside) == THREADS)
    pool.submit(call("work", "queued", pk=1, task_id=2))
    pool.submit(call("work", "queued too", pk=2, task_id=2))

    pool.cancel_execution(1, 1)
    stage.gate.set()

    assert {f.event.payload for f in ends(3)} == {'"running"', '"another\'s"', '"queued too"'}
    told = {context.instance_id: context.is_cancelled() for context in stage.contexts}
    assert told == {"order-1": True, "order-2": False}


def test_a_closed_pool_starts_nothing_that_is_queued(pool, stage, eventually):
    for number in range(THREADS + 2):
        pool.submit(call("gated", str(number), task_id=number))
    eventually(lambda: len(stage.inside) == THREADS)
    stage.gate.set()
    pool.close(5.0)

    assert len(stage.inside) == THREADS
    assert len(pool.take_unstarted()) == 2


def test_closing_waits_no_longer_than_it_is_told(pool, stage, eventually):
    pool.submit(call("gated"))
    eventually(lambda: stage.inside)

    pool.close(0.01)

    assert pool.in_flight == 1


def test_giving_up_ends_the_event_loop_with_what_runs_in_it(pool, stage, eventually):
    pool.submit(call("gated_async"))
    eventually(lambda: stage.inside)
    loop = pool._loop
    pool.give_up()

    eventually(loop.is_closed)
    assert pool.take_finished() == []


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a connection to a file does not break")
def test_an_async_activity_whose_connection_broke_does_not_fail_the_next(pool, ends, stage):
    """Django mends connections between requests, of which an event loop has none."""

    def query() -> None:
        with connection.cursor() as cursor:
            if not stage.runs["broken"]:
                stage.runs["broken"] += 1
                connection.connection.close()
            cursor.execute("SELECT 1")

    @activity
    async def queries(value: str) -> str:
        await sync_to_async(query)()
        return value

    results = []
    for _ in range(2):
        pool.submit(call("queries"))
        results += [finished.event.type for finished in ends(1)]
    assert results == ["TaskFailed", "TaskCompleted"]
