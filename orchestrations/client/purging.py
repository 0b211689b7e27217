"""Deleting instances that have ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrations import queries
from orchestrations.arguments import check_instant, check_reason
from orchestrations.async_twins import async_twin
from orchestrations.client.hub import HubClient
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InvalidTransition
from orchestrations.models import Instance
from orchestrations.permissions import Action

PURGE_BATCH = 500  # instances deleted by one transaction: locks are held for a moment only


@dataclass(frozen=True, slots=True)
class PurgeHistoryResult:
    """How many instances a purge deleted."""

    instances_deleted: int


class Purging(HubClient):
    """Purges one instance, or those of a period."""

    def purge_instance_history(
        self, instance_id: str, *, recursive: bool = False, reason: str = ""
    ) -> PurgeHistoryResult:
        """Delete an ended instance with its history; with ``recursive`` its ended sub-orchestrations too.

        The audit row keeps the ``reason``. Raises InstanceNotFound, and InvalidTransition for a live one.
        """
        target = self._target(instance_id)
        if not target.status.is_terminal:
            raise InvalidTransition(instance_id, target.status, "purge", "Completed, Failed, Terminated or Canceled")
        with self._writing():
            deleted = self._store.purge(queries.descendants(target.pk, using=self.using) if recursive else [target.pk])
            self._audit(Action.PURGE, [target.instance_id], check_reason(reason), {"instances": deleted})
        return PurgeHistoryResult(deleted)

    def purge_instance_history_by(
        self,
        created_time_from: datetime,
        created_time_to: datetime | None = None,
        runtime_status: Iterable[RuntimeStatus | str] = (),
        *,
        limit: int | None = None,
    ) -> PurgeHistoryResult:
        """Delete the ended instances that were created in that window, the oldest first; live ones are left alone.

        Goes in batches, each in a transaction of its own unless the caller has one open; ``limit`` bounds the whole.
        """
        chosen = {RuntimeStatus(status) for status in runtime_status} or set(queries.ENDED)
        where = queries.InstanceFilter(
            statuses=tuple(status for status in queries.ENDED if status in chosen),
            created_from=check_instant(created_time_from, "created_time_from"),
            created_to=check_instant(created_time_to, "created_time_to"),
        )
        if not where.statuses:
            return PurgeHistoryResult(0)
        rows = queries.filter_instances(self.hub, where, using=self.using).order_by("created_at", "pk")
        deleted = 0
        while limit is None or deleted < limit:
            batch = dict(rows.values_list("pk", "instance_id")[: min(PURGE_BATCH, (limit or PURGE_BATCH) - deleted)])
            gone = self._purge_batch(batch) if batch else 0
            deleted += gone
            if not gone:
                break
        return PurgeHistoryResult(deleted)

    apurge_instance_history = async_twin(purge_instance_history)
    apurge_instance_history_by = async_twin(purge_instance_history_by)

    def _purge_batch(self, batch: Mapping[int, str]) -> int:
        with self._writing():
            deleted = self._store.purge(list(batch))
            kept = set(Instance.objects.using(self.using).filter(pk__in=list(batch)).values_list("pk", flat=True))
            self._audit(Action.PURGE, [instance_id for pk, instance_id in batch.items() if pk not in kept])
        return deleted
