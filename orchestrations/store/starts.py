"""Starting instances: of concurrent starts under one id exactly one wins, on every database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime

from django.db import OperationalError

from orchestrations.core.lifecycle import Transition
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.models import (
    ActivityWorkItem,
    HistoryEvent,
    InboxMessage,
    Instance,
    OpenWait,
    RaisedEventKey,
    Timer,
)
from orchestrations.payload_files import is_reference
from orchestrations.store import counting, human_tasks, large_payloads
from orchestrations.store.contract import Created, Message, NewInstance, OnDuplicate
from orchestrations.store.messages import refusal_of, send
from orchestrations.store.tables import Tables, Target
from orchestrations.store.termination import end_live

BELONGINGS = (RaisedEventKey, InboxMessage, HistoryEvent, ActivityWorkItem, Timer, OpenWait)
"""The tables with rows of an instance, in lock order."""

_ATTEMPTS = 3


class PurgedMeanwhile(OperationalError):
    """An id was taken when it was to be started, and gone when its instance was looked at. Trying again helps."""


def create_instances(tables: Tables, instances: Sequence[NewInstance], on_duplicate: OnDuplicate) -> list[Created]:
    """Insert Pending instances; the outcome of each in the order given. Of equal ids in one call the first wins.

    Raises PurgedMeanwhile, in a transaction of the caller's, where a purge of one of the ids comes in between.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _create_instances(tables, instances, on_duplicate)
        except PurgedMeanwhile:
            if tables.connection.in_atomic_block:
                raise
    return _create_instances(tables, instances, on_duplicate)


def _create_instances(tables: Tables, instances: Sequence[NewInstance], on_duplicate: OnDuplicate) -> list[Created]:
    """Look, replace the ended, then insert the absent in one statement by ascending id.

    So that nobody waits in a circle: an insert waits for whoever is changing a row with its id, so nothing is inserted
    that is known to exist; and row locks are taken before there are inserts that others could wait for.
    """
    wanted: dict[str, NewInstance] = {}
    for instance in instances:
        wanted.setdefault(instance.instance_id, instance)
    looked_for = [key for key, instance in wanted.items() if not instance.has_fresh_id]
    has_files = any(is_reference(instance.input) for instance in instances)
    # Fresh ids take one statement, a transaction by itself.
    with tables.atomic() if looked_for or has_files else nullcontext():
        known = {target.instance_id: target for target in tables.find((), looked_for)}
        replaceable = [key for key, target in known.items() if _is_replaceable(target, on_duplicate)]
        absent = sorted(wanted.keys() - known.keys())
        ended: dict[str, Transition] = {}
        started = _replace(tables, [wanted[key] for key in replaceable], on_duplicate, ended) if replaceable else {}
        if absent:
            started |= tables.insert_instances([wanted[key] for key in absent])
        if overtaken := {*replaceable, *absent} - started.keys():
            now_known = {target.instance_id: target for target in tables.find((), overtaken)}
            if len(now_known) < len(overtaken):
                raise PurgedMeanwhile(f"Purged while being started: {sorted(overtaken - now_known.keys())}. Try again.")
            known |= now_known
            if on_duplicate is OnDuplicate.TERMINATE:
                started |= _replace(tables, [wanted[key] for key in sorted(overtaken)], on_duplicate, ended)
        if has_files:
            large_payloads.record(tables, ((pk, wanted[key].input) for key, pk in started.items()))
    return _outcomes(instances, started, known, ended)


def _is_replaceable(target: Target, on_duplicate: OnDuplicate) -> bool:
    if on_duplicate is OnDuplicate.TERMINATE:
        return True
    return on_duplicate is OnDuplicate.REPLACE_TERMINAL and target.status in TERMINAL


def _replace(
    tables: Tables, instances: Sequence[NewInstance], on_duplicate: OnDuplicate, ended: dict[str, Transition]
) -> dict[str, int]:
    """Those that could be replaced; ``ended`` gets what became of the live ones among them."""
    if on_duplicate is not OnDuplicate.TERMINATE:
        return _replace_ended(tables, instances)
    told, terminated = end_live(tables, [instance.instance_id for instance in instances])
    ended |= terminated
    replaced = _replace_ended(tables, instances)
    send(tables, told)
    return replaced


def _replace_ended(tables: Tables, instances: Sequence[NewInstance]) -> dict[str, int]:
    ids = [instance.instance_id for instance in instances]
    counting.keep_ends(tables, Instance.objects.filter(instance_id__in=ids))
    replaced = tables.replace_ended(instances)
    forgetful = [instance.instance_id for instance in instances if not instance.keep_history]
    forget(tables, [replaced[instance_id] for instance_id in forgetful if instance_id in replaced])
    return replaced


def _outcomes(
    instances: Sequence[NewInstance],
    started: Mapping[str, int],
    known: Mapping[str, Target],
    ended: Mapping[str, Transition],
) -> list[Created]:
    outcomes = []
    told: set[str] = set()
    for instance_id in (instance.instance_id for instance in instances):
        if instance_id not in started:
            outcomes.append(Created(instance_id, known[instance_id].pk, False, known[instance_id].status))
        elif instance_id in told:
            outcomes.append(Created(instance_id, started[instance_id], False, RuntimeStatus.PENDING.value))
        else:
            outcomes.append(Created(instance_id, started[instance_id], True, ended=ended.get(instance_id)))
            told.add(instance_id)
    return outcomes


def start_children(tables: Tables, children: Sequence[NewInstance], now: datetime) -> list[Message]:
    """Start the children of a group commit; returns what the parents of refused ones are to be told."""
    if not children:
        return []
    created = create_instances(tables, children, OnDuplicate.REPLACE_TERMINAL)
    return [
        refusal_of(child, outcome.existing_status or "", now)
        for child, outcome in zip(children, created, strict=True)
        if not outcome.created and child.parent_task_id is not None and not _is_under_way(tables, child, outcome.pk)
    ]


def _is_under_way(tables: Tables, child: NewInstance, pk: int) -> bool:
    """Whether that live instance is the very child: somebody has rewound the attempt before, and it still runs."""
    of_call = {"parent_execution": child.parent_execution, "parent_task_id": child.parent_task_id}
    return Instance.objects.using(tables.using).filter(pk=pk, parent_id=child.parent_pk, **of_call).exists()


def forget(tables: Tables, pks: Sequence[int]) -> None:
    """Delete all rows that belong to these instances, but not the instances."""
    if pks:
        large_payloads.forget_all(tables, pks)
        human_tasks.forget(tables, pks)
        for model in BELONGINGS:
            tables.delete(model, ("instance_id",), [(pk,) for pk in pks])
