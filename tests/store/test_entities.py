"""The rows of entities: made by their first message, written by their commits, removed when they are idle and empty."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from orchestrations.core.entity_ids import EntityId
from orchestrations.core.events import EventType
from orchestrations.models import Entity, InboxMessage, Instance
from orchestrations.store.contract import EntityChange, EntityRecord, Message
from tests.store.conftest import HUB
from tests.store.episodes import HOUR, checkpoint, event, inbox, row, to
from tests.waiting import eventually

pytestmark = pytest.mark.django_db

COUNTER = "@counter@a"


def add(instance_id: str = COUNTER, **columns: object) -> Message:
    return to(instance_id, event(EventType.ENTITY_SIGNALED, name="add", payload="1"), **columns)


def pk_of(instance_id: str = COUNTER) -> int:
    return Instance.objects.get(hub=HUB, instance_id=instance_id).pk


def change(state: str | None = "1", **columns: object) -> EntityChange:
    lists = {name: columns.pop(name) for name in ("deferred", "withdrawn", "reveals") if name in columns}
    return EntityChange(EntityRecord("counter", "a", state, **columns), **lists)


def written(claimed, **changes):
    """A checkpoint of an entity."""
    return checkpoint(claimed, new_last_sequence=claimed.last_sequence + 1, **changes)


def test_the_first_message_makes_the_entity(store, claim):
    assert store.send([add(), add("@counter@b"), add()]) == 3

    assert Instance.objects.filter(is_entity=True).count() == 2
    assert inbox(pk_of()) == ["EntityOperationSignaled"] * 2
    made = row(pk_of())
    assert (made.name, made.status, made.claimable_at, made.execution) == ("counter", "Running", None, 1)


def test_an_entity_is_claimed_for_its_messages_and_never_begins(store, claim):
    store.send([add()])

    claimed = claim()

    assert (claimed.instance_id, claimed.begins, len(claimed.messages)) == (COUNTER, False, 1)


def test_a_scheduled_signal_shows_at_its_time(store, token):
    store.send([add(visible_at=store.now() + HOUR)])

    assert store.claim_instances(token, 10).instances == []
    assert store.next_due_at() > store.now()


def test_a_commit_writes_the_entity_and_the_next_one_replaces_it(store, token, claim):
    store.send([add()])
    claimed = claim()
    assert store.load_entities([claimed.pk]) == {}
    first = [message.pk for message in claimed.messages]

    assert not store.commit(token, [written(claimed, consumed=first, entity=change('{"n":1}'))]).lost
    store.send([add()])
    again = claim()
    loaded = store.load_entities([again.pk])[again.pk]
    assert (loaded.name, loaded.key, loaded.state, loaded.locked_by, loaded.backlog) == (
        "counter",
        "a",
        '{"n":1}',
        "",
        0,
    )
    before = loaded.last_operation_at
    second = [message.pk for message in again.messages]
    locked = change(None, locked_by="order-1", lock_id="r1", backlog=2)
    store.commit(token, [written(again, consumed=second, entity=locked)])

    after = store.load_entities([again.pk])[again.pk]
    assert (after.state, after.locked_by, after.lock_id, after.backlog) == (None, "order-1", "r1", 2)
    assert after.last_operation_at >= before
    assert Entity.objects.count() == 1


def test_a_commit_that_lost_its_lease_writes_nothing_of_the_entity(store, token, open_lease, claim):
    store.send([add()])
    claimed = claim()
    store.close_lease(token)

    assert store.commit(token, [written(claimed, entity=change())]).lost == {claimed.pk}
    assert not Entity.objects.exists()
    assert inbox(claimed.pk) == ["EntityOperationSignaled"]


def test_what_is_deferred_shows_again_in_its_old_order(store, token, claim):
    store.send([add(), add(), add()])
    claimed = claim()
    first, second, third = (message.pk for message in claimed.messages)

    store.commit(token, [written(claimed, consumed=[first], entity=change(deferred=[second, third]))])
    assert store.claim_instances(token, 10).instances == []
    assert store.next_due_at() is None and not store.has_work()
    store.send([add()])
    again = claim()
    assert len(again.messages) == 1
    store.commit(token, [written(again, entity=change(reveals=True))])

    assert [message.pk for message in claim().messages][:2] == [second, third]
    assert InboxMessage.objects.count() == 3


def test_a_deferred_request_for_the_lock_can_be_withdrawn(store, token, claim):
    request = event(EventType.ENTITY_LOCK_REQUESTED)
    store.send([to(COUNTER, request, idempotency_key="lock:r1"), to(COUNTER, request, idempotency_key="lock:r2")])
    claimed = claim()
    deferred = [message.pk for message in claimed.messages]
    store.commit(token, [written(claimed, entity=change(deferred=deferred))])
    store.send([add()])
    again = claim()

    store.commit(token, [written(again, entity=change(withdrawn=["lock:r1"]))])

    assert list(InboxMessage.objects.filter(visible_at=None).values_list("idempotency_key", flat=True)) == ["lock:r2"]
    assert Entity.objects.get().backlog == 1


def test_only_idle_and_empty_entities_are_removed(store, token, claim, start):
    order = start()
    store.commit(token, [checkpoint(claim())])
    states = {"empty": change(None), "zero": change("0"), "locked": change(None, locked_by="order-1", lock_id="r")}
    for key, written_as in states.items():
        store.send([add(f"@counter@{key}")])
        claimed = claim()
        written_as.entity.key = key
        consumed = [message.pk for message in claimed.messages]
        store.commit(token, [written(claimed, consumed=consumed, entity=written_as)])
    store.send([add("@counter@signalled")])
    everything = list(Instance.objects.values_list("pk", flat=True))

    assert store.remove_entities(everything) == 1

    kept = set(Instance.objects.exclude(pk=order).values_list("instance_id", flat=True))
    assert kept == {"@counter@zero", "@counter@locked", "@counter@signalled"}
    assert set(Entity.objects.values_list("key", flat=True)) == {"zero", "locked"}


def test_an_entity_that_a_worker_is_at_is_not_removed(store, claim):
    store.send([add()])
    claimed = claim()
    InboxMessage.objects.all().delete()

    assert store.remove_entities([claimed.pk]) == 0


def test_a_purge_leaves_entities_alone(store):
    store.send([add()])

    assert store.purge([pk_of()]) == 0


def test_the_index_of_a_list_holds_no_entities():
    rows = Instance.objects.filter(hub=HUB, is_entity=False).order_by("-created_at", "-pk").only("pk")[:10]
    with connection.cursor() as cursor, transaction.atomic():
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")  # of a table this small the planner would rather sort all

        plan = rows.explain()

    assert "durable_inst_created" in plan


# Several senders ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_senders_that_make_an_entity_at_the_same_time_make_one(store, in_thread):
    sent = [in_thread(store.send, [add() for _ in range(5)]) for _ in range(8)]

    assert sum(future.result() for future in sent) == 40
    assert len(inbox(pk_of())) == 40


@pytest.mark.django_db(transaction=True)
def test_nothing_that_is_sent_while_entities_are_removed_is_lost(store, in_thread):
    sent = 30

    def remove() -> None:
        done = 0
        while done < 2 * sent:
            store.remove_entities(list(Instance.objects.values_list("pk", flat=True)))
            done += 1

    removing = [in_thread(remove) for _ in range(2)]
    sending = [in_thread(store.send, [add(f"@counter@{number % 3}")]) for number in range(sent)]
    for future in [*sending, *removing]:
        future.result()

    orphans = InboxMessage.objects.exclude(instance_id__in=Instance.objects.values("pk")).count()
    assert (InboxMessage.objects.count(), orphans) == (sent, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_an_open_transaction_that_signals_holds_up_no_commit_and_no_removal(store, token, claim, in_thread):
    if type(store).__name__ == "OrmStore":
        pytest.skip("the ORM knows no lock that lets a commit pass")
    store.send([add()])
    claimed = claim()
    consumed = [message.pk for message in claimed.messages]
    with transaction.atomic():
        store.send([add()])
        written_meanwhile = in_thread(store.commit, token, [written(claimed, consumed=consumed, entity=change(None))])
        assert written_meanwhile.result(timeout=10).lost == set()
        assert in_thread(store.remove_entities, [claimed.pk]).result(timeout=10) == 0
    assert eventually(lambda: inbox(claimed.pk)) == ["EntityOperationSignaled"]


def test_ids_are_read_as_they_were_sent(store):
    store.send([add("@counter@Ann@Example.com")])

    assert EntityId.parse(Instance.objects.get().instance_id) == EntityId("Counter", "Ann@Example.com")
    assert datetime.now(UTC) > row(pk_of("@counter@Ann@Example.com")).created_at
