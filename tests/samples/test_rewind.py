"""Rewind."""

from __future__ import annotations

from durable_admin.samples.rewind import PriceImport, import_prices
from orchestrations import OrchestrationClient
from orchestrations.models import HistoryEvent
from tests.samples.conftest import Drive, Run


def test_without_an_outage_it_publishes_every_supplier(run: Run) -> None:
    assert run(import_prices, PriceImport(suppliers=["Fjord", "Nordwind", "Sierra"])).output == 3


def test_the_outage_fails_it_and_a_rewind_completes_it_without_repeating_what_succeeded(
    run: Run, client: OrchestrationClient, drive: Drive
) -> None:
    failed = run(import_prices, PriceImport(suppliers=["Fjord", "Nordwind", "Sierra"], unreachable=["Nordwind"]))
    assert failed.runtime_status == "Failed"
    assert "Nordwind does not answer." in str(failed.output)

    client.rewind(failed.instance_id, "The supplier is back.")
    ended = drive(client, failed.instance_id)

    assert (ended.runtime_status, ended.output) == ("Completed", 3)
    assert completions(failed.instance_id, execution=1) < completions(failed.instance_id, execution=2)


def completions(instance_id: str, execution: int) -> set[tuple[int | None, object]]:
    """Which tasks completed, and when: what is kept by a rewind keeps its time."""
    events = HistoryEvent.objects.filter(instance__instance_id=instance_id, execution=execution, type="TaskCompleted")
    return set(events.values_list("task_id", "timestamp"))
