"""Sub-orchestrations."""

from __future__ import annotations

from durable_admin.samples.sub_orchestrations import count_warehouse, take_stock
from orchestrations import OrchestrationClient
from tests.samples.conftest import Run


def test_the_parent_gathers_what_its_children_counted(run: Run, client: OrchestrationClient) -> None:
    ended = run(take_stock, ["Lyon", "Porto"])

    assert ended.output == {"Lyon": 126, "Porto": 156}
    child = client.get_status(f"{ended.instance_id}:Lyon")
    assert child is not None
    assert child.name == "count_warehouse"
    assert child.output == {"warehouse": "Lyon", "pieces": 126}


def test_a_child_can_run_alone(run: Run) -> None:
    assert run(count_warehouse, "Lyon").output == {"warehouse": "Lyon", "pieces": 126}
