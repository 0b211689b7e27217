"""Four eyes over a purchase: two votes by a form, never the asker's."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from durable_admin.samples.purchase import Purchase, buy_for_team
from orchestrations import OrchestrationClient
from orchestrations.errors import AnswerRejected, PermissionRefused
from orchestrations.models import HumanTask
from orchestrations.testing import InProcessWorker, answer_task
from tests.samples.conftest import Drive

LAMPS = Purchase(item="desk lamps", price=Decimal("297"), requested_by="mila")


@pytest.fixture
def asked(client: OrchestrationClient, drive: Drive) -> None:
    for name in ("dana", "max", "mila"):
        User.objects.create_superuser(name)
    client.start_new(buy_for_team, "lamps", LAMPS)
    drive(client, "lamps")


@pytest.mark.usefixtures("asked")
def test_two_people_approve(client: OrchestrationClient, drive: Drive) -> None:
    answer_task("lamps", "dana", {"decision": "approve", "price_limit": "300"})
    drive(client, "lamps")
    assert HumanTask.objects.get().state == "partly_answered"
    with pytest.raises(PermissionRefused):
        answer_task("lamps", "mila", {"decision": "approve"})

    answer_task("lamps", "max", {"decision": "approve", "price_limit": "300"}, "fine")

    output = drive(client, "lamps", until_ended=True).output
    assert output == {"bought": True, "price": "297", "decided_by": ["dana", "max"], "reason": "fine"}


@pytest.mark.usefixtures("asked")
def test_one_rejects_and_says_why(client: OrchestrationClient, drive: Drive) -> None:
    with pytest.raises(AnswerRejected, match="Say why"):
        answer_task("lamps", "dana", {"decision": "reject"})
    answer_task("lamps", "dana", {"decision": "reject", "reason": "We have lamps."})

    output = drive(client, "lamps", until_ended=True).output
    assert (output["bought"], output["reason"]) == (False, "We have lamps.")


@pytest.mark.usefixtures("asked")
def test_nobody_answers(client: OrchestrationClient, worker: InProcessWorker) -> None:
    worker.advance(timedelta(days=2))

    ended = client.get_status("lamps")
    assert ended is not None
    output = ended.output
    assert (output["bought"], output["decided_by"], output["reason"]) == (False, [], "Nobody answered in time.")


@pytest.mark.usefixtures("asked")
def test_there_has_to_be_one_question_to_answer() -> None:
    with pytest.raises(AssertionError, match="has none"):
        answer_task("lamps", "dana", {}, event="other")
