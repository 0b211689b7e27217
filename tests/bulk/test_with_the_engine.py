"""Bulk jobs and the engine together: what a job sends is what instances do."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from orchestrations import OrchestrationClient
from orchestrations.access.permissions import Action
from orchestrations.bulk import jobs
from orchestrations.bulk.acts import checked_parameters
from orchestrations.bulk.selections import Selection
from orchestrations.models import AuditEntry, Instance
from orchestrations.reading.queries import InstanceFilter
from orchestrations.testing import InProcessWorker
from orchestrations.worker import tasks
from tests import rows
from tests.runtime import functions


@pytest.fixture
def stage():
    with functions.registered():
        yield functions.stage


@pytest.fixture
def worker(transactional_db, stage):
    worker = InProcessWorker()
    yield worker
    worker.stop()


@pytest.fixture
def root(transactional_db) -> User:
    return User.objects.create_superuser("root")


def job_of(user: User, action: Action, where: InstanceFilter, **parameters: object):
    job, _ = jobs.create(
        user,
        rows.HUB,
        action,
        Selection(where),
        parameters=checked_parameters(action, **parameters),
        reason="gone wrong",
        via=AuditEntry.Via.DASHBOARD,
    )
    return job


def test_two_hundred_and_forty_waiting_instances_are_ended_by_one_job(worker, root):
    client = OrchestrationClient()
    started = client.start_many(functions.waits, [1] * 240)
    spared = client.start_new(functions.chain, None, 1)
    worker.run_until_idle()

    job = job_of(root, Action.TERMINATE, InstanceFilter(name="waits"))
    worker.run_until_idle()

    job.refresh_from_db()
    assert (job.state, job.total, job.done) == ("Completed", 240, 240)
    assert Instance.objects.filter(status="Terminated", instance_id__in=started).count() == 240
    assert client.get_status(spared).runtime_status == "Completed"
    assert AuditEntry.objects.filter(action="terminate", details__job=job.pk).count() == 240


def test_a_drain_of_the_cluster_carries_out_a_job(worker, root, monkeypatch):
    rows.instance("one")
    monkeypatch.setattr(tasks, "_runtime", None)
    job = job_of(root, Action.SUSPEND, InstanceFilter())

    tasks.drain()
    tasks.runtime().stop()

    job.refresh_from_db()
    assert (job.state, job.done) == ("Completed", 1)
