"""Human interaction with attempts and a deadline."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from durable_admin.samples.verification import Phone, verify_phone
from orchestrations import OrchestrationClient
from orchestrations.models import HistoryEvent
from orchestrations.testing import InProcessWorker
from tests.samples.conftest import Drive

PHONE = Phone(number="+351 21 000 0000")


@pytest.mark.parametrize(("wrong_tries", "verified"), [(0, True), (2, True), (3, False)])
def test_the_right_code_counts_within_three_tries(
    client: OrchestrationClient, drive: Drive, wrong_tries: int, verified: bool
) -> None:
    instance_id = client.start_new(verify_phone, client_input=PHONE)
    drive(client, instance_id)
    code = json.loads(HistoryEvent.objects.get(type="TaskCompleted").payload or "")
    for _ in range(wrong_tries):
        client.raise_event(instance_id, "code", "wrong")
    drive(client, instance_id)
    if wrong_tries < 3:
        client.raise_event(instance_id, "code", code)

    assert drive(client, instance_id).output is verified


def test_without_an_answer_in_time_it_is_not_verified(client: OrchestrationClient, worker: InProcessWorker) -> None:
    instance_id = client.start_new(verify_phone, client_input=PHONE)
    worker.advance(timedelta(minutes=2, seconds=50))
    waiting = client.get_status(instance_id)
    assert waiting is not None and waiting.runtime_status == "Running"

    worker.advance(timedelta(seconds=10))

    ended = client.get_status(instance_id)
    assert ended is not None and ended.output is False
