"""Finding instances by what is known of them: lists, counts, and the ids of those that have ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import F

from orchestrations.client.arguments import check_instant, check_statuses
from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient
from orchestrations.client.orchestration_status import OrchestrationStatus
from orchestrations.core.status import RuntimeStatus
from orchestrations.limits import COUNT_CAP, LIST_PAGE, STATUSES_BY_QUERY
from orchestrations.models import Instance
from orchestrations.reading import queries
from orchestrations.reading.again import again_if_replaced
from orchestrations.reading.paging import CappedCount


class Querying(HubClient):
    """Snapshots of many instances, and how many there are."""

    def get_status_all(self, *, limit: int = STATUSES_BY_QUERY) -> list[OrchestrationStatus]:
        """Snapshots of the newest instances, at most ``limit``."""
        return self.get_status_by(limit=limit)

    @again_if_replaced
    def get_status_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Iterable[RuntimeStatus | str] | None = None,
        instance_id_prefix: str | None = None,
        *,
        name: str = "",
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        parent_instance_id: str | None = None,
        error_text: str = "",
        completed_time_from: datetime | None = None,
        completed_time_to: datetime | None = None,
        oldest_first: bool = False,
        show_input: bool = False,
        limit: int = STATUSES_BY_QUERY,
    ) -> list[OrchestrationStatus]:
        """Snapshots of the instances to which all that is given applies, newest first unless asked otherwise.

        Windows begin at ``..._from`` and end before ``..._to``. ``tags`` must all be there, and ``error_text`` is part
        of the failure's first line, in any case. At most ``limit`` of them, because each comes with its payloads;
        ``queries.list_instances`` goes through any number without them. Raises InstanceNotFound for an unknown parent.
        """
        where = queries.InstanceFilter(
            statuses=check_statuses(runtime_status),
            name=name,
            id_prefix=instance_id_prefix or "",
            version=version,
            tags=tags or {},
            parent=None if parent_instance_id is None else self._parent(parent_instance_id),
            error_text=error_text,
            created_from=check_instant(created_time_from, "created_time_from"),
            created_to=check_instant(created_time_to, "created_time_to"),
            completed_from=check_instant(completed_time_from, "completed_time_from"),
            completed_to=check_instant(completed_time_to, "completed_time_to"),
        )
        rows = queries.filter_instances(self.hub, where, using=self.using).annotate(parents_id=F("parent__instance_id"))
        rows = rows.order_by("created_at", "pk") if oldest_first else rows.order_by("-created_at", "-pk")
        if not show_input:
            rows = rows.defer("input")
        return [OrchestrationStatus.of(row, show_input=show_input) for row in rows[:limit]]

    def count_instances(self, where: queries.InstanceFilter | None = None, *, cap: int = COUNT_CAP) -> CappedCount:
        """How many instances the filter lets through, counted up to the cap and no further."""
        return queries.count_instances(self.hub, where, cap=cap, using=self.using)

    def list_instance_ids(
        self,
        runtime_status: Iterable[RuntimeStatus | str] = (),
        completed_time_from: datetime | None = None,
        completed_time_to: datetime | None = None,
        page_size: int = LIST_PAGE,
        continuation_token: str | None = None,
    ) -> tuple[list[str], str | None]:
        """The ids of instances that ended in that window, the youngest first, and the token of the next page.

        The token is None at the end. Raises ValueError for a status that is not terminal, and InvalidCursor.
        """
        statuses = check_statuses(runtime_status) or queries.ENDED
        if live := [status.value for status in statuses if not status.is_terminal]:
            raise ValueError(f"Instances that are {', '.join(live)} have not ended. Name terminal statuses, or none.")
        where = queries.InstanceFilter(
            statuses=statuses,
            completed_from=check_instant(completed_time_from, "completed_time_from"),
            completed_to=check_instant(completed_time_to, "completed_time_to"),
        )
        page = queries.list_instances(self.hub, where, cursor=continuation_token, limit=page_size, using=self.using)
        return [row.instance_id for row in page.items], page.next_cursor

    aget_status_all = async_twin(get_status_all)
    aget_status_by = async_twin(get_status_by)
    acount_instances = async_twin(count_instances)
    alist_instance_ids = async_twin(list_instance_ids)

    def _parent(self, instance_id: str) -> Instance:
        return queries.get_instance(self.hub, instance_id, using=self.using)
