"""Microsoft's azure-functions-durable client against the running site, with the real engine behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

import pytest
from azure.durable_functions import DurableOrchestrationClient, OrchestrationRuntimeStatus
from azure.durable_functions import EntityId as MicrosoftEntityId
from azure.durable_functions.models.utils import http_utils

from orchestrations import EntityContext, OrchestrationContext, entity, orchestrator
from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.authoring.registry import registry
from orchestrations.models import AuditEntry, Instance
from orchestrations.testing import InProcessWorker
from tests.interfaces.management_api.conftest import SYSTEM_KEY

Call = Callable[..., object]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:enable_cleanup_closed:DeprecationWarning"),
]

# The JSON values that a user might pass, those that look like JSON themselves among them.
VALUES = [
    "text",
    "",
    '"quoted"',
    "1",
    "null",
    "é🚀",
    0,
    1.5,
    True,
    None,
    [],
    {"a": [1, None, {"b": "c"}]},
    12345678901234567890,
]


@pytest.fixture(autouse=True)
def functions() -> Iterator[dict[str, bool]]:
    """``listen`` returns its event, ``fail_once`` fails unless it has been mended, ``keeper`` keeps its input."""
    mended: dict[str, bool] = {}
    with registry.preserved():

        @orchestrator
        def listen(context: OrchestrationContext):
            return (yield context.wait_for_external_event("go"))

        @orchestrator
        def fail_once(context: OrchestrationContext) -> str:
            if not mended:
                raise ValueError("no stock")
            return "shipped"

        @entity
        def keeper(context: EntityContext, value: object) -> None:
            if context.operation_name == "delete":
                context.destruct_on_exit()
            else:
                context.set_state({"operation": context.operation_name, "input": value})

        yield mended


@pytest.fixture
def worker(transactional_db) -> Iterator[InProcessWorker]:
    worker = InProcessWorker()
    yield worker
    worker.stop()


@pytest.fixture
def do() -> Iterator[Call]:
    """Runs a coroutine of the client; its HTTP session lives as long as the test."""
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.run_until_complete(http_utils._close_session())
    loop.close()


def client_of(live_server, key: str) -> DurableOrchestrationClient:
    site = urlsplit(live_server.url)
    base = f"{site.scheme}://{quote(key, safe='')}@{site.netloc}/durabletask/"
    binding = {"taskHubName": "default", "creationUrls": {}, "managementUrls": {}, "rpcBaseUrl": base}
    return DurableOrchestrationClient(json.dumps(binding))


@pytest.fixture
def microsoft(live_server) -> DurableOrchestrationClient:
    return client_of(live_server, SYSTEM_KEY)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_orchestrator_gets_the_value_that_was_passed(microsoft, do, worker, value):
    instance_id = do(microsoft.start_new("echo", None, value))
    worker.run_until_ended(instance_id)

    status = do(microsoft.get_status(instance_id, show_input=True))
    assert status.runtime_status is OrchestrationRuntimeStatus.Completed
    assert (status.input_, status.output) == (value, value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_waiting_orchestrator_gets_the_event_that_was_raised(microsoft, do, worker, value):
    do(microsoft.start_new("listen", "order"))
    worker.run_until_idle()

    do(microsoft.raise_event("order", "go", value))

    assert worker.run_until_ended("order").output == value


def test_a_start_may_choose_id_and_version(microsoft, do):
    assert do(microsoft.start_new("echo", "order-1", {"a": 1}, version="2.1")) == "order-1"

    row = Instance.objects.get()
    assert (row.input, row.version) == ('{"a":1}', "2.1")
    assert AuditEntry.objects.get().actor_name == "system key"


def test_an_unknown_function_is_told_by_its_message(microsoft, do):
    with pytest.raises(Exception, match="nobody"):
        do(microsoft.start_new("nobody"))


def test_a_live_duplicate_is_told_by_its_message(microsoft, do):
    do(microsoft.start_new("listen", "order"))

    with pytest.raises(Exception, match="already exists"):
        do(microsoft.start_new("listen", "order"))


def test_a_status_has_history_on_demand(microsoft, do, worker):
    do(microsoft.start_new("echo", "order", 1))
    worker.run_until_ended("order")

    status = do(microsoft.get_status("order", show_history=True, show_history_output=True))

    assert [event["EventType"] for event in status.historyEvents] == ["ExecutionStarted", "ExecutionCompleted"]
    assert status.historyEvents[-1]["Result"] == 1
    assert status.created_time.tzinfo is not None


def test_an_unknown_instance_is_false(microsoft, do):
    assert not do(microsoft.get_status("nobody"))


def test_lists_are_narrowed(microsoft, do, worker):
    for name, instance_id in (("echo", "a-1"), ("listen", "a-2"), ("listen", "b-1")):
        do(microsoft.start_new(name, instance_id))
    worker.run_until_idle()
    hour = timedelta(hours=1)
    now = datetime.now(UTC)

    def ids(**where: object) -> set[str]:
        return {status.instance_id for status in do(microsoft.get_status_by(**where))}

    assert {status.instance_id for status in do(microsoft.get_status_all())} == {"a-1", "a-2", "b-1"}
    assert ids(instance_id_prefix="a-") == {"a-1", "a-2"}
    assert ids(runtime_status=[OrchestrationRuntimeStatus.Running]) == {"a-2", "b-1"}
    assert ids(created_time_from=now - hour, created_time_to=now + hour) == {"a-1", "a-2", "b-1"}
    assert ids(created_time_from=now + hour) == set()


def test_a_suspended_instance_goes_on_after_it_is_resumed(microsoft, do, worker):
    do(microsoft.start_new("listen", "order"))
    worker.run_until_idle()

    do(microsoft.suspend("order", "stock & taking"))
    do(microsoft.raise_event("order", "go", 1))
    worker.run_until_idle()
    assert do(microsoft.get_status("order")).runtime_status is OrchestrationRuntimeStatus.Suspended

    do(microsoft.resume("order", "done"))
    assert worker.run_until_ended("order").output == 1
    reasons = AuditEntry.objects.exclude(reason="").order_by("id").values_list("reason", flat=True)
    assert list(reasons) == ["stock & taking", "done"]


def test_a_terminated_instance_has_the_reason_as_its_output(microsoft, do, worker):
    do(microsoft.start_new("listen", "order"))
    worker.run_until_idle()

    do(microsoft.terminate("order", "out of stock"))
    worker.run_until_ended("order")

    status = do(microsoft.get_status("order"))
    assert (status.runtime_status, status.output) == (OrchestrationRuntimeStatus.Terminated, "out of stock")
    do(microsoft.terminate("order", "again"))  # it takes 410 for done
    with pytest.raises(Exception, match="gone"):
        do(microsoft.raise_event("order", "go"))


def test_a_failed_instance_is_rewound(microsoft, do, worker, functions):
    do(microsoft.start_new("fail_once", "order"))
    assert worker.run_until_ended("order").runtime_status == "Failed"

    functions["done"] = True
    do(microsoft.rewind("order", "mended"))

    assert worker.run_until_ended("order").output == "shipped"
    with pytest.raises(Exception, match="only supported on failed"):
        do(microsoft.rewind("order", "again"))


@pytest.mark.parametrize("with_new_id", [True, False])
def test_an_instance_is_restarted_with_its_input(microsoft, do, worker, with_new_id):
    do(microsoft.start_new("echo", "order", {"a": 1}))
    worker.run_until_ended("order")

    answer = do(microsoft.restart("order", with_new_id))

    assert (answer["id"] != "order") is with_new_id
    assert worker.run_until_ended(answer["id"]).output == {"a": 1}


@pytest.mark.parametrize("verb", ["terminate", "suspend", "resume", "rewind"])
def test_an_unknown_instance_can_not_be_steered(microsoft, do, verb):
    with pytest.raises(Exception, match=r"No instance with ID .*nobody.* found"):
        do(getattr(microsoft, verb)("nobody", "reason"))


def test_ended_instances_are_purged(microsoft, do, worker):
    for number in range(3):
        do(microsoft.start_new("echo", f"order-{number}"))
    do(microsoft.start_new("listen", "live"))
    worker.run_until_idle()

    assert do(microsoft.purge_instance_history("order-0")).instances_deleted == 1
    assert do(microsoft.purge_instance_history("order-0")).instances_deleted == 0
    since = datetime.now(UTC) - timedelta(hours=1)
    completed = [OrchestrationRuntimeStatus.Completed]
    assert do(microsoft.purge_instance_history_by(since, None, completed)).instances_deleted == 2
    assert do(microsoft.purge_instance_history_by(since)).instances_deleted == 0
    assert Instance.objects.get().instance_id == "live"


def test_the_client_waits_for_the_end(microsoft, do, worker):
    do(microsoft.start_new("echo", "order", {"a": 1}))
    worker.run_until_ended("order")

    response = do(microsoft.wait_for_completion_or_create_check_status_response(None, "order", 1000, 10))

    assert (response.status_code, json.loads(response.get_body())) == (200, {"a": 1})


# Entities


@pytest.mark.parametrize("value", ["text", 5, {"a": [1, None]}, '"quoted"', "1"], ids=repr)
def test_an_entity_gets_the_value_that_was_passed_and_is_read(microsoft, do, worker, value):
    do(microsoft.signal_entity(MicrosoftEntityId("Keeper", "a"), "keep", value))
    worker.run_until_idle()

    state = do(microsoft.read_entity_state(MicrosoftEntityId("keeper", "a")))
    assert (state.entity_exists, state.entity_state) == (True, {"operation": "keep", "input": value})
    assert not do(microsoft.read_entity_state(MicrosoftEntityId("keeper", "b"))).entity_exists


def test_an_entity_that_is_deleted_is_gone(microsoft, do, worker, api):
    do(microsoft.signal_entity(MicrosoftEntityId("keeper", "a"), "keep", 1))
    worker.run_until_idle()
    assert [item["state"]["input"] for item in api.get("entities/keeper?fetchState=true").json()] == [1]

    assert api.delete("entities/keeper/a").status_code == 202
    worker.run_until_idle()

    assert not do(microsoft.read_entity_state(MicrosoftEntityId("keeper", "a"))).entity_exists
    assert api.get("entities").json() == []


# Signing in


def test_an_api_key_in_the_rpc_base_signs_the_client_in(live_server, do):
    _, key = api_keys.issue("robot", [Verb.START])
    client = client_of(live_server, key)

    assert do(client.start_new("echo", "order")) == "order"
    assert AuditEntry.objects.get().actor_name == "API key robot"
    with pytest.raises(Exception, match="403"):
        do(client.get_status("order"))


def test_a_wrong_key_does_not_sign_the_client_in(live_server, do):
    with pytest.raises(Exception, match="presents no valid key"):
        do(client_of(live_server, "wrong").start_new("echo"))

    assert not Instance.objects.exists()


# The RPC base without the client


@pytest.mark.parametrize(("body", "stored"), [('"\\"a\\""', '"a"'), ('{"a": 1}', '{"a":1}'), ("3", "3"), ("", None)])
def test_only_a_body_that_is_a_string_is_decoded_once_more(api, body, stored):
    response = api.post("/durabletask/orchestrators/echo/order", body)

    assert response.status_code == 202
    assert Instance.objects.get().input == stored
    assert "/runtime/webhooks/durabletask/instances/order" in response.headers["Location"]


@pytest.mark.parametrize("body", ['"text"', '""', '"{"', '"\\"\\\\u0000\\""', '"NaN"'])
def test_a_string_that_holds_no_json_is_refused(api, body):
    response = api.post("/DurableTask/orchestrators/echo", body)

    assert response.status_code == 400
    assert response.json()["Message"] == "Invalid JSON content"
    assert not Instance.objects.exists()


def test_the_api_proper_takes_a_string_as_it_is(api):
    api.post("orchestrators/echo", '"\\"a\\""')

    assert Instance.objects.get().input == '"\\"a\\""'
