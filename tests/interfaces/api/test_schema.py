"""The schema is exact: requests made from it are answered as it says, and others are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from jsonschema import Draft202012Validator
from rest_framework.authtoken.models import Token

from orchestrations.interfaces.api.examples import EXAMPLES
from tests import rows

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
REQUESTS = 3  # of each operation, beside those that cover each rule of the schema
SECONDS = 580


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.django_db(transaction=True)
def test_the_running_site_does_what_its_schema_says(live_server, tmp_path):
    token = Token.objects.create(user=User.objects.create_superuser("root"))
    for status in ("Running", "Failed", "Completed"):
        rows.wait(rows.instance(f"order-{status}", status=status), "decision", title="Pay?")
    rows.delivery(rows.outgoing_webhook())

    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIGURATION, "run"]
    command += [f"{live_server.url}/api/schema/?format=json", "--header", f"Authorization: Token {token.key}"]
    command += ["--checks", "all", "--phases", "coverage,fuzzing", "--max-examples", str(REQUESTS)]
    command += ["--generation-deterministic", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


@pytest.mark.django_db
def test_every_operation_has_a_name_an_answer_and_its_problems(api):
    schema = api.get("/api/schema/", {"format": "json"}).json()

    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert schema["openapi"].startswith("3.1")
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert "application/problem+json" in operation["responses"]["401"]["content"], operation["operationId"]


def operations_of(schema: dict) -> list[dict]:
    return [operation for path in schema["paths"].values() for operation in path.values()]


def contents_of(operation: dict) -> Iterator[tuple[str, str, dict]]:
    """What the operation takes and answers: the part, the media type, and its schema with the example."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "request", media_type, content
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            yield status, media_type, content


@pytest.mark.django_db
def test_every_request_and_answer_has_an_example_that_fits_its_schema(api):
    schema = api.get("/api/schema/", {"format": "json"}).json()
    for operation in operations_of(schema):
        for part, media_type, content in contents_of(operation):
            where = (operation["operationId"], part, media_type)
            assert "example" in content, where
            holder = {**content["schema"], "components": schema["components"]}
            errors = [error.message for error in Draft202012Validator(holder).iter_errors(content["example"])]
            assert not errors, (where, errors)


def test_every_example_belongs_to_an_operation(api):
    schema = api.get("/api/schema/", {"format": "json"}).json()

    assert set(EXAMPLES) == {operation["operationId"] for operation in operations_of(schema)}
