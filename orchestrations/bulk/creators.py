"""In whose name a bulk job acts: a person's, or a program's by its key. Their rights count at every batch anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model

from orchestrations.access import api_keys
from orchestrations.access.api_keys import KeyHolder, SystemKeyHolder, Verb
from orchestrations.errors import PermissionRefused
from orchestrations.models import BulkJob

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person

Creator = BulkJob.Creator


def columns_of(person: Person) -> dict[str, Any]:
    """The columns that tell in whose name a job acts, and which jobs are theirs.

    Raises PermissionRefused for who has neither an account nor a key whose rights could be looked at later.
    """
    if isinstance(person, SystemKeyHolder):
        return {"creator": Creator.SYSTEM_KEY}
    if isinstance(person, KeyHolder):
        return {"creator": Creator.API_KEY, "created_by_key_id": person.key.pk}
    if person.pk is None:
        raise PermissionRefused("A bulk job acts with the rights of a user's account. Sign in as one.")
    return {"creator": Creator.USER, "created_by_id": person.pk}


def is_creator(person: Person, job: BulkJob) -> bool:
    """Whether the job acts in the name of that person or program."""
    if isinstance(person, SystemKeyHolder):
        return job.creator == Creator.SYSTEM_KEY
    if isinstance(person, KeyHolder):
        return job.created_by_key_id == person.key.pk
    return person.is_active and job.created_by_id == person.pk


def creator_of(job: BulkJob) -> Person:
    """Who made the job, with the rights of this moment. Raises PermissionRefused where they have none any more.

    The system key has no row that could be revoked, so that its jobs end by themselves or by being stopped.
    """
    if job.creator == Creator.SYSTEM_KEY:
        return SystemKeyHolder()
    if job.creator == Creator.API_KEY:
        key = None if job.created_by_key_id is None else api_keys.get(job.created_by_key_id)
        if key is None or not api_keys.opens(key, Verb.BATCH, job.hub):
            raise PermissionRefused(f"The {job.creator_name}, in whose name it acts, makes no batches any more.")
        return KeyHolder(key)
    accounts = get_user_model()._default_manager
    user: Any = None if job.created_by_id is None else accounts.filter(pk=job.created_by_id).first()
    if user is None or not user.is_active:
        raise PermissionRefused(f"The account of {job.creator_name!r}, in whose name it acts, is gone or inactive.")
    person: Person = user
    return person
