"""Server-sent events of one instance for who has a key or a link, and no longer than these are good."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient
from django.utils import timezone

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.live import watching
from orchestrations.interfaces.management_api.authentication import Capability
from orchestrations.models import ApiKey, Instance
from tests import rows
from tests.interfaces.management_api.conftest import BASE, SYSTEM_KEY

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 10.0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)


def run(scenario):
    async def closing_connections():
        try:
            return await asyncio.wait_for(scenario, SECONDS)
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(closing_connections())


async def opened(key: str | None = SYSTEM_KEY, query: str = "", **headers: str):
    sent = {**({"x-functions-key": key} if key else {}), **headers}
    return await AsyncClient().get(f"{BASE}/instances/order/stream{query}", headers=sent)


async def messages(response):
    """Kind, id and data of each message."""
    async for part in response.streaming_content:
        lines = part.decode().splitlines()
        if lines[0].startswith("event"):
            data = "\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
            yield lines[0].removeprefix("event: "), lines[1].removeprefix("id: "), json.loads(data)


async def all_told(*arguments, **options):
    return [message async for message in messages(await opened(*arguments, **options))]


def change(**columns: object) -> None:
    row = Instance.objects.get(instance_id="order")
    for name, value in columns.items():
        setattr(row, name, value)
    row.last_updated_at = row.last_updated_at.replace(microsecond=row.last_sequence + 1)
    rows.history(row, (EventType.EVENT_RAISED, {"name": "paid", "payload": '{\r\n"a":\n 1.10}'}))


def test_the_status_comes_first_then_what_happens_until_the_end():
    rows.history(rows.instance("order", input='"secret"'), (EventType.EXECUTION_STARTED, {}))

    async def scenario():
        response = await opened()
        told = []
        async for message in messages(response):
            told.append(message)
            if len(told) == 1:
                await sync_to_async(change)(custom_status='"half"')
            if len(told) == 3:
                await sync_to_async(change)(status="Completed", output="[1]")
        return response, told

    response, told = run(scenario())

    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert (response.headers["Cache-Control"], response.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert [(kind, place) for kind, place, _ in told] == [
        ("status", "1.1"),
        ("history", "1.2"),
        ("status", "1.2"),
        ("history", "1.3"),
        ("status", "1.3"),
    ]
    assert (told[0][2]["runtimeStatus"], told[0][2]["input"]) == ("Running", None)
    assert told[1][2] == {
        "Sequence": 2,
        "EventType": "EventRaised",
        "Timestamp": "2026-03-01T12:00:02.0000000Z",
        "Name": "paid",
        "Input": {"a": 1.1},
    }
    assert (told[2][2]["customStatus"], told[4][2]["output"]) == ("half", [1])


def test_it_begins_where_the_caller_says_and_goes_on_where_the_caller_was():
    rows.history(rows.instance("order", status="Completed"), *[(EventType.EVENT_RAISED, {"name": "paid"})] * 4)

    assert [place for _, place, _ in run(all_told(query="?from=3&showInput=false"))] == ["1.3", "1.4", "1.4"]
    assert [place for _, place, _ in run(all_told(query="?FROM=0"))] == ["1.1", "1.2", "1.3", "1.4", "1.4"]
    assert [place for _, place, _ in run(all_told(**{"Last-Event-ID": "1.3"}))] == ["1.4", "1.4"]
    over = run(opened(**{"Last-Event-ID": "1.4"}))
    assert (over.status_code, over.content) == (204, b"")


def test_an_id_that_no_stream_gave_is_refused():
    rows.instance("order")
    response = run(opened(**{"Last-Event-ID": "x"}))

    assert (response.status_code, json.loads(response.content)["ExceptionType"]) == (400, "invalid_argument")


def test_payloads_are_withheld_without_the_right():
    order = rows.instance("order", status="Completed", custom_status='"secret"', output='"secret"')
    rows.history(order, (EventType.EVENT_RAISED, {"name": "paid", "payload": '"secret"'}))
    _, blind = api_keys.issue("blind", [Verb.STATUS])

    async def scenario():
        response = await opened(blind, "?from=0")
        return response.headers, [message async for message in messages(response)]

    headers, told = run(scenario())

    assert headers["X-Durable-Payloads"] == "withheld"
    assert [kind for kind, *_ in told] == ["history", "status"]
    assert "secret" not in json.dumps(told)


def revoke():
    ApiKey.objects.update(revoked_at=timezone.now())


def take_verb():
    ApiKey.objects.update(verbs=[Verb.READ_PAYLOADS])


def take_name():
    ApiKey.objects.update(names="bill")


def take_payloads():
    ApiKey.objects.update(verbs=[Verb.STATUS])


@pytest.mark.parametrize("lose", [revoke, take_verb, take_name, take_payloads])
def test_whose_key_loses_the_right_is_told_nothing_more(lose):
    rows.instance("order")
    _, key = api_keys.issue("robot", [Verb.STATUS, Verb.READ_PAYLOADS])

    [first, last] = run(told_after(lose, key))

    assert (first[0], last[0]) == ("status", "end")
    assert last[2]["ExceptionType"] == "permission_refused"


async def told_after(happens, key: str | None, query: str = ""):
    told = []
    async for message in messages(await opened(key, query)):
        told.append(message)
        if len(told) == 1:
            await sync_to_async(happens)()
            await sync_to_async(change)(custom_status='"secret"')
    return told


def replace():
    """Start another under the same id, in the same row, long after the link was made."""
    Instance.objects.update(created_at=timezone.now() + timedelta(hours=1))


def test_a_link_opens_its_instance_until_that_is_replaced():
    rows.instance("order")
    link, other = (Capability(rows.HUB, "order", verb).sign() for verb in (Verb.STATUS, Verb.RAISE_EVENT))

    assert run(opened(None, f"?code={other}")).status_code == 403
    assert run(opened(None)).status_code == 401
    assert [kind for kind, *_ in run(told_after(replace, None, f"?code={link}"))] == ["status", "end"]


def test_a_purged_instance_is_said_to_be_gone_and_an_unknown_one_never_was():
    rows.instance("order")

    async def scenario():
        told = []
        async for message in messages(await opened()):
            told.append(message)
            await sync_to_async(Instance.objects.all().delete)()
        return told

    assert run(scenario())[-1][2]["ExceptionType"] == "instance_not_found"
    assert run(opened()).status_code == 404


def test_under_wsgi_it_says_what_to_do_instead(api):
    rows.instance("order")
    response = api.get("instances/order/stream")

    assert (response.status_code, response.json()["ExceptionType"]) == (501, "no_streams")
