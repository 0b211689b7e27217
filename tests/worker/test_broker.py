"""What the broker hands out, and when it doesn't."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from orchestrations.client import OrchestrationClient
from orchestrations.models import BulkJob
from orchestrations.store import get_store
from orchestrations.worker import broker as module
from orchestrations.worker.board import DRAINING, IDLE, Board
from orchestrations.worker.broker import TaskHubBroker
from orchestrations.worker.tasks import drain
from tests.functions import echo, registered
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


class Waits:
    """Hints that note how long they were to wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.is_closed = False
        self.calls = False

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return self.calls

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def board(monkeypatch) -> Board:
    board = Board()
    board.hand_out()  # else the first pulse is due
    board.begin_drain()
    board.mark(IDLE)
    monkeypatch.setattr(module, "board", board)
    return board


@pytest.fixture
def broker(board, monkeypatch) -> TaskHubBroker:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "AWAY_SECONDS", 0.0)
    broker = TaskHubBroker()
    broker._hints = Waits()
    return broker


@pytest.fixture
def client():
    with registered():
        yield OrchestrationClient()


def is_drain(tasks) -> bool:
    [(ack_id, package)] = tasks
    return ack_id is None and SignedPackage.loads(package)["func"] is drain


def test_without_work_it_waits_for_a_hint_but_not_for_long(broker):
    assert broker.dequeue() is None
    assert broker._hints.seconds == [module.LONGEST_WAIT_SECONDS]


def test_a_call_for_workers_is_a_drain_at_once(broker, board):
    broker._hints.calls = True

    assert is_drain(broker.dequeue())
    assert broker.dequeue() is None, "one is on its way"


def test_work_is_a_drain_and_it_is_handed_out_once(broker, board, client):
    client.start_new(echo, client_input=1)

    assert is_drain(broker.dequeue())
    assert board.waiting_seconds > 0
    assert broker.dequeue() is None, "one is on its way"


def test_a_drain_keeps_nothing_at_rest(broker, client):
    client.start_new(echo, client_input=1)
    broker.dequeue()

    assert not OrmQ.objects.exists()


def test_the_sites_own_tasks_go_first(broker, board, client):
    client.start_new(echo, client_input=1)
    async_task("builtins.print", "x", broker=broker)

    [(ack_id, package)] = broker.dequeue()

    assert ack_id
    assert SignedPackage.loads(package)["func"] == "builtins.print"
    assert board.wants_workers


def test_while_somebody_drains_another_is_called_only_for_a_backlog(broker, board, client, monkeypatch):
    client.start_new(echo, client_input=1)
    board.mark(DRAINING)

    assert broker.dequeue() is None
    monkeypatch.setattr(get_store(), "has_work", lambda overdue=False: overdue)
    assert is_drain(broker.dequeue())


def test_it_wakes_for_the_next_start_and_not_before(broker, client, monkeypatch, settings):
    settings.DURABLE = {**settings.DURABLE, "POLL_SECONDS": 3600}
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 3600.0)
    client.start_new(echo, client_input=1, start_at=timezone.now() + timedelta(seconds=1800))

    assert broker.dequeue() is None
    assert 1700 < broker._hints.seconds[0] <= 1800


def test_a_start_that_becomes_due_during_the_look_is_not_left_until_the_next(broker, client, monkeypatch):
    start_at = timezone.now() + timedelta(seconds=0.1)
    client.start_new(echo, client_input=1, start_at=start_at)
    seconds_to_due = broker._seconds_to_due

    def slow() -> float:
        seconds = seconds_to_due()
        eventually(lambda: get_store().now() > start_at)
        return seconds

    monkeypatch.setattr(broker, "_seconds_to_due", slow)

    assert is_drain(broker.dequeue())


def test_a_clock_that_was_set_back_makes_no_work_of_what_is_not_due(broker, client):
    """The broker's own clock runs on; the database's decides."""
    broker.dequeue()
    client.start_new(echo, client_input=1, start_at=timezone.now() + timedelta(hours=1))
    broker._clock = module.DatabaseClock(timezone.now() + timedelta(hours=2))

    assert broker.dequeue() is None
    assert broker._hints.seconds[-1] == module.LONGEST_WAIT_SECONDS


def test_a_drain_that_never_arrives_is_given_up_where_a_worker_is_free(broker, board, client, monkeypatch):
    client.start_new(echo, client_input=1)
    assert is_drain(broker.dequeue())
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    broker.dequeue()

    assert is_drain(broker.dequeue())


def test_a_drain_that_waits_for_busy_workers_is_not_given_up(broker, board, client, monkeypatch):
    client.start_new(echo, client_input=1)
    board.begin_task()
    assert is_drain(broker.dequeue())
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)

    assert [broker.dequeue() for _ in range(3)] == [None] * 3


def test_now_and_then_a_drain_goes_out_without_work(broker, monkeypatch):
    monkeypatch.setattr(module, "PULSE_SECONDS", 0.0)

    assert is_drain(broker.dequeue())


def test_it_frees_what_dead_workers_held(broker, client):
    store = get_store()
    token = store.open_lease("gone", "host", 1, timedelta(seconds=-1), 1, "{}")
    client.start_new(echo, client_input=1)
    store.claim_instances(token, 10)
    assert not store.has_work()

    assert is_drain(broker.dequeue())


@pytest.mark.parametrize("name", ["recover", "has_work", "next_due_at"])
def test_a_database_that_is_away_is_asked_again_on_a_new_connection(broker, monkeypatch, name):
    store, waits = get_store(), broker._hints

    def away(*arguments, **named):
        raise OperationalError("away")

    with monkeypatch.context() as while_it_is_away:
        while_it_is_away.setattr(store, name, away)
        assert broker.dequeue() is None
    assert waits.is_closed
    broker._hints = Waits()

    assert broker.dequeue() is None


def test_a_listener_that_is_cut_off_is_not_the_pushers_end(broker):
    def cut(seconds):
        raise OperationalError("cut")

    waits = broker._hints
    waits.wait = cut

    assert broker.dequeue() is None
    assert waits.is_closed


def test_an_open_bulk_job_is_work(broker):
    BulkJob.objects.create(hub=get_store().hub, action="suspend", selection="{}", creator_name="ada", via="API")
    broker._swept_at = -1_000_000.0

    assert broker.dequeue() is not None
