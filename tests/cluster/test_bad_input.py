"""Whatever an author's code does, its instance ends in a clear state with a clear message, and holds up no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrations.client import OrchestrationClient
from orchestrations.errors import FunctionNotRegistered, PayloadRejected
from orchestrations.models import Instance
from orchestrations.store import get_store
from orchestrations.store.contract import NewInstance
from tests.cluster.conftest import Cluster
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("cluster")
Ended = Callable[..., Instance]


@dataclass(frozen=True)
class BadCode:
    """What an author's code does, where, and words of the failure that it ends with."""

    does: str
    orchestrator: str
    value: Any
    says: tuple[str, ...]


BAD = [
    BadCode(
        "an activity raises", "calls", ("fail", "no such customer"), ("LookupError", "no such customer", "in fail")
    ),
    BadCode("nobody registered the activity", "calls", ("nonesuch", 1), ("nonesuch", "registered")),
    BadCode("the activity's input has the wrong type", "calls", ("double", "two"), ("double", "number", "int")),
    BadCode("an activity returns no JSON", "calls", ("return_a_socket", 1), ("return_a_socket", "object")),
    BadCode("an activity never returns", "calls", ("hang", 3600.0, 0.5), ("hang", "0.5 seconds", "TimeoutError")),
    BadCode("the orchestrator yields no task", "yields_a_number", None, ("TypeError", "int", "yields_a_number")),
    BadCode("the orchestrator never waits", "computes_for_ever", None, ("EpisodeTimeout", "computes_for_ever")),
    BadCode("the orchestrator returns no JSON", "returns_a_socket", None, ("returns_a_socket", "object")),
]


def test_each_kind_of_bad_code_fails_alone_and_says_why(client: OrchestrationClient, ended: Ended) -> None:
    started = {case: client.start_new(case.orchestrator, client_input=case.value) for case in BAD}
    healthy = [client.start_new("good", client_input=number) for number in range(20)]
    for number, instance_id in enumerate(healthy):
        assert ended(instance_id).output == str(4 * number)
    for case, instance_id in started.items():
        instance = ended(instance_id)
        assert instance.status == "Failed", case
        for words in case.says:
            assert words in (instance.failure or ""), (case, words, instance.failure)


def test_a_name_that_no_app_registers_is_refused_at_the_start(client: OrchestrationClient) -> None:
    with pytest.raises(FunctionNotRegistered, match="nonesuch"):
        client.start_new("nonesuch")
    assert not Instance.objects.exists()


@pytest.mark.parametrize("value", ["four", {"number": 4}, None, float("nan"), object()])
def test_an_input_that_does_not_fit_is_refused_at_the_start(client: OrchestrationClient, value: object) -> None:
    with pytest.raises(PayloadRejected, match="good"):
        client.start_new("good", client_input=value)
    assert not Instance.objects.exists()


def test_an_instance_whose_code_is_gone_waits_visibly_and_can_be_terminated(
    client: OrchestrationClient, cluster: Cluster, ended: Ended
) -> None:
    get_store().create_instances([NewInstance("orphan", "removed_in_a_deploy")])
    healthy = client.start_new("good", client_input=1)
    assert ended(healthy).status == "Completed"
    waiting = eventually(lambda: Instance.objects.filter(instance_id="orphan").exclude(waiting_for="").first())
    assert waiting.status == "Pending"
    assert waiting.waiting_for == "no worker has the code of orchestrator removed_in_a_deploy"
    client.terminate("orphan", "its code will not come back")
    assert ended("orphan").status == "Terminated"


def test_an_activity_that_kills_its_worker_every_time_fails_as_poison(
    client: OrchestrationClient, ended: Ended
) -> None:
    poisoned = client.start_new("calls", client_input=["kill_own_process", 1])
    healthy = [client.start_new("good", client_input=number) for number in range(5)]
    instance = ended(poisoned)
    assert instance.status == "Failed"
    assert "PoisonMessage" in (instance.failure or "")
    assert "kill_own_process" in (instance.failure or "")
    for instance_id in healthy:
        assert ended(instance_id).status == "Completed"
