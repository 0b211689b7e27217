"""The schema is exact: made of the table of routes, and requests made from it are answered as it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.core.events import EventType
from orchestrations.interfaces.management_api import parameters
from orchestrations.interfaces.management_api.operations import OPERATIONS
from orchestrations.interfaces.management_api.routes import ROUTES
from tests import asking, rows
from tests.interfaces.management_api.conftest import BASE, SYSTEM_KEY, Caller

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
REQUESTS = 2  # of each operation, beside those that cover each rule of the schema
SECONDS = 580
NEVER = "unsupported_method"  # which would be a 405, and is a 404 here


@pytest.fixture
def schema(api) -> dict:
    response = api.get("openapi.json")
    assert response.status_code == 200
    return response.json()


def operations_of(schema: dict) -> dict[str, dict]:
    return {one["operationId"]: one for path in schema["paths"].values() for one in path.values()}


def test_every_route_is_in_it_once(schema):
    assert set(OPERATIONS) == {route.handler for route in ROUTES}
    assert len(operations_of(schema)) == len(ROUTES)
    assert schema["openapi"] == "3.1.0"
    assert schema["servers"] == [{"url": f"http://testserver{BASE}"}]
    assert {one["x-verb"] for one in operations_of(schema).values() if "x-verb" in one} == {
        verb.value for verb in Verb if verb is not Verb.READ_PAYLOADS
    }


def test_every_operation_says_what_it_does_and_how_it_refuses(schema):
    for name, operation in operations_of(schema).items():
        assert operation["summary"], name
        assert {"400", "401", "403", "404", "429", "503"} <= set(operation["responses"]), name
        assert any(status < "300" for status in operation["responses"]), name


def test_it_is_for_every_key_and_for_no_link(api, stranger):
    key = Caller(api_keys.issue("robot", [])[1])
    link = api.post("orchestrators/echo").json()["statusQueryGetUri"].partition("?")[2]

    assert key.get("openapi.json").status_code == 200
    assert stranger.get(f"openapi.json?{link}").status_code == 403
    assert stranger.get("openapi.json").status_code == 401
    assert api.get("/durabletask/OPENAPI.JSON").json() == api.get("openapi.json").json()


class Recorded(dict):
    """Parameters of a query that note which were looked for."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.names: set[str] = set()

    def get(self, name, *default):
        self.names.add(name)
        return super().get(name, *default)

    def __contains__(self, name) -> bool:
        self.names.add(name)
        return super().__contains__(name)


END = {"action": "terminate", "instances": {}, "reason": "x"}
HOOK = {"name": "n", "url": "https://shop.example/", "events": ["completed"]}
REQUESTS_OF = {
    "startOrchestration": ("POST", "orchestrators/echo", None),
    "startOrchestrationByInstanceId": ("POST", "orchestrators/echo/mine", None),
    "listInstances": ("GET", "instances", None),
    "purgeInstances": ("DELETE", "instances?createdTimeFrom=2020-01-01", None),
    "countInstances": ("GET", "instances/count?groupBy=name", None),
    "getInstance": ("GET", "instances/failed", None),
    "purgeInstance": ("DELETE", "instances/failed", None),
    "listHistory": ("GET", "instances/order/history", None),
    "streamInstance": ("GET", "instances/order/stream", None),
    "listApprovals": ("GET", "instances/order/approvals", None),
    "answerApproval": ("POST", "instances/order/approvals/{task}", {"answer": {"decision": "approve"}}),
    "setTags": ("PATCH", "instances/order/tags", {"a": "b"}),
    "raiseEvent": ("POST", "instances/order/raiseEvent/go", None),
    "terminateInstance": ("POST", "instances/order/terminate", None),
    "suspendInstance": ("POST", "instances/order/suspend", None),
    "resumeInstance": ("POST", "instances/order/resume", None),
    "rewindInstance": ("POST", "instances/failed/rewind", None),
    "restartInstance": ("POST", "instances/failed/restart", None),
    "forkInstance": ("POST", "instances/source/fork?step=2", None),
    "createBatch": ("POST", "instances:batch", END),
    "listBatches": ("GET", "batches", None),
    "getBatch": ("GET", "batches/{batch}", None),
    "stopBatch": ("POST", "batches/{batch}/stop", None),
    "listEntities": ("GET", "entities", None),
    "listEntitiesByName": ("GET", "entities/account", None),
    "getEntity": ("GET", "entities/account/lyon", None),
    "signalEntity": ("POST", "entities/account/lyon", None),
    "deleteEntity": ("DELETE", "entities/account/lyon", None),
    "listWebhooks": ("GET", "webhooks", None),
    "createWebhook": ("POST", "webhooks", HOOK),
    "getWebhook": ("GET", "webhooks/{hook}", None),
    "changeWebhook": ("PATCH", "webhooks/{hook}", {"enabled": False}),
    "deleteWebhook": ("DELETE", "webhooks/{hook}", None),
    "rotateWebhookSecret": ("POST", "webhooks/{hook}/rotateSecret", None),
    "listDeliveries": ("GET", "webhooks/{hook}/deliveries", None),
    "getDelivery": ("GET", "webhooks/{hook}/deliveries/{delivery}", None),
    "resendDelivery": ("POST", "webhooks/{hook}/deliveries/{delivery}/resend", None),
    "makePrimary": ("POST", "makeprimary", None),
    "getSchema": ("GET", "openapi.json", None),
}


@pytest.fixture
def places(api) -> dict[str, int]:
    """What the requests name."""
    order = rows.instance("order", name="order_flow")
    rows.instance("failed", status="Failed")
    events = (EventType.EXECUTION_STARTED, {"name": "echo"}), (EventType.EVENT_RAISED, {"name": "go"})
    rows.history(rows.instance("source", status="Failed"), *events)
    rows.entity("@account@lyon", "1")
    batch = api.post("instances:batch", json.dumps({**END, "instances": ["x"]})).json()["id"]
    hook = rows.outgoing_webhook("first")
    return {"task": asking.ask(order, "Pay?").pk, "batch": batch, "hook": hook.pk, "delivery": rows.delivery(hook).pk}


@pytest.mark.parametrize("name", REQUESTS_OF)
def test_an_operation_reads_the_parameters_that_the_schema_says_and_no_others(
    name, api, schema, places, settings, monkeypatch
):
    read = []

    def recorded(request):
        read.append(Recorded(query_parameters(request)))
        return read[-1]

    query_parameters = parameters.query_parameters
    monkeypatch.setattr(parameters, "query_parameters", recorded)
    method, path, body = REQUESTS_OF[name]
    response = api.call(method, path.format(**places), data=json.dumps(body) if body else b"")
    assert response.status_code in (200, 201, 202, 204, 501), response.content

    declared = {one["name"] for one in operations_of(schema)[name]["parameters"] if one["in"] == "query"}
    looked_for = set().union(*(one.names for one in read))
    if name == "streamInstance":  # what shows payloads is read once there is a stream
        looked_for |= {"showinput", "showhistoryoutput"}
    assert looked_for == {one.casefold() for one in declared}
    assert str(response.status_code) in operations_of(schema)[name]["responses"]


def test_there_is_such_a_request_of_every_operation(schema):
    assert set(REQUESTS_OF) == set(operations_of(schema))


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.django_db(transaction=True)
def test_the_running_site_does_what_its_schema_says(live_server, tmp_path):
    for status in ("Running", "Failed", "Completed"):
        rows.instance(f"order-{status}", status=status)

    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIGURATION, "run"]
    command += [f"{live_server.url}{BASE}/openapi.json", "--header", f"x-functions-key: {SYSTEM_KEY}"]
    command += ["--checks", "all", "--exclude-checks", NEVER, "--phases", "coverage,fuzzing"]
    command += ["--max-examples", str(REQUESTS), "--generation-deterministic", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
