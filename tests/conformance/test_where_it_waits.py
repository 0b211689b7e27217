"""Where an orchestrator stands: the line that waits, and the calls that led there, kept with each step."""

from __future__ import annotations

import json

import pytest

from orchestrations import orchestrator
from orchestrations.models import Instance


def calls() -> list[tuple[str, str]] | None:
    """The functions and lines of code that are kept, the orchestrator's own first."""
    kept = Instance.objects.get().blocked_stack
    return kept and [(at.rpartition(".")[2], code) for at, code in json.loads(kept)]


def generators(client):
    def approved(context):
        return (yield context.wait_for_external_event("go"))

    def paid(context):
        return (yield from approved(context))

    @orchestrator
    def order(context):
        told = yield from paid(context)
        yield context.wait_for_external_event("end")
        return told

    return order, ["told = yield from paid(context)", "return (yield from approved(context))"]


def coroutines(client):
    async def approved(context):
        return await context.wait_for_external_event("go")

    async def paid(context):
        return await approved(context)

    @orchestrator
    async def order(context):
        told = await paid(context)
        await context.wait_for_external_event("end")
        return told

    return order, ["told = await paid(context)", "return await approved(context)"]


@pytest.mark.parametrize("written_as", [generators, coroutines])
def test_the_calls_down_to_the_line_that_waits_are_kept(client, worker, written_as):
    order, outer = written_as(client)
    client.start_new(order, "order")
    worker.run_until_idle()

    kept = calls()
    assert [code for _, code in kept[:2]] == outer
    assert [function for function, _ in kept] == ["order", "paid", "approved"]
    row = Instance.objects.get()
    assert [row.blocked_at, row.blocked_code] == json.loads(row.blocked_stack)[-1]
    assert 'context.wait_for_external_event("go")' in row.blocked_code

    client.raise_event("order", "go", 7)
    worker.run_until_idle()
    assert calls() is None  # it waits at a line of its own
    client.raise_event("order", "end")
    assert worker.run_until_ended("order").output == 7
    assert calls() is None


def test_what_ends_within_a_call_waits_nowhere(client, worker):
    def stuck(context):
        yield context.wait_for_external_event("never")

    @orchestrator
    def order(context):
        yield from stuck(context)

    client.start_new(order, "order")
    worker.run_until_idle()
    assert calls()
    client.terminate("order")
    worker.run_until_ended("order")

    assert calls() is None


def test_of_a_deep_recursion_the_innermost_calls_are_kept(client, worker):
    def deeper(context, depth):
        if depth:
            yield from deeper(context, depth - 1)
        else:
            yield context.wait_for_external_event("go")

    @orchestrator
    def order(context):
        yield from deeper(context, 30)

    client.start_new(order, "order")
    worker.run_until_idle()

    kept = calls()
    assert len(kept) == 20
    assert kept[-1][1] == 'yield context.wait_for_external_event("go")'
