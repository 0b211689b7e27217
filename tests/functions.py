"""Orchestrators for tests of what is around the engine, registered for the length of one test."""

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


@contextmanager
def registered() -> Iterator[None]:
    """Register ``echo`` (any input) and ``bill`` (an Order)."""
    with registry.preserved():
        orchestrator(echo)
        orchestrator(version="2")(bill)
        activity(charge)
        yield


def echo(context: OrchestrationContext, value: object) -> object:
    return value


def bill(context: OrchestrationContext, order: Order) -> int:
    return order.number


def charge(value: int) -> int:
    return value
