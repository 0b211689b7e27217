"""Human interaction with reminders and a deadline."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from durable_admin.samples.approval import Expense, settle_expense
from orchestrations import OrchestrationClient
from orchestrations.models import OpenWait
from orchestrations.testing import InProcessWorker
from tests.samples.conftest import Drive, Run

EXPENSE = Expense(employee="Noor", purpose="Train to Porto", amount=Decimal("88.40"))


def test_it_waits_for_a_person_with_a_question_that_the_dashboard_can_show(run: Run) -> None:
    assert run(settle_expense, EXPENSE).runtime_status == "Running"

    wait = OpenWait.objects.get()
    assert wait.name == "decision"
    assert wait.title == "Pay 88.40 EUR to Noor?"
    assert "Train to Porto" in str(wait.request)


@pytest.mark.parametrize(
    ("answer", "settled"),
    [
        (
            {"approved": True, "comment": "", "by": "dana"},
            {"paid": True, "reason": "88.40 EUR to Noor for Train to Porto", "reminders": 0},
        ),
        (
            {"approved": False, "comment": "No receipt.", "by": "dana"},
            {"paid": False, "reason": "No receipt.", "reminders": 0},
        ),
    ],
)
def test_the_answer_decides(
    run: Run, client: OrchestrationClient, drive: Drive, answer: dict[str, object], settled: dict[str, object]
) -> None:
    instance_id = run(settle_expense, EXPENSE).instance_id
    client.raise_event(instance_id, "decision", answer)

    assert drive(client, instance_id).output == settled
    assert not OpenWait.objects.exists()


def test_without_an_answer_it_reminds_each_day_and_refuses_after_three(
    client: OrchestrationClient, worker: InProcessWorker
) -> None:
    instance_id = client.start_new(settle_expense, client_input=EXPENSE)
    worker.advance(timedelta(days=2, hours=23))
    waiting = client.get_status(instance_id)
    assert waiting is not None and waiting.runtime_status == "Running"

    worker.advance(timedelta(hours=1))

    ended = client.get_status(instance_id)
    assert ended is not None
    assert ended.output == {"paid": False, "reason": "Nobody answered in time.", "reminders": 2}
