"""What a bulk job acts on: the instances of a filter as it was when the job was made, or a list of ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import QuerySet

from orchestrations.access.permissions import Action, legal_statuses
from orchestrations.client.arguments import check_instance_ids
from orchestrations.limits import BULK_PREVIEW
from orchestrations.models import Instance
from orchestrations.reading.paging import CappedCount
from orchestrations.reading.queries import InstanceFilter, filter_instances
from orchestrations.search.names import orchestrations_named

COLUMNS = ("hub", "instance_id", "name", "status", "execution", "created_at", "parent", "is_entity")


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter, or ids. Ids are looked at in the order given, a filter's instances from the newest to the oldest."""

    where: InstanceFilter | None = None
    ids: tuple[str, ...] = ()
    visible: tuple[str, ...] | None = None
    """Patterns of the names that whoever chooses may see; None for any."""
    reach: tuple[str, ...] | None = None
    """Patterns of the names on which they may act; None for any."""

    @classmethod
    def of_ids(cls, ids: Sequence[str]) -> Selection:
        """Those instances, each once. Raises PayloadRejected for none, too many, and what can't be an id."""
        return cls(ids=check_instance_ids(ids))

    def frozen(self, now: datetime) -> Selection:
        """The same, without what is started from now on: nobody has seen that when they decided."""
        if self.where is None:
            return self
        until = min(self.where.created_to or now, now)
        return replace(self, where=replace(self.where, created_to=until))

    def confined_to(self, visible: tuple[str, ...] | None, reach: tuple[str, ...] | None) -> Selection:
        """The same without instances whose name is not among both: for whoever chooses there are none."""
        return replace(self, visible=visible, reach=reach)

    def to_json(self) -> str:
        """As text for the job's row."""
        return msgspec.json.encode(self, enc_hook=_plain).decode()

    @classmethod
    def from_json(cls, text: str) -> Selection:
        """Read it back."""
        return msgspec.json.decode(text, type=cls, dec_hook=_instance)

    def rows(self, hub: str, using: str, action: Action | None = None) -> QuerySet[Instance]:
        """The instances, in no order; with an ``action`` those whose status allows it."""
        rows = self._chosen(hub, using, action)
        return rows if self.reach is None else rows.filter(orchestrations_named(hub, self.reach, using))

    def _chosen(self, hub: str, using: str, action: Action | None) -> QuerySet[Instance]:
        if self.where is None:
            seen = InstanceFilter(visible=self.visible)
            named = filter_instances(hub, seen, using=using).filter(instance_id__in=self.ids)
            return named if action is None else named.filter(status__in=legal_statuses(action))
        where = replace(self.where, visible=self.visible)
        if action is not None:
            legal = [status for status in legal_statuses(action) if not where.statuses or status in where.statuses]
            where = replace(where, statuses=tuple(legal), nothing=where.nothing or not legal)
        return filter_instances(hub, where, using=using)

    def count(self, hub: str, using: str, action: Action | None, cap: int) -> CappedCount:
        """How many instances there are, counted to the cap."""
        return CappedCount.of(self.rows(hub, using, action).order_by()[: cap + 1].count(), cap)

    def first(self, hub: str, using: str, action: Action, limit: int = BULK_PREVIEW) -> list[Instance]:
        """The first of the instances whose status allows the act, in the order in which a job takes them."""
        rows = newest_first(self.rows(hub, using, action).only(*COLUMNS))
        return list(rows[:limit])


def newest_first(rows: QuerySet[Instance]) -> QuerySet[Instance]:
    """In the order in which a job goes through a filter's instances."""
    return rows.order_by("-created_at", "-pk")


def _plain(value: Any) -> Any:
    if isinstance(value, Instance):
        return value.pk
    raise NotImplementedError


def _instance(kind: type, value: Any) -> Any:
    """A parent: its primary key is all that the filter uses."""
    if kind is Instance:
        return Instance(pk=value)
    raise NotImplementedError
