"""Deleting instances that have ended."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrations.access.permissions import Action
from orchestrations.client.arguments import check_instant, check_reason, check_statuses
from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InvalidTransition
from orchestrations.models import Instance
from orchestrations.reading import queries

PURGE_BATCH = 500  # instances chosen for one transaction: locks are held for a moment only


@dataclass(frozen=True, slots=True)
class PurgeHistoryResult:
    """How many instances a purge deleted."""

    instances_deleted: int
    is_complete: bool = True
    """False where the limit or the timeout ended it before all was deleted: the same call again goes on."""


class Purging(HubClient):
    """Purges one instance, several, or those that a filter lets through."""

    def purge_instance_history(
        self, instance_id: str, *, recursive: bool = False, reason: str = ""
    ) -> PurgeHistoryResult:
        """Delete an ended instance with its history and files; with ``recursive`` its ended sub-orchestrations too.

        The audit row keeps the ``reason``. Raises InstanceNotFound, and InvalidTransition for a live one.
        """
        target = self._target(instance_id)
        if not target.status.is_terminal:
            raise InvalidTransition(instance_id, target.status, "purge", "Completed, Failed, Terminated or Canceled")
        with self._writing():
            deleted = self._store.purge(queries.descendants(target.pk, using=self.using) if recursive else [target.pk])
            details = {"was": target.status.value, "instances": deleted}
            self._audit(Action.PURGE, [target.instance_id], check_reason(reason), details)
        return PurgeHistoryResult(deleted)

    def purge_instances(
        self, instance_ids: Iterable[str], *, recursive: bool = False, reason: str = ""
    ) -> PurgeHistoryResult:
        """Delete those of the instances that exist and have ended, in batches; live and unknown ones are left alone.

        ``instances_deleted`` says how many went, sub-orchestrations included.
        """
        wanted = list(dict.fromkeys(instance_id for instance_id in instance_ids if queries.storable(instance_id)))
        ended = queries.filter_instances(self.hub, queries.InstanceFilter(statuses=queries.ENDED), using=self.using)
        deleted = 0
        for start in range(0, len(wanted), PURGE_BATCH):
            chosen = ended.filter(instance_id__in=wanted[start : start + PURGE_BATCH])
            pks = list(chosen.order_by("pk").values_list("pk", flat=True))
            deleted += self._purge_batch(pks, recursive, check_reason(reason)) if pks else 0
        return PurgeHistoryResult(deleted)

    def purge_instance_history_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Iterable[RuntimeStatus | str] | None = None,
        *,
        limit: int | None = None,
        timeout: timedelta | float | None = None,
        recursive: bool = False,
        reason: str = "",
    ) -> PurgeHistoryResult:
        """Delete the ended instances that were created in that window, the oldest first; live ones are left alone.

        With ``recursive`` the ended sub-orchestrations of each go with it, whenever they were created. Goes in batches,
        each in a transaction of its own unless the caller has one open. ``limit`` bounds how many are chosen, and
        ``timeout`` (seconds) for how long; the result then says whether it is complete.

        Raises ValueError for a status that does not exist and for naive instants.
        """
        where = queries.InstanceFilter(
            statuses=check_statuses(runtime_status),
            created_from=check_instant(created_time_from, "created_time_from"),
            created_to=check_instant(created_time_to, "created_time_to"),
        )
        batches = purge_in_batches(self, where, limit=limit, timeout=timeout, recursive=recursive, reason=reason)
        *_, result = batches
        return result

    apurge_instance_history = async_twin(purge_instance_history)
    apurge_instances = async_twin(purge_instances)
    apurge_instance_history_by = async_twin(purge_instance_history_by)

    def _purge_batch(self, pks: Collection[int], recursive: bool, reason: str) -> int:
        chosen = queries.descendants(*pks, using=self.using) if recursive else list(pks)
        rows = Instance.objects.using(self.using).filter(pk__in=list(pks))
        with self._writing():
            ids = dict(rows.values_list("pk", "instance_id")) if self.actor is not None else {}
            deleted = self._store.purge(chosen)
            if ids:
                kept = set(rows.values_list("pk", flat=True))
                self._audit(Action.PURGE, [instance_id for pk, instance_id in ids.items() if pk not in kept], reason)
        return deleted


def purge_in_batches(
    client: Purging,
    where: queries.InstanceFilter,
    *,
    limit: int | None = None,
    timeout: timedelta | float | None = None,
    recursive: bool = False,
    reason: str = "",
) -> Iterator[PurgeHistoryResult]:
    """``purge_instance_history_by`` for any filter, with the sum so far after each batch; stop asking to stop it.

    Of the filter's statuses only those of ended instances count, and without any all of them.
    """
    rows = queries.filter_instances(client.hub, queries.ended_only(where), using=client.using)
    rows = rows.order_by("created_at", "pk")
    checked = check_reason(reason)
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    deadline = None if seconds is None else time.monotonic() + seconds
    chosen = deleted = 0
    while True:
        if chosen == limit or (deadline is not None and time.monotonic() >= deadline):
            yield PurgeHistoryResult(deleted, is_complete=not rows.exists())
            return
        room = PURGE_BATCH if limit is None else min(PURGE_BATCH, limit - chosen)
        pks = list(rows.values_list("pk", flat=True)[:room])
        gone = client._purge_batch(pks, recursive, checked) if pks else 0
        chosen, deleted = chosen + len(pks), deleted + gone
        yield PurgeHistoryResult(deleted, is_complete=len(pks) < room)
        if len(pks) < room or not gone:
            return
