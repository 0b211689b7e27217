"""An order with an approval above a limit and compensation."""

from __future__ import annotations

from decimal import Decimal

import pytest

from durable_admin.samples.order import Line, Order, fulfil_order
from orchestrations import OrchestrationClient
from tests.samples.conftest import Drive, Run


def order(*, price: int = 100, city: str = "Lyon", card: str = "4242") -> Order:
    lines = [Line(article="Lamp", quantity=2, price=Decimal(price))]
    return Order(number="7", customer="Kai", city=city, card=card, lines=lines)


def test_an_order_up_to_the_limit_ships_without_asking(run: Run) -> None:
    assert run(fulfil_order, order(price=250)).output == {"state": "shipped", "message": "T-7", "undone": []}


def test_a_declined_card_releases_the_stock(run: Run) -> None:
    cancelled = run(fulfil_order, order(card="4000-0002")).output

    assert cancelled["undone"] == ["release_stock"]
    assert "declined 200 EUR" in cancelled["message"]


def test_a_refused_parcel_is_refunded_and_then_released(run: Run) -> None:
    cancelled = run(fulfil_order, order(city="Atlantis")).output

    assert cancelled["state"] == "cancelled"
    assert cancelled["undone"] == ["refund_card", "release_stock"]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"approved": True, "by": "dana"}, {"state": "shipped", "message": "T-7", "undone": []}),
        (
            {"approved": False, "comment": "Unknown customer.", "by": "dana"},
            {"state": "cancelled", "message": "Unknown customer.", "undone": ["refund_card", "release_stock"]},
        ),
        (
            {"approved": False, "by": "dana"},
            {"state": "cancelled", "message": "dana rejected the order.", "undone": ["refund_card", "release_stock"]},
        ),
    ],
)
def test_above_the_limit_a_person_decides(
    run: Run, client: OrchestrationClient, drive: Drive, answer: dict[str, object], outcome: dict[str, object]
) -> None:
    waiting = run(fulfil_order, order(price=251))
    assert waiting.runtime_status == "Running"

    client.raise_event(waiting.instance_id, "approval", answer)

    assert drive(client, waiting.instance_id).output == outcome
