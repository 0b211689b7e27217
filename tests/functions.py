"""Orchestrators for tests of what is around the engine: declared here, registered for the length of one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from orchestrations import OrchestrationContext, activity, orchestrator
from orchestrations.authoring.registry import registry


@dataclass
class Order:
    """A typed input."""

    number: int
    customer: str


with registry.preserved():

    @orchestrator
    def echo(context: OrchestrationContext, value: object) -> object:
        return value

    @orchestrator(version="2")
    def bill(context: OrchestrationContext, order: Order) -> int:
        return order.number

    @activity
    def charge(value: int) -> int:
        return value


@contextmanager
def registered() -> Iterator[None]:
    """Register them: ``echo`` takes any input, ``bill`` an Order."""
    with registry.preserved():
        registry.add_orchestrator(echo.durable)
        registry.add_orchestrator(bill.durable)
        registry.add_activity(charge.durable)
        yield
