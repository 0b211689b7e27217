"""What the client sends has the effect that it promises, on the real engine in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from orchestrations import OrchestrationClient, OrchestrationContext, activity, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.models import InboxMessage, Instance
from orchestrations.runtime.drain import Runtime
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


class Shop:
    """What the activities do, for the test to decide and to count."""

    def __init__(self) -> None:
        self.is_open = False
        self.deliveries = 0


shop = Shop()

with registry.preserved():

    @activity
    def deliver() -> str:
        shop.deliveries += 1
        if not shop.is_open:
            raise RuntimeError("closed")
        return "delivered"

    @orchestrator
    def delivery(context: OrchestrationContext):
        return (yield context.call_activity(deliver))

    @orchestrator
    def collecting(context: OrchestrationContext):
        collected = []
        while len(collected) < 3:
            collected.append((yield context.wait_for_external_event("item")))
        return collected

    @orchestrator
    def parent(context: OrchestrationContext):
        return (yield context.call_sub_orchestrator(collecting, instance_id="child"))


@pytest.fixture(autouse=True)
def functions() -> Iterator[None]:
    shop.__init__()
    with registry.preserved():
        for function in (delivery, collecting, parent):
            registry.add_orchestrator(function.durable)
        registry.add_activity(deliver.durable)
        yield


@pytest.fixture
def client(transactional_db) -> OrchestrationClient:
    return OrchestrationClient(actor="dana")


@pytest.fixture
def until(client) -> Iterator[Callable[[str, str], None]]:
    """Let the engine work until the instance has that status and nothing is left in the inboxes."""
    runtime = Runtime()

    def until(instance_id: str, status: str) -> None:
        def reached() -> bool:
            runtime.drain(1.0)
            return client.get_status(instance_id).runtime_status == status and not InboxMessage.objects.exists()

        eventually(reached, otherwise=lambda: str(client.get_status(instance_id, show_history=True)))

    yield until
    runtime.stop()


def test_events_arrive_in_order_also_before_the_start(client, until):
    client.start_new(collecting, "order")
    for number in range(3):
        client.raise_event("order", "ITEM", number)

    until("order", "Completed")

    assert client.get_status("order").output == [0, 1, 2]


def test_a_terminated_instance_ends_with_the_reason_and_its_children(client, until):
    client.start_new(parent, "order")
    until("child", "Running")

    client.terminate("order", "no stock")
    until("order", "Terminated")
    until("child", "Terminated")

    assert client.get_status("order").output == "no stock"


def test_children_go_on_where_the_caller_says_so(client, until):
    client.start_new(parent, "order")
    until("child", "Running")

    client.terminate("order", recursive=False)
    until("order", "Terminated")

    assert client.get_status("child").runtime_status == "Running"


def test_a_suspended_instance_keeps_what_arrives(client, until):
    client.start_new(collecting, "order")
    until("order", "Running")
    client.suspend("order")
    client.suspend("order")
    until("order", "Suspended")
    for number in range(3):
        client.raise_event("order", "item", number)

    client.resume("order")
    client.resume("order")
    until("order", "Completed")

    assert client.get_status("order").output == [0, 1, 2]


def test_the_last_of_opposite_messages_wins(client, until):
    client.start_new(collecting, "order")
    client.suspend("order")
    until("order", "Suspended")

    client.resume("order")
    client.suspend("order")
    until("order", "Suspended")

    assert client.get_status("order").runtime_status == "Suspended"


def test_a_double_click_on_rewind_repeats_only_what_failed_once(client, until):
    client.start_new(delivery, "order")
    until("order", "Failed")
    assert client.get_status("order").failure_details is not None
    shop.is_open = True

    client.rewind("order")
    client.rewind("order")
    until("order", "Completed")

    assert (client.get_status("order").output, shop.deliveries) == ("delivered", 2)


def test_a_purged_instance_leaves_nothing(client, until):
    client.start_new(collecting, "order")
    client.terminate("order")
    until("order", "Terminated")

    client.purge_instance_history("order")

    assert not Instance.objects.exists()
