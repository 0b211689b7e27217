"""Each kind of hint returns at a change, or when its time is over, and reports a broken connection as Django does."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, connections

from orchestrations.client import OrchestrationClient
from orchestrations.store import get_store
from orchestrations.worker import hints as module
from orchestrations.worker.hints import PollHints, PostgresqlHints, SqliteHints, make_hints
from tests.functions import echo, registered

pytestmark = pytest.mark.django_db(transaction=True)
LONG = 20.0


@pytest.fixture
def hints():
    made = make_hints()
    made.wait(0.0)  # the first look only connects
    made.wait(0.05)
    yield made
    made.close()


def test_the_kind_is_the_databases():
    kinds = {"postgresql": PostgresqlHints, "sqlite": SqliteHints}
    assert type(make_hints()) is kinds[connection.vendor]


def test_without_a_kind_of_its_own_a_database_is_polled(monkeypatch):
    monkeypatch.setattr(connections["default"], "vendor", "oracle")

    assert type(make_hints()) is PollHints


def test_a_start_is_noticed_at_once():
    """On SQLite the waiter may be used by the thread that made it only."""
    seen = threading.Event()
    is_ready = threading.Event()

    def wait() -> None:
        hints = make_hints()
        hints.wait(0.0)
        is_ready.set()
        hints.wait(LONG)
        seen.set()
        hints.close()
        connection.close()

    with ThreadPoolExecutor(1) as threads, registered():
        waiting = threads.submit(wait)
        is_ready.wait()
        OrchestrationClient().start_new(echo, client_input=1)
        assert seen.wait(LONG / 2)
        waiting.result()


def test_a_notification_calls_for_workers(hints):
    get_store().notify_workers()

    assert hints.wait(LONG if connection.vendor == "postgresql" else 0.05) is (connection.vendor == "postgresql")


def test_nothing_costs_no_more_than_its_time(hints):
    began = time.monotonic()
    assert not hints.wait(0.05)

    assert time.monotonic() - began < LONG


def test_polling_ends_soon_whatever_it_is_asked(monkeypatch):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    began = time.monotonic()
    hints = PollHints()
    hints.wait(LONG)
    hints.close()

    assert time.monotonic() - began < LONG


def test_a_cut_connection_is_djangos_error_and_the_next_wait_makes_another(hints):
    if connection.vendor == "postgresql":
        pid = hints._connection.info.backend_pid
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(OperationalError):
            hints.wait(LONG)
    else:
        hints._connection.close()
        with pytest.raises(Exception) as raised:
            hints.wait(LONG)
        assert raised.type.__module__ == "django.db.utils"
    hints.close()
    hints.wait(0.0)
    hints.wait(0.0)


def test_an_unreachable_database_is_djangos_error(monkeypatch):
    settings = dict(connection.settings_dict)
    kind = type(make_hints())
    broken = {"postgresql": {"PORT": 1}, "sqlite": {"NAME": "/nowhere/at/all.sqlite3"}}[connection.vendor]
    monkeypatch.setattr(connections["default"], "settings_dict", settings | broken)
    hints = kind("default", "channel") if kind is PostgresqlHints else kind("default")

    with pytest.raises(OperationalError):
        hints.wait(0.0)
        hints.wait(0.0)


def test_a_notification_of_another_hub_is_not_heard():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's counter is the whole database's")
    hints = make_hints()
    hints.wait(0.0)
    get_store("another", "default").notify_workers()
    began = time.monotonic()
    hints.wait(0.05)
    hints.close()

    assert time.monotonic() - began >= 0.05
