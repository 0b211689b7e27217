"""The marks and counts that the processes of a cluster share."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from orchestrations.worker import board as module
from orchestrations.worker.board import DRAINING, EXECUTING, GONE, IDLE, SLOTS, Board, Workers


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.mark.parametrize(
    ("state", "workers"),
    [(IDLE, Workers(1, 0, 0)), (DRAINING, Workers(0, 1, 0)), (EXECUTING, Workers(0, 0, 1)), (GONE, Workers(0, 0, 0))],
)
def test_a_worker_is_counted_by_what_it_does(board, state, workers):
    board.mark(state)

    assert board.workers() == workers
    assert board.is_draining is (state == DRAINING)


def test_the_mark_of_a_dead_worker_is_wiped(board):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    board._pids[process.pid % SLOTS] = process.pid
    board._states[process.pid % SLOTS] = DRAINING
    assert board.is_draining

    assert board.workers() == Workers(0, 0, 0)
    assert not board.is_draining


def test_a_process_of_another_user_counts_as_alive(board, monkeypatch):
    def refuse(pid, number):
        raise PermissionError

    board.mark(IDLE)
    monkeypatch.setattr(os, "kill", refuse)

    assert board.workers().idle == 1


def test_a_drain_is_on_its_way_until_it_has_begun(board):
    assert board.waiting_seconds == 0.0
    board.hand_out()
    assert board.waiting_seconds > 0.0

    board.begin_drain()

    assert board.waiting_seconds == 0.0
    assert board.begun == 1


def test_one_that_was_given_up_and_arrives_after_all_is_not_counted_twice(board):
    board.hand_out()
    board.forget_handed_out()
    assert board.waiting_seconds == 0.0
    board.begin_drain()

    board.hand_out()

    assert board.waiting_seconds > 0.0


def test_many_given_up_do_not_hide_the_next(board):
    for _ in range(3):
        board.hand_out()
        board.forget_handed_out()
    board.hand_out()

    assert board.waiting_seconds > 0.0


def test_drains_give_way_to_the_sites_tasks_until_they_have_begun(board):
    board.queue_tasks(2)
    board.begin_task()
    assert board.wants_workers

    board.begin_task()

    assert not board.wants_workers


def test_drains_give_way_to_the_end_of_the_cluster(board):
    board.set_stopping(True)
    assert board.wants_workers

    board.queue_tasks(1)
    board.set_stopping(False)

    assert not board.wants_workers, "what was queued went with the cluster that stopped"


def test_the_pushers_silence_ends_with_its_next_beat(board, monkeypatch):
    now = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 10)
    assert board.pusher_silent_seconds >= 9

    board.beat()

    assert board.pusher_silent_seconds == 0


def test_another_process_sees_what_this_one_has_marked(board):
    board.mark(IDLE)
    board.begin_drain()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if board.workers().draining == 1 and board.begun == 1 else 1)

    assert os.waitpid(pid, 0)[1] == 0
