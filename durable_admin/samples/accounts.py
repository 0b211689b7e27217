"""Entities: accounts between which money is transferred under a lock, and a ledger that adds the transfers up.

Many orchestrations may pay at the same time. Each account has one operation at a time, and a transfer holds both
accounts, so that nobody sees the money that has left the one and not yet reached the other.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orchestrations import EntityContext, EntityId, OrchestrationContext, TaskFailedError, entity, orchestrator

LEDGER = EntityId("ledger", "transfers")


class NotEnoughMoney(Exception):
    """The account holds less than is asked for."""


@entity
@dataclass
class Account:
    """An account, whose attributes are its state: it begins with nothing, at its first operation."""

    balance: Decimal = Decimal(0)

    def deposit(self, amount: Decimal) -> Decimal:
        """Pay in, and return the new balance."""
        self.balance += amount
        return self.balance

    def withdraw(self, amount: Decimal) -> Decimal:
        """Pay out, and return the new balance. A failed operation changes nothing, and its caller is told."""
        if amount > self.balance:
            raise NotEnoughMoney(f"{self.balance} is less than {amount}")
        self.balance -= amount
        return self.balance


@entity
def ledger(context: EntityContext, amount: Decimal) -> None:
    """Add up what everybody transfers: an aggregator, signalled from anywhere, read by whoever wants to know."""
    known: dict[str, Any] = context.get_state(lambda: {"transfers": 0, "sum": "0"})
    context.set_state({"transfers": known["transfers"] + 1, "sum": str(Decimal(known["sum"]) + amount)})


@dataclass(frozen=True)
class Transfer:
    """So much money from one account to another."""

    source: str
    target: str
    amount: Decimal


@dataclass(frozen=True)
class Payroll:
    """What a company pays in, and to whom it pays it out."""

    company: str
    budget: Decimal
    wages: dict[str, Decimal]


@orchestrator
def transfer_money(context: OrchestrationContext, transfer: Transfer) -> Generator[Any, Any, bool]:
    """Transfer the money if the source has it, and say whether it had."""
    source, target = EntityId("account", transfer.source), EntityId("account", transfer.target)
    with (yield context.lock_entities([source, target])):
        try:
            yield context.call_entity(source, "withdraw", transfer.amount)
        except TaskFailedError as error:
            if error.is_caused_by(NotEnoughMoney):
                return False
            raise
        yield context.call_entity(target, "deposit", transfer.amount)
    context.signal_entity(LEDGER, "add", transfer.amount)
    return True


@orchestrator
async def pay_wages(context: OrchestrationContext, payroll: Payroll) -> dict[str, bool]:
    """Pay everybody at the same time. Who comes too late for the budget is told False."""
    await context.call_entity(EntityId("account", payroll.company), "deposit", payroll.budget)
    transfers = [
        context.call_sub_orchestrator(transfer_money, Transfer(payroll.company, person, wage))
        for person, wage in payroll.wages.items()
    ]
    paid: list[bool] = await context.task_all(transfers)
    return dict(zip(payroll.wages, paid, strict=True))
