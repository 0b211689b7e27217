"""Async HTTP API."""

from __future__ import annotations

import json

import pytest
from django.test import Client, RequestFactory

from durable_admin.samples.async_http import measure
from orchestrations import OrchestrationClient
from tests.samples.conftest import Drive


@pytest.fixture(autouse=True)
def key(settings) -> None:
    settings.DURABLE = {**settings.DURABLE, "SYSTEM_KEY": "a-key-of-the-sample"}


def test_the_caller_polls_the_status_address_until_the_work_is_done(client: OrchestrationClient, drive: Drive) -> None:
    started = measure(RequestFactory().post("/measure", "one two\fthree", content_type="text/plain"))
    assert started.status_code == 202
    links = json.loads(started.content)
    caller = Client()
    assert caller.get(links["statusQueryGetUri"]).status_code == 202

    drive(client, links["id"])

    ended = caller.get(links["statusQueryGetUri"])
    assert (ended.status_code, ended.json()["output"]) == (200, 3)
