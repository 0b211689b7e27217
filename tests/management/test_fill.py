"""``manage.py durable fill``."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from orchestrations.models import HistoryEvent, Instance, OpenWait, Timer
from orchestrations.reading import queries
from orchestrations.reading.queries import InstanceFilter

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_makes_a_busy_hub_beside_the_sites_own(command):
    told = command("fill", "--instances", 2000, "--events", 50)

    assert told.startswith("2,000 instances and a history of 50 events in the task hub trial")
    assert not Instance.objects.filter(hub="default").exists()
    assert Instance.objects.filter(hub="trial").count() == 2001
    assert {"Completed", "Failed", "Running", "Pending"} <= set(Instance.objects.values_list("status", flat=True))
    assert queries.list_instances("trial", InstanceFilter(tags={"region": "eu"})).items
    assert OpenWait.objects.exclude(title="").exists()
    assert Timer.objects.filter(attempt__gt=0).exists()


def test_the_large_instance_has_its_history_without_a_gap(command):
    command("fill", "--instances", 10, "--events", 500)

    large = Instance.objects.get(instance_id="large")
    numbers = HistoryEvent.objects.filter(instance=large).order_by("sequence").values_list("sequence", flat=True)
    assert list(numbers) == list(range(1, 501))
    assert large.last_sequence == 500


def test_what_starts_afterwards_gets_ids_of_its_own(command):
    command("fill", "--instances", 10)

    assert Instance.objects.create(hub="default", instance_id="mine", name="echo").pk > 10


def test_a_hub_with_instances_is_left_alone_unless_forced(command):
    command("fill", "--instances", 5, "--hub", "other")

    with pytest.raises(CommandError, match="has instances"):
        command("fill", "--instances", 5, "--hub", "other")
    with pytest.raises(CommandError, match="task hub of this site"):
        command("fill", "--hub", "default")
    with pytest.raises(CommandError, match="above 0"):
        command("fill", "--instances", 0)
    assert Instance.objects.count() == 5
