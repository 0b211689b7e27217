"""Server-sent events of one instance: in order, from where the client was, as long as it may, and bounded."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import AsyncClient
from rest_framework.authtoken.models import Token

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.core.events import EventType
from orchestrations.interfaces import streams
from orchestrations.interfaces.dashboard.live import watching
from orchestrations.models import ApiKey, Instance
from tests import rows

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/api/instances/order/stream/"
SECONDS = 10.0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)


@pytest.fixture
def token() -> str:
    user = User.objects.create_user("ada")
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_instance", "view_payloads"]))
    return f"Token {Token.objects.create(user=user).key}"


@dataclass
class Message:
    event: str
    id: str
    data: dict


def run(scenario):
    async def closing_connections():
        try:
            return await asyncio.wait_for(scenario, SECONDS)
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(closing_connections())


async def opened(token: str, address: str = ADDRESS, **headers: str):
    return await AsyncClient().get(address, headers={"Authorization": token, "Accept": "text/event-stream", **headers})


async def messages(response):
    """The messages; comments that keep the line open and the advice when to come again are passed over."""
    async for part in response.streaming_content:
        lines = dict(line.split(": ", 1) for line in part.decode().splitlines() if not line.startswith(":") and line)
        if "event" in lines:
            yield Message(lines["event"], lines["id"], json.loads(lines["data"]))


async def all_of(response) -> list[Message]:
    return [message async for message in messages(response)]


def change(**columns: object) -> None:
    row = Instance.objects.get(instance_id="order")
    for name, value in columns.items():
        setattr(row, name, value)
    row.last_updated_at = row.last_updated_at.replace(microsecond=row.last_sequence + 1)
    rows.history(row, (EventType.EVENT_RAISED, {"name": "paid", "payload": '"secret"'}))


def test_a_stream_tells_the_status_then_what_happens_and_ends_with_the_instance(token):
    rows.history(rows.instance("order"), (EventType.EXECUTION_STARTED, {}))

    async def scenario():
        response = await opened(token)
        told = []
        async for message in messages(response):
            told.append(message)
            if len(told) == 1:
                await sync_to_async(change)(custom_status='"half"')
            if len(told) == 3:
                await sync_to_async(change)(status="Completed")
        return response, told

    response, told = run(scenario())

    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["X-Accel-Buffering"] == "no"
    assert [(message.event, message.id) for message in told] == [
        ("status", "1.1"),
        ("history", "1.2"),
        ("status", "1.2"),
        ("history", "1.3"),
        ("status", "1.3"),
    ]
    assert told[1].data["type"] == "EventRaised"
    assert told[1].data["payload_preview"] == '"secret"'
    assert (told[2].data["custom_status"], told[4].data["status"]) == ("half", "Completed")


def test_a_client_that_comes_again_is_told_what_it_has_missed_and_nothing_twice(token):
    order = rows.instance("order", status="Completed")
    rows.history(order, *[(EventType.EVENT_RAISED, {"name": "paid"})] * 250)

    told = run(all_of_address(token, **{"Last-Event-ID": "1.3"}))

    assert [message.id for message in told if message.event == "history"] == [f"1.{n}" for n in range(4, 251)]
    assert told[-1].event == "status"


def test_the_whole_history_comes_on_demand_and_a_new_execution_from_its_beginning(token):
    order = rows.instance("order", status="Completed", execution=2)
    rows.history(order, *[(EventType.EVENT_RAISED, {"name": "paid"})] * 2, execution=2)

    whole = run(all_of_address(token, f"{ADDRESS}?after=0"))
    again = run(all_of_address(token, **{"Last-Event-ID": "1.77"}))

    assert [message.id for message in whole] == [message.id for message in again] == ["2.1", "2.2", "2.2"]


async def all_of_address(token: str, address: str = ADDRESS, **headers: str) -> list[Message]:
    return await all_of(await opened(token, address, **headers))


def test_who_was_told_the_end_is_told_not_to_come_again(token):
    rows.history(rows.instance("order", status="Completed"), (EventType.EXECUTION_STARTED, {}))

    response = run(opened(token, **{"Last-Event-ID": "1.1"}))

    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("text", ["x", "1", "1.", ".1", "1.-1", "1.2.3", "1.9999999999"])
def test_an_id_that_no_stream_gave_is_refused(token, text):
    rows.instance("order")
    response = run(opened(token, **{"Last-Event-ID": text}))

    assert (response.status_code, response.headers["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(response.content)["errors"][0]["path"] == "$.Last-Event-ID"


def test_payloads_are_withheld_without_the_right(token):
    User.objects.get().user_permissions.remove(Permission.objects.get(codename="view_payloads"))
    order = rows.instance("order", status="Completed", custom_status='"secret"')
    rows.history(order, (EventType.EVENT_RAISED, {"payload": '"secret"'}))

    history, status = run(all_of_address(token, f"{ADDRESS}?after=0"))

    assert "secret" not in json.dumps([history.data, status.data])
    assert status.data["payloads"] == "withheld"


def lose_permission():
    User.objects.get().user_permissions.clear()


def lose_account():
    User.objects.update(is_active=False)


@pytest.mark.parametrize("lose", [lose_permission, lose_account])
def test_who_loses_the_right_is_told_nothing_more(token, lose):
    rows.instance("order")

    async def scenario():
        told = []
        async for message in messages(await opened(token)):
            told.append(message)
            if len(told) == 1:
                await sync_to_async(lose)()
                await sync_to_async(change)(custom_status='"secret"')
        return told

    told = run(scenario())

    assert [message.event for message in told] == ["status", "end"]
    assert told[-1].data["code"] == "permission_refused"


def test_a_key_opens_a_stream_and_its_end_is_the_streams():
    rows.instance("order")
    _, text = api_keys.issue("robot", [Verb.STATUS])

    async def scenario():
        told = []
        async for message in messages(await opened(f"Api-Key {text}")):
            told.append(message)
            if len(told) == 1:
                await sync_to_async(ApiKey.objects.update)(verbs=[])
                await sync_to_async(change)()
        return told

    assert [message.event for message in run(scenario())] == ["status", "end"]


def test_a_purged_instance_is_said_to_be_gone(token):
    rows.instance("order")

    async def scenario():
        told = []
        async for message in messages(await opened(token)):
            told.append(message)
            if len(told) == 1:
                await sync_to_async(Instance.objects.all().delete)()
        return told

    assert run(scenario())[-1].data["code"] == "instance_not_found"


def test_a_quiet_stream_says_that_it_is_there(token, monkeypatch):
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.02)
    rows.instance("order")

    async def scenario():
        async for part in (await opened(token)).streaming_content:
            if part == b": still here\n\n":
                return True

    assert run(scenario())


def test_a_stream_ends_now_and_then_for_the_client_to_come_again(token, monkeypatch):
    monkeypatch.setattr(streams, "STREAM_SECONDS", 0)
    rows.instance("order")

    assert [message.event for message in run(all_of_address(token))] == ["status"]


def test_a_process_serves_so_many_streams_and_no_more(token, monkeypatch):
    monkeypatch.setattr(streams, "STREAMS", 1)
    rows.instance("order")

    async def scenario():
        is_listening = asyncio.Event()

        async def listen():
            async for _ in messages(await opened(token)):
                is_listening.set()

        listener = asyncio.create_task(listen())
        await is_listening.wait()
        refused = await opened(token)
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        return refused, await opened(token)

    refused, again = run(scenario())

    assert (refused.status_code, json.loads(refused.content)["code"]) == (503, "too_many_streams")
    assert refused.headers["Retry-After"]
    assert again.status_code == 200


def test_under_wsgi_it_says_what_to_do_instead(client, token):
    rows.instance("order")
    response = client.get(ADDRESS, headers={"Authorization": token, "Accept": "text/event-stream"})

    assert (response.status_code, response.json()["code"]) == (501, "no_streams")
    assert response.headers["Content-Type"] == "application/problem+json"


def test_strangers_and_unknown_instances_get_problems(token):
    assert run(opened("Token wrong")).status_code == 401
    assert run(opened(token)).status_code == 404
