"""Bulk jobs as people meet them: previewed, made, looked up and stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from orchestrations.access import audit
from orchestrations.access.permissions import Action, can, can_somewhere, names_open_to, require
from orchestrations.bulk.acts import ACTS, checked_reason
from orchestrations.bulk.creators import columns_of, is_creator
from orchestrations.bulk.selections import Selection
from orchestrations.client.arguments import check_idempotency_key, check_reason
from orchestrations.client.tagging import tag_details
from orchestrations.conf import get_config
from orchestrations.errors import PermissionRefused
from orchestrations.limits import COUNT_CAP, LIST_PAGE
from orchestrations.models import AuditEntry, BulkJob, BulkProblem, Instance
from orchestrations.models.audit import Deed
from orchestrations.models.bulk_jobs import OPEN_STATES
from orchestrations.reading.paging import CappedCount, Page, keyset_page
from orchestrations.store import get_store

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person

PROBLEMS_TOLD = 100
NEWER_COUNTED = 99  # jobs made while a page is read; more are "99+"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a job would act on, if it were made now."""

    count: CappedCount
    """Instances whose status allows the act."""
    chosen: CappedCount
    """All that are chosen, whatever their status."""
    first: Sequence[Instance]
    """The first of those that the act would reach."""

    @property
    def left_out(self) -> int | None:
        """How many are chosen in a status that does not allow the act; None where that was not counted to the end."""
        return None if self.chosen.is_capped else self.chosen.value - self.count.value


def preview(user: Person, hub: str, action: Action, selection: Selection) -> Preview:
    """Count to the cap, and name the first. Three queries, whatever the number of instances."""
    using = get_config().database
    selection = _within_reach(selection, user, action, hub)
    return Preview(
        count=selection.count(hub, using, action, COUNT_CAP),
        chosen=selection.count(hub, using, None, COUNT_CAP),
        first=selection.first(hub, using, action),
    )


def first_keys(user: Person, hub: str, action: Action, selection: Selection, limit: int) -> list[int]:
    """The keys of the first of the instances that a job would reach, in its order."""
    using = get_config().database
    return [row.pk for row in _within_reach(selection, user, action, hub).first(hub, using, action, limit)]


def create(
    user: Person,
    hub: str,
    action: Action,
    selection: Selection,
    *,
    parameters: Mapping[str, Any],
    reason: str = "",
    via: AuditEntry.Via,
    address: str | None = None,
    request_key: str | None = None,
) -> tuple[BulkJob, bool]:
    """Make a job, and say whether it is new: a second call with the same ``request_key`` finds the first one's.

    ``parameters`` are those of ``acts.checked_parameters``. Raises PermissionRefused, also for who has no account
    whose rights could be looked at while the job runs, and PayloadRejected.
    """
    if not can_somewhere(user, action, hub):
        require(user, action)
    creator = columns_of(user)
    reason = checked_reason(action, reason)
    key = check_idempotency_key(request_key)
    using = get_config().database
    store = get_store(hub, using)
    actor = audit.Actor.of(user, via, address)
    with transaction.atomic(using=using):
        if key is not None and (known := _jobs().filter(**creator, request_key=key).first()):
            return known, False
        job = BulkJob(
            hub=hub,
            action=action.value,
            parameters=dict(parameters),
            selection=_within_reach(selection.frozen(store.now()), user, action, hub).to_json(),
            reason=reason,
            creator_name=actor.name,
            via=via,
            address=actor.address,
            request_key=key,
            **creator,
        )
        try:
            with transaction.atomic(using=using):
                job.save(using=using, force_insert=True)
        except IntegrityError:  # the same request, at the same time
            return _jobs().get(**creator, request_key=key), False
        audit.record(actor, Deed.MADE_JOB, hub, [""], using, reason=reason, details=_told(job))
        store.notify_workers()
    return _jobs().get(pk=job.pk), True


def find(hub: str, pk: int) -> BulkJob | None:
    """The job, or None where there is none of that number."""
    return _jobs().filter(hub=hub, pk=pk).first()


def find_for(user: Person, hub: str, pk: int) -> BulkJob | None:
    """The job if the person may know of it: who sees everything, and who may stop it. Else None."""
    job = find(hub, pk)
    if job is None or can(user, Action.VIEW) or may_stop(user, job):
        return job
    return None


def page(
    hub: str, *, cursor: str | None = None, limit: int = LIST_PAGE, for_user: Person | None = None
) -> Page[BulkJob]:
    """A page of the hub's jobs, newest first: all of them, or those that ``for_user`` may know of.

    Raises InvalidCursor.
    """
    return keyset_page(_known_to(for_user, hub), None, cursor=cursor, limit=limit)


def again(hub: str, pks: Collection[int], for_user: Person) -> list[BulkJob]:
    """Those of the jobs that ``for_user`` may know of, as they stand now, newest first."""
    return list(_known_to(for_user, hub).filter(pk__in=pks).order_by("-pk"))


def newest(hub: str) -> int:
    """The key of the hub's newest job; 0 where there is none."""
    return _jobs().filter(hub=hub).order_by("-pk").values_list("pk", flat=True).first() or 0


def count_newer(hub: str, known: int, for_user: Person) -> CappedCount:
    """How many jobs that ``for_user`` may know of were made after that one."""
    newer = _known_to(for_user, hub).filter(pk__gt=known).order_by().values("pk")
    return CappedCount.of(newer[: NEWER_COUNTED + 1].count(), NEWER_COUNTED)


def _known_to(user: Person | None, hub: str) -> QuerySet[BulkJob]:
    rows = _jobs().filter(hub=hub).defer("selection")
    if user is None or can(user, Action.VIEW):
        return rows
    doable = [action.value for action in ACTS if can(user, action)]
    return rows.filter(Q(**columns_of(user)) | Q(action__in=doable))


def problems(
    job: BulkJob, outcome: str = "", *, cursor: str | None = None, limit: int = LIST_PAGE
) -> Page[BulkProblem]:
    """A page of the instances that were skipped or failed, or those of one ``outcome``, in the order of their turns.

    Raises InvalidCursor.
    """
    rows = BulkProblem.objects.using(get_config().database).filter(job=job.pk)
    rows = rows.filter(outcome=outcome) if outcome else rows
    return keyset_page(rows, None, cursor=cursor, limit=limit, oldest_first=True)


def first_problems(job: BulkJob) -> list[BulkProblem]:
    """The first of them, which the APIs tell with the job itself."""
    return problems(job, limit=PROBLEMS_TOLD).items


def may_stop(user: Person, job: BulkJob) -> bool:
    """Whoever made it, and whoever may do what it does."""
    return is_creator(user, job) or can(user, Action(job.action))


def stop(user: Person, job: BulkJob, *, reason: str = "", via: AuditEntry.Via, address: str | None = None) -> bool:
    """Stop the job, and say whether that was in time. When this returns, it acts on nothing more.

    A batch that is just being carried out is waited for. The audit row keeps the ``reason``. Raises PermissionRefused.
    """
    if not may_stop(user, job):
        raise PermissionRefused(
            f"Only {job.creator_name!r}, who made this job, or somebody with the permission "
            f"{Action(job.action).permission} may stop it."
        )
    store = get_store(job.hub)
    now = store.now()
    over = {"state": BulkJob.State.STOPPED, "stopped_by": user.get_username(), "ended_at": now, "updated_at": now}
    actor, why = audit.Actor.of(user, via, address), check_reason(reason)
    with transaction.atomic(using=store.using):
        if not _jobs().filter(pk=job.pk, state__in=OPEN_STATES).update(**over):
            return False
        audit.record(actor, Deed.STOPPED_JOB, job.hub, [""], store.using, reason=why, details=_told(job))
    return True


def parameters_told(job: BulkJob) -> dict[str, Any]:
    """What its act is told, as rows of the audit trail say it: tags as changes, and no payload."""
    plain = {name: value for name, value in job.parameters.items() if name not in ("event_data", "tags")}
    return {**plain, **tag_details(job.parameters.get("tags", {}), {})}


def _told(job: BulkJob) -> dict[str, Any]:
    return {"job": job.pk, "act": job.action, **parameters_told(job)}


def _within_reach(selection: Selection, user: Person, action: Action, hub: str) -> Selection:
    """The selection among what the person may see, and may do that to."""
    return selection.confined_to(names_open_to(user, Action.VIEW, hub), names_open_to(user, action, hub))


def _jobs() -> QuerySet[BulkJob]:
    return BulkJob.objects.using(get_config().database)
