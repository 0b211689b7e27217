"""Accounts and their ledger."""

from __future__ import annotations

from decimal import Decimal

from durable_admin.samples.accounts import LEDGER, Payroll, Transfer, pay_wages, transfer_money
from orchestrations import EntityId, OrchestrationClient
from tests.samples.conftest import Drive, Run


def balance(client: OrchestrationClient, name: str) -> str:
    state: dict[str, str] = client.read_entity_state(EntityId("account", name)).entity_state
    return state["balance"]


def test_money_moves_from_one_account_to_the_other_and_is_added_up(client: OrchestrationClient, run: Run) -> None:
    client.signal_entity(EntityId("account", "ann"), "deposit", Decimal("10.50"))

    assert run(transfer_money, Transfer("ann", "bob", Decimal("4.25"))).output is True

    assert (balance(client, "ann"), balance(client, "bob")) == ("6.25", "4.25")
    assert client.read_entity_state(LEDGER).entity_state == {"transfers": 1, "sum": "4.25"}


def test_without_the_money_nothing_moves(client: OrchestrationClient, run: Run) -> None:
    client.signal_entity(EntityId("account", "ann"), "deposit", Decimal(1))

    assert run(transfer_money, Transfer("ann", "bob", Decimal(2))).output is False

    assert balance(client, "ann") == "1"
    assert not client.read_entity_state(EntityId("account", "bob")).entity_exists
    assert not client.read_entity_state(LEDGER).entity_exists


def test_transfers_in_opposite_directions_at_the_same_time_all_end(client: OrchestrationClient, drive: Drive) -> None:
    for name in ("ann", "bob"):
        client.signal_entity(EntityId("account", name), "deposit", Decimal(100))
    pairs = [("ann", "bob"), ("bob", "ann")] * 3
    started = client.start_many(transfer_money, [Transfer(*pair, Decimal(7)) for pair in pairs])

    assert [drive(client, instance_id).output for instance_id in started] == [True] * 6
    assert (balance(client, "ann"), balance(client, "bob")) == ("100", "100")


def test_wages_are_paid_as_long_as_the_budget_lasts(client: OrchestrationClient, run: Run) -> None:
    wages = {"ann": Decimal(60), "bob": Decimal(60)}

    paid = run(pay_wages, Payroll("harbour", Decimal(100), wages)).output

    assert sorted(paid.values()) == [False, True]
    assert balance(client, "harbour") == "40"
