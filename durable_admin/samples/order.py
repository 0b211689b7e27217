"""An order from basket to parcel: reserve, charge, ask above a limit, ship, and undo what was done when a step fails.

Compensation is ordinary code. Each step that succeeds leaves what would undo it; when a later one fails, these are
called in reverse order, and they are as durable as the steps themselves. The card and the carrier are simulated: a card
ending in 0002 is declined, and the carrier takes nothing to Atlantis.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from durable_admin.samples.approval import Decision
from orchestrations import (
    ActivityContext,
    OrchestrationContext,
    RetryPolicy,
    TaskFailedError,
    activity,
    orchestrator,
)

APPROVAL_LIMIT = Decimal(500)  # EUR; above it a person looks at the order
APPROVAL_DEADLINE = timedelta(days=7)
PERSISTENT = RetryPolicy(
    first_retry_interval=timedelta(seconds=5),
    max_number_of_attempts=20,
    backoff_coefficient=2.0,
    max_retry_interval=timedelta(hours=1),
)
"""For compensations: giving up on a refund is worse than a late one."""


class CardDeclined(Exception):
    """The bank refuses the charge."""


class NoDelivery(Exception):
    """The carrier does not deliver to that place."""


class OrderRejected(Exception):
    """A person said no, or nobody answered in time."""


@dataclass(frozen=True)
class Line:
    """So many of one article, at a price in EUR."""

    article: str
    quantity: int
    price: Decimal


@dataclass(frozen=True)
class Order:
    """A basket, and who pays for it with which card."""

    number: str
    customer: str
    city: str
    card: str
    lines: list[Line]

    @property
    def total(self) -> Decimal:
        """The sum in EUR."""
        return sum((line.quantity * line.price for line in self.lines), Decimal(0))


@dataclass(frozen=True)
class Outcome:
    """``undone`` names the compensations, in the order in which they ran."""

    state: Literal["shipped", "cancelled"]
    message: str
    undone: list[str]


@activity
def reserve_stock(order: Order) -> str:
    """Set the articles aside, and return the reservation's number."""
    return f"R-{order.number}"


@activity
def release_stock(reservation: str) -> None:
    """Undo a reservation. Releasing twice is harmless, as it must be for what may run twice."""


@activity
def charge_card(context: ActivityContext, order: Order) -> str:
    """Charge the card and return the payment's number: the key by which a bank recognises a repeated request."""
    if order.card.endswith("0002"):
        raise CardDeclined(f"The bank declined {order.total} EUR on the card of {order.customer}.")
    return f"P-{context.idempotency_key}"


@activity
def refund_card(payment: str) -> None:
    """Give the money back. Like every activity it may run twice; the payment's number makes a second run harmless."""


@activity
def ship_order(order: Order) -> str:
    """Hand the parcel to the carrier, and return the tracking number."""
    if order.city == "Atlantis":
        raise NoDelivery("The carrier does not deliver to Atlantis.")
    return f"T-{order.number}"


@orchestrator
def fulfil_order(context: OrchestrationContext, order: Order) -> Generator[Any, Any, Outcome]:
    """Take an order to the carrier, or leave nothing behind."""
    undo: list[tuple[Callable[..., Any], str]] = []
    try:
        reservation = yield context.call_activity(reserve_stock, order)
        undo.append((release_stock, reservation))
        payment = yield context.call_activity(charge_card, order)
        undo.append((refund_card, payment))
        if order.total > APPROVAL_LIMIT:
            decision = yield ask_for_approval(context, order)
            if not decision.approved:
                raise OrderRejected(decision.comment or f"{decision.by} rejected the order.")
        tracking = yield context.call_activity(ship_order, order)
    except (TaskFailedError, OrderRejected) as error:
        undone = []
        for compensation, subject in reversed(undo):
            yield context.call_activity(compensation, subject, retry=PERSISTENT)
            undone.append(compensation.__name__)
        return Outcome(state="cancelled", message=reason(error), undone=undone)
    return Outcome(state="shipped", message=tracking, undone=[])


def ask_for_approval(context: OrchestrationContext, order: Order) -> Any:
    """Return the task of the wait; the dashboard shows title and summary beside the two buttons."""
    return context.wait_for_external_event(
        "approval",
        data_type=Decision,
        timeout=APPROVAL_DEADLINE,
        default=Decision(approved=False, comment="Nobody approved the order in time."),
        title=f"Ship order {order.number} for {order.total} EUR?",
        summary={
            "Customer": order.customer,
            "Deliver to": order.city,
            "Articles": ", ".join(f"{line.quantity} x {line.article}" for line in order.lines),
            "Total": f"{order.total} EUR",
        },
    )


def reason(error: TaskFailedError | OrderRejected) -> str:
    """What went wrong, in the words of the activity or the person."""
    return error.details.message if isinstance(error, TaskFailedError) else str(error)
