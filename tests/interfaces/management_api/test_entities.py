"""Signals to entities, their states and their lists over HTTP. No worker runs here."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations import entity
from orchestrations.models import AuditEntry, Entity, InboxMessage, Instance
from tests import rows
from tests.rows import HUB, NOON


@pytest.fixture(autouse=True)
def counter(site):
    entity(name="counter")(lambda context: None)


def known(key: str, *, name: str = "counter", minutes: float = 0, state: str | None = "1") -> Entity:
    instance_id = f"@{name}@{key}"
    instance = Instance.objects.create(
        hub=HUB, instance_id=instance_id, name=name, is_entity=True, status="Running", created_at=NOON
    )
    at = NOON + timedelta(minutes=minutes)
    return Entity.objects.create(hub=HUB, instance=instance, name=name, key=key, state=state, last_operation_at=at)


@pytest.mark.parametrize(
    ("content_type", "body", "stored"),
    [
        ("application/json", '{"a": 1.10}', '{"a":1.10}'),
        ("application/json; charset=utf-8", "5", "5"),
        ("application/json", "", None),
        ("text/plain", "5", '"5"'),
        ("", "é", '"é"'),
        ("text/plain", "", None),
    ],
)
def test_a_signal_has_the_body_as_its_input(api, content_type, body, stored):
    response = api.post("entities/Counter/a?op=add", body, content_type)

    assert (response.status_code, response.content) == (202, b"")
    message = InboxMessage.objects.get()
    assert (message.instance.instance_id, message.type) == ("@counter@a", "EntityOperationSignaled")
    assert (message.name, message.payload) == ("add", stored)
    assert AuditEntry.objects.get().action == "signal_entity"


def test_an_operation_may_be_without_a_name(api):
    assert api.post("entities/counter/a").status_code == 202
    assert InboxMessage.objects.get().name == ""


def test_deleting_is_a_signal(api):
    assert api.delete("entities/counter/a").status_code == 202
    assert InboxMessage.objects.get().name == "delete"


def test_a_dollar_stands_for_the_empty_key(api):
    known("", state="7")

    assert api.get("entities/counter/$").content == b"7"
    api.post("entities/counter/$?op=add", "1")
    assert InboxMessage.objects.get().instance.instance_id == "@counter@"


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        ("entities/nothing/a?op=add", "1", "application/json"),
        ("entities/counter/a?op=add", "{", "application/json"),
        ("entities/counter/a?op=add", b"\xff", "text/plain"),
        ("entities/counter/a?op=add", "\x00", "text/plain"),
        ("entities/counter/a?op=%00", "1", "application/json"),
        ("entities/counter/a%00?op=add", "1", "application/json"),
        ("entities/coun%40ter/a?op=add", "1", "application/json"),
        (f"entities/counter/{'x' * 256}?op=add", "1", "application/json"),
    ],
)
def test_a_bad_signal_is_refused_and_leaves_nothing(api, path, body, content_type):
    response = api.post(path, body, content_type)

    assert response.status_code == 400
    assert response.json()["ExceptionMessage"]
    assert not Instance.objects.exists()
    assert not InboxMessage.objects.exists()


def test_a_state_is_given_as_it_is_stored(api):
    known("a", state='{"b":1,"a":1.10}')

    response = api.get("entities/COUNTER/a")

    assert (response.status_code, response.content) == (200, b'{"b":1,"a":1.10}')


def test_without_a_state_there_is_nothing_to_read(api):
    known("a", state=None)

    for key in ("a", "b", "A"):
        response = api.get(f"entities/counter/{key}")
        assert (response.status_code, response.content) == (404, b"")


@pytest.fixture
def entities():
    known("a", minutes=0, state="1")
    known("b", minutes=1, state="2")
    known("a", name="account", minutes=2, state="3")
    known("gone", minutes=3, state=None)


def keys(response) -> list[str]:
    assert response.status_code == 200
    return [f"{item['entityId']['name']}/{item['entityId']['key']}" for item in response.json()]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("entities", ["account/a", "counter/b", "counter/a"]),
        ("Entities/", ["account/a", "counter/b", "counter/a"]),
        ("entities/Counter", ["counter/b", "counter/a"]),
        ("entities/nobody", []),
        ("entities?lastOperationTimeFrom=2026-03-01T12:01:00Z", ["account/a", "counter/b"]),
        ("entities?lastOperationTimeTo=2026-03-01T12:01:00Z", ["counter/a"]),
    ],
)
def test_lists_of_entities_are_narrowed(api, entities, path, expected):
    assert keys(api.get(path)) == expected


def test_an_instant_that_can_not_be_read_is_refused(api, entities):
    assert api.get("entities?lastOperationTimeFrom=x").status_code == 400


def test_states_are_fetched_on_demand(api, entities):
    told = {"entityId": {"name": "account", "key": "a"}, "lastOperationTime": "2026-03-01T12:02:00.0000000Z"}

    assert api.get("entities").json()[0] == {**told, "state": None}
    assert api.get("entities?fetchState=true").json()[0] == {**told, "state": 3}


def test_pages_of_entities_follow_by_the_continuation_token(api, entities):
    first = api.get("entities?top=2")
    token = first.headers["x-ms-continuation-token"]
    second = api.get("entities?top=2", headers={"x-ms-continuation-token": token})

    assert keys(first) + keys(second) == ["account/a", "counter/b", "counter/a"]
    assert "x-ms-continuation-token" not in second.headers


def test_entities_are_among_the_instances_on_demand_only(api, entities):
    assert api.get("instances").json() == []
    assert len(api.get("instances?includeEntities=true").json()) == 4
    assert api.get("instances/@counter@a").status_code == 404


@pytest.mark.parametrize("top", [1, 2, 3, 7])
def test_a_list_with_entities_is_one_list_newest_first_page_by_page(api, top):
    for number in range(3):
        rows.instance(f"order-{number}", minutes=2 * number)
        rows.entity(f"@tally@{number}", "1", minutes=2 * (number // 2) + 1)
    found, token = [], {}
    while True:
        page = api.get(f"instances?includeEntities=true&top={top}", headers=token)
        assert len(page.json()) <= top
        found += [row["instanceId"] for row in page.json()]
        if "x-ms-continuation-token" not in page.headers:
            break
        token = {"x-ms-continuation-token": page.headers["x-ms-continuation-token"]}

    assert found == ["order-2", "@tally@2", "order-1", "@tally@1", "@tally@0", "order-0"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_any_host_is_primary(api, stranger, method):
    response = api.call(method, "makePrimary")

    assert (response.status_code, response.content) == (200, b"")
    assert stranger.call(method, "makePrimary").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "entities"), ("PUT", "entities/counter/a"), ("DELETE", "entities/counter")]
)
def test_a_wrong_method_is_not_found(api, method, path):
    assert api.call(method, path).status_code == 404
