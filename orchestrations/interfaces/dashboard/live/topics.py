"""What live pages watch, each as a topic with a version: a short text that changes when what the page shows does.

The versions of many topics are read together, a few statements whatever their number, from the rows themselves by
primary key: a busy task hub does not wake the readers of its quiet instances.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from django.db.models import Max

from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.versions import (
    approvals_version,
    arrivals_version,
    digest,
    entity_version,
    instance_version,
    jobs_version,
    newest_version,
    rows_version,
    state_version,
    task_version,
    waits_version,
    with_coming,
)
from orchestrations.models import BulkJob, Entity, HumanComment, HumanTask, InboxMessage, Instance
from orchestrations.reading.audit_trail import newest_act
from orchestrations.reading.queries import newest_instance

KEYS_IN_ONE_STATEMENT = 1_000
LISTS_REMEMBERED = 2_000

RowState = tuple[Any, ...]
"""Key, execution, status and time of the last update."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that is watched: the kind says how its version is read, the argument of what."""

    kind: str
    argument: Any


def rows(hub: str, pks: Iterable[int]) -> Topic:
    """Those rows of a list."""
    return Topic("rows", (hub, tuple(pks)))


def newest(hub: str) -> Topic:
    """The newest instance of the hub."""
    return Topic("newest", hub)


def instance(pk: int) -> Topic:
    """An instance with the control messages that are on their way to it."""
    return Topic("instance", pk)


def arrivals(pk: int) -> Topic:
    """What is on its way to an instance: events and control messages that no worker has taken up yet."""
    return Topic("arrivals", pk)


def waits(pk: int) -> Topic:
    """The questions that an instance asks."""
    return Topic("waits", pk)


def approvals(hub: str) -> Topic:
    """The questions that the hub's instances ask."""
    return Topic("approvals", hub)


def bulk_job(pk: int) -> Topic:
    """How far a bulk job has come."""
    return Topic("bulk_job", pk)


def bulk_jobs(hub: str, pks: Iterable[int]) -> Topic:
    """How far those bulk jobs have come, and whether the hub has newer ones."""
    return Topic("bulk_jobs", (hub, tuple(pks)))


def entity(pk: int) -> Topic:
    """The state and the lock of an entity, by the key of its instance."""
    return Topic("entity", pk)


def acts(hub: str) -> Topic:
    """The newest entry of the hub's audit trail."""
    return Topic("acts", hub)


def region(key: tuple[str, ...]) -> Topic:
    """A region of a board, by all that it depends on."""
    return Topic("region", key)


def task(pk: int) -> Topic:
    """A question to people: its state, its votes, what was said about it, and the status of its instance."""
    return Topic("task", pk)


def version(topic: Topic) -> str:
    """The version of one topic now, for the page that begins to watch it."""
    return versions([topic])[topic]


def versions(topics: Iterable[Topic]) -> dict[Topic, str]:
    """The version of each topic now."""
    by_kind: dict[str, set[Any]] = {}
    for topic in topics:
        by_kind.setdefault(topic.kind, set()).add(topic.argument)
    return {
        Topic(kind, argument): version
        for kind, arguments in by_kind.items()
        for argument, version in READERS[kind](arguments).items()
    }


def _read_rows(lists: Collection[tuple[str, tuple[int, ...]]]) -> dict[tuple[str, tuple[int, ...]], str]:
    found: dict[tuple[str, int], RowState] = {}
    for pks in _batches({pk for _, shown in lists for pk in shown}):
        rows = Instance.objects.using(get_config().database).filter(pk__in=pks)
        for hub, pk, *state in rows.values_list("hub", "pk", "execution", "status", "last_updated_at"):
            found[hub, pk] = (pk, *state)
    return {
        (hub, shown): _list_version(tuple(found[hub, pk] for pk in shown if (hub, pk) in found)) for hub, shown in lists
    }


@lru_cache(LISTS_REMEMBERED)
def _list_version(states: tuple[RowState, ...]) -> str:
    """Of most lists nothing has changed since the last look."""
    return rows_version((pk, state_version(*state)) for pk, *state in states)


def _read_newest(hubs: Collection[str]) -> dict[str, str]:
    return {hub: newest_version(newest_instance(hub)) for hub in hubs}


def _read_instances(pks: Collection[int]) -> dict[int, str]:
    found: dict[int, str] = dict.fromkeys(pks, "")
    for some in _batches(pks):
        rows = with_coming(Instance.objects.using(get_config().database).filter(pk__in=some))
        for row in rows.only("execution", "status", "last_updated_at"):
            found[row.pk] = instance_version(row)
    return found


def _read_arrivals(pks: Collection[int]) -> dict[int, str]:
    found: dict[int, int] = {}
    for some in _batches(pks):
        messages = InboxMessage.objects.using(get_config().database).filter(instance_id__in=some)
        found |= (
            messages.order_by().values("instance_id").annotate(newest=Max("pk")).values_list("instance_id", "newest")
        )
    return {pk: arrivals_version(found.get(pk)) for pk in pks}


def _read_waits(pks: Collection[int]) -> dict[int, str]:
    asked: dict[int, list[int]] = {pk: [] for pk in pks}
    for some in _batches(pks):
        found = HumanTask.objects.using(get_config().database).filter(instance_id__in=some, state__in=HumanTask.LIVE)
        for instance_pk, pk in found.values_list("instance_id", "pk"):
            asked[instance_pk].append(pk)
    return {pk: waits_version(task_pks) for pk, task_pks in asked.items()}


def _read_approvals(hubs: Collection[str]) -> dict[str, str]:
    return {hub: approvals_version(hub) for hub in hubs}


def _read_tasks(pks: Collection[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for some in _batches(pks):
        said = HumanComment.objects.using(get_config().database).filter(task_id__in=some).order_by()
        newest = dict(said.values("task_id").annotate(newest=Max("pk")).values_list("task_id", "newest"))
        tasks = HumanTask.objects.using(get_config().database).filter(pk__in=some)
        for asked in tasks.select_related("instance").only("row_version", "state", "instance__status"):
            found[asked.pk] = task_version(asked.row_version, asked.state, asked.instance.status, newest.get(asked.pk))
    return {pk: found.get(pk, "") for pk in pks}


def _read_bulk_jobs(pks: Collection[int]) -> dict[int, str]:
    found: dict[int, str] = dict.fromkeys(pks, "")
    rows = BulkJob.objects.using(get_config().database).filter(pk__in=pks)
    return found | {pk: digest((state, batches)) for pk, state, batches in rows.values_list("pk", "state", "batches")}


def _read_lists_of_jobs(lists: Collection[tuple[str, tuple[int, ...]]]) -> dict[tuple[str, tuple[int, ...]], str]:
    jobs = BulkJob.objects.using(get_config().database)
    found = dict.fromkeys(lists, "")
    for hub, shown in lists:
        states = jobs.filter(hub=hub, pk__in=shown).values_list("pk", "state", "batches")
        newest = jobs.filter(hub=hub).order_by("-pk").values_list("pk", flat=True).first() or 0
        found[hub, shown] = jobs_version(newest, states)
    return found


def _read_entities(pks: Collection[int]) -> dict[int, str]:
    found: dict[int, str] = dict.fromkeys(pks, "")
    for some in _batches(pks):
        rows = Entity.objects.using(get_config().database).filter(instance_id__in=some)
        for row in rows.only("instance_id", "last_operation_at", "locked_by", "backlog"):
            found[row.instance_id] = entity_version(row.last_operation_at, row.locked_by, row.backlog)
    return found


def _read_acts(hubs: Collection[str]) -> dict[str, str]:
    return {hub: newest_version(newest_act(hub)) for hub in hubs}


READERS: dict[str, Callable[[Collection[Any]], Mapping[Any, str]]] = {
    # "region" is added by the boards, which import this module.
    "rows": _read_rows,
    "newest": _read_newest,
    "instance": _read_instances,
    "arrivals": _read_arrivals,
    "waits": _read_waits,
    "approvals": _read_approvals,
    "task": _read_tasks,
    "bulk_job": _read_bulk_jobs,
    "bulk_jobs": _read_lists_of_jobs,
    "entity": _read_entities,
    "acts": _read_acts,
}


def _batches(pks: Collection[int]) -> Iterator[list[int]]:
    rest = iter(sorted(pks))
    while some := list(islice(rest, KEYS_IN_ONE_STATEMENT)):
        yield some
