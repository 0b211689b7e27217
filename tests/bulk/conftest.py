"""People who make bulk jobs, and the runner that carries them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from orchestrations.access.permissions import Action
from orchestrations.bulk import jobs
from orchestrations.bulk.acts import checked_parameters
from orchestrations.bulk.runner import BulkRunner
from orchestrations.bulk.selections import Selection
from orchestrations.models import AuditEntry, BulkJob
from orchestrations.reading.queries import InstanceFilter
from orchestrations.store import get_store
from tests import rows
from tests.functions import registered

RIGHTS = (
    "view_instance",
    "terminate_instance",
    "suspend_instance",
    "rewind_instance",
    "start_instance",
    "purge_instance",
    "raise_event",
    "tag_instance",
)


@pytest.fixture(autouse=True)
def functions() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def ada(db) -> User:
    """Somebody who may do everything in bulk, by permissions of her own."""
    user = User.objects.create_user("ada")
    user.user_permissions.set(Permission.objects.filter(codename__in=RIGHTS))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def make_job(ada) -> Callable[..., BulkJob]:
    """Makes a job of ada's on all instances, or on those that ``where`` or ``ids`` choose."""

    def make_job(
        action: Action,
        *,
        where: InstanceFilter | None = None,
        ids: tuple[str, ...] = (),
        reason: str = "vendor outage",
        **parameters: Any,
    ) -> BulkJob:
        job, _ = jobs.create(
            ada,
            rows.HUB,
            action,
            Selection.of_ids(ids) if ids else Selection(where or InstanceFilter()),
            parameters=checked_parameters(action, **parameters),
            reason=reason,
            via=AuditEntry.Via.DASHBOARD,
            address="192.0.2.7",
        )
        return job

    return make_job


@pytest.fixture
def runner(db) -> BulkRunner:
    return BulkRunner(get_store(rows.HUB))


@pytest.fixture
def finish(runner) -> Callable[[BulkJob], BulkJob]:
    """Carries a job out to its end."""

    def finish(job: BulkJob) -> BulkJob:
        while runner.run_batch():
            pass
        job.refresh_from_db()
        return job

    return finish
