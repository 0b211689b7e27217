"""A commit that is cut off anywhere leaves nothing; and numbers may grow beyond what other systems count to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, OperationalError, connection

from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance, OpenWait, Timer
from orchestrations.store import get_store
from orchestrations.store.contract import NewInstance, NewTimer, NewWait
from tests.store.episodes import NOON, checkpoint, completion, ended, inbox, key, raised, scheduled, to

TABLES = (Instance, HistoryEvent, InboxMessage, Timer, ActivityWorkItem, OpenWait)


def contents():
    return [list(model.objects.order_by("pk").values()) for model in TABLES]


@contextmanager
def cut_off_after(statements: int) -> Iterator[None]:
    """The database goes away after so many statements."""
    left = statements

    def execute(run, sql, params, many, context):
        nonlocal left
        left -= 1
        if left < 0:
            raise OperationalError("the database went away")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield


def cut_off_everywhere(operation):
    """Tries with ever more statements until it gets through; returns how often it did not."""
    before = contents()
    for statements in range(200):
        try:
            with cut_off_after(statements):
                operation()
        except OperationalError:
            assert contents() == before
        else:
            assert contents() != before
            return statements
    raise AssertionError("it never got through")


@pytest.fixture
def full(store, running, start, token):
    """A running instance with rows in every table, and the checkpoint that changes all of them."""
    start("order-2", start_at=NOON.replace(year=2100))
    claimed = running("order-1")
    store.send([to("order-1")])
    opened = [NewWait(1, "approved", NOON)]
    items, timers = [scheduled(1, held=True), scheduled(2, held=True)], [NewTimer(1, 0, NOON), NewTimer(2, 0, NOON)]
    store.commit(
        token,
        [checkpoint(claimed, history=[raised()], work_items=items, timers=timers, opened_waits=opened, release=False)],
    )
    claimed.last_sequence = 1
    children = [
        NewInstance(name, "order", parent_pk=claimed.pk, parent_execution=1, parent_task_id=5)
        for name in ("child", "order-2")
    ]
    return claimed, checkpoint(
        claimed,
        history=[raised()],
        consumed=[message.pk for message in InboxMessage.objects.all()],
        ended_activities=[1],
        cancelled_timers=[(1, 0)],
        closed_waits=[1],
        work_items=[scheduled(3)],
        timers=[NewTimer(3, 0, NOON)],
        opened_waits=[NewWait(3, "paid", NOON)],
        children=children,
        messages=[to("order-2")],
    )


@pytest.mark.django_db(transaction=True)
def test_a_commit_is_written_whole_or_not_at_all(store, token, full):
    _, written = full

    assert cut_off_everywhere(lambda: store.commit(token, [written])) >= 8


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_the_database_refuses_leaves_nothing_and_a_connection_that_works(store, token, running):
    """Statements without an answer may be on their way together; the refusal of one of them undoes them all."""
    claimed = running()
    twice = [raised(sequence=1), raised(sequence=1)]
    before = contents()

    with pytest.raises(IntegrityError):
        store.commit(token, [checkpoint(claimed, history=twice, timers=[NewTimer(1, 0, NOON)])])

    assert contents() == before
    assert not store.commit(token, [checkpoint(claimed, history=twice[:1])]).lost


@pytest.mark.django_db(transaction=True)
def test_while_a_batch_is_written_the_planner_keeps_to_the_indexes():
    """A table that was empty when its statistics were made looks empty although thousands of rows are in flight."""
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL keeps plans that were made for an empty table")
    tables = get_store().tables
    for transaction in (tables.atomic, tables.batch):
        with transaction():
            assert tables.fetch("SHOW enable_seqscan", []) == [("off",)]

    assert tables.fetch("SHOW enable_seqscan", []) == [("on",)]


@pytest.mark.django_db(transaction=True)
def test_the_end_of_an_instance_is_written_whole_or_not_at_all(store, token, full):
    claimed, _ = full

    assert cut_off_everywhere(lambda: store.commit(token, [ended(claimed, history=[raised()])])) >= 3


@pytest.mark.django_db(transaction=True)
def test_a_completion_is_recorded_whole_or_not_at_all(store, token, full):
    completions = [completion(key(full[0], task_id)) for task_id in (1, 2)]

    assert cut_off_everywhere(lambda: store.complete_activities(token, completions)) >= 2


@pytest.mark.django_db(transaction=True)
def test_timers_fire_whole_or_not_at_all(store, full):
    cut_off_everywhere(lambda: store.fire_timers())


@pytest.mark.django_db(transaction=True)
def test_a_purge_takes_everything_or_nothing(store, token, full):
    claimed, _ = full
    store.commit(token, [ended(claimed)])

    assert cut_off_everywhere(lambda: store.purge([claimed.pk])) >= 6


@pytest.mark.django_db(transaction=True)
def test_a_new_start_replaces_everything_or_nothing(store, token, full):
    claimed, _ = full
    store.commit(token, [ended(claimed)])

    assert cut_off_everywhere(lambda: store.create_instances([NewInstance("order-1", "order")])) >= 6


@pytest.fixture
def skip_to():
    """Lets the next key of every table be the one after that number."""

    def skip_to(last):
        for model in TABLES:
            _skip_to(model, last)

    yield skip_to
    skip_to(1_000)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("last", [2**31 - 2, 2**53])
def test_keys_may_grow_beyond_31_and_53_bits(store, running, token, claim, skip_to, last):
    skip_to(last)
    claimed = running()
    assert claimed.pk > last

    store.send([to("order-1")])
    store.commit(
        token,
        [
            checkpoint(
                claimed,
                history=[raised()],
                work_items=[scheduled(held=True)],
                timers=[NewTimer(1, 0, NOON)],
                opened_waits=[NewWait(1, "approved", NOON)],
                release=False,
            )
        ],
    )
    assert store.fire_timers() == 1
    assert store.complete_activities(token, [completion(key(claimed))]) == 1
    assert all(message.pk > last for message in claim().messages)
    assert inbox(claimed.pk) == ["EventRaised", "TimerFired", "TaskCompleted"]


def _skip_to(model, last):
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, last])
        else:
            cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
            cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, last])
