"""A module as authors write it: postponed annotations, types for checkers only, and a class defined after its use."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orchestrations import ActivityContext

if TYPE_CHECKING:
    from uuid import UUID

    from orchestrations import OrchestrationContext


def charge(context: ActivityContext, order: Order) -> Receipt:
    return Receipt(order.number, order.amount)


async def ship(order: Order) -> str:
    return order.number


def unresolvable(order: UUID) -> None:
    raise AssertionError


def buy(context: OrchestrationContext, order: Order) -> Generator[Any, Any, Receipt]:
    receipt = yield context.call_activity(charge, order)
    return receipt


@dataclass
class Order:
    number: str
    amount: Decimal


@dataclass
class Receipt:
    number: str
    paid: Decimal
