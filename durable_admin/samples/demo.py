"""The instances that a first visitor finds; it starts them and never touches one that exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from durable_admin.samples.accounts import Payroll, pay_wages
from durable_admin.samples.chaining import Customer, welcome_customer
from durable_admin.samples.fan_out import Gallery, make_gallery
from durable_admin.samples.monitor import Parcel, follow_parcel
from durable_admin.samples.order import Line, Order, fulfil_order
from durable_admin.samples.purchase import Purchase, buy_for_team
from durable_admin.samples.retries import Pickup, arrange_pickup
from durable_admin.samples.rewind import PriceImport, import_prices
from durable_admin.samples.sub_orchestrations import take_stock
from orchestrations import OrchestrationClient


@dataclass(frozen=True)
class DemoInstance:
    """An instance to start, under an id that stays the same."""

    instance_id: str
    orchestrator: Callable[..., Any]
    client_input: object


def order(number: str, customer: str, city: str, *lines: Line) -> Order:
    """An order that is paid with a card that works."""
    return Order(number=number, customer=customer, city=city, card="4242", lines=list(lines))


CHAIR = Line(article="Office chair", quantity=4, price=Decimal("329.00"))
LAMP = Line(article="Desk lamp", quantity=2, price=Decimal("49.50"))

INSTANCES = (
    # Complete by themselves, at once or within a minute.
    DemoInstance("demo-chaining", welcome_customer, Customer(name="Ada Moreau", email="Ada.Moreau@example.com")),
    DemoInstance("demo-sub-orchestrations", take_stock, ["Hamburg", "Lyon", "Porto"]),
    DemoInstance(
        "demo-entities",
        pay_wages,
        Payroll("Harbour Ltd", Decimal(9000), {"ada": Decimal(3200), "kai": Decimal(2900), "noor": Decimal(2600)}),
    ),
    DemoInstance("demo-retries", arrange_pickup, Pickup(address="12 Harbour Road")),
    DemoInstance(
        "demo-monitor",
        follow_parcel,
        Parcel(number="T-1001", stops=["Sorted", "Depot", "Van", "Delivered"], look_every=timedelta(seconds=12)),
    ),
    DemoInstance("demo-order-shipped", fulfil_order, order("1001", "Noor Haddad", "Lyon", LAMP)),
    DemoInstance("demo-order-compensated", fulfil_order, order("1002", "Kai Lund", "Atlantis", LAMP)),
    # Fanned out and progressing: 30 waves of four, a second each.
    DemoInstance("demo-fan-out", make_gallery, Gallery(album="harbour", photos=120, at_once=4, seconds_each=1.0)),
    # Fails; a rewind completes it.
    DemoInstance(
        "demo-rewind", import_prices, PriceImport(suppliers=["Fjord", "Nordwind", "Sierra"], unreachable=["Nordwind"])
    ),
    # Waits for a person, then ships or refunds.
    DemoInstance("demo-purchase", buy_for_team, Purchase("six desk lamps", Decimal(297), requested_by="mila")),
    DemoInstance("demo-order-approval", fulfil_order, order("1003", "Mila Petrov", "Porto", CHAIR, LAMP)),
)


def start_demo(client: OrchestrationClient | None = None) -> list[str]:
    """Start the demo instances that don't exist and return their ids.

    Running it again keeps what is there, ended or not; a purged instance is started anew. Two processes that run it at
    the same time start each instance once.
    """
    client = client or OrchestrationClient()
    missing = [instance for instance in INSTANCES if client.get_status(instance.instance_id) is None]
    for instance in missing:
        client.start_new(
            instance.orchestrator,
            instance_id=instance.instance_id,
            client_input=instance.client_input,
            on_duplicate="return-existing",
        )
    return [instance.instance_id for instance in missing]
