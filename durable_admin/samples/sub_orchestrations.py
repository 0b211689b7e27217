"""Sub-orchestrations: an orchestrator that calls others, each with an id, a history and a page of its own."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from orchestrations import OrchestrationContext, activity, orchestrator


@dataclass(frozen=True)
class Shelf:
    """One shelf to count."""

    warehouse: str
    number: int


@dataclass(frozen=True)
class WarehouseCount:
    """What one warehouse holds."""

    warehouse: str
    pieces: int


@activity
def list_shelves(warehouse: str) -> list[Shelf]:
    """Return the shelves of one warehouse; the sample's warehouses have three each."""
    return [Shelf(warehouse=warehouse, number=number) for number in range(1, 4)]


@activity
def count_shelf(shelf: Shelf) -> int:
    """Count the pieces on one shelf; the sample's shelves hold as many as their place and number say."""
    return len(shelf.warehouse) * 10 + shelf.number


@orchestrator
async def count_warehouse(context: OrchestrationContext, warehouse: str) -> WarehouseCount:
    """Count one warehouse. It can be started alone, too: to its caller it is a function like any other."""
    shelves: list[Shelf] = await context.call_activity(list_shelves, warehouse)
    pieces: list[int] = await context.task_all([context.call_activity(count_shelf, shelf) for shelf in shelves])
    return WarehouseCount(warehouse=warehouse, pieces=sum(pieces))


@orchestrator
def take_stock(context: OrchestrationContext, warehouses: list[str]) -> Generator[Any, Any, dict[str, int]]:
    """Count all warehouses at the same time. A child that fails raises here, with the cause that it had there."""
    children = [
        context.call_sub_orchestrator(count_warehouse, warehouse, instance_id=f"{context.instance_id}:{warehouse}")
        for warehouse in warehouses
    ]
    counts: list[WarehouseCount] = yield context.task_all(children)
    return {count.warehouse: count.pieces for count in counts}
