"""Rewind: continue a failed instance after its cause is gone, without repeating what succeeded.

The supplier's outage is simulated, and honestly so: suppliers listed in ``unreachable`` refuse during the first
execution of the instance and answer in every later one. A rewind begins a new execution; so the outage is over by the
time that somebody rewinds, and stays as long as nobody does. Price lists fetched in the first execution are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from orchestrations import ActivityContext, OrchestrationContext, activity, orchestrator


class SupplierUnreachable(Exception):
    """The supplier's service does not answer."""


@dataclass(frozen=True)
class PriceImport:
    """``unreachable`` lists the suppliers of the simulated outage."""

    suppliers: list[str]
    unreachable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """One supplier to ask."""

    supplier: str
    fails_first: bool


@dataclass(frozen=True)
class PriceList:
    """The prices of one supplier."""

    supplier: str
    prices: dict[str, Decimal]


@activity
def fetch_prices(context: ActivityContext, request: Request) -> PriceList:
    """Fetch one supplier's prices. ``context.execution`` is 1 at first and grows with each rewind."""
    if request.fails_first and context.execution == 1:
        raise SupplierUnreachable(f"{request.supplier} does not answer. Rewind this instance when it is back.")
    return PriceList(supplier=request.supplier, prices={"A4 paper": Decimal("4.20") + len(request.supplier)})


@activity
def publish_prices(lists: list[PriceList]) -> int:
    """Publish all price lists together, and return how many prices there are."""
    return sum(len(price_list.prices) for price_list in lists)


@orchestrator
async def import_prices(context: OrchestrationContext, job: PriceImport) -> int:
    """Publish the prices of all suppliers, or fail whole: there is no handler here, a person looks into it."""
    requests = [Request(supplier=name, fails_first=name in job.unreachable) for name in job.suppliers]
    lists = await context.task_all([context.call_activity(fetch_prices, request) for request in requests])
    published: int = await context.call_activity(publish_prices, lists)
    return published
