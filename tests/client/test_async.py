"""The async twins: the same calls from async code."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from orchestrations import InstanceAlreadyExists, OrchestrationClient, WaitTimeout
from orchestrations.models import InboxMessage, Instance
from tests import rows
from tests.functions import echo

pytestmark = pytest.mark.django_db(transaction=True)

PUBLIC = sorted(name for name, _ in inspect.getmembers(OrchestrationClient, inspect.isfunction) if name[0] != "_")
SYNC = [name for name in PUBLIC if f"a{name}" in PUBLIC]


def test_every_method_has_a_twin_with_the_same_parameters():
    assert len(PUBLIC) == 2 * len(SYNC)
    for name in SYNC:
        method, twin = getattr(OrchestrationClient, name), getattr(OrchestrationClient, f"a{name}")
        assert inspect.signature(method) == inspect.signature(twin), name
        assert inspect.iscoroutinefunction(twin), name
        assert twin.__name__ == f"a{name}"


def run(coroutine):
    async def closing_connections():
        try:
            return await coroutine
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(closing_connections())


def test_an_instance_is_started_addressed_and_read():
    async def scenario() -> str:
        client = OrchestrationClient()
        instance_id = await client.astart_new(echo, client_input=1)
        await client.araise_event(instance_id, "paid", 2)
        status = await client.aget_status(instance_id)
        return status.runtime_status

    assert run(scenario()) == "Pending"
    assert InboxMessage.objects.get().payload == "2"


def test_errors_come_through():
    rows.instance("order")

    with pytest.raises(InstanceAlreadyExists):
        run(OrchestrationClient().astart_new(echo, "order"))


def test_waiting_leaves_the_event_loop_free():
    rows.instance("order")

    async def scenario():
        waiting = asyncio.create_task(OrchestrationClient().await_for_completion("order", 10))
        await Instance.objects.aupdate(status="Completed", output="1")
        return await waiting

    assert run(scenario()).output == 1


def test_waiting_ends_with_the_timeout():
    rows.instance("order")

    with pytest.raises(WaitTimeout):
        run(OrchestrationClient().await_for_completion("order", 0.01))
