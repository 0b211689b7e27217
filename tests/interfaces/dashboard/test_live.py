"""How pages hear of changes: ticks, streams, and one look for everybody."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.contrib.auth.models import User
from django.db import DatabaseError, InterfaceError, connection, connections
from django.test import AsyncClient

from orchestrations.interfaces.dashboard.live import answering, topics, watching
from orchestrations.interfaces.dashboard.live.watching import Watch, WatchBroken, Watcher
from orchestrations.models import InboxMessage, Instance
from tests import rows

STREAM = {"Accept": "text/event-stream"}
ROWS = "/hubs/default/instances/tick/"
NEWS_SECONDS = 10.0
ONE, TWO = topics.newest("one"), topics.newest("two")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(answering, "PAUSES_SECONDS", (0.0,))


def run(scenario):
    async def closing_connections():
        try:
            return await scenario
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(closing_connections())


@sync_to_async
def change(pk: int) -> None:
    Instance.objects.filter(pk=pk).update(status="Completed", last_updated_at=rows.NOON.replace(hour=13))


async def news(stream) -> list[str]:
    """The names in the next event; comments that keep the line open are passed over."""
    async for part in stream:
        if part.startswith(b"data: "):
            return json.loads(part.removeprefix(b"data: "))
    raise AssertionError("the stream has ended")


def test_the_versions_of_many_pages_are_read_together(db, django_assert_max_num_queries):
    pks = [rows.instance().pk for _ in range(6)]
    one = [topics.rows("default", pks[:3]), topics.rows("default", pks[3:]), *map(topics.instance, pks)]
    other = [*map(topics.waits, pks), *map(topics.arrivals, pks), topics.newest("default"), topics.approvals("default")]

    with django_assert_max_num_queries(6):
        versions = topics.versions([*one, *other])

    assert set(versions) == {*one, *other}


@pytest.mark.parametrize("watch", [topics.instance, topics.waits, topics.arrivals])
def test_what_is_gone_has_a_version_too(db, watch):
    assert topics.version(watch(1)) == topics.version(watch(1))


def test_a_message_on_its_way_changes_the_arrivals_and_not_the_instance(db):
    instance = rows.instance()
    watched = [topics.arrivals(instance.pk), topics.instance(instance.pk)]
    before = topics.versions(watched)

    InboxMessage.objects.create(hub="default", instance=instance, type="EventRaised")

    after = topics.versions(watched)
    assert [before[topic] == after[topic] for topic in watched] == [False, True]


def test_rows_of_another_hub_are_nobodys_business(db):
    pk = rows.instance(hub="secret").pk
    before = topics.version(topics.rows("default", [pk]))

    Instance.objects.filter(pk=pk).update(status="Completed")

    assert topics.version(topics.rows("default", [pk])) == before


def test_a_stream_is_refused_where_it_would_hold_a_thread(viewer):
    assert viewer.get(ROWS, headers=STREAM).status_code == 204


@pytest.mark.django_db(transaction=True)
def test_a_stream_names_what_changes_and_nothing_else(viewer):
    changing, quiet = rows.instance("one"), rows.instance("two")
    known = topics.version(topics.rows("default", [changing.pk]))

    async def scenario():
        client = AsyncClient()
        await client.aforce_login(await User.objects.aget(username="viewer"))
        query = {"ids": str(changing.pk), "v": f"instances:{known}"}
        response = await client.get(ROWS, query, headers=STREAM)
        stream = aiter(response)
        assert (await anext(stream)).startswith(b":")
        await change(quiet.pk)
        await change(changing.pk)
        told = await asyncio.wait_for(news(stream), NEWS_SECONDS)
        await stream.aclose()
        return response, told

    response, told = run(scenario())
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["X-Accel-Buffering"] == "no"
    assert told == ["instances"]


@pytest.mark.django_db(transaction=True)
def test_a_stream_begins_with_what_changed_before_it_was_opened(viewer):
    rows.instance("one")

    async def scenario():
        client = AsyncClient()
        await client.aforce_login(await User.objects.aget(username="viewer"))
        response = await client.get("/hubs/default/i/one/tick/", {"v": "instance:old"}, headers=STREAM)
        stream = aiter(response)
        told = await asyncio.wait_for(news(stream), NEWS_SECONDS)
        await stream.aclose()
        return told

    assert "instance" in run(scenario())


def test_a_stream_keeps_no_thread_while_it_waits():
    async def scenario():
        async with ThreadSensitiveContext():
            first = await sync_to_async(threading.current_thread)()
            answering.give_thread_back()
            await asyncio.to_thread(first.join, NEWS_SECONDS)
            return first, await sync_to_async(threading.current_thread)()

    first, later = asyncio.run(scenario())

    assert not first.is_alive()
    assert later is not first


def test_news_that_came_meanwhile_are_not_waited_for():
    async def scenario():
        watch = Watch([ONE])
        watch.learn({ONE: "a"})
        early = await watch.changed(NEWS_SECONDS)
        late = asyncio.create_task(watch.changed(NEWS_SECONDS))
        asyncio.get_running_loop().call_soon(watch.learn, {ONE: "b"})
        return early, await late, await watch.changed(0.001)

    assert asyncio.run(scenario()) == (True, True, False)


@pytest.mark.django_db(transaction=True)
def test_a_stream_ends_so_that_rights_are_looked_at_again(viewer, monkeypatch):
    rows.instance("one")
    monkeypatch.setattr(answering, "STREAM_SECONDS", 0.05)
    monkeypatch.setattr(answering, "KEEP_ALIVE_SECONDS", 0.01)

    async def scenario():
        client = AsyncClient()
        await client.aforce_login(await User.objects.aget(username="viewer"))
        response = await client.get("/hubs/default/i/one/tick/", headers=STREAM)
        return [part async for part in response]

    assert b": still here\n\n" in run(scenario())


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="a SQLite database in memory is never closed")
def test_an_open_stream_keeps_no_connection(viewer):
    rows.instance("one")

    async def scenario():
        client = AsyncClient()
        await client.aforce_login(await User.objects.aget(username="viewer"))
        response = await client.get("/hubs/default/i/one/tick/", headers=STREAM)
        kept = await sync_to_async(lambda: connection.connection)()
        await aiter(response).aclose()
        return kept

    assert run(scenario()) is None


def test_many_pages_cost_one_look(monkeypatch):
    looks = []

    def look(watched):
        looks.append(set(watched))
        return {topic: str(len(looks)) for topic in watched}

    monkeypatch.setattr(watching, "_read", look)

    async def scenario():
        lookout = Watcher()
        async with lookout.watch([ONE]) as one, lookout.watch([ONE]) as two, lookout.watch([TWO]) as three:
            return [await watch.changed(NEWS_SECONDS) for watch in (one, two, three)]

    assert run(scenario()) == [True, True, True]
    assert looks[0] == {ONE, TWO}


def test_nobody_looks_when_nobody_watches(monkeypatch):
    monkeypatch.setattr(watching, "_read", lambda watched: dict.fromkeys(watched, "1"))

    async def scenario():
        lookout = Watcher()
        async with lookout.watch([ONE]) as watch:
            await watch.changed(NEWS_SECONDS)
        await asyncio.wait_for(lookout.rest(), NEWS_SECONDS)
        return True

    assert run(scenario())


@pytest.mark.parametrize("error", [DatabaseError("gone"), InterfaceError("already closed"), KeyError("a defect")])
def test_pages_are_told_to_come_again_when_nothing_can_be_looked_at(monkeypatch, error):
    def refuse(watched):
        raise error

    monkeypatch.setattr(watching, "_read", refuse)

    async def scenario():
        async with Watcher().watch([ONE]) as watch:
            await watch.changed(NEWS_SECONDS)

    with pytest.raises(WatchBroken):
        run(scenario())
