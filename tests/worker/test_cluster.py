"""What the supervisor takes for a wedged cluster, and how a worker counts and ends."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from django_q.conf import Conf
from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

from orchestrations.worker import cluster as module
from orchestrations.worker import tasks
from orchestrations.worker.board import DRAINING, IDLE, Board
from orchestrations.worker.cluster import Supervisor


@pytest.fixture
def board(monkeypatch) -> Board:
    board = Board()
    monkeypatch.setattr(module, "board", board)
    monkeypatch.setattr(tasks, "board", board)
    return board


class Sentinel:
    exitcode = -9

    def __init__(self, *, alive: bool) -> None:
        self.alive = alive

    def is_alive(self) -> bool:
        return self.alive


@pytest.fixture
def watch(board, monkeypatch):
    """Watches a cluster for some looks; None where nothing was found to be wrong."""
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.0)

    def watch(*, alive: bool = True, looks: int = 5, during=lambda: None) -> str | None:
        supervisor = Supervisor()
        left = [looks]

        def is_over(seconds: float) -> bool:
            during()
            left[0] -= 1
            return left[0] < 0

        monkeypatch.setattr(supervisor._stopping, "wait", is_over)
        return supervisor._watch(SimpleNamespace(sentinel=Sentinel(alive=alive)))

    return watch


def test_a_healthy_cluster_is_left_alone(watch, board):
    board.mark(IDLE)

    assert watch() is None


def test_a_dead_sentinel_is_seen(watch):
    assert "exit code -9" in watch(alive=False)


def test_a_drain_that_no_idle_worker_takes_means_a_wedged_queue(watch, board, monkeypatch):
    monkeypatch.setattr(module, "WEDGED_SECONDS", 0.0)
    board.mark(IDLE)
    board.hand_out()

    assert "have not reached any idle worker" in watch()


def test_a_drain_that_waits_for_busy_workers_is_no_reason(watch, board, monkeypatch):
    monkeypatch.setattr(module, "WEDGED_SECONDS", 0.0)
    board.mark(DRAINING)
    board.hand_out()

    assert watch() is None


def test_drains_that_arrive_are_no_reason(watch, board, monkeypatch):
    monkeypatch.setattr(module, "WEDGED_SECONDS", 0.0)

    def turn() -> None:
        board.begin_drain()
        board.mark(IDLE)
        board.hand_out()

    assert watch(during=turn) is None


def test_a_silent_pusher_is_seen_unless_all_workers_are_busy(watch, board, monkeypatch):
    monkeypatch.setattr(module, "SILENT_SECONDS", -1.0)
    board.mark(DRAINING)
    assert watch() is None

    board.mark(IDLE)

    assert "the pusher has been silent" in watch()


# A worker process ----------------------------------------------------------------------------------------------------


@pytest.fixture
def worker(board, monkeypatch):
    """This process as a worker that is replaced after three of the site's tasks."""
    monkeypatch.setattr(Conf, "RECYCLE", 3)
    monkeypatch.setattr(tasks, "_runtime", None)
    monkeypatch.setattr(tasks, "_recycling", None)
    post_spawn.send(sender="django_q", proc_name="worker")
    assert board.workers().idle == 1
    return SimpleNamespace(executed=0)


def executes(worker, func) -> bool:
    """One task from beginning to end; returns whether django-q2 would end the worker after it."""
    pre_execute.send(sender="django_q", func=func, task={})
    worker.executed += 1
    post_execute_in_worker.send(sender="django_q", func=func, task={})
    return worker.executed == Conf.RECYCLE


def test_a_worker_is_marked_as_long_as_it_executes(board, worker):
    pre_execute.send(sender="django_q", func=print, task={})
    assert board.workers().executing == 1

    post_execute_in_worker.send(sender="django_q", func=print, task={})

    assert board.workers().idle == 1


def test_drains_do_not_wear_a_worker_out(worker):
    assert not any(executes(worker, tasks.drain) for _ in range(10))


def test_the_sites_tasks_do(worker):
    executes(worker, tasks.drain)
    assert [executes(worker, print) for _ in range(3)] == [False, False, True]


def test_it_is_not_replaced_while_activities_run_in_it(worker, monkeypatch):
    pool = SimpleNamespace(is_busy=True)
    monkeypatch.setattr(tasks, "_runtime", (0, SimpleNamespace(pool=pool)))
    assert not any(executes(worker, print) for _ in range(5))

    pool.is_busy = False

    assert executes(worker, tasks.drain)


def test_a_drain_that_fails_is_logged_and_followed_by_a_pause(board, monkeypatch, caplog):
    pauses = []
    monkeypatch.setattr(tasks.time, "sleep", pauses.append)

    def broken() -> object:
        raise KeyError("defect")

    monkeypatch.setattr(tasks, "runtime", broken)
    with caplog.at_level(logging.ERROR, "orchestrations.worker"):
        tasks.drain()

    assert pauses == [tasks.FAILED_SECONDS]
    assert board.begun == 1


def test_a_worker_that_is_ending_does_not_look_idle(board):
    """It takes up to STOP_SECONDS, in which no drain reaches it; the cluster is not wedged for that."""
    board.mark(IDLE)
    tasks._stop(SimpleNamespace(stop=lambda: None))

    assert board.workers().idle == 0
