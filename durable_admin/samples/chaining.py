"""Function chaining: each activity works on what the one before it returned.

If the process dies between two of them, the next worker goes on after the last one that was recorded.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from orchestrations import ActivityContext, OrchestrationContext, activity, orchestrator


@dataclass(frozen=True)
class Customer:
    """Who is to be welcomed."""

    name: str
    email: str


@dataclass(frozen=True)
class Account:
    """An account that is open."""

    number: str
    owner: Customer


@activity
def check_email(email: str) -> str:
    """Return the address as it is to be stored; an address without a domain fails the orchestration."""
    address = email.strip().lower()
    if not address.partition("@")[2]:
        raise ValueError(f"{email!r} is not an e-mail address.")
    return address


@activity
def open_account(context: ActivityContext, owner: Customer) -> Account:
    """Open an account. The number comes from the idempotency key: an activity that runs twice opens one account."""
    return Account(number=f"AC-{uuid5(NAMESPACE_URL, context.idempotency_key).hex[:8].upper()}", owner=owner)


@activity
def write_welcome_letter(account: Account) -> str:
    """Return the letter that a real activity would hand to a mail service."""
    return f"Dear {account.owner.name}, your account {account.number} is open. We write to {account.owner.email}."


@orchestrator
def welcome_customer(context: OrchestrationContext, customer: Customer) -> Generator[Any, Any, str]:
    """Check the address, open the account, write the letter: one after the other."""
    email = yield context.call_activity(check_email, customer.email)
    account = yield context.call_activity(open_account, Customer(name=customer.name, email=email))
    letter: str = yield context.call_activity(write_welcome_letter, account)
    return letter
