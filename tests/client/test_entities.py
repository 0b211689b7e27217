"""Entities from outside: who may be signalled, what is read, and what is refused. No worker runs here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from orchestrations import EntityId, EntityQuery, FunctionNotRegistered, InvalidInstanceId, PayloadRejected, entity
from orchestrations.authoring.registry import registry
from orchestrations.client import OrchestrationClient
from orchestrations.errors import InstanceIsEntity, InstanceNotFound, InvalidCursor
from orchestrations.models import AuditEntry, Entity, InboxMessage, Instance
from orchestrations.store import get_store
from tests import rows
from tests.rows import HUB, NOON

COUNTER = EntityId("counter", "a")


@pytest.fixture(autouse=True)
def counter():
    with registry.preserved():
        entity(name="counter")(lambda context: None)
        yield


def known(key: str, *, name: str = "counter", state: str | None = "1", **columns) -> Entity:
    return rows.entity(f"@{name}@{key}", state, **columns)


def test_a_signal_lies_in_the_inbox_of_an_entity_that_it_makes(client):
    client.signal_entity(COUNTER, "add", 5)

    message = InboxMessage.objects.get()
    assert (message.type, message.name, message.payload) == ("EntityOperationSignaled", "add", "5")
    assert (message.instance.instance_id, message.instance.is_entity) == ("@counter@a", True)


def test_an_id_may_be_text_and_the_name_in_any_case(client):
    client.signal_entity("@Counter@A", "add")

    assert Instance.objects.get().instance_id == "@counter@A"


def test_a_signal_joins_the_callers_transaction(client):
    with pytest.raises(RuntimeError), transaction.atomic():
        client.signal_entity(COUNTER, "add", 5)
        raise RuntimeError

    assert not Instance.objects.exists()


def test_a_signal_can_be_scheduled(client):
    due = datetime.now(UTC) + timedelta(hours=1)

    client.signal_entity(COUNTER, "add", 5, signal_time=due)

    assert InboxMessage.objects.get().visible_at == due
    with pytest.raises(ValueError, match="time zone"):
        client.signal_entity(COUNTER, "add", signal_time=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("target", "operation", "value", "error"),
    [
        ("counter", "add", None, ValueError),
        ("@@a", "add", None, ValueError),
        ("@counter@a/b", "add", None, ValueError),
        ("@counter@" + "a" * 250, "add", None, ValueError),
        (7, "add", None, TypeError),
        ("@unknown@a", "add", None, FunctionNotRegistered),
        ("@counter@a", "add\n", None, PayloadRejected),
        ("@counter@a", "add", object(), PayloadRejected),
    ],
)
def test_what_can_not_be_signalled_is_refused_and_nothing_is_written(client, target, operation, value, error):
    with pytest.raises(error):
        client.signal_entity(target, operation, value)

    assert not Instance.objects.exists()


def test_a_persons_signal_is_audited(db):
    OrchestrationClient(actor="ann").signal_entity(COUNTER, "add", 5)

    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.instance_id) == ("ann", "signal_entity", "@counter@a")
    assert entry.details == {"operation": "add"}


# Reading ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [("0", 0), ('""', ""), ("[]", []), ("false", False), ('{"a":1}', {"a": 1})])
def test_a_state_is_read_as_it_is_also_where_it_is_falsy(client, text, value):
    known("a", state=text)

    read = client.read_entity_state(COUNTER)

    assert (read.entity_exists, read.entity_state) == (True, value)


def test_an_entity_without_a_state_does_not_exist(client):
    known("a", state=None, locked_by="transfer-1", backlog=3)

    read = client.read_entity_state(COUNTER)

    assert (read.entity_exists, read.entity_state, read.locked_by, read.backlog_size) == (False, None, "transfer-1", 3)
    assert not client.read_entity_state(EntityId("counter", "nobody")).entity_exists
    assert client.get_entity(EntityId("counter", "nobody")) is None


def test_a_list_begins_with_the_latest_operation_and_leads_on(client):
    for number in range(5):
        known(str(number), minutes=number)
    known("gone", state=None, minutes=9)

    first = client.list_entities(limit=3)
    second = client.list_entities(limit=3, cursor=first.next_cursor)

    assert [item.entity_id.key for item in first.items + second.items] == ["4", "3", "2", "1", "0"]
    assert second.next_cursor is None
    assert {(item.entity_exists, item.entity_state) for item in first.items} == {(True, None)}
    with pytest.raises(InvalidCursor):
        client.list_entities(cursor="forged")


def test_a_list_can_be_narrowed_by_name_window_and_deletion(client):
    known("a", minutes=0)
    known("b", minutes=10)
    known("c", minutes=20, state=None)
    known("d", minutes=10, name="account")

    def keys(**where: object) -> list[str]:
        return [item.entity_id.key for item in client.list_entities(**where).items]

    assert keys(name="Counter") == ["b", "a"]
    assert keys(name="counter", include_deleted=True) == ["c", "b", "a"]
    assert keys(last_operation_from=NOON + timedelta(minutes=5)) == ["d", "b"]
    assert keys(last_operation_to=NOON + timedelta(minutes=10)) == ["a"]
    assert [item.entity_state for item in client.list_entities("counter", include_state=True).items] == [1, 1]


def test_the_query_of_the_durabletask_sdk_finds_the_same(client):
    known("a", minutes=0)
    known("ab", minutes=1)
    known("b", minutes=2, state=None)
    known("a", minutes=3, name="count")

    def ids(**query: object) -> list[str]:
        return [str(found.id) for found in client.get_all_entities(EntityQuery(page_size=1, **query))]

    assert ids() == ["@count@a", "@counter@ab", "@counter@a"]
    assert ids(instance_id_starts_with="@counter@") == ["@counter@ab", "@counter@a"]
    assert ids(instance_id_starts_with="@counter@ab") == ["@counter@ab"]
    assert ids(instance_id_starts_with="@count") == ["@count@a", "@counter@ab", "@counter@a"]
    assert ids(include_transient=True)[1] == "@counter@b"
    assert ids(last_modified_from=NOON + timedelta(minutes=1), include_state=False)[-1] == "@counter@ab"


def test_the_beginning_of_an_id_ignores_the_case_of_the_name_and_not_of_the_key(client):
    for key in ("ann", "Ann", "a_n", "\u00e4"):
        known(key)

    def keys(beginning: str) -> set[str]:
        return {found.id.key for found in client.get_all_entities(EntityQuery(instance_id_starts_with=beginning))}

    assert keys("@COUNTER@an") == {"ann"}
    assert keys("@Counter@A") == {"Ann"}
    assert keys("@counter@a_") == {"a_n"}
    assert keys("@COUN") == {"ann", "Ann", "a_n", "\u00e4"}
    assert keys("@@ann") == keys("@@") == set()


# Orchestrations and entities are told apart --------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["terminate", "suspend", "resume", "rewind", "purge_instance_history"])
def test_an_entity_is_not_controlled_as_an_orchestration_is(client, verb):
    client.signal_entity(COUNTER, "add")

    with pytest.raises(InstanceIsEntity, match="the id of an entity"):
        getattr(client, verb)("@counter@a")

    assert InboxMessage.objects.count() == 1


def test_an_entity_takes_no_external_event_and_has_no_status(client):
    client.signal_entity(COUNTER, "add")

    with pytest.raises(InstanceIsEntity):
        client.raise_event("@counter@a", "go")
    with pytest.raises(InstanceNotFound):
        client.restart("@counter@a")
    with pytest.raises(InvalidInstanceId):
        client.start_new("echo", "@counter@b")
    assert client.get_status("@counter@a") is None
    assert client.get_status_by() == []


# Cleaning -----------------------------------------------------------------------------------------------------------


def test_cleaning_removes_what_is_empty_and_releases_locks_whose_owner_has_ended(db):
    for key, status in (("live", "Running"), ("over", "Failed")):
        Instance.objects.create(hub=HUB, instance_id=key, name="echo", status=status)
        known(key, locked_by=key, lock_id=f"lock-{key}")
    known("lost", locked_by="purged", lock_id="lock-lost")
    known("empty", state=None)
    known("zero", state="0")

    cleaned = OrchestrationClient(actor="ann").clean_entity_storage()

    assert (cleaned.empty_entities_removed, cleaned.orphaned_locks_released) == (1, 2)
    told = InboxMessage.objects.filter(type="EntityUnlockSent").order_by("pk")
    assert [(message.instance.instance_id, message.attributes) for message in told] == [
        (f"@counter@{key}", f'{{"request_id":"lock-{key}","entities":["@counter@{key}"]}}') for key in ("over", "lost")
    ]
    assert not Entity.objects.filter(key="empty").exists()
    assert not Instance.objects.filter(instance_id="@counter@empty").exists()
    assert AuditEntry.objects.get().action == "clean_entities"


def test_cleaning_does_only_what_it_is_asked_for(client):
    known("empty", state=None)
    known("lost", locked_by="purged", lock_id="x")

    assert client.clean_entity_storage(False, True).empty_entities_removed == 0
    assert client.clean_entity_storage(True, False).orphaned_locks_released == 0
    assert get_store().remove_entities([]) == 0
