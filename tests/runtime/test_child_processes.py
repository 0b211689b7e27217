"""Activities in processes of their own: real processes, which are really ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from orchestrations import activity
from orchestrations.authoring.registry import registry
from orchestrations.errors import ConfigurationError
from orchestrations.models import AuditEntry
from orchestrations.runtime.activities import ActivityPool
from orchestrations.runtime.activity_runs import FinishedActivity
from orchestrations.store.contract import ClaimedActivity
from tests.runtime import heavy
from tests.waiting import eventually

pytestmark = [pytest.mark.usefixtures("transactional_db"), pytest.mark.xdist_group("processes")]
START_SECONDS = 60.0  # of an interpreter with Django on a busy machine


@pytest.fixture
def pool(stage) -> Iterator[ActivityPool]:
    for function in heavy.ALL:
        registry.add_activity(function.durable)
    pool = ActivityPool(2, 60.0, "host:1", lambda finished: True)
    yield pool
    pool.close(0.1)
    pool.give_up()


Finish = Callable[..., FinishedActivity]


@pytest.fixture
def finish(pool) -> Finish:
    """The end of the next activity."""

    def finish(name: str | None = None, value: object = 1, timeout: float | None = None) -> FinishedActivity:
        if name is not None:
            pool.submit(call(name, value, timeout))
        [finished] = eventually(pool.take_finished, timeout_seconds=START_SECONDS)
        return finished

    return finish


def call(name: str, value: object = 1, timeout: float | None = None) -> ClaimedActivity:
    text = msgspec.json.encode(value).decode()
    return ClaimedActivity(12, "order-1", 3, 1, 2, name, text, timeout, 1, generation=2)


def failure(finished: FinishedActivity) -> dict:
    assert finished.event.type == "TaskFailed"
    return msgspec.json.decode(finished.event.payload)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        return False
    return state[0] != "Z"


def test_it_runs_elsewhere_with_all_that_it_is_told_and_the_process_is_kept(finish):
    first, value, key, attempt = msgspec.json.decode(finish("own_pid", "a").event.payload)
    assert (value, key, attempt) == ("a", "order-1:12:2:1", 2)
    assert first != os.getpid()
    assert msgspec.json.decode(finish("own_pid", "b").event.payload)[:2] == [first, "b"]
    assert msgspec.json.decode(finish("own_pid_async", "c").event.payload) == [first, "c"], "async ones too"


def test_its_errors_are_failures_as_anywhere_and_leave_the_process_alive(finish):
    details = failure(finish("raises", "no"))
    assert (details["errorType"], details["errorMessage"]) == ("LookupError", "no")
    assert details["innerFailure"]["errorType"] == "KeyError"
    assert "heavy.py" in details["stackTrace"]
    assert failure(finish("exits"))["errorType"] == "SystemExit"
    assert failure(finish("returns_no_json"))["errorType"].endswith("PayloadRejected")
    assert finish("own_pid").event.type == "TaskCompleted"


def test_a_crash_fails_that_attempt_alone(finish):
    details = failure(finish("crashes"))
    assert details["errorType"].endswith("ActivityProcessDied")
    assert "ended with exit code 7" in details["errorMessage"]
    assert not details["isNonRetriable"]
    assert finish("own_pid").event.type == "TaskCompleted"


def test_what_computes_for_ever_is_really_stopped(pool, finish, tmp_path):
    path = tmp_path / "pid"
    pool.submit(call("computes_for_ever", str(path), timeout=START_SECONDS))
    pid = int(eventually(lambda: path.exists() and path.read_text(), timeout_seconds=START_SECONDS))
    [item] = pool.unended()
    item.timeout_seconds = 0.01
    pool.expire()

    assert "did not return within" in failure(finish())["errorMessage"]
    eventually(lambda: not is_running(pid))
    assert finish("own_pid").event.type == "TaskCompleted"


def test_it_ends_with_a_worker_that_gives_up(pool, tmp_path):
    path = tmp_path / "pid"
    pool.submit(call("computes_for_ever", str(path)))
    pid = int(eventually(lambda: path.exists() and path.read_text(), timeout_seconds=START_SECONDS))
    pool.close(0.01)
    pool.give_up()

    eventually(lambda: not is_running(pid))


def test_its_heartbeats_and_its_cancellation_cross_over(pool, finish):
    pool.submit(call("tells_until_cancelled", START_SECONDS))
    [(item, _)] = eventually(pool.unwritten_heartbeats, timeout_seconds=START_SECONDS)
    assert msgspec.json.decode(item.details)["from"] != os.getpid()
    pool.cancel_execution(12, 3)

    assert finish().event.payload == '"cancelled"'


def test_a_cancellation_that_came_before_its_process_was_there_reaches_it(pool, finish, monkeypatch):
    lend = pool._children.lend

    def lend_late():
        pool.cancel_execution(12, 3)
        return lend()

    monkeypatch.setattr(pool._children, "lend", lend_late)

    assert finish("tells_until_cancelled", 5.0).event.payload == '"cancelled"'


def test_a_cancellation_that_comes_when_its_process_is_gone_harms_nobody(pool, finish, monkeypatch):
    """Whoever cancels may be the thread that keeps the lease alive."""
    ends = []
    failed = pool._ends.failed

    def cancelled_meanwhile(item, error):
        pool.cancel_execution(12, 3)
        ends.append(item)
        return failed(item, error)

    monkeypatch.setattr(pool._ends, "failed", cancelled_meanwhile)

    assert failure(finish("crashes"))["errorType"].endswith("ActivityProcessDied")
    assert [item.is_unwanted for item in ends] == [True]


def test_it_can_leave_its_completion_to_others(finish):
    finished = finish("defers_from_there")
    assert finished.event is None
    assert finished.deferred.timeout.total_seconds() == 60
    assert len(msgspec.json.decode(finished.deferred.details)) > 40


def test_it_goes_to_the_database_of_its_worker(finish):
    """Which in tests is not that of the settings."""
    AuditEntry.objects.create(hub="default", instance_id="trip", actor_name="a", action="book", via="Engine")

    assert finish("counts_rows", "trip").event.payload == "1"


def test_it_can_not_share_the_workers_transaction():
    with pytest.raises(ConfigurationError, match="is transactional and has a process of its own"):

        @activity(process=True, transactional=True)
        def both(value: str) -> None: ...
