"""``manage.py durable task``."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from orchestrations.models import ActivityWorkItem, AuditEntry, InboxMessage, Timer
from tests import rows
from tests.functions import registered

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def functions():
    with registered():
        yield


def test_a_timer_is_skipped_with_a_reason(capsys):
    instance = rows.instance("one")
    Timer.objects.create(
        hub=instance.hub, instance=instance, execution=1, task_id=3, due_at=rows.NOON.replace(year=2099)
    )

    call_command("durable", "task", "skip-timer", "one", "3", "--reason", "no need to wait")

    assert Timer.objects.get().due_at.year < 2099
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.via, entry.reason) == ("manage.py durable task", "Command", "no need to wait")


def test_an_activity_is_completed_by_hand():
    instance = rows.instance("one")
    ActivityWorkItem.objects.create(
        hub=instance.hub,
        instance=instance,
        execution=1,
        task_id=4,
        sequence=1,
        name="charge",
        scheduled_at=rows.NOON,
        visible_at=rows.NOON,
    )

    call_command("durable", "task", "complete", "one", "4", "--result", "41", "--reason", "paid by phone")

    assert InboxMessage.objects.get().payload == "41"


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["retry", "one", "3"], "has no call that waits"),
        (["retry", "two", "3"], "two"),
        (["retry", "one", "3", "--result", "1"], "Leave --result out"),
        (["complete", "one", "3", "--result", "1"], "Say why"),
        (["complete", "one", "3", "--result", "{", "--reason", "x"], "the result"),
    ],
)
def test_what_cannot_be_done_is_told(arguments, told):
    rows.instance("one")

    with pytest.raises(CommandError, match=told):
        call_command("durable", "task", *arguments)
