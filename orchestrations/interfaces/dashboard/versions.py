"""Versions: short texts that change when what a page shows has changed, so that nothing is rendered to find out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import BigIntegerField, Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.models import HumanTask, InboxMessage, Instance

CONTROL_TYPES = (
    EventType.EXECUTION_TERMINATED.value,
    EventType.EXECUTION_SUSPENDED.value,
    EventType.EXECUTION_RESUMED.value,
    EventType.EXECUTION_REWOUND.value,
)


def digest(parts: Iterable[object]) -> str:
    """A short text for those parts, the same for the same parts."""
    joined = "|".join(str(part) for part in parts)
    return hashlib.blake2s(joined.encode("utf-8", "replace"), digest_size=6).hexdigest()


def row_version(instance: Instance) -> str:
    """What changes when a list's row does."""
    return state_version(instance.execution, instance.status, instance.last_updated_at)


def state_version(execution: int, status: str, last_updated_at: datetime) -> str:
    """The same of the columns that tell."""
    return digest((execution, status, last_updated_at.isoformat()))


def rows_version(versions: Iterable[tuple[int, str]]) -> str:
    """What changes when any of a list's rows does, by their keys and versions in the list's order."""
    return digest(f"{pk}:{version}" for pk, version in versions)


def instance_version(instance: Instance) -> str:
    """What changes when an instance's page does; of an instance read by ``with_coming``."""
    return digest((row_version(instance), coming_of(instance)))


def waits_version(pks: Iterable[int]) -> str:
    """What changes when the set of questions that an instance asks does."""
    return digest(sorted(pks))


def arrivals_version(newest: int | None) -> str:
    """What changes when a message is sent to an instance or taken up; ``newest`` is the newest one's key."""
    return digest([newest])


def newest_version(newest: int | None) -> str:
    """What changes when a hub has a newer instance, by the key of the newest."""
    return digest([newest])


def jobs_version(newest: int, states: Iterable[tuple[int, str, int]]) -> str:
    """What changes when a list of bulk jobs does, or its hub has a newer one; key, state and batches of each."""
    return digest((newest, *sorted(states)))


def entity_version(last_operation_at: datetime, locked_by: str, backlog: int) -> str:
    """What changes with each batch of an entity's operations, and with its lock."""
    return digest((last_operation_at.isoformat(), locked_by, backlog))


def with_coming(rows: QuerySet[Instance]) -> QuerySet[Instance]:
    """The rows with ``coming``: the newest control message on its way to each, None where there is none."""
    newest = InboxMessage.objects.filter(instance_id=OuterRef("pk"), type__in=CONTROL_TYPES).order_by("-pk")
    return rows.annotate(coming=Subquery(newest.values("pk")[:1]))


def coming_of(instance: Instance) -> int | None:
    """What ``with_coming`` has found for the instance."""
    return instance.coming  # type: ignore[attr-defined, no-any-return]


def task_version(row_version: int, state: str, status: str, newest_line: int | None) -> str:
    """What changes when anything is done or said about a question; ``status`` is that of its instance."""
    return digest((row_version, state, status, newest_line))


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the questions of a hub stand: their version, and what was asked for beside it."""

    version: str
    beside: dict[str, int]


def approvals_version(hub: str) -> str:
    """What changes when a question to people is asked, answered or closed anywhere in the hub."""
    return approvals_pulse(hub).version


def approvals_pulse(hub: str, **beside: Subquery) -> Pulse:
    """That version, and the numbers of sub-queries, in one query along an index of the open questions.

    A question counts its ``row_version`` up with all that becomes of it, and leaves the open ones when it is closed.
    The sums of all see each change once it is committed. The newest entries of a log would not: many may be committed
    before an older one is.
    """
    rows = HumanTask.objects.using(get_config().database).filter(hub=hub, state__in=HumanTask.LIVE).order_by()
    sums = {"number": Count("pk"), "keys": Sum("pk"), "changes": Sum("row_version")}
    asked = {name: Coalesce(one, Count("pk"), output_field=BigIntegerField()) for name, one in beside.items()}
    found = rows.aggregate(**sums, **asked)  # which takes a sub-query as a part of an aggregate only
    return Pulse(digest(found[name] for name in sums), {name: found[name] for name in beside})
