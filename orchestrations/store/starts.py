"""Starting instances: of concurrent starts under one id exactly one wins, on every database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import OperationalError

from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, OpenWait, Timer
from orchestrations.store.contract import Created, Message, NewInstance, OnDuplicate
from orchestrations.store.messages import refusal_of
from orchestrations.store.tables import Tables, Target

BELONGINGS = (InboxMessage, HistoryEvent, ActivityWorkItem, Timer, OpenWait)
"""The tables with rows of an instance, in lock order."""

_ROUNDS = 5  # an id can be purged by others between being found taken and being looked at


def create_instances(tables: Tables, instances: Sequence[NewInstance], on_duplicate: OnDuplicate) -> list[Created]:
    """Insert Pending instances; the outcome of each in the order given. Of equal ids in one call the first wins."""
    wanted: dict[str, NewInstance] = {}
    for instance in instances:
        wanted.setdefault(instance.instance_id, instance)
    started: dict[str, int] = {}
    existing: dict[str, Target] = {}
    with tables.atomic():
        undecided = dict(wanted)
        for _ in range(_ROUNDS):
            if not undecided:
                break
            started.update(_start(tables, undecided, replace=on_duplicate is OnDuplicate.REPLACE_TERMINAL))
            taken = undecided.keys() - started.keys()
            existing.update((target.instance_id, target) for target in (tables.find((), taken) if taken else ()))
            undecided = {key: undecided[key] for key in sorted(taken - existing.keys())}
        if undecided:
            raise OperationalError(f"The ids {sorted(undecided)} are started and purged too often. Try again.")
    return [_outcome(instance, wanted, started, existing) for instance in instances]


def _start(tables: Tables, wanted: Mapping[str, NewInstance], *, replace: bool) -> dict[str, int]:
    """Start those whose id is free or, with ``replace``, was that of an ended instance.

    By ascending id, so that two callers who insert the same ids wait for each other in the same order.
    """
    ordered = [wanted[key] for key in sorted(wanted)]
    started = tables.insert_instances(ordered)
    taken = [instance for instance in ordered if instance.instance_id not in started]
    if taken and replace:
        replaced = tables.replace_ended(taken)
        forgetful = {instance.instance_id for instance in taken if not instance.keep_history}
        forget(tables, [pk for instance_id, pk in replaced.items() if instance_id in forgetful])
        started.update(replaced)
    return started


def _outcome(
    instance: NewInstance,
    wanted: Mapping[str, NewInstance],
    started: Mapping[str, int],
    existing: Mapping[str, Target],
) -> Created:
    instance_id = instance.instance_id
    if found := existing.get(instance_id):
        return Created(instance_id, found.pk, False, found.status)
    if wanted[instance_id] is instance:
        return Created(instance_id, started[instance_id], True)
    return Created(instance_id, started[instance_id], False, "Pending")


def start_children(tables: Tables, children: Sequence[NewInstance], now: datetime) -> list[Message]:
    """Start the children of a group commit; returns what the parents of refused ones are to be told."""
    if not children:
        return []
    created = create_instances(tables, children, OnDuplicate.REPLACE_TERMINAL)
    return [
        refusal_of(child, outcome.existing_status or "", now)
        for child, outcome in zip(children, created, strict=True)
        if not outcome.created and child.parent_task_id is not None
    ]


def forget(tables: Tables, pks: Sequence[int]) -> None:
    """Delete all rows that belong to these instances, but not the instances."""
    if pks:
        for model in BELONGINGS:
            tables.delete(model, ("instance_id",), [(pk,) for pk in pks])
